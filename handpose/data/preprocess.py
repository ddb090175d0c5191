"""How stored samples become what the network sees: decoded, given their classes, moved, batched."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from handpose.data.augment import Augmentation, DrawnAugmentation, render, transform_labels
from handpose.data.batch_warp import UnwarpedBatch, stack_images, to_source
from handpose.data.crop import antialias
from handpose.data.labels import NO_CLASS, ClassIds
from handpose.data.records import decode, view_of
from handpose.data.tar import Stored
from handpose.errors import HandPoseError
from handpose.sample import HandBatch, HandSample, collate


class PreprocessError(HandPoseError):
    """A stored sample does not fit the labels."""


@dataclass(frozen=True)
class Preprocessor:
    """The same for every sample of a pass over the data."""

    image_px: int  # side of the images that come out
    view_px: int  # side of the network's view in pixels of a stored crop
    labels: Mapping[str, ClassIds]
    canonical: bool  # every left hand is mirrored to a right one
    augmentation: Augmentation | None
    seeds: tuple[int, int]  # seed and epoch
    buffers: Buffers = field(default_factory=lambda: Buffers())

    def batch(self, raws: list[Stored]) -> HandBatch:
        """A batch of these samples, in their order."""
        samples = []
        images = self.buffers.take(len(raws), 3, self.image_px, self.image_px)
        for raw, planes in zip(raws, images, strict=True):
            stored, move, options = self._parts(raw)
            sample, A = transform_labels(move, stored, **options)
            render(stored.image, A, move.gain, planes)
            samples.append(sample)
        return collate(samples, images)

    def unwarped_batch(self, raws: list[Stored]) -> UnwarpedBatch:
        """The same with the stored images as they are, for a device that warps them at once."""
        samples, images, matrices, gains = [], [], [], []
        for raw in raws:
            stored, move, options = self._parts(raw)
            sample, A = transform_labels(move, stored, **options)
            image, A = antialias(sample.image, A)
            samples.append(sample)
            images.append(image)
            matrices.append(A)
            gains.append(move.gain)
        stack = stack_images(images)
        return UnwarpedBatch(
            batch=collate(samples, np.empty((len(raws), 3, 0, 0), np.uint8)),
            images=stack,
            to_source=to_source(torch.from_numpy(np.stack(matrices)), stack.shape, self.image_px),
            gain=torch.tensor(gains, dtype=torch.float32),
            out_px=self.image_px,
        )

    def _parts(self, raw: Stored) -> tuple[HandSample, DrawnAugmentation, dict[str, Any]]:
        """A stored sample, decoded, how it is to be moved, and what else `apply` must know."""
        label = json.loads(raw.json)
        ids = self._classes(label)
        stored = decode(raw.jpg, label, ids)
        move, twin = DrawnAugmentation(), (ids.twin_coarse, ids.twin_fine)
        if self.augmentation is not None:
            # seeded by the sample, so that neither a resume nor another thread changes the draw
            move = self.augmentation.draw(np.random.default_rng((*self.seeds, stored.sample_id)))
        if self.canonical:
            move, twin = move._replace(mirrored=stored.is_left), (ids.coarse, ids.fine)
        view = view_of(label, stored.image.shape[0], self.view_px)
        return stored, move, {"view": view, "out_px": self.image_px, "twin": twin}

    def _classes(self, label: Mapping[str, Any]) -> ClassIds:
        folder = label["sequence"]
        if folder not in self.labels and label["kind"] == "gesture":
            raise PreprocessError(
                f"gesture folder {folder!r} (sample {label['sample_id']}) is in the shards but has "
                "no class in the labels; run `dvc repro` so that both come from the same map"
            )
        return self.labels.get(folder, NO_CLASS)


# --- memory of batches ---------------------------------------------------------------------------


class Buffers:
    """Arrays that are given out again once no tensor, view or variable holds them."""

    def __init__(self) -> None:
        """None yet; there will be as many as are in use at once."""
        self._arrays: list[NDArray[np.uint8]] = []
        self._lock = threading.Lock()
        self._free = references_of_a_free_array()

    def take(self, *shape: int) -> NDArray[np.uint8]:
        """An array of this shape; what stands in it is left over from before."""
        with self._lock:
            for array in self._arrays:
                if array.shape == shape and sys.getrefcount(array) == self._free:
                    return array
            self._arrays.append(np.empty(shape, np.uint8))
            return self._arrays[-1]


def references_of_a_free_array() -> int:
    """What Python counts of an array in a list, asked in a loop over it, if nobody else holds it.

    The list's, the loop's and the question's own, which Python 3.14 saves.
    """
    counts = [sys.getrefcount(array) for array in [np.empty(0, np.uint8)]]
    return counts[0]
