"""`experiments/grid.yaml`: which variants there are, what each sets, and which are run together."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

from handpose.counted import counted
from handpose.data.splits import HELD_OUT_GESTURES
from handpose.errors import HandPoseError
from handpose.synthetic.shifted_recipe import shifted_tests
from pipeline.experiment.unique_keys import DuplicateKeyError, load_unique
from pipeline.profiles.overrides import override
from stages.params import Params, ShiftParams, load_params
from stages.sections.section import Section, checked

FILE = Path("experiments/grid.yaml")
NAME = re.compile(r"[a-z0-9_]+")
DIGEST = re.compile(r"[0-9a-f]{64}")
Run = Literal["pretrained", "scratch"]
Planned = Literal["first", "later", "seen"]

UNUSED = {"pretrained": {"pose_scratch"}, "scratch": {"pretrain"}}
"""Sections of `params.yaml` that do not change a run."""

DATA = ("synthesize", "ingest", "label", "shard", "hand", "data")
"""Sections of the data stages; `evaluate` has none that decides a result."""

NO_EFFECT = {"device", "workers", "loader_workers", "threads", "processes", "checkpoint_every_s",
             "cuda_graph", "compile"}  # fmt: skip
"""Keys that change how fast a result is there, and its last digits at most."""


class GridError(HandPoseError):
    """`experiments/grid.yaml` cannot be used as it stands."""


class Variant(Section):
    """What is trained: one Stage 2 model."""

    what: str
    """in the table"""
    run: Run = "pretrained"
    """from Stage 1, or scratch"""
    set: dict[str, Any] | None = None
    """keys of params.yaml, as section.key"""


class SeedGrid(Section):
    """Variants that are run with the same seeds and compared with one of them."""

    what: str
    """the question"""
    planned: Planned
    """first: in the plan's first version; later: when results of other grids had been seen, before
    any run that is new in it; seen: when some of its own runs had been seen"""
    added: str = ""
    """when, in words; '': planned says enough"""
    against: str
    """the variant that the others are compared with"""
    margin_percent: float = 0.0
    """how much lower than that a variant has to be: p-values test this"""
    paired: bool = False
    """whether a seed also chooses the training images: seeds of one number are then alike, and the
    pages give the interval of paired seeds too"""
    variants: list[str]
    """names"""
    seeds: list[int]
    """of both trainings"""
    test_set: str = ""
    """on which they are compared: a shifted test set, such as everything_1, or held_out_gestures;
    '': the test split"""


class SameImages(Section):
    """Digests of test images that differ only by the processor that rendered them."""

    what: str
    """which images and processors, and how it is known that nothing else differs"""
    digests: list[str]
    """as `test` of results"""


class GridFile(Section):
    """The whole file."""

    base: dict[str, Any] | None = None
    """what every variant sets, as section.key"""
    variants: dict[str, Variant]
    """by name"""
    grids: dict[str, SeedGrid]
    """by name"""
    same_images: tuple[SameImages, ...] = ()
    """results of these may be compared"""

    def grid(self, name: str) -> SeedGrid:
        """The grid of this name.

        Raises:
            GridError: there is none.
        """
        if name not in self.grids:
            raise GridError(f"no grid is called {name!r}; there are: {', '.join(self.grids)}")
        return self.grids[name]


@dataclass(frozen=True)
class Resolved:
    """A variant with its parameters."""

    name: str
    variant: Variant
    overrides: tuple[str, ...]  # section.key=value
    params: Params

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What decides its result, seeds aside: sections of `params.yaml`."""
        unused = {*UNUSED[self.variant.run], "evaluate"}
        return deciding(self.params.model_dump(mode="json", exclude=unused))

    @property
    def shift(self) -> ShiftParams:
        """Of its shifted test sets, which decide no other number of a result."""
        return self.params.evaluate.shift

    @property
    def test_sets(self) -> list[str]:
        """Names of the test sets of its results beside the test split, in order."""
        held_out = [HELD_OUT_GESTURES] if self.params.ingest.held_out_gestures else []
        return [*held_out, *(test.name for test in shifted_tests(self.shift.severities))]

    @property
    def data_settings(self) -> str:
        """Of the data and of the shifted test sets alone, as text."""
        data = {name: self.settings[name] for name in DATA}
        return json.dumps(data | {"shift": self.shift.model_dump(mode="json")}, sort_keys=True)


def deciding(section: Mapping[str, Any]) -> dict[str, Any]:
    """A section, or all of them, without the keys of `NO_EFFECT`."""
    return {
        key: deciding(value) if isinstance(value, Mapping) else value
        for key, value in section.items()
        if key not in NO_EFFECT
    }


def read_grids(root: Path) -> GridFile:
    """The file, with every name in it known.

    Raises:
        GridError: it is missing, is no YAML, has an unknown key or one twice, or names an unknown
            variant.
    """
    path = root / FILE
    try:
        values = load_unique(path.read_text("utf-8"))
    except FileNotFoundError:
        raise GridError(f"{path}: not found; run this in the folder of the clone") from None
    except DuplicateKeyError as error:
        raise GridError(f"{path}: {error}") from None
    except yaml.YAMLError as error:
        raise GridError(f"{path}: is not YAML: {error}") from None
    found, faults = checked(GridFile, values)
    if found is not None:
        faults = list(_faults(found))
    if faults or found is None:
        raise GridError("\n".join([f"{path} has {counted(len(faults), 'fault')}:", *faults]))
    return found


def _faults(found: GridFile) -> Iterator[str]:
    """Lines, as of `checked`."""
    for key, names in (("variants", found.variants), ("grids", found.grids)):
        for name in names:
            if not NAME.fullmatch(name):
                yield f"  {key}.{name}: expected a name of small letters, digits and _"
    for name, grid in found.grids.items():
        for one in (*grid.variants, grid.against):
            if one not in found.variants:
                known = ", ".join(found.variants)
                yield f"  grids.{name}: names the variant {one!r}, expected: {known}"
        if grid.against not in grid.variants:
            yield f"  grids.{name}.against: is {grid.against}, expected one of its variants"
        for key, items in (("variants", grid.variants), ("seeds", grid.seeds)):
            if not items or len({*items}) < len(items):
                yield f"  grids.{name}.{key}: has none, or one twice: {items}"
        if wrong := [seed for seed in grid.seeds if seed < 0]:
            yield f"  grids.{name}.seeds: {wrong} are below 0"
    yield from _image_faults(found)


def _image_faults(found: GridFile) -> Iterator[str]:
    """Lines likewise, of `same_images`."""
    every = [digest for group in found.same_images for digest in group.digests]
    for number, group in enumerate(found.same_images):
        key = f"same_images.{number}.digests"
        if len(group.digests) < 2:
            yield f"  {key}: has {len(group.digests)}, expected two or more that are the same"
        for digest in group.digests:
            if not DIGEST.fullmatch(digest):
                yield f"  {key}: {digest!r} is no SHA-256; a result's `test` is one"
            if every.count(digest) > 1:
                yield f"  {key}: {digest[:12]} is listed twice"


def resolve(root: Path, grids: GridFile, names: list[str]) -> list[Resolved]:
    """These variants with their parameters.

    Args:
        root: of the clone, with `params.yaml`.
        grids: the file.
        names: of variants.

    Raises:
        GridError: `params.yaml` is missing, a variant sets a key that does not exist or a value
            that is refused, or two variants are the same.
    """
    found: list[Resolved] = []
    path = root / "params.yaml"
    try:
        base = path.read_bytes()
    except FileNotFoundError:
        raise GridError(f"{path}: not found; run this in the folder of the clone") from None
    for name in names:
        variant = grids.variants[name]
        pairs = tuple(
            f"{key}={json.dumps(value)}"
            for key, value in {**(grids.base or {}), **(variant.set or {})}.items()
        )
        try:
            params = _overridden(base, pairs)
        except GridError as error:
            raise GridError(f"{root / FILE}: variants.{name}: {error}") from None
        one = Resolved(name, variant, pairs, params)
        for other in found:
            if _decided_by(one) == _decided_by(other):
                raise GridError(
                    f"{root / FILE}: the variants {other.name} and {name} are the same: run "
                    f"{variant.run} with the same parameters; each counts once"
                )
        found.append(one)
    return found


@cache  # grids share variants, and reading params.yaml takes a quarter second
def _overridden(base: bytes, pairs: tuple[str, ...]) -> Params:
    """The parameters of a `params.yaml` with this content and these overrides.

    Raises:
        GridError: an override is refused.
    """
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "params.yaml"
        draft.write_bytes(base)
        try:
            override(pairs, draft)
        except HandPoseError as error:
            text = re.sub(rf"{re.escape(str(draft))} has \d+ faults?:\n  ", "", str(error))
            text = text.replace("-S ", "")
            raise GridError(text.replace("\n ", ";")) from None
        return load_params(draft)


def _decided_by(one: Resolved) -> tuple[Run, dict[str, Any], ShiftParams]:
    """All that a result depends on, seeds aside."""
    return one.variant.run, one.settings, one.shift
