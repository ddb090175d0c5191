"""Batches warped at once on their device: what a GPU does in a millisecond, a CPU does in many.

The same maps as `crop.warp`, sampled by torch in place of OpenCV: both bilinear and black outside,
equal to a rounding or so in each pixel. On a CPU it is many times slower than OpenCV; `loading.py`
takes it for CUDA devices alone.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from handpose.sample import HandBatch


@dataclass(frozen=True)
class UnwarpedBatch:
    """B samples whose labels have moved already, and what is left to do to their images."""

    batch: HandBatch  # without images
    images: Tensor  # (B, H, W, 3) uint8 RGB, stored crops; smaller ones end in black
    A: Tensor  # (B, 3, 3) float64: pixels of the stored crop -> pixels of the view
    gain: Tensor  # (B, 3) of red, green and blue
    out_px: int  # side of the view

    def pinned(self) -> UnwarpedBatch:
        """The same with images in memory that a GPU fetches by itself."""
        return dataclasses.replace(self, images=self.images.pin_memory())

    def on(self, device: torch.device) -> HandBatch:
        """The batch on this device, its images warped there."""
        images = self.images.to(device, non_blocking=True)
        warped = warp_batch(images, self.A.to(device), self.gain.to(device), self.out_px)
        return dataclasses.replace(self.batch.to(device), image=warped)


def stack_images(images: list[NDArray[np.uint8]]) -> Tensor:
    """Images (H, W, 3) of any sizes as (B, H, W, 3): each in its upper left corner, then black."""
    height, width = np.max([image.shape[:2] for image in images], axis=0)
    if all(image.shape[:2] == (height, width) for image in images):
        return torch.from_numpy(np.stack(images))
    stack = np.zeros((len(images), height, width, 3), np.uint8)
    for place, image in zip(stack, images, strict=True):
        place[: image.shape[0], : image.shape[1]] = image
    return torch.from_numpy(stack)


def warp_batch(images: Tensor, A: Tensor, gain: Tensor, out_px: int) -> Tensor:
    """Images seen through their A, each channel times its gain.

    Args:
        images: (B, H, W, 3) uint8.
        A: (B, 3, 3) float64, pixels of the images -> pixels of the result.
        gain: (B, 3).
        out_px: side of the result.

    Returns:
        (B, 3, out_px, out_px) uint8, bilinear, black outside of the images.
    """
    height, width = images.shape[1:3]
    # affine_grid maps result -> source, both from -1 to 1 between the first and last pixel centres
    theta = _to_unit(width, height, A) @ torch.linalg.inv(A) @ _to_unit(out_px, out_px, A).inverse()
    shape = [len(images), 3, out_px, out_px]
    grid = functional.affine_grid(theta[:, :2].float(), shape, align_corners=True)
    source = images.permute(0, 3, 1, 2).float()
    sampled = functional.grid_sample(source, grid, padding_mode="zeros", align_corners=True)
    tinted = sampled.round() * gain[:, :, None, None]
    return tinted.round().clamp(0, 255).to(torch.uint8)


def _to_unit(width: int, height: int, like: Tensor) -> Tensor:
    """(3, 3): pixels -> -1 .. 1 from the centre of the first pixel to that of the last."""
    return like.new_tensor([[2 / (width - 1), 0, -1], [0, 2 / (height - 1), -1], [0, 0, 1]])
