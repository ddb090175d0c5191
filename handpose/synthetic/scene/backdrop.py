"""Chooses what is behind the hand in an image: a room, a dark studio, a photo or clutter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from handpose.synthetic.background import Noise, sample_background
from handpose.synthetic.scene.clutter import clutter_backdrop
from handpose.synthetic.scene.photo_backdrop import photo_backdrop, read_photos
from handpose.synthetic.scene.studio import Studio, studio_backdrop

CLUTTER_SHARE = 0.5
"""Of the images that have neither the room nor the studio of their capture behind the hand."""


class Backdrops:
    """The backdrops of one data set."""

    def __init__(self, noise: Noise, photo_share: float) -> None:
        """Reads the photos, if any are wanted.

        Args:
            noise: of the rooms.
            photo_share: of the images, before a photo or clutter.

        Raises:
            BackdropError: if a photo is missing.
        """
        self._noise = noise
        self._photo_share = photo_share
        self._photos = read_photos() if photo_share else []

    def sample(
        self,
        rng: np.random.Generator,
        own: Callable[[], np.random.Generator],
        size: tuple[int, int],
        studio: Studio | None,
    ) -> NDArray[np.float32]:
        """The backdrop of one image: (H, W, 3) linear.

        Args:
            rng: of the image; only a room draws from it.
            own: makes the generator of everything else.
            size: width and height.
            studio: the dark one of the capture, or None for rooms.
        """
        if not self._photo_share and studio is None:
            return sample_background(rng, size, self._noise)
        scene = own()
        if scene.uniform() < self._photo_share:
            if scene.uniform() < CLUTTER_SHARE:
                return clutter_backdrop(scene, size)
            return photo_backdrop(scene, size, self._photos)
        if studio is not None:
            return studio_backdrop(scene, size, studio)
        return sample_background(rng, size, self._noise)
