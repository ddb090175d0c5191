"""Writes a made-up DexYCB in the data set's own layout, of some people alone."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import yaml

from handpose.dexycb.reader import SIZE
from handpose.dexycb.sequences import SERIALS, SUBJECTS
from handpose.hand.mano import Mano
from tests.freihand.made_up_hands import MadeUpHands, made_up_hands, write_photo

K = {"fx": 614.0, "fy": 613.0, "ppx": 320.5, "ppy": 240.5}
FRAMES = 2
NO_HAND = (0, 1)
"""Camera and number of the frame of each sequence in which there is no hand."""


def write_dexycb(
    root: Path, mano: Mano, people: Collection[int], sequences: int, *, photos: bool = False
) -> MadeUpHands:
    """DexYCB with so many sequences of each person; every sequence shows one hand all along.

    Returns the hands by sequence, in the order of people and names; those of odd sequences are left
    ones, without a fit that could be read.
    """
    hands = made_up_hands(mano, len(people) * sequences, "intaghand", seed=3)
    folder = root / "calibration" / "intrinsics"
    folder.mkdir(parents=True)
    for serial in SERIALS:
        text = yaml.safe_dump({"color": K, "depth": K})
        (folder / f"{serial}_{SIZE[0]}x{SIZE[1]}.yml").write_text(text)
    components = mano.hands_components.double().numpy()
    for k in range(len(hands.joints)):
        person, number = list(people)[k // sequences], k % sequences
        side = "left" if number % 2 else "right"
        calib = f"2020_subject-{person + 1:02d}_{number}_{side}"
        own = root / "calibration" / f"mano_{calib}"
        own.mkdir()
        (own / "mano.yml").write_text(yaml.safe_dump({"betas": hands.betas[k].tolist()}))
        sequence = root / SUBJECTS[person] / f"20200709_{140000 + number}"
        pose = np.linalg.solve(components.T, hands.hand_pose[k])
        fit = np.concatenate([hands.global_orient[k], pose, hands.transl[k]])[None]
        for c, serial in enumerate(SERIALS):
            (sequence / serial).mkdir(parents=True)
            for frame in range(FRAMES):
                empty = (c, frame) == NO_HAND
                np.savez(
                    sequence / serial / f"labels_{frame:06d}.npz",
                    joint_3d=np.full((1, 21, 3), -1.0) if empty else hands.joints[k][None],
                    pose_m=np.zeros((1, 51)) if empty else fit,
                )
                if photos:
                    write_photo(sequence / serial / f"color_{frame:06d}.jpg", SIZE, frame)
        meta = {"num_frames": FRAMES, "mano_sides": [side], "mano_calib": [calib], "ycb_ids": [1]}
        (sequence / "meta.yml").write_text(yaml.safe_dump(meta))
    return hands
