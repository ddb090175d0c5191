"""Photos of installed packages as backdrops, and what is said if one is missing."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from handpose.synthetic.scene import photo_backdrop as module
from handpose.synthetic.scene.photo_backdrop import (
    PHOTOS,
    BackdropError,
    PackagedPhoto,
    photo_backdrop,
    read_photos,
)

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def photos() -> list[NDArray[np.uint8]]:
    return read_photos()


def test_every_photo_is_where_its_package_has_it_and_none_in_the_repository() -> None:
    for photo in PHOTOS:
        assert photo.path().is_file()
        name = Path(photo.file).name
        assert not list((ROOT / "handpose").rglob(name))


def test_every_package_is_a_dependency_and_notice_credits_its_photo() -> None:
    notice = " ".join((ROOT / "NOTICE").read_text("utf-8").split())
    dependencies = (ROOT / "pyproject.toml").read_text("utf-8")
    for photo in PHOTOS:
        author, *_, licence = photo.credit.split(", ")
        name = Path(photo.file).name
        assert f'"{photo.package}"' in dependencies
        credit = re.search(rf"- {re.escape(name)}, in {photo.package}: (.*?)https://", notice)
        assert credit is not None
        assert author in credit[1]
        assert licence in credit[1]


@pytest.mark.parametrize("size", [(160, 200), (200, 160), (33, 51), (512, 334), (900, 700)])
def test_a_crop_fills_the_frame(photos: list[NDArray[np.uint8]], size: tuple[int, int]) -> None:
    for seed in range(8):
        picture = photo_backdrop(np.random.default_rng(seed), size, photos)
        assert picture.shape == (size[1], size[0], 3)
        assert picture.dtype == np.float32
        assert np.isfinite(picture).all()
        assert picture.min() >= 0


def test_a_crop_depends_on_its_generator_alone(photos: list[NDArray[np.uint8]]) -> None:
    one, again, other = (
        photo_backdrop(np.random.default_rng(seed), (100, 80), photos) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).mean() > 0.01


def test_backdrops_are_linear_light() -> None:
    """A photo of one grey keeps its linear value, but for the gains that are drawn."""
    levels = np.array([30, 128, 220])
    grey = [np.full((50, 60, 3), level, np.uint8) for level in levels]
    light = np.array(
        [
            np.median(
                [photo_backdrop(np.random.default_rng(seed), (30, 20), [g]) for seed in range(200)]
            )
            for g in grey
        ]
    )
    linear = ((levels / 255 + 0.055) / 1.055) ** 2.4  # IEC 61966-2-1
    np.testing.assert_allclose(light / light[1], linear / linear[1], rtol=0.2)


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = PackagedPhoto("scikit-learn", "no_such_module_here", "datasets/a.jpg", "")
    monkeypatch.setattr(module, "PHOTOS", (missing,))
    with pytest.raises(BackdropError, match=r"datasets/a.jpg of the package scikit-learn.*install"):
        read_photos()


def test_a_file_that_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = PHOTOS[0]._replace(file="datasets/images/gone.jpg")
    monkeypatch.setattr(module, "PHOTOS", (missing,))
    with pytest.raises(BackdropError) as caught:
        read_photos()
    for part in ("scikit-learn", "gone.jpg", "no file", "synthesize.photo_backdrops to 0"):
        assert part in str(caught.value)


def test_a_file_that_is_no_photo_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notaphoto.py").write_text("")
    (tmp_path / "a.jpg").write_bytes(b"hello")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(module, "PHOTOS", (PackagedPhoto("notaphoto", "notaphoto", "a.jpg", ""),))
    with pytest.raises(BackdropError, match=r"expected a JPEG photo.*a\.jpg"):
        read_photos()
    picture = np.zeros((4, 5, 3), np.uint8)
    picture[..., 0] = 200  # blue, as OpenCV writes it
    (tmp_path / "a.jpg").write_bytes(cv2.imencode(".jpg", picture)[1].tobytes())
    assert read_photos()[0][0, 0, 2] > 150
