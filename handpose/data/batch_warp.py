"""Warps a whole batch on its device: a millisecond on a GPU, many on a CPU.

The same maps as `crop.warp`, sampled by torch instead of OpenCV: both bilinear and black outside,
equal up to rounding in each pixel. On a CPU it is many times slower than OpenCV; `loading.py`
uses it for CUDA devices alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from handpose.sample import HandBatch


@dataclass(frozen=True)
class UnwarpedBatch:
    """B samples with transformed labels, and the warp still to be applied to their images."""

    batch: HandBatch  # without images
    images: Tensor  # (B, H, W, 3) uint8 RGB, stored crops; smaller ones end in black
    to_source: Tensor  # (B, 2, 3) of `to_source`: the view -> the stored crop
    gain: Tensor  # (B, 3) of red, green and blue
    out_px: int  # side of the view

    def pinned(self) -> UnwarpedBatch:
        """The same in pinned memory, which a GPU reads without the CPU."""
        return dataclasses.replace(
            self,
            batch=self.batch.pinned(),
            images=self.images.pin_memory(),
            gain=self.gain.pin_memory(),
            to_source=self.to_source.pin_memory(),
        )

    def on(self, device: torch.device) -> HandBatch:
        """The batch on this device, its images warped there; asynchronous if pinned."""
        images, to_source, gain = (
            part.to(device, non_blocking=True) for part in (self.images, self.to_source, self.gain)
        )
        warped = sample_images(images, to_source, gain, self.out_px)
        return dataclasses.replace(self.batch.to(device), image=warped)


def new_array(*shape: int) -> NDArray[np.uint8]:
    """An array with arbitrary content."""
    return np.empty(shape, np.uint8)


def stack_images(
    images: list[NDArray[np.uint8]], take: Callable[..., NDArray[np.uint8]] = new_array
) -> Tensor:
    """Images (H, W, 3) of any sizes as (B, H, W, 3): each in its upper left corner, then black.

    `take` gives the array of this shape, whatever is in it.
    """
    stack = take(len(images), *(max(i.shape[axis] for i in images) for axis in (0, 1)), 3)
    for target, image in zip(stack, images, strict=True):
        height, width = image.shape[:2]
        target[:height, :width] = image
        target[height:] = 0
        target[:height, width:] = 0
    return torch.from_numpy(stack)


def to_source(A: Tensor, shape: Sequence[int], out_px: int) -> Tensor:
    """(B, 2, 3): the result -> images (B, H, W, 3) of this shape, as `affine_grid` expects it.

    A (B, 3, 3) float64: pixels of the images -> pixels of the result. Coordinates go
    from -1 to 1 on both sides, between the centres of the first and the last pixel. Computed on
    A's device, the CPU: on a GPU, checking that each matrix is invertible would synchronise.
    """
    height, width = shape[1:3]
    inverse = torch.linalg.inv(A)
    matrix: Tensor = _to_unit(width, height, A) @ inverse @ _to_unit(out_px, out_px, A).inverse()
    return matrix[:, :2].float()


def sample_images(images: Tensor, to_source: Tensor, gain: Tensor, out_px: int) -> Tensor:
    """Images warped by their matrices, each channel times its gain, on the device of the images.

    Args:
        images: (B, H, W, 3) uint8.
        to_source: (B, 2, 3), see the function of this name.
        gain: (B, 3).
        out_px: side of the result.

    Returns:
        (B, 3, out_px, out_px) uint8, bilinear, black outside of the images.
    """
    shape = [len(images), 3, out_px, out_px]
    grid = functional.affine_grid(to_source, shape, align_corners=True)
    source = images.permute(0, 3, 1, 2).float()
    sampled = functional.grid_sample(source, grid, padding_mode="zeros", align_corners=True)
    tinted = sampled.round() * gain[:, :, None, None]
    return tinted.round().clamp(0, 255).to(torch.uint8)


def _to_unit(width: int, height: int, like: Tensor) -> Tensor:
    """(3, 3): pixels -> -1 .. 1 from the centre of the first pixel to that of the last."""
    return like.new_tensor([[2 / (width - 1), 0, -1], [0, 2 / (height - 1), -1], [0, 0, 1]])
