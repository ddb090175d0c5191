"""The stages of `dvc.yaml` and their order, read without DVC, whose import takes a second."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from handpose.errors import HandPoseError

REFERENCE = re.compile(r"\$\{([\w.]+)\}")


class DagError(HandPoseError):
    """`dvc.yaml` cannot be read."""


@dataclass(frozen=True)
class Stage:
    """One stage of `dvc.yaml`; paths are relative to the folder of that file."""

    name: str
    entry_point: str  # its module in stages/
    deps: tuple[str, ...]
    outs: tuple[str, ...]  # metrics and plots among them
    command: str = ""  # the module with its arguments, such as `pose scratch`


def read_dag(root: Path) -> dict[str, Stage]:
    """Stages by name, in the order of the file, `${key}` replaced from `params.yaml`.

    Raises:
        DagError: a file is missing or is not YAML, or a `${key}` is not in `params.yaml`.
    """
    params = _mapping(root / "params.yaml")
    listed = _mapping(root / "dvc.yaml").get("stages", {})
    return {
        name: Stage(
            name=name,
            entry_point=str(stage["cmd"]).split()[3],  # python -m pipeline.stage ENTRY_POINT
            command=" ".join(str(stage["cmd"]).split()[3:]),
            deps=_paths(stage, ("deps",), params),
            outs=_paths(stage, ("outs", "metrics", "plots"), params),
        )
        for name, stage in listed.items()
    }


def parents(dag: Mapping[str, Stage], name: str) -> set[str]:
    """Stages whose outputs this stage reads."""
    return {
        other.name
        for other in dag.values()
        if other.name != name
        and any(_touch(dep, out) for dep in dag[name].deps for out in other.outs)
    }


def readers(dag: Mapping[str, Stage], path: str) -> list[str]:
    """Stages that read this file, or what such a stage writes, in the order of `dvc.yaml`."""
    changed, found = {path}, set[str]()
    while new := {
        name
        for name, stage in dag.items()
        if name not in found and any(_touch(dep, out) for dep in stage.deps for out in changed)
    }:
        found |= new
        changed |= {out for name in new for out in dag[name].outs}
    return [name for name in dag if name in found]


def nearest(dag: Mapping[str, Stage], name: str, among: set[str]) -> set[str]:
    """The closest stages before this one that are `among` those given, through any others."""
    found: set[str] = set()
    for parent in parents(dag, name):
        found |= {parent} if parent in among else nearest(dag, parent, among)
    return found


def _touch(dep: str, out: str) -> bool:
    """Whether one path is the other one or lies in it, as DVC draws its edges."""
    a, b = PurePosixPath(dep), PurePosixPath(out)
    return a == b or a in b.parents or b in a.parents


def _mapping(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise DagError(
            f"{path}: not found; run this in the folder of the clone, beside dvc.yaml"
        ) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark else ""
        raise DagError(
            f"{path}: is not YAML{line}; is a git conflict left in it? "
            "`git diff` shows what changed"
        ) from None
    if not isinstance(content, dict):
        raise DagError(f"{path}: expected keys and values, found {type(content).__name__}")
    return content


def _paths(
    stage: Mapping[str, Any], keys: tuple[str, ...], params: Mapping[str, Any]
) -> tuple[str, ...]:
    entries = [entry for key in keys for entry in stage.get(key, [])]
    texts = [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]
    return tuple(
        REFERENCE.sub(lambda found: _value(found.group(1), params), text) for text in texts
    )


def _value(key: str, params: Mapping[str, Any]) -> str:
    value: Any = params
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            raise DagError(f"dvc.yaml: ${{{key}}} is not in params.yaml; put the key back there")
        value = value[part]
    return str(value)
