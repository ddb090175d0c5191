"""Annotations at the data set's full size: the ingest stage against the official loader.

    python -m bench.ingest                # 1.36 million images: 1.2 GB on disk, 14 GB of memory
    python -m bench.ingest --rows 50000

The files have the layout and size of the real ones, and random numbers in them. The
straightforward way is pycocotools' `COCO()`, `json.load` for cameras and joints, and a Python loop
over the annotations, as in the official InterHand2.6M loader; the result is a list in memory. Ours
is the whole stage: it reads the MANO fits too and writes its tables to disk; only the check of the
photos is left out, since there are none. Both alternate, each in its own process; this module
imports little, so that neither pays for what only the other needs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

ROWS = 1_361_062
"""Images of official train, 5 frames a second."""

CAPTURES, CAMERAS, SUBJECTS, PER_FRAME = 27, 140, 26, 19
FOLDERS = ("0003_fake_gun", "0103_fake_gun", "ROM03_RT_No_Occlusion", "0266_dh_pray")
HAND_TYPES = ("right", "left", "right", "interacting")
TURNS = (0, 1, 3, 3)
"""Folder of every fourth frame: half of the annotations show two hands."""


# --- the set -------------------------------------------------------------------------------------


class Shot(NamedTuple):
    """One frame of a capture."""

    capture: int
    number: int
    folder: int


def shots(rows: int) -> Iterator[Shot]:
    """The frames that so many images come from, capture by capture."""
    frames = -(-rows // PER_FRAME)
    for index in range(frames):
        capture = index * CAPTURES // frames
        yield Shot(capture, 3 * index, TURNS[index % len(TURNS)])


def write_set(root: Path, rows: int) -> None:
    """The four files of official train."""
    folder = root / "annotations" / "train"
    folder.mkdir(parents=True)
    (root / "images" / "train").mkdir(parents=True)
    paths = {
        name: folder / f"InterHand2.6M_train_{name}.json"
        for name in ("data", "camera", "joint_3d", "MANO_NeuralAnnot")
    }
    rng = np.random.default_rng(0)
    paths["camera"].write_text(json.dumps({str(k): _cameras(rng) for k in range(CAPTURES)}))
    _write_nested(paths["joint_3d"], rows, lambda shot: _joints(rng, shot))
    _write_nested(paths["MANO_NeuralAnnot"], rows, lambda shot: _fits(rng, shot))
    with paths["data"].open("w") as file:
        file.write('{"images": [')
        _write_records(file, rows, _image)
        file.write('], "annotations": [')
        _write_records(file, rows, lambda number, shot: _annotation(rng, number, shot))
        file.write("]}")


def _cameras(rng: np.random.Generator) -> dict[str, Any]:
    """Cameras 1 m from the origin, all pointing at it."""
    names = [f"400{k:03d}" for k in range(CAMERAS)]
    rotations = np.linalg.qr(rng.standard_normal((CAMERAS, 3, 3)))[0]
    positions = -1000 * rotations[:, 2] + rng.normal(
        0, 20, (CAMERAS, 3)
    )  # R (0 - C) = (0, 0, 1000)
    return {
        "campos": dict(zip(names, positions.tolist(), strict=True)),
        "camrot": dict(zip(names, rotations.tolist(), strict=True)),
        "focal": {name: rng.normal(1260, 5, 2).tolist() for name in names},
        "princpt": {name: rng.normal([256, 167], 5).tolist() for name in names},
    }


def _joints(rng: np.random.Generator, shot: Shot) -> dict[str, Any]:
    return {
        "world_coord": rng.normal(0, 40, (42, 3)).round(4).tolist(),
        "joint_valid": [[True]] * 42,
        "hand_type": HAND_TYPES[shot.folder],
        "hand_type_valid": True,
    }


def _fits(rng: np.random.Generator, shot: Shot) -> dict[str, Any]:
    fit = {
        "pose": rng.normal(0, 0.3, 48).tolist(),
        "shape": rng.normal(0, 1, 10).tolist(),
        "trans": rng.normal(0, 0.05, 3).tolist(),
    }
    hand = HAND_TYPES[shot.folder]
    return {name: fit if hand in (name, "interacting") else None for name in ("right", "left")}


def _write_nested(path: Path, rows: int, content: Callable[[Shot], Any]) -> None:
    last = -1
    with path.open("w") as file:
        for shot in shots(rows):
            if shot.capture != last:
                file.write(f'{"{" if last < 0 else "}, "}"{shot.capture}": {{')
            else:
                file.write(", ")
            last = shot.capture
            file.write(f'"{shot.number}": {json.dumps(content(shot))}')
        file.write("}}")


def _write_records(file: Any, rows: int, record: Callable[[int, Shot], Any]) -> None:
    number = 0
    for shot in shots(rows):
        for _ in range(min(PER_FRAME, rows - number)):
            file.write(", " if number else "")
            file.write(json.dumps(record(number, shot)))
            number += 1


def _image(number: int, shot: Shot) -> dict[str, Any]:
    camera = f"400{number * 7 % CAMERAS:03d}"
    folder = FOLDERS[shot.folder]
    portrait = number % 2
    return {
        "id": number,
        "file_name": f"Capture{shot.capture}/{folder}/cam{camera}/image{shot.number}.jpg",
        "width": 334 if portrait else 512,
        "height": 512 if portrait else 334,
        "capture": shot.capture,
        "subject": shot.capture % SUBJECTS,
        "seq_name": folder,
        "camera": camera,
        "frame_idx": shot.number,
    }


def _annotation(rng: np.random.Generator, number: int, shot: Shot) -> dict[str, Any]:
    hand = HAND_TYPES[shot.folder]
    there = [int(hand != "left")] * 21 + [int(hand != "right")] * 21
    return {
        "id": number,
        "image_id": number,
        "bbox": [round(v, 4) for v in (rng.random(4) * 60 + [20, 20, 400, 400]).tolist()],
        "joint_valid": [[flag] for flag in there],
        "hand_type": hand,
        "hand_type_valid": 1,
    }


# --- the ways ------------------------------------------------------------------------------------


def ours(root: Path) -> int:
    """The stage, without its check of photos; returns the number of annotations in its tables."""
    import pyarrow.parquet as pq

    from stages import ingest

    clone = Path(__file__).parents[1]
    raw = yaml.safe_load((clone / "params.yaml").read_text("utf-8"))
    raw["ingest"]["exclusions"] = str(clone / "labels" / "exclusions.csv")
    raw["data"]["root"] = str(root)
    raw["hand"]["mano"] = str(root / "hand")
    # the numbers are made up: fits, joints and boxes are compared, and nothing is rejected for it
    raw["ingest"] |= {"check_images": False, "max_fit_error_mm": 1000.0}
    work = root / "work"
    work.mkdir(exist_ok=True)
    os.chdir(work)
    Path("params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    ingest.main()
    tables = (ingest.OUT / name for name in ("samples.parquet", "rejects.parquet"))
    return sum(pq.read_metadata(table).num_rows for table in tables)


def straightforward(root: Path) -> int:
    """As the official loader: COCO(), json.load, a loop; returns the length of its list."""
    from pycocotools.coco import COCO

    def path(name: str) -> Path:
        return root / f"annotations/train/InterHand2.6M_train_{name}.json"

    coco = COCO(path("data"))
    with path("camera").open() as file:
        cameras = json.load(file)
    with path("joint_3d").open() as file:
        joints = json.load(file)
    samples: list[dict[str, Any]] = []
    for hand in coco.anns.values():
        image = coco.loadImgs(hand["image_id"])[0]
        camera, name = cameras[str(image["capture"])], str(image["camera"])
        position, rotation, focal, principal = (
            np.array(camera[key][name], np.float32)
            for key in ("campos", "camrot", "focal", "princpt")
        )
        frame = joints[str(image["capture"])][str(image["frame_idx"])]
        world = np.array(frame["world_coord"], np.float32)
        in_camera = np.dot(rotation, (world - position).T).T  # (42, 3) mm
        pixels = in_camera[:, :2] / in_camera[:, 2:] * focal + principal
        valid = np.array(hand["joint_valid"], np.float32).reshape(42)
        valid[:21] *= valid[20]
        valid[21:] *= valid[41]
        samples.append(
            {
                "path": str(root / "images" / "train" / image["file_name"]),
                "seq_name": image["seq_name"],
                "camera": {"focal": focal, "princpt": principal},
                "bbox": square_box(np.array(hand["bbox"], np.float32), image),
                "joint": {"cam_coord": in_camera, "img_coord": pixels, "valid": valid},
                "hand_type": hand["hand_type"],
                "hand_type_valid": np.array(hand["hand_type_valid"], np.float32),
                "abs_depth": {"right": in_camera[20, 2], "left": in_camera[41, 2]},
                "capture": image["capture"],
                "cam": image["camera"],
                "frame": image["frame_idx"],
            }
        )
    return len(samples)


def square_box(bbox: FloatArray, image: dict[str, Any]) -> FloatArray:
    """Box x, y, w, h cut to the photo, made square and a quarter larger."""
    x, y, w, h = bbox
    right = np.min((image["width"] - 1, x + np.max((0, w - 1))))
    low = np.min((image["height"] - 1, y + np.max((0, h - 1))))
    x, y = np.max((0, x)), np.max((0, y))
    side = max(right - x, low - y)
    middle = np.array([(x + right) / 2, (y + low) / 2])
    return np.array([*(middle - 0.625 * side), 1.25 * side, 1.25 * side], np.float32)


def floor(root: Path) -> int:
    """Only the bytes."""
    for path in sorted((root / "annotations" / "train").iterdir()):
        with path.open("rb") as file:
            while file.read(1 << 20):
                pass
    return 0


WAYS: dict[str, Callable[[Path], int]] = {
    "read the bytes": floor,
    "COCO(), json.load, loop": straightforward,
    "ours": ours,
}


# --- the measurement -----------------------------------------------------------------------------


class Cost(NamedTuple):
    """What one way took, its process's start and imports included."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    annotations: int


def cost(name: str, root: Path) -> Cost:
    """Run one way in a fresh process."""
    context = multiprocessing.get_context("spawn")
    answers: Any = context.SimpleQueue()
    start = time.perf_counter()
    process = context.Process(target=_child, args=(name, root, answers))
    process.start()
    process.join()
    seconds = time.perf_counter() - start
    if process.exitcode != 0:
        raise SystemExit(f"{name} ended with {process.exitcode}: is there enough memory?")
    cpu_s, mb, annotations = answers.get()
    return Cost(seconds, cpu_s, mb, annotations)


def _child(name: str, root: Path, answers: Any) -> None:
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)  # what COCO and the stage print
    annotations = WAYS[name](root)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    answers.put((usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, annotations))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the set is made (then deleted)")
    parser.add_argument("--mano", type=Path, default=Path("data/stand_in"))
    args = parser.parse_args()
    root = Path(tempfile.mkdtemp(dir=args.folder))
    try:
        write_set(root, args.rows)
        shutil.copytree(args.mano, root / "hand")
        costs: dict[str, list[Cost]] = {name: [] for name in WAYS}
        for _ in range(args.rounds):
            for name in WAYS:
                costs[name].append(cost(name, root))
    finally:
        shutil.rmtree(root)
    report(costs, args.rows)


def report(costs: dict[str, list[Cost]], rows: int) -> None:
    """Median seconds, and the largest of the peaks, of each way."""
    print(f"{rows} images and annotations")
    print(f"{'':24}  {'wall s':>7}  {'CPU s':>7}  {'peak MB':>8}")
    median = {
        name: Cost(
            statistics.median(c.wall_s for c in some),
            statistics.median(c.cpu_s for c in some),
            max(c.peak_mb for c in some),
            some[0].annotations,
        )
        for name, some in costs.items()
    }
    for name, (wall_s, cpu_s, mb, count) in median.items():
        print(f"{name:24}  {wall_s:7.1f}  {cpu_s:7.1f}  {mb:8.0f}")
        if count not in (0, rows):
            raise SystemExit(f"{name} returned {count} annotations of {rows}")
    theirs, mine = (median[name] for name in ("COCO(), json.load, loop", "ours"))
    ratios = [theirs[i] / mine[i] for i in range(3)]
    print(f"ours: {ratios[0]:.1f}x faster, {ratios[1]:.1f}x less CPU, {ratios[2]:.1f}x less memory")


if __name__ == "__main__":
    main()
