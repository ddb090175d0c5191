"""What `data verify` says will be taken and rejected is what ingest takes and rejects."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from handpose.errors import HandPoseError
from handpose.exclusions import COLUMNS
from handpose.hand.mano import Mano
from pipeline.data import verify
from stages import ingest
from stages.hand_model import load_hand_model
from stages.params import Params, load_params
from stages.paths import REJECTS, SAMPLES
from tests.stages.small_dataset import CAMERAS, HEIGHT, ROOT, WIDTH, Dataset, set_params

NAN = float("nan")
SUMMARY = re.compile(
    r"(?P<split>\w+) +ingest will use (?P<used>[\d,]+) (annotation|hand)s? and reject "
    r"(?P<lost>[\d,]+)"
    r"(: (?P<reasons>[\d,]+ \w+(, [\d,]+ \w+)*))?"
)


class World(NamedTuple):
    """What every test needs and none changes."""

    params: Params
    mano: Mano


@pytest.fixture(scope="module")
def world(stand_in: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Read once: params.yaml alone takes as long as the small data set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("params"))
        set_params(stand_in)
        params = load_params()
    return World(params, load_hand_model(params.hand, params.data))


@pytest.fixture
def use(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets keys of section ingest for both; they share one hand model."""

    def keys(**changes: Any) -> None:
        section = world.params.ingest.model_copy(update=changes)
        params = world.params.model_copy(update={"ingest": section})
        monkeypatch.setattr(ingest, "load_params", lambda: params)

    for module in (ingest, verify):
        monkeypatch.setattr(module, "load_hand_model", lambda *_: world.mano)
    keys()
    return keys


@pytest.fixture
def dataset(tmp_path: Path, use: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A small data set of the split train, with boxes around its hands."""
    made = boxed()
    del made.splits["val"], made.splits["test"]
    monkeypatch.chdir(tmp_path)
    Path("labels").symlink_to(ROOT / "labels")
    return made


def boxed() -> Dataset:
    found = Dataset()
    for files in found.splits.values():
        for hand in files["data"]["annotations"]:
            hand["bbox"] = box(files, hand)
    return found


def box(files: dict[str, Any], hand: dict[str, Any]) -> list[float]:
    """Around the joints, as annotated in the photo: it follows no fault of the calibration."""
    image = files["data"]["images"][hand["image_id"]]
    frame = files["joint_3d"][str(image["capture"])][str(image["frame_idx"])]
    world = np.array(frame["world_coord"]) + np.array([0, 0, 600])
    pixels = 250 * world[:, :2] / world[:, 2:] + [50, 40]
    own = {"right": slice(0, 21), "left": slice(21, 42), "interacting": slice(0, 42)}
    pixels = pixels[own[hand["hand_type"]]]
    return [*pixels.min(0).tolist(), *np.ptp(pixels, axis=0).tolist()]


def images(dataset: Dataset, **change: Callable[[Any], Any]) -> None:
    for files in dataset.splits.values():
        for image in files["data"]["images"]:
            image |= {key: into(image[key]) for key, into in change.items()}


def hands(dataset: Dataset, **change: Callable[[Any], Any]) -> None:
    for files in dataset.splits.values():
        for hand in files["data"]["annotations"]:
            hand |= {key: into(hand[key]) for key, into in change.items()}


def all_text(dataset: Dataset) -> None:
    numbers = ("id", "width", "height", "capture", "subject", "frame_idx")
    images(dataset, **dict.fromkeys(numbers, str))
    hands(dataset, id=str, image_id=str)


def ids_as_text(dataset: Dataset) -> None:
    images(dataset, id=str)
    hands(dataset, image_id=str)


def all_numbers(dataset: Dataset) -> None:
    images(dataset, camera=int)


def first(dataset: Dataset, kind: str, count: int, **values: Any) -> None:
    for record in dataset.train["data"][kind][:count]:
        record |= values


def every_fit(dataset: Dataset, **fits: Any) -> None:
    for frames in dataset.train["MANO_NeuralAnnot"].values():
        for frame in frames.values():
            frame |= fits


def depth(dataset: Dataset, joints: range, z: float) -> None:
    for joint in joints:
        dataset.train["joint_3d"]["0"]["5"]["world_coord"][joint][2] = z


def move_camera(dataset: Dataset, captures: tuple[str, ...], cameras: tuple[str, ...]) -> None:
    for capture in captures:
        for camera in cameras:
            dataset.train["camera"][capture]["princpt"][camera] = [500.0, 40.0]


def drop_photos(dataset: Dataset, camera: str) -> None:
    for image in dataset.train["data"]["images"]:
        if image["camera"] == camera:
            (Path("dataset/images/train") / image["file_name"]).unlink()


def turn_photos(dataset: Dataset, cameras: tuple[str, ...]) -> None:
    for image in dataset.train["data"]["images"]:
        if image["camera"] in cameras and image["capture"] == 1:
            turned = np.full((WIDTH, HEIGHT, 3), 90, np.uint8)
            cv2.imwrite(str(Path("dataset/images/train") / image["file_name"]), turned)


ALTERED: dict[str, Callable[[Dataset], Any]] = {
    "nothing": lambda d: None,
    "every number as text": all_text,
    "cameras as numbers": all_numbers,
    "captures as text": lambda d: images(d, capture=str),
    "captures as padded text": lambda d: images(d, capture="{:04d}".format),
    "frames as text": lambda d: images(d, frame_idx=str),
    "frames as floats": lambda d: images(d, frame_idx=float),
    "sizes as text": lambda d: images(d, width=str, height=str),
    "ids as text": ids_as_text,
    "ids as floats": lambda d: images(d, id=float),
    "annotation ids as text": lambda d: hands(d, id=str),
    "hands' flags as true": lambda d: hands(d, hand_type_valid=bool),
    "hands' flags as text": lambda d: hands(d, hand_type_valid=str),
    "sequences as numbers": lambda d: images(d, seq_name=lambda name: 16),
    "no annotation": lambda d: d.train["data"].update(annotations=[]),
    "no image": lambda d: d.train["data"].update(images=[]),
    "dangling": lambda d: first(d, "annotations", 3, image_id=999),
    "nobody sure": lambda d: first(d, "annotations", 2, hand_type_valid=0),
    "against the folder": lambda d: first(d, "annotations", 4, hand_type="left"),
    "no width": lambda d: first(d, "images", 2, width=None),
    "no wrist": lambda d: first(d, "annotations", 2, joint_valid=[[1]] * 20 + [[0]] * 22),
    "few joints": lambda d: first(d, "annotations", 2, joint_valid=[[1]] * 5 + [[0]] * 37),
    "one id": lambda d: first(d, "annotations", 3, id=1),
    "other camera": lambda d: first(d, "images", 2, camera="400099"),
    "other frame": lambda d: first(d, "images", 2, frame_idx=777),
    "null fits": lambda d: every_fit(d, right=None, left=None),
    "fits of the other hand": lambda d: every_fit(d, right=None),
    "short fits": lambda d: every_fit(d, right={"pose": [], "shape": [], "trans": []}),
    "NaN fits": lambda d: every_fit(
        d, right={"pose": [NAN] * 48, "shape": [0.0] * 10, "trans": [0.0] * 3}
    ),
    "NaN in a joint": lambda d: depth(d, range(3, 4), NAN),
    "a joint behind": lambda d: depth(d, range(3, 4), -900.0),
    "all joints behind": lambda d: depth(d, range(42), -900.0),
    "no joints": lambda d: d.train["joint_3d"]["0"].pop("5"),
    "NaN in a camera": lambda d: d.train["camera"]["0"]["focal"].update({CAMERAS[0]: [NAN, 1]}),
    "a moved camera": lambda d: move_camera(d, ("1",), CAMERAS[:1]),
    "all cameras moved": lambda d: move_camera(d, ("0", "1", "2"), CAMERAS),
}
ON_DISK: dict[str, Callable[[Dataset], Any]] = {
    "a photo missing": lambda d: d.photo(0).unlink(),
    "a camera missing": lambda d: drop_photos(d, CAMERAS[1]),
    "an empty photo": lambda d: d.photo(1).write_bytes(b""),
    "turned photos": lambda d: turn_photos(d, CAMERAS[:1]),
    "turned photos of all": lambda d: turn_photos(d, CAMERAS),
}


def said() -> tuple[int, dict[str, tuple[int, Counter[str]]], str]:
    """Exit code, annotations used and rejected by source split, and all lines."""
    lines: list[str] = []
    params = vars(ingest)["load_params"]()  # as `use` has set it
    code = verify.check(params, each=None, write_line=lines.append)
    found = {}
    for line in lines:
        if summary := SUMMARY.search(line):
            pairs = [pair.split(" ") for pair in (summary["reasons"] or "").split(", ") if pair]
            lost = Counter({reason: int(n.replace(",", "")) for n, reason in pairs})
            assert lost.total() == int(summary["lost"].replace(",", ""))
            found[summary["split"]] = int(summary["used"].replace(",", "")), lost
    return code, found, "\n".join(lines)


def taken(splits: Iterable[str]) -> tuple[str, dict[str, tuple[int, Counter[str]]]]:
    """Why ingest refuses, '' if it does not, and what it takes and rejects by source split.

    It counts nothing if held-out people are not there.
    """
    refusal = ""
    for table in (SAMPLES, REJECTS):
        table.unlink(missing_ok=True)
    try:
        ingest.main()
    except HandPoseError as error:
        refusal = str(error)
    if refusal and not REJECTS.exists():
        return refusal, {}
    rejects = pq.read_table(REJECTS).to_pylist()
    used = Counter(
        row["source_split"] for row in (pq.read_table(SAMPLES).to_pylist() if not refusal else [])
    )
    lost = {split: Counter[str]() for split in splits}
    for row in rejects:
        lost[row["source_split"]][row["reason"]] += 1
    return refusal, {split: (used[split], lost[split]) for split in lost}


def check_same(dataset: Dataset) -> str:
    code, theirs, lines = said()
    refusal, ours = taken(dataset.splits)
    for split, (used, lost) in ours.items():
        assert theirs[split][1] == lost
        assert refusal or theirs[split][0] == used
        assert theirs[split][0] or code == 2, "nothing to use is never nothing to fix"
    assert code == 2 or not refusal, "what ingest refuses is found before"
    return lines


@pytest.mark.parametrize("alteration", ALTERED)
def test_verify_counts_what_ingest_takes(dataset: Dataset, alteration: str) -> None:
    ALTERED[alteration](dataset)
    dataset.write()
    check_same(dataset)


@pytest.mark.parametrize("alteration", ["nothing", "every number as text", "captures as text"])
def test_every_split_is_counted(dataset: Dataset, alteration: str) -> None:
    dataset.splits = boxed().splits
    ALTERED[alteration](dataset)
    dataset.write()
    assert check_same(dataset).count("ingest will use") == 3


@pytest.mark.parametrize("alteration", ON_DISK)
def test_verify_counts_the_photos_that_ingest_takes(dataset: Dataset, alteration: str) -> None:
    dataset.write()
    ON_DISK[alteration](dataset)
    check_same(dataset)


@pytest.mark.parametrize(
    "keys",
    [
        {"check_images": False},
        {"cameras_per_instant": 1},
        {"held_out_gestures": ["0103_fake_gun"]},
        {"min_valid_joints": 21},
        {"min_joints_in_boxes": 0},
        {"max_fit_error_mm": 15},
        {"validation_subjects": [4, 3]},
    ],
)
def test_verify_follows_the_parameters_of_ingest(
    dataset: Dataset, use: Callable[..., None], keys: dict[str, Any]
) -> None:
    move_camera(dataset, ("1",), CAMERAS[:1])
    first(dataset, "annotations", 2, joint_valid=[[1]] * 20 + [[0]] * 22)
    dataset.write()
    dataset.photo(9).unlink()
    use(**keys)
    check_same(dataset)


@pytest.mark.parametrize("interacting", ["evaluate", "train"])
@pytest.mark.parametrize(
    "alteration",
    ["nothing", "annotation ids as text", "no wrist", "other camera", "a moved camera"],
)
def test_verify_counts_each_hand_where_ingest_does(
    dataset: Dataset, use: Callable[..., None], alteration: str, interacting: str
) -> None:
    for record in dataset.train["data"]["annotations"]:
        if "no wrist" in alteration and record["hand_type"] == "interacting":
            record["joint_valid"] = [[0]] * 20 + [[1]] * 22
    ALTERED[alteration](dataset)
    dataset.write()
    dataset.photo(12).unlink()  # of both hands
    use(interacting=interacting, cameras_per_instant=1)
    lines = check_same(dataset)
    assert "ingest will use" in lines and " annotations of both hands are two" in lines
    count = 45 if alteration == "other camera" else 47
    assert f"of {count} photos opened are sound" in lines, "each photo counts once"


@pytest.mark.parametrize(
    ("row", "said_of_it"),
    [
        ("train,0,0003_fake_gun,5,*,*,cut_off,drop,", "2 annotations are not used by my.csv"),
        (
            "train,0,0003_fake_gun,5,*,*,wrong_fit,drop_fit,",
            "2 samples will keep no MANO fit: fit_e",
        ),
        ("train,0,0003_fake_gun,6,*,*,cut_off,drop,", "1 row names no annotation of"),
        ("trian,0,0003_fake_gun,5,*,*,cut_off,drop,", "did you mean train?"),
        ("train,0,0003_fake_gun,5", "my.csv has 1 fault"),
    ],
)
def test_verify_follows_the_list_of_exclusions(
    dataset: Dataset, use: Callable[..., None], row: str, said_of_it: str
) -> None:
    dataset.write()
    Path("my.csv").write_text(f"{','.join(COLUMNS)}\n{row}\n", encoding="utf-8")
    use(exclusions="my.csv")
    assert said_of_it in check_same(dataset)


def test_a_camera_beside_the_hand_is_named_with_its_session(
    dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    move_camera(dataset, ("1",), CAMERAS[:1])
    dataset.write()
    line = f"camera {CAMERAS[0]} of session 1 (person 4): 0% of its joints lie in the annotated"
    assert line in check_same(dataset)
    assert line in capsys.readouterr().out
    assert json.loads(Path("data/ingest/manifest.json").read_text("utf-8"))["counts"]["rejected"][
        "joints_outside_boxes"
    ] == 6  # fmt: skip


def test_turned_photos_of_few_cameras_are_no_fault_of_the_download(dataset: Dataset) -> None:
    dataset.write()
    turn_photos(dataset, CAMERAS[:1])
    code, _, lines = said()
    assert code == 0, lines
    assert f"camera {CAMERAS[0]} of Capture1: width and height of all its photos" in lines
    turn_photos(dataset, CAMERAS)
    assert said()[0] == 0 or "image_size" in said()[2]


def test_images_that_no_annotation_uses_need_no_photo(dataset: Dataset) -> None:
    dataset.write()
    dataset.photo(0).unlink()
    dataset.train["data"]["annotations"].pop(0)
    file = Path("dataset/annotations/train/InterHand2.6M_train_data.json")
    file.write_text(json.dumps(dataset.train["data"]), encoding="utf-8")
    code, _, lines = said()
    assert code == 0, lines
    assert "1 image record that no annotation uses" in lines
