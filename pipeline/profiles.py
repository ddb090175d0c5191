"""`handpose configure`: write a profile's values into `params.yaml`, comments kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from handpose.errors import HandPoseError

PROFILES = Path(__file__).parent / "profiles"
DEFAULT = "demo"
PLACES = ("data", "hand")
"""Sections that tell where things are; only a profile that names them changes them."""


class ProfileError(HandPoseError):
    """No such profile, or it does not fit `params.yaml`."""


def configure(
    profile: str,
    path: Path = Path("params.yaml"),
    *,
    data_root: Path | None = None,
    mano: Path | None = None,
) -> list[str]:
    """Lay a profile over `params.yaml`; returns one line per value that changed.

    What another profile may have changed becomes as in `demo.yaml`, so that it does not matter
    which one was there before.

    Args:
        profile: name of a file in `pipeline/profiles`.
        path: the file to change.
        data_root: InterHand2.6M download for `data.root`, with `images/` and `annotations/`.
        mano: folder with `MANO_RIGHT.npz` for `hand.mano`.

    Raises:
        ProfileError: the profile is not known, names a key that `params.yaml` lacks, or a folder
            does not hold what it should.
    """
    places = _places(data_root, mano)
    source = PROFILES / f"{profile}.yaml"
    if not source.is_file():
        known = ", ".join(sorted(p.stem for p in PROFILES.glob("*.yaml")))
        raise ProfileError(f"no profile is called {profile!r}; there are: {known}")
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 100
    params = yaml.load(path)
    default = yaml.load(PROFILES / f"{DEFAULT}.yaml")
    values = {section: content for section, content in default.items() if section not in PLACES}
    for layer in (yaml.load(source), places):
        values = _merged(values, layer)
    changed = _overlay(params, values, "", source)
    partial = path.with_name(f".{path.name}.partial")
    yaml.dump(params, partial)
    partial.replace(path)
    return changed


def _places(data_root: Path | None, mano: Path | None) -> dict[str, dict[str, str]]:
    """The two folders as keys of `params.yaml`, looked into first."""
    places: dict[str, dict[str, str]] = {}
    if data_root is not None:
        missing = [name for name in ("images", "annotations") if not (data_root / name).is_dir()]
        if missing:
            raise ProfileError(
                f"{data_root}: has no folder {' and no folder '.join(missing)}; expected an "
                "InterHand2.6M v1.0 download, with images/ and annotations/ side by side"
            )
        places["data"] = {"root": str(data_root)}
    if mano is not None:
        if not (mano / "MANO_RIGHT.npz").is_file():
            raise ProfileError(
                f"{mano}: has no MANO_RIGHT.npz; `handpose mano import {mano}` makes it from the "
                "official MANO_RIGHT.pkl"
            )
        places["hand"] = {"mano": str(mano)}
    return places


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of both, section by section; the second one's values where both have one."""
    both = {key: _merged(under[key], over[key]) for key in over if _are_sections(under, over, key)}
    return {**under, **over, **both}


def _are_sections(under: Mapping[str, Any], over: Mapping[str, Any], key: str) -> bool:
    return isinstance(under.get(key), dict) and isinstance(over[key], dict)


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
