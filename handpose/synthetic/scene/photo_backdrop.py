"""Crops of freely licensed photos that installed packages ship, as backdrops.

The files are read where the packages keep them and are never copied into this repository; NOTICE
credits them. Colours are linear.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.errors import HandPoseError
from handpose.synthetic.sensor import GREY, LINEAR


class BackdropError(HandPoseError):
    """A photo for backdrops is not where its package should have it."""


class PackagedPhoto(NamedTuple):
    """A photo in an installed package."""

    package: str  # as pip names it
    module: str  # as Python names it
    file: str  # in the module's folder
    credit: str

    def path(self) -> Path:
        """Where the photo is on this machine.

        Raises:
            BackdropError: if the package or its file is missing.
        """
        spec = find_spec(self.module)
        if spec is None or spec.origin is None:
            raise BackdropError(
                f"synthesize.photo_backdrops needs {self.file} of the package {self.package}, "
                f"which is not installed; install {self.package}, or set "
                "synthesize.photo_backdrops to 0"
            )
        path = Path(spec.origin).parent / self.file
        if not path.is_file():
            raise BackdropError(
                f"synthesize.photo_backdrops needs {self.file} of the package {self.package}; "
                f"there is no file {path}. Install {self.package} from its wheel, or set "
                "synthesize.photo_backdrops to 0"
            )
        return path


PHOTOS = (
    PackagedPhoto(
        "scikit-learn",
        "sklearn",
        "datasets/images/china.jpg",
        "danielbuechele, CC BY 2.0",
    ),
    PackagedPhoto(
        "scikit-learn",
        "sklearn",
        "datasets/images/flower.jpg",
        "vultilion, CC BY 2.0",
    ),
    PackagedPhoto(
        "matplotlib",
        "matplotlib",
        "mpl-data/sample_data/grace_hopper.jpg",
        "James S. Davis, United States Navy, public domain",
    ),
)


def read_photos() -> list[NDArray[np.uint8]]:
    """The photos, each (H, W, 3) RGB.

    Raises:
        BackdropError: if one is missing or no picture.
    """
    photos = []
    for photo in PHOTOS:
        path = photo.path()
        picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            raise BackdropError(
                f"expected a JPEG photo, found something else: {path}. Reinstall {photo.package}, "
                "or set synthesize.photo_backdrops to 0"
            )
        photos.append(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8))
    return photos


def photo_backdrop(
    rng: np.random.Generator, size: tuple[int, int], photos: list[NDArray[np.uint8]]
) -> NDArray[np.float32]:
    """A random part of a photo in other colours: (H, W, 3) linear."""
    part = _part(rng, photos[rng.integers(len(photos))], size)
    picture = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    if rng.uniform() < 0.6:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 4.0) * min(size) / 160)
    return _in_other_colours(rng, np.asarray(picture, np.uint8))


def _part(
    rng: np.random.Generator, photo: NDArray[np.uint8], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """A random window of the picture's proportions, perhaps turned and mirrored."""
    if rng.uniform() < 0.15:
        photo = photo.transpose(1, 0, 2)
    photo = photo[:: rng.choice([1, 1, 1, -1]), :: rng.choice([1, -1])]
    width, height = size
    whole = min(photo.shape[1] / width, photo.shape[0] / height)
    scale = whole * np.exp(rng.uniform(np.log(0.25), 0))
    columns, rows = max(1, int(scale * width)), max(1, int(scale * height))
    x = rng.integers(0, photo.shape[1] - columns + 1)
    y = rng.integers(0, photo.shape[0] - rows + 1)
    return np.ascontiguousarray(photo[y : y + rows, x : x + columns])


def _in_other_colours(rng: np.random.Generator, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Linear light of a picture, with random gains, contrast, saturation and order of channels."""
    gains = np.exp(rng.uniform(np.log(0.15), np.log(1.3)) + rng.normal(0, 0.15, 3))
    tables = LINEAR[:, None] ** rng.uniform(0.75, 1.3) * gains  # (256, 3)
    light = cv2.LUT(picture, tables[None].astype(np.float32))
    saturation = rng.uniform(0.2, 1.2)
    mix = saturation * np.eye(3) + (1 - saturation) * GREY
    if rng.uniform() < 0.15:
        mix = mix[rng.permutation(3)]
    return np.asarray(np.maximum(cv2.transform(light, mix), 0), np.float32)
