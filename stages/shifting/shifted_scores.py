"""Scores of a Stage 2 model on the shifted test sets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handpose.data.shards import Shards
from handpose.errors import HandPoseError
from handpose.evaluation.scores import Models, Scores, score_split
from handpose.sample import HandBatch
from handpose.synthetic.shifted_recipe import shifted_tests
from stages.evaluation.data import EvaluationData
from stages.running.progress import Progress


class ShiftError(HandPoseError):
    """The shifted test sets are not those of the parameters."""


class ShiftedScores(NamedTuple):
    """Scores of the N images of a test set."""

    scores: Scores
    person: NDArray[np.int64]  # (N,)
    test: str  # SHA-256 of the images


@dataclass(frozen=True)
class ShiftedSets:
    """The shifted test sets in a folder."""

    shards: Shards
    names: Sequence[str]

    @classmethod
    def open(cls, folder: Path, severities: Sequence[float]) -> ShiftedSets:
        """Those of these severities.

        Raises:
            ShiftError: a set is not there.
            ShardError: a file is missing or damaged.
        """
        shards = Shards.open(folder)
        names = [test.name for test in shifted_tests(severities)]
        if missing := [name for name in names if not shards.index.count(name)]:
            raise ShiftError(
                f"{folder}: has no test set {', '.join(missing)}, which evaluate.shift.severities "
                f"{list(severities)} asks for; run `python -m stages.shift`"
            )
        return cls(shards, names)

    @property
    def images(self) -> int:
        """Images of all sets."""
        return sum(self.shards.index.count(name) for name in self.names)

    def score(
        self, models: Models, data: EvaluationData, progress: Progress
    ) -> Iterator[tuple[str, ShiftedScores]]:
        """The scores on each set, by its name.

        Args:
            models: on one device, in evaluation mode.
            data: how images are made for these models: side, mirroring, camera, batch, processes.
            progress: counts the images.
        """
        for name in self.names:

            def counted(split: str = name) -> Iterator[HandBatch]:
                for batch in self._batches(split, data):
                    yield batch
                    progress.step(len(batch))

            found = self.shards.labels(name, self.shards.index.count(name))
            person = np.array([label["subject"] for label in found], np.int64)
            yield name, ShiftedScores(score_split(counted(), models), person, self._digest(name))

    def _batches(self, name: str, data: EvaluationData) -> Iterator[HandBatch]:
        return self.shards.batches(
            name,
            batch=data.batch,
            image_px=data.image_px,
            labels={},  # none of these images is labelled
            canonical=data.canonical,
            turn_camera=data.turn_camera,
            loading=data.loading,
        )

    def _digest(self, name: str) -> str:
        """Of what was written: the crops, and where the network's view lies in them."""
        index = self.shards.index
        content = [f"{index.crop_px} {index.view_px}", *(t.sha256 for t in index.splits[name])]
        return hashlib.sha256(" ".join(content).encode()).hexdigest()
