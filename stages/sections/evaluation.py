"""The section of the evaluation."""

from __future__ import annotations

from pydantic import NonNegativeInt, PositiveInt

from stages.sections.section import Device, LoaderWorkers, Section


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
