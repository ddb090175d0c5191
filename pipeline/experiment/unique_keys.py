"""YAML in which no key stands twice in one mapping: plain YAML keeps the last without a word."""

from __future__ import annotations

from typing import Any

import yaml


class DuplicateKeyError(yaml.YAMLError):
    """A key stands twice; says the lines, from 1."""


class _UniqueKeyLoader(yaml.SafeLoader):
    """Looks at mappings as they are written: what `<<` merges may be overridden."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """The node, of which every key is another."""
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if first := lines.get((key.tag, key.value)):
                raise DuplicateKeyError(
                    f"line {line}: the key {key.value!r} stands in the same mapping on line "
                    f"{first} already, and only the later would count; rename or remove one of them"
                )
            lines[key.tag, key.value] = line
        return node


def load_unique(text: str) -> Any:
    """The content of a YAML document.

    Raises:
        yaml.YAMLError: it is no YAML; or `DuplicateKeyError`.
    """
    return yaml.load(text, _UniqueKeyLoader)
