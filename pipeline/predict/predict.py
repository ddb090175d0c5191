"""`handpose predict`: look at every source, write what was found, list what failed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from handpose.counted import counted
from handpose.detection.palm_detector import PalmDetector
from handpose.errors import HandPoseError
from handpose.estimator import HandEstimator
from handpose.estimator_input import checked_box, read_photo
from handpose.predict import PredictError
from handpose.stop_signal import explain
from pipeline.predict.clip import Clip, write_clip
from pipeline.predict.hand_box import Batch, BoxedHand, Image, from_palms, refine
from pipeline.predict.overlay import overlay
from pipeline.predict.predictions import (
    hand_record,
    write_mesh,
    write_picture,
    write_predictions,
)
from pipeline.predict.request import PredictRequest, Write, check_output
from pipeline.predict.sources import CAMERA, Failed, SourceList, pictures_in
from pipeline.predict.track import follow, one_shape
from stages.running.progress import Progress

MOST_PIXELS = 100_000_000
"""Of the photos in memory at once; a larger one is alone."""

SAVE_EVERY_S = 10
"""Between two savings of what was found so far, which a `kill -9` leaves."""
PAUSES = 20
"""A pause between savings is at least so many times as long as the last one took."""


STEM_BYTES = 255 - len("._hand_000000.obj.partial")
"""Most of a result's name before `_hand`: file systems take 255 bytes, and a file that is being
written has the longest name."""

STOPS = (signal.SIGTERM, signal.SIGHUP)


class Run:
    """One run of the command."""

    def __init__(
        self,
        estimator: HandEstimator,
        request: PredictRequest,
        write: Write,
        model: dict[str, str],
        palms: PalmDetector | None,
    ) -> None:
        """Look at nothing yet; `model` says what looks, `palms` finds hands without a box."""
        self._estimator, self._palms = estimator, palms
        self._request = request
        self._write = write
        self._look: Batch = partial(estimator.batch, side=request.side, K=request.K)
        self._model = model
        self._names: set[str] = set()
        self._begun = self._saved = time.monotonic()
        self._pause = float(SAVE_EVERY_S)
        self.images: list[dict[str, Any]] = []
        self.videos: list[dict[str, Any]] = []
        self.failed: list[Failed] = []
        self.looked_at = 0  # photos and frames

    def photos(self, files: list[Path]) -> None:
        """Look at photos, as many at once as are asked for and fit."""
        progress = Progress("predict", len(files), "photos")
        for group in self._groups(files, progress):
            for (file, image), found in zip(group, self._found(group), strict=True):
                self._photo(file, image, found)
            progress.step(len(group))
            self._save_now_and_then()

    def _groups(self, files: list[Path], progress: Progress) -> Iterator[list[tuple[Path, Image]]]:
        group: list[tuple[Path, Image]] = []
        for file in files:
            try:
                image = read_photo(file)
                box, _ = self._request.box_for(file)
                if box is not None:
                    checked_box(box, image.shape[1], image.shape[0])
            except HandPoseError as error:
                self._fail(str(file), str(error))
                progress.step()
                continue
            if (pictures := pictures_in(file)) > 1:
                self._write(f"{file}: holds {pictures:,} pictures, of which the first is taken")
            pixels = sum(other.size // 3 for _, other in group) + image.size // 3
            if group and (len(group) == self._request.batch or pixels > MOST_PIXELS):
                yield group
                group = []
            group.append((file, image))
        if group:
            yield group

    def _found(self, group: list[tuple[Path, Image]]) -> list[list[BoxedHand]]:
        """The hands in each photo of a group: first those with a box, then the others."""
        given = [self._request.box_for(file) for file, _ in group]
        found: dict[int, list[BoxedHand]] = {}
        known = [k for k, (box, _) in enumerate(given) if box is not None]
        others = [k for k, (box, _) in enumerate(given) if box is None]
        if known:
            hands = self._look([group[k][1] for k in known], [given[k][0] for k in known])
            for k, hand in zip(known, hands, strict=True):
                box, origin = given[k]
                assert box is not None
                found[k] = [BoxedHand(hand, box, origin)]
        if others:
            searched = self._search([group[k][1] for k in others])
            found |= dict(zip(others, searched, strict=True))
        return [found[k] for k in range(len(group))]

    def _search(self, images: list[Image]) -> list[list[BoxedHand]]:
        """The hands in photos without a box: one, or with a palm detector all."""
        if self._palms is None:
            return [[found] for found in refine(self._look, images)]
        return from_palms(self._palms, self._look, images)

    def _photo(self, file: Path, image: Image, found: list[BoxedHand]) -> None:
        name = self._free(file.stem)
        picture, drawn = f"{name}_hand.png", image
        size, records = (image.shape[1], image.shape[0]), []
        for number, one in enumerate(found):
            drawn = overlay(drawn, one)
            record = {
                "file": str(file),
                "hand": number,
                **hand_record(one, size),
                "overlay": picture,
            }
            if self._request.meshes and one.hand is not None:
                record["mesh"] = f"{name}_hand{f'-{number + 1}' if number else ''}.obj"
                write_mesh(self._request.out / record["mesh"], one.hand)
            records.append(record)
        write_picture(self._request.out / picture, drawn)
        self.images += records  # which name nothing that is not there
        self.looked_at += 1

    def video(self, file: Path) -> None:
        """Look at a video, whose failure does not stop the others."""
        try:
            self._clip(Clip.of_file(file))
        except HandPoseError as error:
            self._fail(str(file), str(error))

    def camera(self, number: int) -> None:
        """Record a camera and look at that; as `video`."""
        try:
            self._clip(Clip.of_camera(number, self._request.seconds))
        except HandPoseError as error:
            self._fail(f"{CAMERA}{number}", str(error))

    def _surest(self, image: Image) -> BoxedHand:
        return self._search([image])[0][0]

    def _clip(self, clip: Clip) -> None:
        request = self._request
        box, origin = request.box_for(Path(clip.name))
        progress = Progress(clip.name, clip.announced, "frames")
        sizes: list[tuple[int, int]] = []

        def frames() -> Iterator[Image]:
            for image in clip.frames():
                if not sizes and box is not None:
                    checked_box(box, image.shape[1], image.shape[0])
                sizes.append((image.shape[1], image.shape[0]))
                yield image
                if progress.done < progress.total:  # what a file announces may be too few
                    progress.step()

        track = [
            found._replace(origin=origin) if found.origin == "given" else found
            for found in follow(self._look, self._surest, frames(), box)
        ]
        self.looked_at += len(track)
        if complaint := clip.complaint(len(track)):
            if clip.announced - len(track) > 1 or not track:
                self._fail(clip.name, complaint)
            else:  # some formats only estimate how many there are
                self._write(f"{clip.name}: {complaint}")
        if not track:
            return
        track = one_shape(self._estimator, track, smooth=request.smooth)
        name = self._free(Path(clip.name).stem)
        record: dict[str, Any] = {
            "file": clip.name,
            "size_px": list(sizes[0]),
            "frames_per_s": clip.rate,
            "frames_announced": clip.announced,
            "frames_read": len(track),
            "betas": "mean of the track",
            "smooth": request.smooth,
            "overlay": f"{name}_hand.mp4",
            "frames": [
                {"frame": k, **hand_record(found, sizes[0])} for k, found in enumerate(track)
            ],
        }
        if request.meshes:
            for k, found in enumerate(track):
                if found.hand is not None:
                    mesh = f"{name}_hand_{k:06d}.obj"
                    write_mesh(request.out / mesh, found.hand)
                    record["frames"][k]["mesh"] = mesh
        drawn = (overlay(image, found) for image, found in zip(clip.frames(), track, strict=False))
        try:
            write_clip(request.out / record["overlay"], drawn, clip.rate)
        except HandPoseError as error:
            record["overlay"] = None
            self._fail(clip.name, str(error))
        self.videos.append(record)
        self._save_now_and_then()

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._begun

    def save(self, *, complete: bool) -> Path:
        """Write what was found so far; returns the file."""
        begun = time.monotonic()
        path = write_predictions(
            self._request.out,
            {
                "complete": complete,
                "model": self._model,
                "intrinsics_px": self._request.intrinsics,
                "images": self.images,
                "videos": self.videos,
                "failed": [failure._asdict() for failure in self.failed],
                "seconds": round(self.seconds, 3),
            },
        )
        self._saved = time.monotonic()
        self._pause = max(SAVE_EVERY_S, PAUSES * (self._saved - begun))  # it grows with the file
        return path

    def _save_now_and_then(self) -> None:
        if time.monotonic() - self._saved > self._pause:
            self.save(complete=False)

    def _fail(self, file: str, why: str) -> None:
        self.failed.append(Failed(file, why))

    def _free(self, stem: str) -> str:
        """A name for results that no other source has, and that is no longer than a file's may."""
        name, number = _shortened(stem), 1
        while name in self._names:
            number += 1
            name = _shortened(stem, f"-{number}")
        self._names.add(name)
        return name


def _shortened(stem: str, ending: str = "") -> str:
    """The stem and the ending in `STEM_BYTES`, cut between two characters."""
    content = os.fsencode(stem)
    room = STEM_BYTES - len(ending)
    return (stem if len(content) <= room else content[:room].decode("utf-8", "ignore")) + ending


def predict(
    estimator: HandEstimator,
    sources: SourceList,
    request: PredictRequest,
    *,
    model: Path,
    mano: Path | None,
    palms: PalmDetector | None = None,
    write: Write,
) -> int:
    """Look at all sources and write the results; the exit code is 2 if anything failed, else 0.

    `palms` finds the hands of photos without a box; without it the model's own joints do.

    Raises:
        OutputError: see `check_output`.
        PredictError: the model needs the side or the camera, and it is not given.
    """
    if request.side is None and not estimator.predicts_side:
        raise PredictError(
            f"{model}: this model does not predict the side: give --side left or --side right"
        )
    if request.intrinsics is None and estimator.record.pose_net.get("ray_input", False):
        raise PredictError(
            f"{model}: this model needs the camera (pose_net.ray_input): give --intrinsics "
            "fx,fy,cx,cy"
        )
    check_output(request, sources, mano)
    request.out.mkdir(parents=True, exist_ok=True)
    facts = {
        "folder": str(model),
        "sha256": json.loads((model / "model.json").read_text("utf-8"))["weights_sha256"],
        "hand_model": "stand-in" if mano is None else str(mano),
    }
    run = Run(estimator, request, write, facts, palms)
    run.failed += sources.failed
    run.save(complete=False)  # what another run left is no longer true
    complete = False
    with _ended_by_signals() as let_end:
        try:
            run.photos(sources.photos)
            for file in sources.videos:
                run.video(file)
            for number in sources.cameras:
                run.camera(number)
            complete = True
        finally:  # stopped by a signal or a fault, it leaves what it has found
            let_end()
            written = run.save(complete=complete)
            if not complete:
                with contextlib.suppress(OSError):  # of a terminal that is closed
                    write(f"stopped: {written} holds what was found so far")
    hands = [*run.images, *(frame for video in run.videos for frame in video["frames"])]
    found = sum(hand["found"] for hand in hands)
    write(
        f"{counted(found, 'hand')} in {counted(run.looked_at, 'image')}, "
        f"{run.looked_at / max(run.seconds, 1e-9):.3g} images/s; wrote {written}"
    )
    for failure in run.failed:
        write(f"failed: {failure.file}: {failure.why.removeprefix(f'{failure.file}: ')}")
    return 2 if run.failed else 0


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[Callable[[], None]]:
    """SIGTERM and SIGHUP raise SystemExit, 128 + the number: as Ctrl-C, they leave what was found.

    Once: batch systems signal every process of a job. After a call of what this yields they do
    nothing more, so that the last save is whole. Where they are ignored (nohup) they stay so.
    """
    mine: list[signal.Signals] = []

    def ignore() -> None:
        for number in mine:
            signal.signal(number, signal.SIG_IGN)

    def stop(number: int, _frame: object) -> None:
        ignore()
        with contextlib.suppress(OSError):  # whoever should read it may be gone
            print(f"handpose: stopped by {explain(number)}", file=sys.stderr, flush=True)
        raise SystemExit(128 + number)

    if threading.current_thread() is threading.main_thread():
        mine += [one for one in STOPS if signal.getsignal(one) is signal.SIG_DFL]
    for number in mine:
        signal.signal(number, stop)
    try:
        yield ignore
    finally:
        for number in mine:
            signal.signal(number, signal.SIG_DFL)
