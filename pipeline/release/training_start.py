"""What decides a model, as it was when its training began: edits in the hours after it are found.

A training takes hours, in which its user may edit and commit. The commit that made the weights is
the one of the start, as long as nothing that decides them has changed since.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from handpose.files import digest
from pipeline.clones.training_clone import Source
from pipeline.dag import parents, read_dag
from stages.code_digest import SourceTree, digest_of

LAST = "pose"
"""The stage that trains the model; those before it decide it too."""


@dataclass(frozen=True)
class TrainingStart:
    """The clone and its commit, and what decides the model."""

    source: Source
    digests: Mapping[str, str]  # SHA-256 by what a message calls it

    @classmethod
    def of(cls, source: Source) -> TrainingStart:
        """As it is now.

        Raises:
            DagError: dvc.yaml or params.yaml cannot be read.
            CodeError: a module is not valid Python.
        """
        return cls(source, dict(_digests(source.root)))

    def changes(self) -> list[str]:
        """What decides the model and is not as it was: files, keys of params.yaml, stages.

        Comments and docstrings of code decide nothing, nor does what no stage up to the last reads.

        Raises:
            DagError: dvc.yaml or params.yaml cannot be read.
            CodeError: a module is not valid Python.
        """
        now = dict(_digests(self.source.root))
        names = sorted({*now, *self.digests})
        return [name for name in names if now.get(name) != self.digests.get(name)]


def _digests(root: Path) -> Iterator[tuple[str, str]]:
    """Code of the stages, files and parameters that they read, and their entries in dvc.yaml."""
    dag, tree = read_dag(root), SourceTree(root)
    stages = yaml.safe_load((root / "dvc.yaml").read_text("utf-8"))
    params = yaml.safe_load((root / "params.yaml").read_text("utf-8"))
    chain, left = {LAST}, [LAST]
    while left:
        new = parents(dag, left.pop()) - chain
        chain |= new
        left += new
    made = {out for stage in dag.values() for out in stage.outs}
    for name in chain:
        listed = stages["stages"][name]
        yield f"stage {name} of dvc.yaml", digest_of(json.dumps(listed, sort_keys=True))
        yield from tree.stage_files(dag[name].entry_point).items()
        for dep in dag[name].deps:
            if dep not in made and (root / dep).is_file():
                yield dep, digest(root / dep)
        for key in listed.get("params", []):
            for own, value in _values(params, key):
                yield f"{own} of params.yaml", digest_of(json.dumps(value, sort_keys=True))


def _values(params: Mapping[str, Any], key: str) -> Iterator[tuple[str, Any]]:
    """`pose.batch` and the others of the section `pose`; a key of a section alone."""
    value: Any = params
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, dict):
        yield from ((f"{key}.{name}", one) for name, one in value.items())
    else:
        yield key, value
