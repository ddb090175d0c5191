"""The results of several training seeds as one: of every number its mean, range, and each seed's.

`results/metrics.json` is merged whatever keys it has, so a new row, metric or comparison needs no
change here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

VALUE = "value"
SPLIT = "test"
"""The split of people never trained on; the official ones are not part of the table."""

WIDTH, WIDEST = 80, 240
"""Characters of a line of the file; a number with its interval is one line up to the second."""


class Spread(NamedTuple):
    """A number over the seeds."""

    mean: float
    least: float
    most: float

    @classmethod
    def of(cls, node: Any) -> Spread | None:
        """Of a merged number or estimate; None where a seed has no value."""
        if isinstance(node, (int, float)):
            return cls(node, node, node)
        if not isinstance(node, Mapping) or node.get("mean") is None:
            return None
        return cls(node["mean"], node["min"], node["max"])


def merged_metrics(seeds: Sequence[Mapping[str, Any]]) -> Any:
    """The metrics of one or more seeds, merged; of the poses the test split alone."""
    return merge([{**one, "pose": {SPLIT: one["pose"][SPLIT]}} for one in seeds])


def merge(nodes: Sequence[Any]) -> Any:
    """One tree from the trees of the seeds, which have the same keys.

    - An estimate, which is anything with a `value`, becomes `mean`, `min` and `max` of it, and its
      numbers as lists in the order of the seeds. Counts that all seeds share stay one number.
    - Another number or text stays if all seeds have the same, else it becomes such a spread, or a
      list.
    - A key that some seed lacks is left out.
    """
    first = nodes[0]
    if all(isinstance(node, Mapping) for node in nodes):
        if all(VALUE in node for node in nodes):
            return _estimate(nodes)
        shared = [key for key in first if all(key in node for node in nodes)]
        return {key: merge([node[key] for node in nodes]) for key in shared}
    if all(isinstance(node, list) and len(node) == len(first) for node in nodes):
        return [merge(items) for items in zip(*nodes, strict=True)]
    if all(node == first for node in nodes):
        return first
    return _spread(nodes) if all(_is_number(node) for node in nodes) else list(nodes)


def _estimate(nodes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    shared = [key for key in nodes[0] if all(key in node for node in nodes)]
    columns = {key: [node[key] for node in nodes] for key in shared}
    return _spread(columns.pop(VALUE)) | {
        key: column[0] if _is_one_count(column) else column for key, column in columns.items()
    }


def _spread(values: Sequence[float | None]) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return {"mean": None, "min": None, "max": None, VALUE: list(values)}
    mean = float(f"{sum(known) / len(known):.6g}")
    return {"mean": mean, "min": min(known), "max": max(known), VALUE: list(values)}


def _is_number(node: Any) -> bool:
    return node is None or (isinstance(node, (int, float)) and not isinstance(node, bool))


def _is_one_count(column: Sequence[Any]) -> bool:
    return isinstance(column[0], int) and all(item == column[0] for item in column)


def as_text(node: Any, indent: str = "") -> str:
    """JSON in which whatever fits into a line is one line, so that a change reads well in a diff.

    Raises:
        ValueError: a value is NaN or infinite, which strict readers cannot parse.
    """
    line = json.dumps(node, allow_nan=False, ensure_ascii=False)
    room = WIDEST if isinstance(node, dict) and "mean" in node else WIDTH
    if len(indent) + len(line) < room or not isinstance(node, (dict, list)) or not node:
        return line
    deeper = indent + "  "
    if isinstance(node, dict):
        items = [f"{json.dumps(key)}: {as_text(value, deeper)}" for key, value in node.items()]
        opened, closed = "{}"
    else:
        items = [as_text(value, deeper) for value in node]
        opened, closed = "[]"
    inside = ",\n".join(f"{deeper}{item}" for item in items)
    return f"{opened}\n{inside}\n{indent}{closed}"
