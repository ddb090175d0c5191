"""`handpose configure`: write a profile's values into `params.yaml`, comments kept."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from handpose.errors import HandPoseError
from handpose.files import atomic_file
from handpose.folder.hand_record import FILE as OWN_RECORDINGS
from handpose.hand.joint_definition import INTERHAND_REGRESSOR
from pipeline.licence_guard import git_takes, is_free_hand, is_synthetic, stage_of
from pipeline.profiles.comments import WIDTH, flow_lines, merged
from stages.params import Params, ParamsError, load_params
from stages.sections.section import as_yaml, defaults

OVERLAYS = Path(__file__).parent
DEMO = "demo"
"""The profile that the repository ships: the default of every field."""

PATHS = ("data", "hand")
"""Sections with paths; only a profile that names them changes them."""


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

    A profile is a whole: of the keys that some profile names, those that this one does not name
    become the default. So it does not matter which profile was there before; thinning
    (`ingest.cameras_per_instant` and its like) and `processes` are set after it. All other keys,
    such as seeds and `label.handedness`, stay as they are.

    Args:
        profile: one of `profiles()`.
        path: the file to change.
        data_root: folder for `data.root`, with `images/` and `annotations/`: own recordings if it
            holds their hands.jsonl, else an InterHand2.6M download; `data.format` becomes this.
        mano: folder with `MANO_RIGHT.npz` for `hand.mano`; InterHand2.6M's joint regressor, if
            it lies there and the data are in that format, becomes `hand.joint_regressor`.

    Raises:
        HandPoseError: the profile is not known, names a key that `params.yaml` lacks, or
            contradicts what it leaves as it is; the file cannot be read or written; or a folder
            does not hold what it should, or lies where git would commit it or a stage replace it.
    """
    paths = _paths(data_root, mano)
    if profile not in profiles():
        raise ProfileError(f"no profile is called {profile!r}; there are: {', '.join(profiles())}")
    yaml = _yaml()
    params = _read(path, yaml)
    values = merged(values_of(profile), paths)
    if mano is not None:
        values["hand"]["joint_regressor"] = _regressor(mano, values, params)
    changed = _overlay(params, values, "", profile)
    if not changed:
        _check_whole(path, path, profile)
        return changed
    try:
        with atomic_file(path) as partial:
            yaml.dump(params, partial, transform=_wrapped)
            _check_whole(partial, path, profile)
    except OSError as error:
        raise ProfileError(
            f"{path}: cannot be written ({error.strerror}); fix its permission or free space"
        ) from None
    return changed


def profiles() -> list[str]:
    """The names that `configure` knows."""
    return sorted([DEMO, *(path.stem for path in OVERLAYS.glob("*.yaml"))])


def values_of(profile: str) -> dict[str, Any]:
    """Section by section, the keys that this profile sets, with its values."""
    yaml = _yaml()
    overlays = {path.stem: yaml.load(path) for path in OVERLAYS.glob("*.yaml")}
    named: dict[str, Any] = {}
    for overlay in overlays.values():
        named = merged(named, overlay)
    values = _at_default(named, yaml.load(as_yaml(defaults(Params))))  # lists on one line
    if profile == DEMO:
        return values
    unnamed_paths = set(PATHS) - set(overlays[profile])
    values = {key: value for key, value in values.items() if key not in unnamed_paths}
    return merged(values, overlays[profile])


def _yaml() -> YAML:
    """A reader and writer that keeps comments and quotes."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = sys.maxsize  # it breaks lines elsewhere than the shipped file: `_wrapped` does it
    return yaml


def _wrapped(text: str) -> str:
    """With long {key: value, ...} on further lines, as they are in the shipped file."""
    lines = []
    for line in text.split("\n"):
        head, mark, pairs = line.partition(": {")
        is_long = mark and pairs.endswith("}") and "#" not in line and len(line) > WIDTH
        lines += flow_lines(f"{head}: ", "{" + pairs) if is_long else [line]
    return "\n".join(lines)


def _at_default(named: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of `named`, with their defaults."""
    return {
        key: _at_default(value, default[key]) if isinstance(value, dict) else default[key]
        for key, value in named.items()
    }


def _check_whole(made: Path, path: Path, profile: str) -> None:
    """Refuse parameters that no command would accept, before they replace the old ones."""
    try:
        load_params(made)
    except ParamsError as error:
        message = str(error).replace(str(made), f"{path} with profile {profile}")
        raise ProfileError(f"{message}\nThe file is unchanged") from None


def _read(path: Path, yaml: YAML) -> Any:
    """The file, with its comments; a fault in it is reported as every stage reports it."""
    try:
        params = yaml.load(path)
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        with contextlib.suppress(OSError):
            load_params(path)
        raise ProfileError(f"{path}: cannot be read: {error}") from None
    if not isinstance(params, dict):
        load_params(path)
    return params


def _paths(data_root: Path | None, mano: Path | None) -> dict[str, dict[str, str]]:
    """The two folders as keys of `params.yaml`, once they are checked."""
    paths: dict[str, dict[str, str]] = {}
    try:
        if data_root is not None:
            _check_data(data_root)
            paths["data"] = {"root": str(data_root), "format": _format_of(data_root)}
        if mano is not None:
            _check_mano(mano)
            paths["hand"] = {"mano": str(mano)}
    except OSError as error:
        raise ProfileError(
            f"{error.filename}: cannot be read ({error.strerror}); name a folder that you may read"
        ) from None
    return paths


def _format_of(root: Path) -> str:
    """The `data.format` of a data set: hands.jsonl makes it own recordings."""
    return "folder" if (root / OWN_RECORDINGS).is_file() else "interhand"


def _check_data(root: Path) -> None:
    """Refuse what is not a data set, and one that git would commit."""
    parts = [root / name for name in ("images", "annotations")]
    if missing := [part.name for part in parts if not part.is_dir()]:
        raise ProfileError(
            f"{root}: has no folder {' and no folder '.join(missing)}; expected an "
            "InterHand2.6M v1.0 download, or own recordings (docs/own-data.md), with images/ and "
            "annotations/ side by side"
        )
    if any(git_takes(part) for part in parts):
        own = _format_of(root) == "folder"
        why = "photos of people would" if own else "InterHand2.6M may not"
        raise ProfileError(
            f"{root}: lies in a git repository that does not ignore it, and {why} "
            "be published; move it out of the repository, or in this clone to data/InterHand2.6M, "
            "which git ignores and no stage writes"
        )
    if not is_synthetic(root) and (stage := stage_of(root)):
        raise ProfileError(
            f"{root}: belongs to what stage {stage} makes, and `dvc repro` would replace what lies "
            "there without asking; move it out, for example to data/InterHand2.6M, which no stage "
            "writes"
        )


def _check_mano(folder: Path) -> None:
    """Refuse a folder without the plain file that the stages read."""
    if not folder.is_dir():
        raise ProfileError(f"{folder}: is not a folder; expected one with a MANO_RIGHT.npz")
    if not (folder / "MANO_RIGHT.npz").is_file():
        raise ProfileError(
            f"{folder}: has no MANO_RIGHT.npz; `handpose mano import {folder}` makes it from the "
            "official MANO_RIGHT.pkl"
        )
    if not is_free_hand(folder / "MANO_RIGHT.npz") and (stage := stage_of(folder)):
        raise ProfileError(
            f"{folder}: belongs to what stage {stage} makes: `dvc repro` would replace what lies "
            "there, and `dvc push` would publish it, which MANO's licence forbids; move it out of "
            "the clone"
        )


def _regressor(mano: Path, values: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    """The `hand.joint_regressor` that goes with this folder and the data set's format."""
    data = merged(dict(params.get("data") or {}), values.get("data", {}))
    fits = data.get("format") == "interhand" and (mano / INTERHAND_REGRESSOR).is_file()
    return INTERHAND_REGRESSOR if fits else ""


def _overlay(params: Any, values: Any, prefix: str, profile: str) -> list[str]:
    """Copy `values` into `params` in place, section by section."""
    changed = []
    for key, value in values.items():
        dotted = f"{prefix}{key}"
        if key not in params:
            raise ProfileError(f"profile {profile} sets {dotted}, which params.yaml does not have")
        if isinstance(value, dict) and not isinstance(params[key], dict):
            raise ProfileError(
                f"{dotted} in params.yaml: expected keys and values, found {params[key]!r}; "
                "`git diff params.yaml` shows what changed"
            )
        if isinstance(value, dict):
            changed += _overlay(params[key], value, f"{dotted}.", profile)
        elif params[key] != value:
            changed.append(f"{dotted}: {_plain(params[key])} -> {_plain(value)}")
            params[key] = value
    return changed


def _plain(value: Any) -> str:
    return str(list(value)) if isinstance(value, list) else str(value)
