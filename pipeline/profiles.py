"""`handpose configure`: write a profile's values into `params.yaml`, comments kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from handpose.errors import HandPoseError

PROFILES = Path(__file__).parent / "profiles"


class ProfileError(HandPoseError):
    """No such profile, or it does not fit `params.yaml`."""


def configure(profile: str, path: Path = Path("params.yaml")) -> list[str]:
    """Lay a profile over `params.yaml`; returns one line per value that changed.

    Raises:
        ProfileError: the profile is not known, or names a key that `params.yaml` lacks.
    """
    source = PROFILES / f"{profile}.yaml"
    if not source.is_file():
        known = ", ".join(sorted(p.stem for p in PROFILES.glob("*.yaml")))
        raise ProfileError(f"no profile is called {profile!r}; there are: {known}")
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 100
    params = yaml.load(path)
    changed = _overlay(params, yaml.load(source), "", source)
    partial = path.with_name(f".{path.name}.partial")
    yaml.dump(params, partial)
    partial.replace(path)
    return changed


def _overlay(params: Any, values: Any, prefix: str, source: Path) -> list[str]:
    """Copy `values` into `params` in place, section by section."""
    changed = []
    for key, value in values.items():
        dotted = f"{prefix}{key}"
        if key not in params:
            raise ProfileError(f"{source}: {dotted} is no key of params.yaml")
        if isinstance(value, dict):
            changed += _overlay(params[key], value, f"{dotted}.", source)
        elif params[key] != value:
            changed.append(f"{dotted}: {_plain(params[key])} -> {_plain(value)}")
            params[key] = value
    return changed


def _plain(value: Any) -> str:
    return str(list(value)) if isinstance(value, list) else str(value)
