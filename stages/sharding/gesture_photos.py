"""Crops of HaGRID's hands, for Stage 1 alone: splits of their own, with a gesture and no pose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handpose.counted import counted
from handpose.data.crop import affine, square, warp
from handpose.data.photo import PhotoError, read_stored
from handpose.data.shards import write_tar
from handpose.data.splits import GESTURE_PHOTOS, GESTURE_PHOTOS_VALIDATION
from handpose.hagrid.hagrid_hands import HagridError, HagridHand, HagridHands, read_hagrid
from handpose.hagrid.hagrid_map import folder_of
from handpose.hand.camera import warp_intrinsics
from stages.params import Params, ShardParams
from stages.sharding.crops import encoded
from stages.sharding.tars import UncutSample, Written


@dataclass(frozen=True)
class PhotoTarTask:
    """One tar of HaGRID's hands to write."""

    split: str
    path: Path
    root: Path
    hands: list[HagridHand]
    people: list[int]  # the number of each one's person, which no other data set has
    first: int  # sample_id of the first of them
    shard: ShardParams


PEOPLE_FROM = {GESTURE_PHOTOS: 1_000_000_000, GESTURE_PHOTOS_VALIDATION: 2_000_000_000}
"""Numbers of people begin there, so that none is one of the main data set or of a benchmark beside
it, which `data/merged/merged_reader.py` counts in millions, or of the other split."""

SOURCE = {GESTURE_PHOTOS: "train", GESTURE_PHOTOS_VALIDATION: "val"}
"""HaGRID's name of each split; its test set is not read."""


def read_photos(params: Params, membership: Path) -> dict[str, HagridHands]:
    """HaGRID's hands by split, if `data.hagrid` names its folder; else of none.

    Args:
        params: the sections data and shard.
        membership: names the folders that are used, one per line; those of HaGRID's gestures are
            called as `folder_of` calls them.

    Raises:
        HagridError: the folder is not HaGRID's, or somebody is in both splits.
    """
    if not params.data.hagrid:
        return {}
    folders = set(membership.read_text("utf-8").splitlines())
    most, seed, root = params.data.hagrid_images, params.shard.seed, photo_root(params)
    found = {
        ours: read_hagrid(root, folders, most=most, seed=seed, split=theirs)
        for ours, theirs in SOURCE.items()
    }
    trained, held_out = ({hand.user for hand in own.hands} for own in found.values())
    if both := sorted(trained & held_out):
        raise HagridError(
            f"{root}: {counted(len(both), 'person is', 'people are')} in both train and val, the "
            f"first of them user_id {both[0]}: these are not HaGRIDv2's own splits"
        )
    return found


def photo_root(params: Params) -> Path:
    """HaGRID's folder; `~` is the user's."""
    return Path(params.data.hagrid).expanduser()


def photo_plan(
    split: str, found: HagridHands, folder: Path, params: Params, first: int
) -> Iterator[PhotoTarTask]:
    """The tars of a split, in one fixed random order; `first` is the first free sample_id."""
    users = sorted({hand.user for hand in found.hands})
    number = {user: k for k, user in enumerate(users, start=PEOPLE_FROM[split])}
    order = np.random.default_rng(params.shard.seed).permutation(len(found.hands))
    size = params.shard.samples_per_tar
    for tar, start in enumerate(range(0, len(order), size)):
        own = [found.hands[k] for k in order[start : start + size]]
        yield PhotoTarTask(
            split,
            folder / f"{split}-{tar:06d}.tar",
            photo_root(params),
            own,
            [number[hand.user] for hand in own],
            first + start,
            params.shard,
        )


def write_photos(task: PhotoTarTask) -> Written:
    """Cut the hands of one tar and write it."""
    rejects: list[UncutSample] = []
    return Written(write_tar(task.path, _cut_all(task, rejects)), rejects)


def _cut_all(
    task: PhotoTarTask, rejects: list[UncutSample]
) -> Iterator[tuple[bytes, dict[str, Any]]]:
    hands = zip(task.hands, task.people, strict=True)
    for number, (hand, person) in enumerate(hands, start=task.first):
        try:
            yield _cut(hand, person, number, task)
        except PhotoError as error:
            origin = (number, task.split, hand.photo)
            rejects.append(UncutSample(*origin, error.reason, error.detail))


def _cut(
    hand: HagridHand, person: int, number: int, task: PhotoTarTask
) -> tuple[bytes, dict[str, Any]]:
    """The stored crop of a hand, and its label: a gesture, no joint, and a made-up camera."""
    shard = task.shard
    image = read_stored(task.root / hand.photo)
    height, width = image.shape[:2]
    box = hand.box * (width, height, width, height)
    A = affine(square(box, shard.box_scale * shard.crop_px / shard.view_px), shard.crop_px)
    focal = float(max(width, height))
    K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    side = "left" if hand.is_left else "right"
    label: dict[str, Any] = {
        "sequence": folder_of(hand.gesture, side),
        "kind": "gesture",
        "subject": person,
        "session": 0,
        "camera": "photo",
        "frame": number,
        "K": warp_intrinsics(K, A).astype(np.float32),
        "joints_cam": np.zeros((21, 3), np.float32),
        "joint_valid": np.zeros(21, np.bool_),
        "has_mano": False,
        "global_orient": np.zeros(3, np.float32),
        "hand_pose": np.zeros(45, np.float32),
        "betas": np.zeros(10, np.float32),
        "is_left": hand.is_left,
        "sample_id": number,
    }
    return encoded(warp(image, A, shard.crop_px), shard.jpeg_quality), label
