"""Comments of `params.yaml` from the fields: `python -m pipeline.profiles.comments` rewrites them.

Values stay as they are, and a key that the file lacks comes in with its default. A test holds the
shipped file against this.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from handpose.errors import HandPoseError
from handpose.files import atomic_file
from stages.params import Params, check_values, read_values
from stages.sections.section import Section, as_yaml, defaults, section_of

HEADER = """\
# Every number that changes a result. "ours" marks a blank of the paper that we filled; the reasons
# are in docs/choices.md. Types, limits and defaults, and these comments: stages/sections/.
"""
WIDTH = 100
COLUMN = 35
"""Where a comment begins, unless its value reaches so far."""

LEAST = 30
"""Columns that a comment needs beside its value; with fewer it stands above its key."""


def rewrite(path: Path) -> None:
    """Write the file anew: its values, and the comments that the fields have now.

    Raises:
        ParamsError: a value is refused or a key is not known; nothing is written.
    """
    values = read_values(path)
    if isinstance(values, dict):
        values = merged(defaults(Params), values)
    check_values(values, path)
    with atomic_file(path) as partial:
        partial.write_text(render(values), encoding="utf-8")


def render(values: Mapping[str, Any]) -> str:
    """`params.yaml` with these values, which have every key of `Params` and no other."""
    blocks = [HEADER.splitlines()]
    explained: set[tuple[type, str]] = set()
    for name in Params.model_fields:
        blocks.append(list(_key(Params, name, values[name], 0, explained)))
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of both, section by section; the second one's values where both have one."""
    both = {
        key: merged(under[key], over[key])
        for key in over
        if isinstance(under.get(key), dict) and isinstance(over[key], dict)
    }
    return {**under, **over, **both}


def meaning(schema: type[Section], key: str) -> tuple[type[Section], str]:
    """The class that declares a key, and the comment of its field on one line."""
    declaring = [
        cls for cls in schema.__mro__ if issubclass(cls, Section) and key in cls.model_fields
    ]
    texts = (cls.model_fields[key].description for cls in declaring)
    return declaring[-1], _first_paragraph(next(filter(None, texts), "") or "")


def _key(
    schema: type[Section], key: str, value: Any, depth: int, explained: set[tuple[type, str]]
) -> Iterator[str]:
    """The lines of a key and of what is under it."""
    indent = "  " * depth
    section = section_of(schema, key)
    if section is None:
        owner, text = meaning(schema, key)
        if (owner, key) in explained:
            text = ""
        explained.add((owner, key))
        yield from _commented(f"{indent}{key}: {as_yaml(value)}", text)
    elif section.one_line:
        texts = []
        for name in section.model_fields:
            if (section, name) not in explained:
                texts.append(f"{name}: {meaning(section, name)[1]}")
            explained.add((section, name))
        first, *rest = flow_lines(f"{indent}{key}: ", as_yaml(value))
        yield from _commented(first, "; ".join(texts))
        yield from rest
    else:
        heading = _first_paragraph(section.__doc__ or "").removesuffix(".")
        yield from _commented(f"{indent}{key}:", heading)
        for name in section.model_fields:
            yield from _key(section, name, value[name], depth + 1, explained)


def flow_lines(head: str, pairs: str) -> list[str]:
    """The head and {key: value, ...}, on further lines where it is long; a pair stays together."""
    lines = textwrap.wrap(
        pairs.replace(": ", ":\0"),
        WIDTH,
        initial_indent=head,
        subsequent_indent=" " * (len(head) + 1),
        break_on_hyphens=False,
        break_long_words=False,
    )
    return [line.replace("\0", " ") for line in lines]


def _first_paragraph(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split())


def _commented(line: str, text: str) -> Iterator[str]:
    """The line with its comment beside it, or above it if the line is long."""
    if not text:
        yield line
        return
    column = max(COLUMN, len(line) + 2)
    if WIDTH - column < LEAST:
        indent = " " * (len(line) - len(line.lstrip()))
        yield from textwrap.wrap(
            text, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "
        )
        yield line
        return
    first, *rest = textwrap.wrap(text, WIDTH - column - 2, break_on_hyphens=False)
    yield f"{line:<{column}}# {first}"
    for more in rest:
        yield f"{'':<{column}}# {more}"


def main() -> int:
    """Rewrite the file that the command names, by default `params.yaml`; 2 if it cannot be."""
    try:
        rewrite(Path(sys.argv[1] if len(sys.argv) > 1 else "params.yaml"))
    except (HandPoseError, OSError) as error:
        print(f"comments: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
