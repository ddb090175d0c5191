"""A batch warped by torch: what OpenCV makes of each image, to a rounding."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from handpose.data.augment import Augmentation, render
from handpose.data.batch_warp import sample_images, stack_images, to_source
from handpose.data.labels import ClassIds
from handpose.data.preprocess import Preprocessor
from handpose.data.records import FIELDS, ORIGIN, encode_labels
from handpose.data.tar import EncodedSample

STORED, OUT = 86, 64


def photo(seed: int, height: int = STORED, width: int = STORED) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 2), np.uint8)


def matrix(seed: int) -> NDArray[np.float64]:
    """Turned, zoomed, shifted, every other one mirrored; corners of the image come into view."""
    rng = np.random.default_rng(seed)
    angle, zoom = rng.uniform(-0.6, 0.6), rng.uniform(0.6, 1.3)
    c, s = zoom * np.cos(angle), zoom * np.sin(angle)
    centre = rng.uniform(-4, 4, 2) + (OUT - 1) / 2
    A = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    A[:2, 2] = centre - A[:2, :2] @ np.full(2, (STORED - 1) / 2)
    mirror = np.array([[-1.0, 0, OUT - 1], [0, 1, 0], [0, 0, 1]])
    return mirror @ A if seed % 2 else A


def by_opencv(
    images: list[NDArray[np.uint8]], matrices: list[NDArray[np.float64]], gain: NDArray[np.float32]
) -> NDArray[np.uint8]:
    batch = np.empty((len(images), 3, OUT, OUT), np.uint8)
    for image, A, g, planes in zip(images, matrices, gain, batch, strict=True):
        red, green, blue = g.tolist()
        render(image, A, (red, green, blue), planes)
    return batch


@pytest.mark.parametrize("sizes", [[(86, 86)] * 6, [(86, 86), (70, 80), (86, 60)] * 2])
def test_it_agrees_with_opencv(sizes: list[tuple[int, int]]) -> None:
    images = [photo(seed, *size) for seed, size in enumerate(sizes)]
    matrices = [matrix(seed) for seed in range(len(images))]
    rng = np.random.default_rng(0)
    gain = rng.uniform(0.7, 1.3, (len(images), 3)).astype(np.float32)
    found = warped(images, torch.from_numpy(np.stack(matrices)), torch.from_numpy(gain))
    expected = by_opencv(images, matrices, gain)
    assert found.shape == expected.shape and found.dtype == torch.uint8
    difference = np.abs(found.numpy().astype(int) - expected)
    assert difference.max() <= 3  # OpenCV rounds where it samples to 1/32 px or so
    assert difference.mean() < 0.3


def warped(images: list[NDArray[np.uint8]], A: Tensor, gain: Tensor) -> Tensor:
    """Both halves, as the loader and the GPU do them."""
    stack = stack_images(images)
    return sample_images(stack, to_source(A, stack.shape, OUT), gain, OUT)


def stored(number: int) -> EncodedSample:
    """A sample as it lies in a tar; its image has a size of its own."""
    rng = np.random.default_rng(number)
    label = dict.fromkeys((*FIELDS, *ORIGIN), 0) | {
        "K": np.array([[300, 0, 40], [0, 300, 40], [0, 0, 1]], np.float32),
        "joints_cam": np.float32(rng.normal([0, 0, 0.6], 0.04, (21, 3))),
        "joint_valid": np.ones(21, np.bool_),
        "has_mano": True,
        "global_orient": np.float32(rng.normal(size=3)),
        "hand_pose": np.float32(rng.normal(size=45)),
        "betas": np.float32(rng.normal(size=10)),
        "is_left": number % 2 == 0,
        "sample_id": number,
        "sequence": "0003_fake_gun",
        "view": [42.0, 41.0, 60.0],
    }
    quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
    jpeg = cv2.imencode(".jpg", photo(number, 84 + number % 3, 90), quality)[1].tobytes()
    return EncodedSample(f"{number:09d}", jpeg, encode_labels([label])[0])


@pytest.mark.parametrize(("canonical", "occlude"), [(False, 0.0), (True, 0.0), (False, 1.0)])
def test_a_batch_warped_at_once_is_the_one_warped_image_by_image(
    canonical: bool, occlude: float
) -> None:
    view = Preprocessor(
        image_px=OUT,
        view_px=60,
        labels={"0003_fake_gun": ClassIds(1, 2, 3, 4)},
        canonical=canonical,
        augmentation=Augmentation(30, 0.25, 0.05, 0.2, 0.0 if canonical else 0.5, occlude=occlude),
        seeds=(0, 1),
        turn_camera=True,
    )
    raws = [stored(number) for number in range(8)]
    expected, found = view.batch(raws), view.unwarped_batch(raws).on(torch.device("cpu"))
    assert not torch.equal(found.view_rotation[0], torch.eye(3))
    for field in dataclasses.fields(expected):
        one, other = getattr(expected, field.name), getattr(found, field.name)
        if field.name == "image":
            difference = (one.int() - other.int()).abs()
            steep = 4 if occlude else 1  # where a cover is noise, or ends
            assert difference.max() <= 3 * steep and difference.float().mean() < 0.3 * steep
        else:
            torch.testing.assert_close(other, one, rtol=0, atol=0)


def test_images_of_one_size_are_stacked_as_they_are_and_others_end_in_black() -> None:
    one, other = photo(0, 4, 5), photo(1, 3, 6)
    stack = stack_images([one, other]).numpy()
    assert stack.shape == (2, 4, 6, 3)
    np.testing.assert_array_equal(stack[0, :, :5], one)
    np.testing.assert_array_equal(stack[1, :3], other)
    assert not stack[0, :, 5:].any() and not stack[1, 3:].any()


def test_a_whole_shift_changes_no_pixel() -> None:
    image = photo(0)
    A = torch.tensor([[1.0, 0, -11], [0, 1, -7], [0, 0, 1]], dtype=torch.float64)
    found = warped([image], A[None], torch.ones(1, 3))
    expected = image[7 : 7 + OUT, 11 : 11 + OUT].transpose(2, 0, 1)
    np.testing.assert_array_equal(found[0].numpy(), expected)
