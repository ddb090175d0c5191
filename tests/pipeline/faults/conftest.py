"""A synthetic set with planted faults, ingested; READ-ONLY."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from handpose.synthetic.articulation import GesturePose, read_gesture_poses
from handpose.synthetic.dataset_plan import Capture, DatasetSpec, SequencePlan, plan
from pipeline.faults.fault_kinds import KINDS
from stages import ingest, synthesize
from stages.params import Params, load_params
from tests.pipeline.faults.planted import Key, Planter

ROOT = Path(__file__).parents[3]
COUNT = 10
"""Faults planted of each kind."""

SEED = int(os.environ.get("PLANTED_SEED", "0"))
"""Of the people, their photos and what is planted."""

GESTURES = (
    "0000_neutral_relaxed",
    "0003_fake_gun",
    "0011_aokay",
    "0016_fist",
    "0025_three_count",
    "0041_claws",
    "0044_cup",
)
CHANGES: dict[str, dict[str, Any]] = {
    "synthesize": {
        "seed": SEED,
        "frames": 504,
        "main_subjects": 2,
        "short_subjects": 2,
        "short_share": 0.6,
        "image_px": [120, 96],
        "free_poses": 0.25,
        "workers": 1,
    },
    "ingest": {"validation_subjects": [2], "test_subjects": [3]},
}


class PlantedSet(NamedTuple):
    """A folder with params.yaml, labels/ and data/, and what was planted, by kind."""

    folder: Path
    truth: dict[str, set[Key]]


@pytest.fixture(scope="session")
def planted_set(tmp_path_factory: pytest.TempPathFactory) -> PlantedSet:
    folder = tmp_path_factory.mktemp("planted")
    raw = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    for section, values in CHANGES.items():
        raw[section] |= values
    (folder / "params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    shutil.copytree(ROOT / "labels", folder / "labels")
    phases: dict[Key, float] = {}
    poses = tuple(pose for pose in read_gesture_poses() if pose.right_folder in GESTURES)

    def smaller(
        spec: DatasetSpec, _: Sequence[GesturePose]
    ) -> Iterator[tuple[Capture, list[SequencePlan]]]:
        """A few gestures, and of val and test next to nothing."""
        for capture, sequences in plan(spec, poses):
            if capture.split != "train":
                kept = [one for one in sequences if one.hand_type != "interacting"][:2]
                yield capture, [dataclasses.replace(s, frames=s.frames[:3]) for s in kept]
                continue
            for sequence in sequences:
                if sequence.gesture is not None:
                    for frame in sequence.frames:
                        phases[capture.number, frame.number] = frame.phase
            yield capture, sequences

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(synthesize, "plan", smaller)
        synthesize.main()
        planter = Planter(phases, SEED)
        planter.plant(COUNT)
        planter.write()
        ingest.main()
    assert set(planter.truth) == {kind.name for kind in KINDS}
    return PlantedSet(folder, planter.truth)


@pytest.fixture
def planted(planted_set: PlantedSet, monkeypatch: pytest.MonkeyPatch) -> PlantedSet:
    """The same, in the current folder."""
    monkeypatch.chdir(planted_set.folder)
    return planted_set


@pytest.fixture
def params(planted: PlantedSet) -> Params:
    return load_params()
