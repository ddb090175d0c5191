"""`-S section.key=value`: write values into `params.yaml`, comments preserved, only if valid."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from handpose.errors import HandPoseError
from handpose.files import atomic_file
from stages.params import load_params


class OverrideError(HandPoseError):
    """An override names no key, or a value that the key cannot have."""


def override(pairs: Iterable[str], path: Path) -> list[str]:
    """Write `section.key=value` pairs into `path`; returns a line for each value that changed.

    Raises:
        OverrideError: a pair is malformed, names an unknown key, or its value is refused.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 100
    params = yaml.load(path)
    changed = []
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise OverrideError(f"-S {pair}: expected section.key=value, such as -S pose.lr=0.0005")
        try:
            value = YAML(typ="safe").load(text)
        except YAMLError:
            raise OverrideError(f"-S {pair}: {text!r} is not a YAML value") from None
        section, name = _find(params, key)
        if section[name] != value:
            changed.append(f"{path.name}: {key} {section[name]} -> {value}")
            section[name] = value
    with atomic_file(path) as partial:
        yaml.dump(params, partial)
        try:
            load_params(partial)
        except HandPoseError as error:
            raise OverrideError(str(error).replace(str(partial), str(path))) from None
    return changed


def _find(params: Any, key: str) -> tuple[Any, str]:
    """The section that holds a dotted key, and the key's name in it."""
    *sections, name = key.split(".")
    section = params
    for part in sections:
        section = section.get(part) if isinstance(section, dict) else None
    if not isinstance(section, dict) or name not in section or isinstance(section[name], dict):
        near = difflib.get_close_matches(key, list(_keys(params, "")), n=1)
        hint = f"; did you mean {near[0]}?" if near else "; params.yaml lists the keys"
        raise OverrideError(f"-S {key}: no such key{hint}")
    return section, name


def _keys(section: Any, prefix: str) -> Iterator[str]:
    for key, value in section.items():
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
