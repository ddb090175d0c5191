"""From the samples of a tar to batches: decoded, given their classes, augmented, collated."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from handpose.data.augment import Augmentation, DrawnAugmentation, render, transform_labels
from handpose.data.batch_warp import UnwarpedBatch, stack_images, to_source
from handpose.data.crop import antialias
from handpose.data.labels import NO_CLASS, ClassIds, class_of
from handpose.data.records import decode, view_of
from handpose.data.tar import EncodedSample
from handpose.errors import HandPoseError
from handpose.sample import HandBatch, HandSample, collate

Parts: TypeAlias = tuple[HandSample, DrawnAugmentation, dict[str, Any]]
"""A decoded sample, its augmentation, and the other arguments of `transform_labels`."""


class PreprocessError(HandPoseError):
    """A sample does not fit the labels."""


@dataclass(frozen=True)
class Preprocessor:
    """Turns encoded samples into batches; one for each pass over the data."""

    image_px: int  # side of the images that come out
    view_px: int  # side of the network's view in pixels of a stored crop
    labels: Mapping[str, ClassIds]  # by gesture folder, or by image
    canonical: bool  # every left hand is mirrored to a right one
    augmentation: Augmentation | None
    seeds: tuple[int, int]  # seed and epoch
    turn_camera: bool = False  # onto the centre of each view
    views: int = 1  # of each sample, augmented one by one
    buffers: Buffers = field(default_factory=lambda: Buffers())

    def batch(self, encoded: list[EncodedSample]) -> HandBatch:
        """A batch of these samples, in their order: all first views, then all second ones."""
        samples = []
        images = self.buffers.take(self.views * len(encoded), 3, self.image_px, self.image_px)
        for (sample, drawn, options), planes in zip(self._views(encoded), images, strict=True):
            transformed, A = transform_labels(drawn, sample, **options)
            render(transformed.image, A, drawn.gain, planes)
            samples.append(transformed)
        return collate(samples, images)

    def unwarped_batch(self, encoded: list[EncodedSample]) -> UnwarpedBatch:
        """The same without the warp, for a device that warps all images at once."""
        samples, images, matrices, gains = [], [], [], []
        for sample, drawn, options in self._views(encoded):
            sample, A = transform_labels(drawn, sample, **options)
            image, A = antialias(sample.image, A)
            samples.append(sample)
            images.append(image)
            matrices.append(A)
            gains.append(drawn.gain)
        stack = stack_images(images, self.buffers.take)
        return UnwarpedBatch(
            batch=collate(samples, np.empty((len(samples), 3, 0, 0), np.uint8)),
            images=stack,
            to_source=to_source(torch.from_numpy(np.stack(matrices)), stack.shape, self.image_px),
            gain=torch.tensor(gains, dtype=torch.float32),
            out_px=self.image_px,
        )

    def _views(self, encoded: list[EncodedSample]) -> Iterator[Parts]:
        for view in range(self.views):
            for one in encoded:
                yield self._parts(one, view)

    def _parts(self, encoded: EncodedSample, view_number: int) -> Parts:
        """The decoded sample, its augmentation, and the other arguments of `transform_labels`."""
        label = json.loads(encoded.json)
        ids = self._classes(encoded.key, label)
        sample = decode(encoded.jpg, label, ids)
        drawn, twin = DrawnAugmentation(), (ids.twin_coarse, ids.twin_fine)
        if self.augmentation is not None:
            # seeded by the sample, so that neither a resume nor another thread changes the draw
            again: tuple[int, ...] = (encoded.repeat,) if encoded.repeat else ()
            if view_number:
                again = (encoded.repeat, view_number)
            rng = np.random.default_rng((*self.seeds, sample.sample_id, *again))
            drawn = self.augmentation.draw(rng)
        if self.canonical:
            drawn, twin = drawn._replace(mirrored=sample.is_left), (ids.coarse, ids.fine)
        view = view_of(label, sample.image.shape[0], self.view_px)
        options = {"view": view, "out_px": self.image_px, "twin": twin}
        return sample, drawn, options | {"turn_camera": self.turn_camera}

    def _classes(self, key: str, label: Mapping[str, Any]) -> ClassIds:
        folder = label["sequence"]
        ids = class_of(self.labels, key, folder, label["kind"])
        if ids is NO_CLASS and label["kind"] == "gesture":
            raise PreprocessError(
                f"gesture folder {folder!r} (sample {label['sample_id']}) is in the shards but has "
                "no class in the labels; run `dvc repro` so that both come from the same map"
            )
        return ids


# --- memory of batches ---------------------------------------------------------------------------


class Buffers:
    """A pool of arrays; one is reused once no tensor, view or variable refers to it."""

    def __init__(self) -> None:
        """Empty; it grows to as many arrays as are in use at once."""
        self._arrays: list[NDArray[np.uint8]] = []
        self._lock = threading.Lock()
        self._free = references_of_a_free_array()

    def __reduce__(self) -> tuple[type[Buffers], tuple[()]]:
        """Another process gets a pool of its own."""
        return Buffers, ()

    def take(self, *shape: int) -> NDArray[np.uint8]:
        """An array of this shape with arbitrary content."""
        with self._lock:
            for array in self._arrays:
                if array.shape == shape and sys.getrefcount(array) == self._free:
                    return array
            self._arrays.append(np.empty(shape, np.uint8))
            return self._arrays[-1]


def references_of_a_free_array() -> int:
    """The reference count of an array that only a list refers to, taken in a loop over the list.

    It counts the list, the loop variable and, before Python 3.14, the argument of the call.
    """
    counts = [sys.getrefcount(array) for array in [np.empty(0, np.uint8)]]
    return counts[0]
