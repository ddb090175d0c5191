"""Videos are read as they are written; what is broken is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.predict import clip as clips
from pipeline.predict.clip import Clip, ClipError, Image, write_clip

FRAMES = 8


def images(width: int = 64, height: int = 48) -> Iterator[Image]:
    """Plain frames, brighter and brighter."""
    return (np.full((height, width, 3), 20 + 20 * k, np.uint8) for k in range(FRAMES))


def test_frames_come_back_in_their_order(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", images(), 20.0)
    clip = Clip.of_file(tmp_path / "a.mp4")
    assert (clip.rate, clip.announced) == (20, FRAMES)
    for _ in range(2):
        levels = [float(frame.mean()) for frame in clip.frames()]
        np.testing.assert_allclose(levels, [20 + 20 * k for k in range(FRAMES)], atol=4)
    assert clip.complaint(FRAMES) == ""
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_video_that_ends_early_or_has_broken_frames_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    rng = np.random.default_rng(0)
    for _ in range(FRAMES):
        writer.write(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    writer.release()
    whole = path.read_bytes()
    middle = len(whole) // 2
    broken = whole[:middle] + bytes(6000) + whole[middle + 6000 :]
    for content in (whole[: len(whole) * 6 // 10], broken):
        path.write_bytes(content)
        clip = Clip.of_file(path)
        read = sum(1 for _ in clip.frames())
        assert 0 < read < FRAMES
        assert f"{read} of {FRAMES} frames could be read" in clip.complaint(read)
    assert "no frame" in clip.complaint(0)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), (b"a login page", "is text"), (bytes(range(256)), "no video that OpenCV")],
)
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(ClipError, match=words):
        Clip.of_file(tmp_path / "a.mp4")


class MadeUpCamera:
    """As cv2.VideoCapture; `frames` None is a camera that is not there."""

    def __init__(self, frames: list[Image] | None) -> None:
        self.left = None if frames is None else list(frames)

    def isOpened(self) -> bool:
        return self.left is not None

    def grab(self) -> bool:
        return bool(self.left)

    def retrieve(self) -> tuple[bool, Image | None]:
        assert self.left
        frame = self.left.pop(0)
        return bool(frame.size), frame

    def release(self) -> None:
        self.left = []


def test_a_camera_is_recorded_and_its_broken_frames_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shots = [*images(), np.zeros((0, 0, 3), np.uint8), *images(32, 32)]
    monkeypatch.setattr(clips, "_capture", lambda _: MadeUpCamera(shots))
    clip = Clip.of_camera(0, 60)
    assert (clip.name, clip.announced) == ("camera-0", FRAMES)
    assert [frame.shape for frame in clip.frames()] == [(48, 64, 3)] * FRAMES
    assert sum(1 for _ in clip.frames()) == FRAMES


def test_no_camera_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "_capture", lambda _: MadeUpCamera(None))
    with pytest.raises(ClipError, match="no camera 3, or it is in use"):
        Clip.of_camera(3, 1)
    monkeypatch.setattr(clips, "_capture", lambda _: MadeUpCamera([]))
    with pytest.raises(ClipError, match="camera 3 gives no picture"):
        Clip.of_camera(3, 1)


def test_no_encoder_is_said_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2.VideoWriter, "fourcc", lambda *_: -2)
    with pytest.raises(ClipError, match="no encoder for mp4v"):
        write_clip(tmp_path / "a.mp4", images(), 25)
    assert list(tmp_path.iterdir()) == []
