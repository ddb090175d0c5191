"""Several runs of one recipe, which differ in their training seeds, from what they are called.

A set is written with commas: `seed-1,seed-2`. Each word is what `read_results` takes, or a folder
of seeds such as `handpose table` leaves: `./work/table` is every `seed-*` below it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from handpose.errors import HandPoseError
from pipeline.compare.compare import check_columns
from pipeline.compare.snapshot import Snapshot, SnapshotError, is_folder, read_results
from stages.code_digest import RECORDS
from stages.params import load_params
from stages.paths import LABELS, MEMBERSHIP, PREDICTIONS, SAMPLES, SHARDS

CROPS = SHARDS / "tars"
TRAINED = ("pretrain", "pose", "evaluate")
"""Stages whose code makes the numbers."""

EVALUATION = "evaluate"
PLACES = ("data.root", "hand.mano")
MACHINE = ("device", "workers", "loader_workers")
"""Parameters that are no part of a recipe: of the evaluation, where files lie, what computes."""


class SeedSetError(HandPoseError):
    """Runs that cannot be compared as sets."""


class Seeds(NamedTuple):
    """The training seeds of a run."""

    pretrain: int  # pretrain.seed
    pose: int  # pose.seed

    @classmethod
    def of(cls, run: Snapshot) -> Seeds:
        """As `dvc.lock` has them.

        Raises:
            SeedSetError: it has none.
        """
        keys = [f"{section}.seed" for section in cls._fields]
        missing = [key for key in keys if key not in run.params]
        if missing:
            raise SeedSetError(
                f"dvc.lock of {run.name} has no {missing[0]}, so its seed is not known; "
                "`dvc repro` with today's dvc.yaml records it"
            )
        return cls(*(run.params[key] for key in keys))

    def __str__(self) -> str:
        """One number if both are the same."""
        return str(self.pose) if self.pose == self.pretrain else f"{self.pretrain}/{self.pose}"


class MissingRun(NamedTuple):
    """A folder that was named and has no complete results."""

    name: str
    seeds: Seeds | None  # of its params.yaml, if it can be read
    why: str


@dataclass(frozen=True)
class SeedSet:
    """The runs of one recipe: one or more, by their seeds in ascending order."""

    letter: str  # A or B
    runs: Mapping[Seeds, Snapshot]
    missing: Sequence[MissingRun]

    @classmethod
    def read(cls, root: Path, letter: str, words: str) -> SeedSet:
        """The set that is written like this.

        Raises:
            HandPoseError: a name is empty or twice, a revision has no results, no run has, or the
                runs are not of one recipe.
        """
        found: list[Snapshot] = []
        missing = []
        for name in run_names(root, words):
            try:
                found.append(read_results(root, name))
            except SnapshotError as error:
                if not is_folder(name) or not (root / name / "params.yaml").is_file():
                    raise
                missing.append(MissingRun(name, _planned(root / name), str(error)))
        if not found:
            raise SeedSetError(
                f"{letter}: none of {', '.join(one.name for one in missing)} has results: "
                f"{missing[0].why}"
            )
        for run in found:
            check_columns(run)
        runs = _by_seeds(letter, found)
        for first, second in pairwise(runs.values()):
            _check_recipe(letter, first, second)
        return cls(letter, runs, missing)

    def varies(self, sections: Sequence[str]) -> bool:
        """Whether no two runs have the same seeds of these sections."""
        drawn = [tuple(getattr(seeds, section) for section in sections) for seeds in self.runs]
        return len(set(drawn)) == len(drawn)

    def other_code(self) -> list[str]:
        """Stages whose code differs between runs."""
        records = [
            {run.md5s.get(str(RECORDS / f"{stage}.json")) for run in self.runs.values()}
            for stage in TRAINED
        ]
        return [stage for stage, md5s in zip(TRAINED, records, strict=True) if len(md5s) > 1]


def is_set(root: Path, words: str) -> bool:
    """Whether this names several runs, or a folder of seeds."""
    return "," in words or bool(_seeds_below(root, words))


def run_names(root: Path, words: str) -> list[str]:
    """The runs' names, folders of seeds replaced by what is in them.

    Raises:
        SeedSetError: a name is empty or twice.
    """
    given = [word.strip() for word in words.split(",")]
    if not all(given):
        raise SeedSetError(
            f"{words!r}: expected names of results with a comma between two, such as seed-1,seed-2"
        )
    names = [name for word in given for name in _seeds_below(root, word) or [word]]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SeedSetError(
            f"{words!r}: {twice[0]} is listed twice; a run is one draw, name it once"
        )
    return names


def _seeds_below(root: Path, word: str) -> list[str]:
    """`./work/table/seed-0` and so on, if the word names the folder above them."""
    if not is_folder(word) or (root / word / "dvc.yaml").exists():
        return []
    folders = [path for path in (root / word).glob("seed-*") if path.is_dir()]
    return [f"{word.rstrip('/')}/{path.name}" for path in sorted(folders, key=_natural)]


def _natural(path: Path) -> tuple[int, str]:
    """Numbers in order of size."""
    return len(path.name), path.name


def _planned(folder: Path) -> Seeds | None:
    """The seeds with which a run that is not there would be trained."""
    try:
        params = load_params(folder / "params.yaml")
    except HandPoseError:
        return None
    return Seeds(params.pretrain.seed, params.pose.seed)


def _by_seeds(letter: str, found: Sequence[Snapshot]) -> dict[Seeds, Snapshot]:
    runs: dict[Seeds, Snapshot] = {}
    for run in found:
        seeds = Seeds.of(run)
        if seeds in runs:
            raise SeedSetError(
                f"{letter}: {runs[seeds].name} and {run.name} both have seed {seeds}: a second run "
                "of one seed is no second draw; leave one out"
            )
        runs[seeds] = run
    return dict(sorted(runs.items()))


# --- what must be the same -----------------------------------------------------------------------


def check_same_data(sets: Sequence[SeedSet]) -> None:
    """Refuse runs that were measured on other samples, and a run that is on both sides.

    Raises:
        SeedSetError: names two runs, and what to do.
    """
    runs = [run for one in sets for run in one.runs.values()]
    for run in runs[1:]:
        if not run.same(runs[0], SAMPLES) or str(SAMPLES) not in run.md5s:
            raise SeedSetError(
                f"{runs[0].name} and {run.name} are of other data: {SAMPLES} has MD5 "
                f"{_digest(runs[0])} and {_digest(run)} in their dvc.lock. Numbers of different "
                "samples have no paired difference; train and evaluate both on the same data"
            )
    first, second = ([*one.runs.values()] for one in sets)
    for run in first:
        for other in second:
            if run.same(other, PREDICTIONS):
                raise SeedSetError(
                    f"{run.name} of A and {other.name} of B are the same results; a run can be on "
                    "one side only"
                )


def _digest(run: Snapshot) -> str:
    return run.md5s.get(str(SAMPLES), "none")[:10]


def _check_recipe(letter: str, first: Snapshot, second: Snapshot) -> None:
    """Refuse two runs of a set that differ in more than their seeds."""
    found = [
        f"{key} is {first.params.get(key)!r} and {second.params.get(key)!r}"
        for key in sorted({*first.params, *second.params})
        if _of_recipe(key) and first.params.get(key) != second.params.get(key)
    ]
    found += [f"{path} differs" for path in _other_outputs(first, second)]
    if found:
        raise SeedSetError(
            f"{letter}: {first.name} and {second.name} differ in more than the seed: "
            f"{'; '.join(found)}. A set is one recipe; put them on different sides"
        )


def _of_recipe(key: str) -> bool:
    section, _, name = key.partition(".")
    seeds = {f"{section}.seed" for section in Seeds._fields}
    return not (section == EVALUATION or key in {*seeds, *PLACES} or name in MACHINE)


def _other_outputs(first: Snapshot, second: Snapshot) -> Iterator[Any]:
    yield from (p for p in (LABELS, MEMBERSHIP, CROPS) if not first.same(second, p))
