"""The section of the evaluation."""

from __future__ import annotations

from typing import Annotated, ClassVar

import pydantic
from pydantic import Field, NonNegativeInt, PositiveInt

from stages.sections.section import Device, LoaderWorkers, Section

Severity = Annotated[float, Field(gt=0, le=1)]


class ShiftParams(Section):
    """Synthetic test sets that differ from the training data, for experiments."""

    one_line: ClassVar[bool] = True

    severities: tuple[Severity, ...] = ()
    """above 0 to 1, of the sets that `score` adds to its result, see docs/shifted.md; []: none"""
    people: Annotated[int, Field(ge=2)] = 12
    """in each set, the same in all"""
    images: PositiveInt = 360
    """in each set"""

    @pydantic.field_validator("severities")
    @classmethod
    def _once(cls, severities: tuple[float, ...]) -> tuple[float, ...]:
        if len({f"{one:g}" for one in severities}) < len(severities):
            raise ValueError(
                "two severities are equal after rounding to six digits; list each once"
            )
        return severities


class EvaluateParams(Section):
    """Evaluation and its report."""

    device: Device = "auto"
    """or cpu, cuda"""
    batch: PositiveInt = 64
    """images"""
    loader_workers: LoaderWorkers = -1
    """processes that make batches; -1: for a GPU all cores but one, at most 12; 0: none"""
    tsne_samples: PositiveInt = 1080
    """test images in the t-SNE maps"""
    pictures: PositiveInt = 4
    """overlays each of best, median and worst"""
    seed: NonNegativeInt = 0
    """of the sign flips, the t-SNE maps and their images, and the untrained network"""
    shift: ShiftParams = ShiftParams()
