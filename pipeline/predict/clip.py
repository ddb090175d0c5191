"""A video, or what a camera recorded, as frames that can be read twice."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.errors import HandPoseError
from handpose.file_content import recognise
from handpose.files import temporary_folder

Image = NDArray[np.uint8]

USUAL_RATE = 25.0
"""Frames a second of a video that does not say its rate."""

QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 95]
"""Of a camera's frames, which are kept in memory."""


class ClipError(HandPoseError):
    """A video or a camera that cannot be opened, or no encoder for a video."""


class Clip:
    """Frames (H, W, 3) RGB of one size."""

    def __init__(self, name: str, rate: float, announced: int, open_: Callable[[], Frames]) -> None:
        """`open_` starts anew; `announced` is the number of frames that the file claims, or 0."""
        self.name = name
        self.rate = rate
        self.announced = announced
        self.frames = open_

    @classmethod
    def of_file(cls, path: Path) -> Clip:
        """A video.

        Raises:
            ClipError: OpenCV cannot read it.
        """
        capture = _capture(str(path))
        if not capture.isOpened():
            content = recognise(path)
            raise ClipError(
                f"{path}: {content}"
                if content is not None
                else f"{path}: is no video that OpenCV reads; one that was cut off has lost the "
                "index at its end: copy or record it again"
            )
        rate, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        capture.release()
        if not (math.isfinite(rate) and 0 < rate <= 1000):
            rate = USUAL_RATE
        announced = int(count) if math.isfinite(count) and count > 0 else 0
        return cls(str(path), rate, announced, lambda: _frames(_capture(str(path))))

    @classmethod
    def of_camera(cls, number: int, seconds: float) -> Clip:
        """What a camera sees in the next seconds, recorded before it is looked at.

        Raises:
            ClipError: there is no such camera, or it gives no picture.
        """
        capture = _capture(number)
        if not capture.isOpened():
            raise ClipError(
                f"no camera {number}, or it is in use: connect it, close what uses it, or record "
                "a video and name its file"
            )
        name, began, shots = f"camera-{number}", time.monotonic(), []
        for frame in _frames(capture):
            shots.append(cv2.imencode(".jpg", frame[..., ::-1], QUALITY)[1])
            if time.monotonic() - began >= seconds:
                break
        if not shots:
            raise ClipError(f"camera {number} gives no picture")
        rate = max(len(shots) / max(time.monotonic() - began, 1e-3), 1.0)
        return cls(name, min(rate, 1000.0), len(shots), lambda: map(_decoded, shots))

    def complaint(self, read: int) -> str:
        """What is wrong if `read` frames came; empty if nothing is."""
        if not read:
            return "no frame could be read"
        if read < self.announced:
            return (
                f"{read:,} of {self.announced:,} frames could be read: it ends early, or has "
                "broken frames; the rest is as in the file"
            )
        return ""


Frames = Iterator[Image]


def _capture(source: str | int) -> cv2.VideoCapture:
    """Opened or not, without the decoders' own words on stderr."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2.VideoCapture(source)


def _frames(capture: cv2.VideoCapture) -> Frames:
    """All that can be decoded and is as large as the first."""
    shape = None
    try:
        while capture.grab():
            done, frame = capture.retrieve()
            if not done or frame is None:
                continue  # broken; `complaint` counts
            image = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
            shape = image.shape if shape is None else shape
            if image.shape == shape:
                yield image
    finally:
        capture.release()


def _decoded(jpeg: NDArray[np.uint8]) -> Image:
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB), np.uint8)


def write_clip(path: Path, images: Iterator[Image], rate: float) -> None:
    """Images (H, W, 3) RGB as MP4, by OpenCV's mp4v; odd last columns and rows go.

    Raises:
        ClipError: OpenCV has no encoder here.
    """
    first = next(images)
    height, width = first.shape[:2]
    with temporary_folder(path) as folder:
        partial = folder / path.name  # by whose suffix the encoder chooses the format
        code = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(partial), code, rate, (width, height))
        if not writer.isOpened():
            raise ClipError(f"{path}: not written, this OpenCV has no encoder for mp4v")
        try:
            writer.write(first[..., ::-1].copy())
            for image in images:
                writer.write(image[..., ::-1].copy())
        finally:
            writer.release()
        os.replace(partial, path)
