"""`handpose predict`, from the command line to its files."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from handpose.detection.palm_detector import PalmDetector, letterbox
from handpose.estimator import HandEstimator
from handpose.estimator_input import read_photo
from handpose.hand.mano import Mano
from handpose.hand.rotation import axis_angle_to_matrix
from handpose.training.model_io import read_record
from pipeline.__main__ import main
from pipeline.predict import clip as clips
from pipeline.predict import predict as command
from pipeline.predict.clip import Clip, write_clip
from pipeline.predict.hand_box import BoxedHand
from pipeline.predict.overlay import overlay
from pipeline.predict.predict import Run
from pipeline.predict.predictions import SCHEMA, hand_record
from tests.detection.made_up_palms import proposals
from tests.pipeline.export.small_model import write_small_model
from tests.pipeline.predict.conftest import Image, a_hand

BOX = (30, 20, 40, 50)
MANY = 500
"""Photos that take seconds."""


def save(path: Path, image: Image) -> Path:
    path.write_bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())
    return path


class Command:
    """`handpose predict` in a folder of its own."""

    def __init__(self, folder: Path, model: Path, stand_in: Path) -> None:
        self.folder, self.out = folder, folder / "out"
        self.usual = ["--model", str(model), "--mano", str(stand_in), "--out", str(self.out)]

    def __call__(self, *words: str) -> int:
        return main(["predict", *words, *self.usual])

    def written(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.out / "predictions.json").read_text("utf-8"))
        return record


@pytest.fixture
def predict(tmp_path: Path, model: Path, stand_in: Path) -> Command:
    return Command(tmp_path, model, stand_in)


def test_the_json_says_how_sure_a_model_with_a_confidence_head_is() -> None:
    hand = a_hand(
        np.zeros((21, 2)),
        joints_px_radius90=np.arange(21.0),
        joints_radius90=np.arange(21) / 1000,
        is_hand_probability=0.75,
    )
    record = hand_record(BoxedHand(hand, BOX, "given"), (160, 120))
    assert record["joints_px_radius90"] == list(range(21))
    assert record["joints_m_radius90"][:3] == [0, 0.001, 0.002]
    assert record["is_hand_probability"] == 0.75
    assert json.loads(json.dumps(record)) == record


def test_the_json_holds_what_the_estimator_says(
    predict: Command, photo: Image, estimator: HandEstimator, model: Path
) -> None:
    path = save(predict.folder / "a.png", photo)
    assert predict(str(path), "--bbox", "30,20,40,50", "--obj") == 0
    hand = estimator(photo, BOX)
    record = predict.written()
    assert record["schema"] == SCHEMA and record["failed"] == []
    assert record["model"]["sha256"] == read_record(model).weights_sha256
    assert record["model"]["folder"] == str(model)
    (found,) = record["images"]
    assert found["file"] == str(path) and found["size_px"] == [160, 120]
    assert (found["box_px"], found["box_from"], found["found"]) == ([*BOX], "given", True)
    assert (found["side"], found["facing"]) == (hand.side, hand.facing)
    assert found["side_probability"] == pytest.approx(hand.side_probability, abs=1e-5)
    assert found["side_certain"] is hand.side_is_certain
    np.testing.assert_allclose(found["joints_px"], hand.joints_px, atol=1e-3)
    np.testing.assert_allclose(found["joints_m"], hand.joints, atol=1e-6)
    for key in ("is_hand_probability", "joints_px_radius90", "joints_m_radius90"):
        assert found[key] is None, "this model has no confidence head"
    assert (found["frame"], found["scale"]) == ("camera turned onto the box", "relative")
    assert [name for name, _ in found["gestures"]] == [name for name, _ in hand.gestures]
    mano = {k: np.array(v) for k, v in found["mano"].items() if isinstance(v, list)}
    for name, own in (("global_orient", hand.global_orient), ("hand_pose", hand.hand_pose)):
        turned = axis_angle_to_matrix(torch.from_numpy(mano[name])).numpy()
        np.testing.assert_allclose(turned, own, atol=1e-5)
    np.testing.assert_allclose(mano["betas"], hand.betas, atol=1e-6)
    assert found["mano"]["frame"] == "right hand"
    lines = (predict.out / found["mesh"]).read_text("utf-8").splitlines()
    vertices = [[float(x) for x in line.split()[1:]] for line in lines if line.startswith("v ")]
    np.testing.assert_allclose(vertices, hand.vertices, atol=1e-5)
    faces = [[int(k) - 1 for k in line.split()[1:]] for line in lines if line.startswith("f ")]
    np.testing.assert_array_equal(faces, hand.faces)
    assert not list(predict.out.glob(".*"))


def two_palms(_: Path) -> PalmDetector:
    """Sees two palms in any photo of 160 x 120 px but a black one."""
    A = letterbox(160, 120)
    corners = np.array([[30, 60, 50, 80], [100, 60, 125, 85]]).reshape(-1, 2)
    both = proposals((corners @ A[:2, :2] + A[:2, 2]).reshape(-1, 4), [2.0, 3.0])
    return PalmDetector(lambda picture: both if picture.any() else proposals([], []))


def test_with_a_palm_detector_every_hand_of_a_photo_is_found(
    predict: Command, photo: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PalmDetector, "load", two_palms)
    first = save(predict.folder / "a.png", photo)
    second = save(predict.folder / "b.png", np.zeros_like(photo))
    (predict.folder / "boxes.csv").write_text("file,x,y,w,h\n")
    assert predict(str(first), str(second), "--palms", "palm.data", "--obj") == 0
    found = predict.written()["images"]
    assert [(Path(one["file"]).name, one["hand"], one["found"]) for one in found] == [
        *(("a.png", 0, True), ("a.png", 1, True), ("b.png", 0, False))
    ]
    assert [one["box_from"] for one in found] == ["palm"] * 3
    assert [one.get("mesh") for one in found] == ["a_hand.obj", "a_hand-2.obj", None]
    assert "sees no palm" in found[2]["why"]
    assert predict(str(first), "--palms", "palm.data", "--bbox", "30,20,40,50") == 0
    assert [one["box_from"] for one in predict.written()["images"]] == ["given"]


def test_a_file_that_is_no_palm_detector_is_refused(
    predict: Command, photo: Image, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(predict.folder / "a.png", photo)
    assert predict(str(path), "--palms", str(path)) == 2
    printed = capsys.readouterr().err
    assert f"--palms {path}: holds no .tflite network" in printed and "docs/photos.md" in printed
    assert not predict.out.exists()


@pytest.mark.parametrize("often", [False, True], ids=["Ctrl-C", "kill -9"])
def test_a_run_that_is_stopped_leaves_what_it_has_found(
    often: bool, predict: Command, photo: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For `kill -9`, what is there before the last save; that of Ctrl-C is then not made."""
    for name in "abc":
        save(predict.folder / f"{name}.png", photo)
    batch, save_all, calls = HandEstimator.batch, Run.save, iter(range(3))

    def stopped(self: HandEstimator, *words: Any, **more: Any) -> Any:
        if next(calls) == 2:
            if often:
                monkeypatch.setattr(Run, "save", lambda *_, **__: predict.out)
            raise KeyboardInterrupt
        return batch(self, *words, **more)

    monkeypatch.setattr(HandEstimator, "batch", stopped)
    monkeypatch.setattr(command, "SAVE_EVERY_S", 0 if often else 1000)
    monkeypatch.setattr(command, "PAUSES", 0)
    words = [str(predict.folder), "--batch", "1", "--bbox", "30,20,40,50"]
    with contextlib.suppress(KeyboardInterrupt):
        assert predict(*words) == 130
    record = predict.written()
    assert not record["complete"]
    assert [Path(image["file"]).name for image in record["images"]] == ["a.png", "b.png"]
    monkeypatch.undo()
    assert Run.save is save_all and predict(*words) == 0
    assert predict.written()["complete"] and len(predict.written()["images"]) == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_what_was_found_and_the_last_save_is_whole(
    number: signal.Signals, predict: Command, photo: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second signal, which arrives while that is saved, changes nothing."""
    for name in "ab":
        save(predict.folder / f"{name}.png", photo)
    batch, save_all, calls = HandEstimator.batch, Run.save, iter(range(9))

    def stopped(self: HandEstimator, *words: Any, **more: Any) -> Any:
        if next(calls) == 1:
            signal.raise_signal(number)
        return batch(self, *words, **more)

    def saved(self: Run, *, complete: bool) -> Path:
        if self.images:
            signal.raise_signal(number)
        return save_all(self, complete=complete)

    monkeypatch.setattr(HandEstimator, "batch", stopped)
    monkeypatch.setattr(Run, "save", saved)
    before = signal.signal(number, signal.SIG_DFL)
    try:
        code = predict(str(predict.folder), "--batch", "1", "--bbox", "30,20,40,50")
        assert code == 128 + number
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)
    record = predict.written()
    assert not record["complete"]
    assert [Path(image["file"]).name for image in record["images"]] == ["a.png"]


def test_a_process_that_is_terminated_leaves_what_it_has_found(
    predict: Command, photo: Image
) -> None:
    first = save(predict.folder / "000.png", photo)
    for k in range(1, MANY):
        (predict.folder / f"{k:03}.png").hardlink_to(first)
    words = [str(predict.folder), "--batch", "1", "--bbox", "30,20,40,50", *predict.usual]
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "predict", *words],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 300
    while not (predict.out / "002_hand.png").is_file():  # the first two are then in the record
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGTERM
    assert "handpose: stopped by SIGTERM: `kill`, a batch system's time limit" in errors
    assert "Traceback" not in errors
    path = predict.out / "predictions.json"
    assert f"stopped: {path} holds what was found so far" in printed
    record = predict.written()
    assert not record["complete"] and 0 < len(record["images"]) < MANY
    assert all((predict.out / image["overlay"]).is_file() for image in record["images"])
    assert not list(predict.out.glob(".*")), "nothing half-written"


def test_what_an_earlier_run_left_is_not_taken_for_that_of_a_stopped_one(
    predict: Command, photo: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [str(save(predict.folder / "a.png", photo)), "--bbox", "30,20,40,50"]
    assert predict(*words) == 0 and predict.written()["complete"]

    def killed(*_: Any, **__: Any) -> Any:
        monkeypatch.setattr(Run, "save", lambda *_, **__: predict.out)
        raise KeyboardInterrupt

    monkeypatch.setattr(HandEstimator, "batch", killed)
    with contextlib.suppress(KeyboardInterrupt):
        predict(*words)
    assert not predict.written()["complete"] and predict.written()["images"] == []


def test_side_and_intrinsics_are_taken(predict: Command, photo: Image) -> None:
    path = str(save(predict.folder / "a.png", photo))
    words = ["--bbox", "30,20,40,50", "--side", "left", "--intrinsics", "200,200,79.5,59.5"]
    assert predict(path, *words) == 0
    (found,) = predict.written()["images"]
    assert (found["side"], found["side_probability"]) == ("left", 1)
    assert found["frame"] == "camera"
    assert predict.written()["intrinsics_px"] == [200, 200, 79.5, 59.5]


def test_a_photo_pasted_elsewhere_moves_the_joints(predict: Command, photo: Image) -> None:
    moved = np.zeros((200, 260, 3), np.uint8)
    moved[50:170, 70:230] = photo
    save(predict.folder / "a.png", photo)
    save(predict.folder / "b.png", moved)
    boxes = predict.folder / "boxes.csv"
    boxes.write_text("file,x,y,w,h\na.png,30,20,40,50\nb.png,100,70,40,50\n", "utf-8")
    assert predict(str(predict.folder / "?.png"), "--boxes", str(boxes)) == 0
    one, other = predict.written()["images"]
    assert one["box_from"] == "file"
    np.testing.assert_allclose(
        np.array(other["joints_px"]), np.array(one["joints_px"]) + np.array([70, 50]), atol=1e-2
    )


def test_batches_are_one_by_one(predict: Command, photo: Image) -> None:
    for k in range(5):
        save(predict.folder / f"{k}.png", photo[: 120 - 5 * k])
    found = []
    for batch in ("1", "3", "16"):
        assert predict(str(predict.folder), "--batch", batch, "--bbox", "30,20,40,50") == 0
        found.append(predict.written()["images"])
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            assert one["file"] == same["file"]
            np.testing.assert_allclose(one["joints_px"], same["joints_px"], atol=1e-3)
            np.testing.assert_allclose(one["joints_m"], same["joints_m"], atol=1e-5)


def encoded(image: Pillow.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def test_every_kind_of_photo_is_taken_upright_and_in_its_colours(
    predict: Command, photo: Image
) -> None:
    """CMYK, 16 bits, grey, alpha, and a camera that was held sideways."""
    folder = predict.folder
    plain = Pillow.fromarray(np.full((120, 160, 3), (200, 80, 30), np.uint8))
    sideways = Pillow.Exif()
    sideways[274] = 6
    (folder / "cmyk.jpg").write_bytes(encoded(plain.convert("CMYK"), "JPEG", quality=95))
    (folder / "alpha.png").write_bytes(encoded(plain.convert("RGBA"), "PNG"))
    (folder / "grey.png").write_bytes(encoded(plain.convert("L"), "PNG"))
    deep = np.full((120, 160, 3), (30 * 257, 80 * 257, 200 * 257), np.uint16)
    (folder / "deep.png").write_bytes(cv2.imencode(".png", deep)[1].tobytes())
    (folder / "exif.jpg").write_bytes(encoded(plain, "JPEG", quality=95, exif=sideways))
    assert predict(str(folder), "--bbox", "30,20,40,50") == 0
    sizes = {Path(i["file"]).name: i["size_px"] for i in predict.written()["images"]}
    assert sizes.pop("exif.jpg") == [120, 160]
    assert set(map(tuple, sizes.values())) == {(160, 120)} and len(sizes) == 4
    for name in (*sizes, "exif.jpg"):
        drawn = read_photo(predict.out / f"{Path(name).stem}_hand.png")
        assert list(drawn.shape[1::-1]) == ([120, 160] if name == "exif.jpg" else [160, 120])
        expected = (108, 108, 108) if name == "grey.png" else (200, 80, 30)
        np.testing.assert_allclose(drawn[-3, -3], expected, atol=4, err_msg=name)


def test_fifty_megapixels(predict: Command) -> None:
    (predict.folder / "large.jpg").write_bytes(
        cv2.imencode(".jpg", np.full((6200, 8100, 3), 90, np.uint8))[1].tobytes()
    )
    assert predict(str(predict.folder / "large.jpg"), "--bbox", "100,100,4000,5000") == 0
    (found,) = predict.written()["images"]
    assert found["size_px"] == [8100, 6200] and found["found"]


def test_bad_files_are_listed_and_do_not_stop_the_rest(
    predict: Command, photo: Image, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = predict.folder
    save(folder / "good.png", photo)
    save(folder / "small.png", photo[:30, :40])
    (folder / "text.jpg").write_text("a login page")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "boxes.csv").write_text("file,x,y,w,h\nsmall.png,300,0,40,50\n", "utf-8")
    words = [str(folder), str(folder / "gone.jpg"), "--bbox", "3,2,20,20"]
    assert predict(*words, "--boxes", str(folder / "boxes.csv")) == 2
    record = predict.written()
    assert [Path(image["file"]).name for image in record["images"]] == ["good.png"]
    why = {Path(failure["file"]).name: failure["why"] for failure in record["failed"]}
    assert "is not a picture" in why["text.jpg"]
    assert "has 0 bytes" in why["empty.jpg"]
    assert "outside the photo of 40 x 30 px" in why["small.png"]
    assert "no such file" in why["gone.jpg"]
    said = capsys.readouterr().out
    assert "1 hand in 1 image" in said and "images/s" in said
    for name in why:
        assert f"{name}: " in said
    assert said.count("failed: ") == 4


@pytest.mark.parametrize("how", ["--bbox", "--boxes"])
@pytest.mark.parametrize(
    "box", ["0,0,1e9,1e9", "0,0,1e15,1e15", "-1e308,1,1.7e308,10", "1,1,1e-9,1e-9"]
)
def test_a_box_of_no_hand_fails_its_photo_and_no_other(
    how: str, box: str, predict: Command, photo: Image
) -> None:
    bad = save(predict.folder / "bad.png", photo)
    good = save(predict.folder / "good.png", photo)
    table = predict.folder / "boxes.csv"
    rows = f"bad.png,{box}\n" * (how == "--boxes") + "good.png,30,20,40,50\n"
    table.write_text(f"file,x,y,w,h\n{rows}", "utf-8")
    words = [f"--bbox={box}"] * (how == "--bbox")
    assert predict(str(bad), str(good), "--boxes", str(table), *words) == 2
    record = predict.written()
    assert [image["file"] for image in record["images"]] == [str(good)]
    (failure,) = record["failed"]
    assert failure["file"] == str(bad) and "from 1 px to 100 times" in failure["why"]


def test_a_box_far_larger_than_the_photo_is_drawn(predict: Command, photo: Image) -> None:
    path = save(predict.folder / "a.png", photo)
    assert predict(str(path), "--bbox=-7000,-7000,16000,16000") == 0
    assert read_photo(predict.out / "a_hand.png").shape == photo.shape


@pytest.mark.parametrize("letter", ["n", "\u00fc"])
def test_a_long_name_is_shortened_and_stays_its_own(
    letter: str, predict: Command, photo: Image
) -> None:
    stem = letter * (248 // len(letter.encode()))
    for end in "ab":
        save(predict.folder / f"{stem}{end}.png", photo)
    assert predict(str(predict.folder), "--bbox", "30,20,40,50", "--obj") == 0
    found = predict.written()["images"]
    overlays = {image["overlay"] for image in found}
    assert len(overlays) == 2 and all(name.startswith(letter * 100) for name in overlays)
    for image in found:
        assert (predict.out / image["overlay"]).is_file()
        assert (predict.out / image["mesh"]).is_file()


def test_no_overlay_is_listed_that_is_not_there(
    predict: Command, photo: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "write_picture", full)
    path = save(predict.folder / "a.png", photo)
    with contextlib.suppress(KeyboardInterrupt):
        predict(str(path), "--bbox", "30,20,40,50")
    assert predict.written()["images"] == []


def test_the_first_of_several_pictures_is_taken_and_that_is_said(
    predict: Command, photo: Image, capsys: pytest.CaptureFixture[str]
) -> None:
    save(predict.folder / "one.png", photo)
    first = Pillow.fromarray(photo)
    path = predict.folder / "several.tif"
    first.save(path, save_all=True, append_images=[first.rotate(180)])
    assert predict(str(predict.folder), "--bbox", "30,20,40,50") == 0
    one, other = predict.written()["images"]
    assert one["joints_px"] == other["joints_px"]
    said = capsys.readouterr().out
    assert f"{path}: holds 2 pictures, of which the first is taken" in said
    assert said.count("pictures") == 1


def test_photos_of_one_name_do_not_replace_each_other(predict: Command, photo: Image) -> None:
    for name in ("a", "b"):
        (predict.folder / name).mkdir()
        save(predict.folder / name / "1.png", photo)
    assert predict(str(predict.folder / "*" / "1.png"), "--bbox", "30,20,40,50") == 0
    assert [i["overlay"] for i in predict.written()["images"]] == ["1_hand.png", "1-2_hand.png"]


def test_the_commands_of_the_docs(
    predict: Command, photo: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With photos under the names that docs/photos.md gives them, and an untrained model."""
    monkeypatch.chdir(predict.folder)
    monkeypatch.setattr(PalmDetector, "load", two_palms)
    Path("photos").mkdir()
    save(Path("photos/1.png"), photo)
    shutil.copy("photos/1.png", "photo.jpg")  # what a file is does not depend on its name
    Path("boxes.csv").write_text("file,x,y,w,h\n1.png,30,20,40,50\n", "utf-8")
    write_clip(Path("clip.mp4"), iter([photo] * 2), 20.0)
    page = (Path(__file__).parents[3] / "docs" / "photos.md").read_text("utf-8")
    lines = [line for line in page.splitlines() if line.startswith("handpose predict ")]
    assert len(lines) == 5
    for line in lines:
        words = [word.replace("120,80,200,240", "30,20,40,50") for word in shlex.split(line)[1:]]
        assert main([*words, *predict.usual[:4]]) == 0, line
    assert Path("work/hands/1_hand.png").is_file()
    (code,) = (c for c in re.findall(r"```python\n(.*?)```", page, re.S) if "PalmDetector" in c)
    found: dict[str, Any] = {}
    exec(code, found)
    assert len(found["hands"]) == 2
    assert Path("results/predict/predictions.json").is_file()


def test_no_hand_is_said_in_json_and_picture(
    predict: Command, photo: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = a_hand(np.full((21, 2), 60.0))
    monkeypatch.setattr(HandEstimator, "batch", lambda _, photos, *__, **___: [gone] * len(photos))
    assert predict(str(save(predict.folder / "a.png", photo)), "--obj") == 0
    (found,) = predict.written()["images"]
    assert found["found"] is False and "collapsed" in found["why"]
    assert "joints_px" not in found and "mesh" not in found
    assert read_photo(predict.out / found["overlay"]).shape == photo.shape


def test_a_video_is_a_track(
    predict: Command, photo: Image, estimator: HandEstimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = predict.folder / "v.mp4"
    write_clip(path, iter([photo] * 4), 20.0)
    drawn: list[Image] = []

    def kept(image: Image, found: Any) -> Image:
        drawn.append(overlay(image, found))
        return drawn[-1]

    monkeypatch.setattr(command, "overlay", kept)
    assert predict(str(path), "--bbox", "30,20,40,50", "--smooth", "--obj") == 0
    (video,) = predict.written()["videos"]
    assert (video["frames_read"], video["frames_announced"], video["smooth"]) == (4, 4, True)
    assert video["betas"] == "mean of the track" and video["frames_per_s"] == 20
    frames = video["frames"]
    assert [frame["box_from"] for frame in frames] == ["given", *["previous frame"] * 3]
    assert len({tuple(frame["mano"]["betas"]) for frame in frames}) == 1
    assert len(list(predict.out.glob("v_hand_*.obj"))) == 4
    copied = cv2.VideoCapture(str(predict.out / video["overlay"]))
    assert copied.get(cv2.CAP_PROP_FRAME_COUNT) == 4
    assert [image.shape for image in drawn] == [photo.shape] * 4


@pytest.mark.parametrize(("missing", "code"), [(1, 0), (3, 2)])
def test_a_video_that_ends_early_is_looked_at_and_said(
    predict: Command,
    photo: Image,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    missing: int,
    code: int,
) -> None:
    path = predict.folder / "v.mp4"
    write_clip(path, iter([photo] * 2), 20.0)
    of_file = Clip.of_file

    def shorter(file: Path) -> Clip:
        clip = of_file(file)
        return Clip(clip.name, clip.rate, clip.announced + missing, clip.frames)

    monkeypatch.setattr(Clip, "of_file", shorter)
    assert predict(str(path), "--bbox", "30,20,40,50") == code
    assert f"v.mp4: 2 of {2 + missing} frames could be read" in capsys.readouterr().out
    record = predict.written()
    assert len(record["videos"][0]["frames"]) == 2 and len(record["failed"]) == code // 2


def test_no_encoder_keeps_the_json(
    predict: Command, photo: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = predict.folder / "v.mp4"
    write_clip(path, iter([photo] * 2), 20.0)
    monkeypatch.setattr(cv2.VideoWriter, "fourcc", lambda *_: -2)
    assert predict(str(path), "--bbox", "30,20,40,50") == 2
    (video,) = predict.written()["videos"]
    assert video["overlay"] is None and len(video["frames"]) == 2
    assert "no encoder for mp4v" in predict.written()["failed"][0]["why"]


def test_no_camera_and_no_video_are_listed(
    predict: Command, photo: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    (predict.folder / "v.mp4").write_text("a login page")
    save(predict.folder / "a.png", photo)
    capture = clips._capture
    monkeypatch.setattr(clips, "_capture", lambda s: capture("" if s == 0 else str(s)))
    assert predict(str(predict.folder), "camera:0", "--bbox", "30,20,40,50") == 2
    record = predict.written()
    assert len(record["images"]) == 1
    video, camera = record["failed"]
    assert "is text (12 bytes)" in video["why"]
    assert camera["file"] == "camera:0" and "no camera 0" in camera["why"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gone.jpg"], "gone.jpg: no such file or folder"),
        (["a.png", "--bbox", "1,2,3"], "--bbox 1,2,3: expected four numbers, x,y,w,h"),
        (["a.png", "--intrinsics", "0,1,2,3"], "fx and fy must be above 0"),
        (["a.png", "--bbox", ""], "expected four numbers, x,y,w,h"),
        (["a.png", "--intrinsics", ""], "expected four numbers, fx,fy,cx,cy"),
        (
            ["a.png", "--boxes", "other.csv"],
            "other.csv: 1 of 1 rows is for no photo that is looked at: nosuch.png (line 2); and",
        ),
        (["phone"], "phone: left out: 1 .heic (1.heic), which cannot be read"),
        (["a.png", "--boxes", "gone.csv"], "gone.csv: cannot be read"),
        (["a.png", "--out", "."], "input photos are in this folder"),
        (["a.png", "--model", "."], "model.json: not found"),
        (["a.png", "--mano", "."], "MANO_RIGHT.npz"),
    ],
)
def test_what_a_user_can_fix_stops_it_at_once(
    predict: Command,
    photo: Image,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(predict.folder)
    save(Path("a.png"), photo)
    Path("other.csv").write_text("file,x,y,w,h\nnosuch.png,1,2,3,4\n", "utf-8")
    Path("phone").mkdir()
    Path("phone/1.heic").write_bytes(b"x")
    usual = [w for k, w in enumerate(predict.usual) if predict.usual[k - k % 2] not in words]
    assert main(["predict", *usual, *words]) == 2
    assert message in capsys.readouterr().err
    assert not (predict.out / "predictions.json").exists()


def changed_model(model: Path, folder: Path, **changes: Any) -> Path:
    shutil.copytree(model, folder)
    record = json.loads((folder / "model.json").read_text("utf-8"))
    (folder / "model.json").write_text(json.dumps(record | changes), "utf-8")
    return folder


def test_models_that_do_not_serve_are_refused(
    predict: Command, model: Path, photo: Image, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(save(predict.folder / "a.png", photo))
    stage_1 = changed_model(model, predict.folder / "stage_1", stage="pretrain")
    predict.usual[1] = str(stage_1)
    assert predict(path) == 2
    assert "holds a model of stage pretrain, expected pose" in capsys.readouterr().err
    one_hand = changed_model(model, predict.folder / "canonical", handedness="canonical")
    predict.usual[1] = str(one_hand)
    assert predict(path) == 2
    assert "give --side left or --side right" in capsys.readouterr().err
    assert predict(path, "--side", "left", "--bbox", "30,20,40,50") == 0


def test_a_model_that_needs_the_camera_is_refused_without_it(
    predict: Command, mano: Mano, photo: Image, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(save(predict.folder / "a.png", photo))
    write_small_model(predict.folder / "rays", mano, view_heads=True, ray_input=True, head=False)
    predict.usual[1] = str(predict.folder / "rays")
    assert predict(path) == 2
    assert "give --intrinsics fx,fy,cx,cy" in capsys.readouterr().err
    assert not predict.out.exists(), "what another run left is kept"
    assert predict(path, "--intrinsics", "500,500,100,100") == 0


def test_without_released_weights_the_clones_own_model_is_taken_or_the_remedy_said(
    predict: Command,
    model: Path,
    photo: Image,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(predict.folder)
    save(Path("a.png"), photo)
    for place in ("handpose.estimator", "pipeline.predict.request"):
        monkeypatch.setattr(f"{place}.released_folder", lambda: predict.folder / "released")
    words = ["predict", "a.png", "--bbox", "30,20,40,50"]
    assert main(words) == 2
    assert "this version comes without released weights" in capsys.readouterr().err
    shutil.copytree(model, "models/pose/pretrained")
    assert main(words) == 0
    assert "taking models/pose/pretrained" in capsys.readouterr().out
    shutil.copytree(model, "released")
    assert main(words) == 0
    assert "taking" not in capsys.readouterr().out
    record = json.loads(Path("results/predict/predictions.json").read_text("utf-8"))
    assert record["model"]["hand_model"] == "stand-in"
