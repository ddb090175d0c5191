"""Shards: what is written is read, in an order of seed and epoch, or the damage is reported."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import webdataset as wds
from numpy.typing import NDArray

from handpose.data import preprocess
from handpose.data import records as stored_sample
from handpose.data.augment import Augmentation
from handpose.data.labels import ClassIds
from handpose.data.loading import Loading
from handpose.data.preprocess import PreprocessError, Preprocessor
from handpose.data.processes.batch_processes import BatchProcesses
from handpose.data.records import VIEW as PLACE
from handpose.data.records import encode_labels
from handpose.data.shards import Index, ShardError, Shards, write_tar
from handpose.distributed import Distributed
from handpose.sample import UNLABELLED, HandBatch

STORED, VIEW, OUT = 20, 14, 14
SAMPLES, PER_TAR = 60, 20
LABELS = {"0003_fake_gun": ClassIds(1, 21, 28, 56), "0103_fake_gun": ClassIds(28, 56, 1, 21)}
FOLDERS = ("0003_fake_gun", "0103_fake_gun", "ROM03_LT_No_Occlusion")
EVERYTHING = Augmentation(rotation_deg=30, scale=0.2, shift=0.1, colour=0.2, flip=0.5)


def stored(sample_id: int) -> tuple[bytes, dict[str, Any]]:
    """A random sample; every third one is of a folder without gesture and has no MANO fit."""
    rng = np.random.default_rng(sample_id)
    folder = FOLDERS[sample_id % 3]
    grey = np.full((STORED, STORED, 3), sample_id, np.uint8)

    def floats(*shape: int) -> NDArray[np.float32]:
        return rng.standard_normal(shape).astype(np.float32)

    label = {
        "sequence": folder,
        "kind": "rom" if folder.startswith("ROM") else "gesture",
        "subject": 4,
        "session": 2,
        "camera": "400026",
        "frame": 563,
        "K": np.array([[90, 0, 9.5], [0, 91, 8.25], [0, 0, 1]], np.float32),
        "joints_cam": floats(21, 3) / 10 + np.array([0, 0, 2], np.float32),
        "joint_valid": rng.random(21) < 0.9,
        "has_mano": folder != FOLDERS[2],
        "global_orient": floats(3),
        "hand_pose": floats(45),
        "betas": floats(10),
        "is_left": folder.startswith("01"),
        "sample_id": sample_id,
    }
    return cv2.imencode(".jpg", grey)[1].tobytes(), label


def write(folder: Path) -> Path:
    """Shards with three tars of train and one, smaller, of test."""
    (folder / "tars").mkdir(parents=True)
    splits = {}
    for split, count in (("train", SAMPLES), ("test", 7)):
        starts = range(0, count, PER_TAR)
        splits[split] = tuple(
            write_tar(
                folder / "tars" / f"{split}-{start // PER_TAR:06d}.tar",
                map(stored, range(start, min(start + PER_TAR, count))),
            )
            for start in starts
        )
    text = json.dumps(Index(STORED, VIEW, splits).to_json())
    (folder / "index.json").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "shard")


def read(
    folder: Path, split: str, labels: Mapping[str, ClassIds] = LABELS, **options: Any
) -> Iterator[HandBatch]:
    options = {"batch": 8, "image_px": OUT} | options
    return Shards.open(folder).batches(split, labels=labels, **options)


def ids(batches: Iterator[HandBatch]) -> list[int]:
    return [i for batch in batches for i in batch.sample_id.tolist()]


def assert_same(one: HandBatch, other: HandBatch) -> None:
    for field in dataclasses.fields(HandBatch):
        assert torch.equal(getattr(one, field.name), getattr(other, field.name)), field.name


def test_what_was_written_is_read(folder: Path) -> None:
    batches = list(read(folder, "test", batch=4, image_px=VIEW))
    assert [len(batch) for batch in batches] == [4, 3]
    fields = ("joints_cam", "joint_valid", "global_orient", "hand_pose", "betas")
    border = np.array([[0, 0, 3], [0, 0, 3], [0, 0, 0]], np.float32)
    for place, (batch, row) in enumerate(itertools.product(batches, range(4))):
        if place == 7:
            break
        _, label = stored(place)
        for name in fields:
            np.testing.assert_array_equal(getattr(batch, name)[row].numpy(), label[name])
        for name in ("has_mano", "is_left", "sample_id"):
            assert getattr(batch, name)[row].item() == label[name]
        np.testing.assert_array_equal(batch.K[row].numpy(), label["K"] - border)
        assert batch.image.shape[1:] == (3, VIEW, VIEW)
        assert (batch.image[row].int() - place).abs().max() <= 2  # JPEG


def test_colours_are_red_green_blue(tmp_path: Path) -> None:
    red = np.zeros((STORED, STORED, 3), np.uint8)
    red[..., 2] = 250  # OpenCV writes blue, green, red
    jpeg = cv2.imencode(".jpg", red)[1].tobytes()
    (tmp_path / "tars").mkdir()
    tar = write_tar(tmp_path / "tars" / "test-000000.tar", [(jpeg, stored(0)[1])])
    text = json.dumps(Index(STORED, VIEW, {"test": (tar,)}).to_json())
    (tmp_path / "index.json").write_text(text, encoding="utf-8")
    image = next(read(tmp_path, "test")).image[0].float().mean((1, 2))
    assert image[0] > 240 and image[1:].max() < 10


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    one, other = write(tmp_path / "one"), write(tmp_path / "other")
    for file in sorted(one.rglob("*.*")):
        assert file.read_bytes() == (other / file.relative_to(one)).read_bytes()


def test_plain_webdataset_reads_the_images_and_labels_that_we_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = [stored(sample_id)[1] for sample_id in range(5)]
    smooth = [cv2.resize(rng.integers(0, 256, (5, 5, 3), np.uint8), (VIEW, VIEW)) for _ in labels]
    jpegs = [cv2.imencode(".jpg", image)[1].tobytes() for image in smooth]
    (tmp_path / "tars").mkdir()
    tar = write_tar(tmp_path / "tars" / "test-000000.tar", zip(jpegs, labels, strict=True))
    text = json.dumps(Index(VIEW, VIEW, {"test": (tar,)}).to_json())
    (tmp_path / "index.json").write_text(text, encoding="utf-8")

    plain = wds.WebDataset(str(tmp_path / "tars" / tar.name), shardshuffle=False)
    (batch,) = read(tmp_path, "test", image_px=VIEW)
    for row, (found, label) in enumerate(zip(plain.decode("rgb8"), labels, strict=True)):
        image = batch.image[row].permute(1, 2, 0).int().numpy()
        assert abs(found["jpg"].astype(int) - image).max() <= 1  # two builds of libjpeg
        assert found["__key__"] == f"{label['sample_id']:09d}"
        for name in ("K", "joints_cam", "joint_valid", "global_orient", "hand_pose", "betas"):
            value = np.array(found["json"][name], label[name].dtype).reshape(label[name].shape)
            np.testing.assert_array_equal(value, getattr(batch, name)[row].numpy())
        rest = ("sequence", "kind", "subject", "session", "camera", "frame", "has_mano", "is_left")
        assert [found["json"][name] for name in rest] == [label[name] for name in rest]


def test_the_label_holds_no_class() -> None:
    keys = set(json.loads(encode_labels([stored(0)[1]])[0]))
    assert not {key for key in keys if "coarse" in key or "fine" in key or "gesture" in key}


def test_an_epoch_holds_each_sample_once_less_the_last_incomplete_batch(folder: Path) -> None:
    batches = list(read(folder, "train", epoch=0))
    assert [len(batch) for batch in batches] == [8] * (SAMPLES // 8)
    seen = ids(iter(batches))
    assert len(set(seen)) == len(seen) == 56


def test_order_is_a_function_of_seed_and_epoch(folder: Path) -> None:
    orders = {
        (seed, epoch): tuple(ids(read(folder, "train", seed=seed, epoch=epoch)))
        for seed in range(2)
        for epoch in range(3)
    }
    assert len(set(orders.values())) == 6
    again = Shards.open(folder)
    for (seed, epoch), order in orders.items():
        batches = again.batches(
            "train", batch=8, image_px=OUT, labels=LABELS, seed=seed, epoch=epoch
        )
        assert tuple(ids(batches)) == order


def test_a_small_split_is_shuffled_through_and_through(folder: Path) -> None:
    orders = np.array([ids(read(folder, "train", epoch=e, batch=SAMPLES)) for e in range(40)])
    first_tars = [len({i // PER_TAR for i in order[:8]}) for order in orders]
    assert np.mean(first_tars) > 2.5  # 2.9 of 3 expected where the first tar alone would give 1
    assert abs(orders[:, :20].mean() - (SAMPLES - 1) / 2) < 3
    together = (np.abs(np.diff(orders)) == 1).mean()  # neighbours in the tars
    assert together < 0.06  # 2 / 60 expected


def test_a_buffer_smaller_than_the_split_still_gives_every_sample(folder: Path) -> None:
    orders = [ids(read(folder, "train", epoch=e, batch=10, buffer=5)) for e in range(4)]
    assert all(sorted(order) == list(range(SAMPLES)) for order in orders)
    assert len({order[0] // PER_TAR for order in orders}) > 1  # the tars take turns at the start


def test_resuming_gives_the_batches_of_an_unbroken_epoch(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = list(read(folder, "train", epoch=3, seed=5, augmentation=EVERYTHING))
    decoded = []

    def counting(jpeg: bytes, label: Mapping[str, Any], classes: ClassIds) -> Any:
        decoded.append(label["sample_id"])
        return original(jpeg, label, classes)

    original = stored_sample.decode
    monkeypatch.setattr(preprocess, "decode", counting)
    rest = list(read(folder, "train", epoch=3, seed=5, augmentation=EVERYTHING, skip=4))
    assert len(rest) == len(whole) - 4
    for one, other in zip(rest, whole[4:], strict=True):
        assert_same(one, other)
    assert decoded == ids(iter(rest))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("skip", [0, 4])
def test_threads_change_no_bit_of_an_epoch(folder: Path, threads: int, skip: int) -> None:
    options: dict[str, Any] = {"epoch": 3, "seed": 5, "augmentation": EVERYTHING, "skip": skip}
    here = list(read(folder, "train", **options))
    ahead = list(read(folder, "train", loading=Loading(threads), **options))
    assert len(here) == len(ahead) == SAMPLES // 8 - skip
    for one, other in zip(here, ahead, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_processes_change_no_bit_of_an_epoch(folder: Path, workers: int) -> None:
    """One test for each number, since starting them takes seconds."""
    epoch: dict[str, Any] = {"epoch": 3, "seed": 5, "augmentation": EVERYTHING}
    with Loading.on(torch.device("cpu"), workers=workers) as loading:
        for split, options in (
            ("train", epoch),
            ("train", epoch | {"skip": 4}),
            ("train", {"epoch": 0, "distributed": Distributed(1, 3)}),
            ("test", {}),
        ):
            here = list(read(folder, split, **options))
            there = list(read(folder, split, loading=loading, **options))
            assert len(here) == len(there) > 0
            for one, other in zip(here, there, strict=True):
                assert_same(one, other)

        abandoned = read(folder, "train", loading=loading, **epoch)
        next(abandoned)  # another epoch may begin before it is closed
        first = next(read(folder, "test", loading=loading))
        assert_same(first, next(read(folder, "test")))
        with pytest.raises(PreprocessError, match="no class in the labels"):
            next(read(folder, "test", {}, loading=loading))
        tar = folder / "tars" / "test-000000.tar"
        tar.write_bytes(tar.read_bytes()[::-1])
        with pytest.raises(ShardError, match=r"test-000000\.tar: its SHA-256"):
            next(read(folder, "test", loading=loading))


def test_processes_change_no_bit_of_what_a_gpu_warps(folder: Path) -> None:
    labels = {name: ClassIds(1, 2, 3, 4) for name in FOLDERS}
    preprocessor = Preprocessor(
        image_px=OUT,
        view_px=VIEW,
        labels=labels,
        canonical=False,
        augmentation=EVERYTHING,
        seeds=(5, 3),
        turn_camera=True,
    )
    encoded = list(Shards.open(folder)._read_tars(list(Shards.open(folder).index.splits["test"])))
    here = preprocessor.unwarped_batch(encoded).on(torch.device("cpu"))
    processes = BatchProcesses(1)
    calling = processes.calling(preprocessor.unwarped_batch)
    for _ in range(3):  # their memory is used again
        assert_same(calling(encoded).on("cpu").on(torch.device("cpu")), here)
    processes.close()


def test_damage_is_reported_through_threads_too(folder: Path) -> None:
    tar = folder / "tars" / "test-000000.tar"
    tar.write_bytes(tar.read_bytes()[::-1])
    with pytest.raises(ShardError, match=r"test-000000\.tar: its SHA-256"):
        next(read(folder, "test", loading=Loading(2)))


def test_a_label_may_say_where_the_view_lies(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (STORED, 2 * STORED, 3), dtype=np.uint8)
    jpeg = cv2.imencode(".png", image[..., ::-1])[1].tobytes()  # without a loss
    place = [4 + (VIEW - 1) / 2, 1 + (VIEW - 1) / 2, VIEW]
    (tmp_path / "tars").mkdir()
    tar = write_tar(tmp_path / "tars" / "test-000000.tar", [(jpeg, stored(0)[1] | {PLACE: place})])
    text = json.dumps(Index(STORED, VIEW, {"test": (tar,)}).to_json())
    (tmp_path / "index.json").write_text(text, encoding="utf-8")
    batch = next(read(tmp_path, "test", image_px=VIEW))
    expected = image[1 : 1 + VIEW, 4 : 4 + VIEW].transpose(2, 0, 1)
    np.testing.assert_array_equal(batch.image[0].numpy(), expected)
    np.testing.assert_allclose(
        batch.K[0].numpy(), stored(0)[1]["K"] - np.array([[0, 0, 4], [0, 0, 1], [0, 0, 0]])
    )


def cameras(folder: Path, **options: Any) -> dict[int, torch.Tensor]:
    """K of every augmented training sample: another for every move."""
    batches = read(folder, "train", augmentation=EVERYTHING, **options)
    return {i: K for b in batches for i, K in zip(b.sample_id.tolist(), b.K, strict=True)}


def test_a_move_depends_on_the_sample_not_on_its_place(folder: Path) -> None:
    one = cameras(folder, epoch=1, batch=10)
    other = cameras(folder, epoch=1, batch=20, buffer=7)
    assert all(torch.equal(one[i], other[i]) for i in range(SAMPLES))


def test_moves_differ_between_samples_epochs_and_seeds(folder: Path) -> None:
    runs = [cameras(folder, seed=s, epoch=e, batch=10) for s, e in ((0, 0), (0, 1), (1, 0))]
    distinct = {tuple(K.flatten().tolist()) for run in runs for K in run.values()}
    assert len(distinct) == 3 * SAMPLES


@pytest.mark.parametrize("epoch", [3, None])
def test_views_of_an_image_are_moved_apart_and_the_first_is_as_without_others(
    folder: Path, epoch: int | None
) -> None:
    options: dict[str, Any] = {"batch": 10, "epoch": epoch, "augmentation": EVERYTHING}
    one = list(read(folder, "train", **options))
    two = list(read(folder, "train", views=2, **options))
    assert len(one) == len(two) == SAMPLES // 10
    for single, double in zip(one, two, strict=True):
        first, second = (
            HandBatch(**{f.name: getattr(double, f.name)[rows] for f in dataclasses.fields(double)})
            for rows in (slice(0, 10), slice(10, 20))
        )
        assert_same(single, first)
        assert torch.equal(first.sample_id, second.sample_id)
        assert (first.K != second.K).flatten(1).any(1).all(), "none is moved alike"
    again = list(read(folder, "train", views=2, skip=2, **options))
    for whole, resumed in zip(two[2:], again, strict=True):
        assert_same(whole, resumed)


def test_evaluation_reads_each_sample_once_in_stored_order(folder: Path) -> None:
    batches = list(read(folder, "train", batch=50))
    assert [len(batch) for batch in batches] == [50, 10]
    assert ids(iter(batches)) == list(range(SAMPLES))


@pytest.mark.parametrize("skip", [1, 7, 19, 20, 39, 40, 59, 60, 61])
def test_evaluation_skips_whole_tars_unopened(folder: Path, skip: int) -> None:
    whole = list(read(folder, "train", batch=1))
    names = sorted(path.name for path in (folder / "tars").glob("train-*"))
    for name in names[: skip // PER_TAR]:
        path = folder / "tars" / name
        path.write_bytes(bytes(path.stat().st_size))  # opened, it would be refused
    rest = list(read(folder, "train", batch=1, skip=skip))
    assert ids(iter(rest)) == ids(iter(whole[skip:]))
    for one, other in zip(rest, whole[skip:], strict=True):
        assert_same(one, other)


def test_classes_are_joined_by_folder(folder: Path) -> None:
    batch = next(read(folder, "test", batch=7))
    assert batch.coarse.tolist() == [1, 28, UNLABELLED] * 2 + [1]
    assert batch.fine.tolist() == [21, 56, UNLABELLED] * 2 + [21]
    relabelled = LABELS | {"0003_fake_gun": ClassIds(9, 9, 36, 44)}
    other = next(read(folder, "test", relabelled, batch=7))
    assert other.coarse.tolist() == [9, 28, UNLABELLED] * 2 + [9]
    assert_same(dataclasses.replace(other, coarse=batch.coarse, fine=batch.fine), batch)


def test_a_flip_takes_the_class_of_the_other_hand(folder: Path) -> None:
    flipped = next(read(folder, "test", batch=7, augmentation=Augmentation(flip=1)))
    assert flipped.coarse.tolist() == [28, 1, UNLABELLED] * 2 + [28]
    assert flipped.fine.tolist() == [56, 21, UNLABELLED] * 2 + [56]
    assert flipped.is_left.tolist() == [True, False, True] * 2 + [True]


def test_canonical_mode_mirrors_left_hands_only_and_keeps_their_class(folder: Path) -> None:
    one_class = dict.fromkeys(LABELS, ClassIds(1, 21, 1, 21))
    plain = next(read(folder, "test", one_class, batch=7))
    batch = next(read(folder, "test", one_class, batch=7, canonical=True))
    assert not batch.is_left.any()
    assert batch.coarse.tolist() == [1, 1, UNLABELLED] * 2 + [1]
    sign = torch.where(plain.is_left, -1.0, 1.0)[:, None]
    assert torch.equal(batch.joints_cam[..., 0], plain.joints_cam[..., 0] * sign)
    assert torch.equal(batch.hand_pose, plain.hand_pose)


def test_a_gesture_folder_without_class_is_reported(folder: Path) -> None:
    with pytest.raises(PreprocessError, match=r"'0103_fake_gun' \(sample 1\).*run `dvc repro`"):
        next(read(folder, "test", {"0003_fake_gun": LABELS["0003_fake_gun"]}))


def test_what_is_not_there_is_reported_with_what_is(folder: Path) -> None:
    with pytest.raises(ShardError, match=r"'official_val' holds 0 samples.*train 60, test 7"):
        read(folder, "official_val")
    with pytest.raises(ShardError, match="'test' holds 7 samples, but one batch needs 8"):
        read(folder, "test", epoch=0)
    assert Shards.open(folder).index.count("official_val") == 0


def test_unfinished_and_foreign_folders_are_refused(folder: Path) -> None:
    (folder / "index.json").write_text('{"splits": 3}', encoding="utf-8")
    with pytest.raises(ShardError, match="is not an index of shards"):
        Shards.open(folder)
    (folder / "index.json").unlink()
    with pytest.raises(ShardError, match=r"index\.json: not found; no finished shards"):
        Shards.open(folder)


def test_a_missing_or_cut_tar_is_refused_at_once(folder: Path) -> None:
    tar = folder / "tars" / "train-000001.tar"
    content = tar.read_bytes()
    tar.chmod(0o644)
    tar.write_bytes(content[:-512])
    with pytest.raises(ShardError, match=rf"train-000001\.tar: {len(content) - 512} bytes"):
        Shards.open(folder)
    tar.unlink()
    with pytest.raises(ShardError, match=r"train-000001\.tar: not found"):
        Shards.open(folder)


def test_a_changed_byte_is_refused_when_its_tar_is_read(folder: Path) -> None:
    tar = folder / "tars" / "test-000000.tar"
    content = bytearray(tar.read_bytes())
    content[700] ^= 1
    tar.write_bytes(content)
    assert len(ids(read(folder, "train"))) == SAMPLES  # the other tars are whole
    with pytest.raises(ShardError, match=r"test-000000\.tar: its SHA-256"):
        next(read(folder, "test"))
