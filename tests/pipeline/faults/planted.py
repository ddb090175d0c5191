"""Faults of nine kinds, planted into a synthetic set in InterHand2.6M's layout.

Eight kinds are planted here. Neutral ends are in the set by its making: gesture sequences begin and
end at rest, and the plan says how far each frame is.
"""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.hand.skeleton import FROM_INTERHAND, WRIST

Key = tuple[int, int]
"""Capture and frame: each frame has one camera."""

Array = NDArray[np.float64]

ROOT = Path("data/synthetic")
FILES = ("data", "camera", "joint_3d", "MANO_NeuralAnnot")

AT_REST, FORMED = 0.06, 0.25
"""Share of a sequence at an end that is neutral for sure, and from which on the gesture is formed;
frames in between are neither, and are taken out."""

LIKE_REST = ("neutral", "relaxed")
"""In names of folders whose gesture is hardly apart from rest."""


class Planter:
    """The annotations of train in memory, and what was planted, by kind."""

    def __init__(self, phases: dict[Key, float], seed: int = 0) -> None:
        """`phases` are those of the plan, 0 to 1, of gesture frames."""
        self.rng = np.random.default_rng(seed)
        self.phases = phases
        self.files: dict[str, Any] = {
            name: json.loads(self._path(name).read_text("utf-8")) for name in FILES
        }
        images = {image["id"]: image for image in self.files["data"]["images"]}
        self.hands = [(images[a["image_id"]], a) for a in self.files["data"]["annotations"]]
        self.truth: dict[str, set[Key]] = defaultdict(set)
        self.used: set[Key] = set()

    @staticmethod
    def _path(name: str) -> Path:
        return ROOT / f"annotations/train/InterHand2.6M_train_{name}.json"

    def write(self) -> None:
        """Replace the annotations by these."""
        for name, content in self.files.items():
            self._path(name).write_text(json.dumps(content), encoding="utf-8")

    def plant(self, count: int) -> None:
        """So many faults of each of the eight kinds; neutral ends are what they are."""
        for kind, plant, hands in (
            ("second_hand", self._second_hand, self._of_folders("02", "03")),
            ("swapped_side", self._swapped_side, self._of_folders("ROM")),
            ("wrong_fit", self._wrong_fit, self._held()),
            ("wrong_bones", self._wrong_bones, self._held()),
            ("shape_drift", self._shape_drift, self._held()),
            ("dark_photo", self._dark_photo, self._held()),
            ("cut_off", self._cut_off, self._held()),
        ):
            self._each(kind, plant, hands, count)
        self._repeated_photos(count)
        self._neutral_ends()

    # --- which hands -----------------------------------------------------------------------------

    def _each(self, kind: str, plant: Callable[..., None], hands: list[Any], count: int) -> None:
        free = [pair for pair in hands if key_of(pair[0]) not in self.used]
        chosen = self.rng.permutation(len(free))[:count]
        assert len(chosen) == count, f"{kind}: {len(free)} hands to choose from"
        for number, at in enumerate(chosen):
            image, annotation = free[at]
            plant(image, annotation, number)
            self.truth[kind].add(key_of(image))
            self.used.add(key_of(image))

    def _held(self) -> list[Any]:
        """Sound hands of gesture folders, the gesture formed."""
        return [
            (image, annotation)
            for image, annotation in self.hands
            if 0.3 <= self.phases.get(key_of(image), 0) <= 0.7 and self._sound(image, annotation)
        ]

    def _of_folders(self, *begins: str) -> list[Any]:
        return [
            (image, annotation)
            for image, annotation in self.hands
            if image["seq_name"].startswith(begins) and self._sound(image, annotation)
        ]

    def _sound(self, image: dict[str, Any], annotation: dict[str, Any]) -> bool:
        joints, fit = self._joints(image), self._fits(image)
        sides = ("right", "left") if annotation["hand_type"] == "interacting" else (
            annotation["hand_type"],
        )  # fmt: skip
        flags = np.array(annotation["joint_valid"]).ravel().reshape(2, 21)
        return bool(
            annotation["hand_type_valid"]
            and joints["hand_type_valid"]
            and all(fit and fit.get(side) for side in sides)
            and all(flags[side == "left"].all() for side in sides)
        )

    def _joints(self, image: dict[str, Any]) -> Any:
        return self.files["joint_3d"][str(image["capture"])][str(image["frame_idx"])]

    def _fits(self, image: dict[str, Any]) -> Any:
        own = self.files["MANO_NeuralAnnot"][str(image["capture"])]
        return own.get(str(image["frame_idx"]))

    def _fit(self, image: dict[str, Any], annotation: dict[str, Any]) -> Any:
        return self._fits(image)[annotation["hand_type"]]

    def _uv(self, image: dict[str, Any], annotation: dict[str, Any]) -> Array:
        """(21, 2) px, in InterHand2.6M's order."""
        start = 21 * (annotation["hand_type"] == "left")
        world = np.array(self._joints(image)["world_coord"])[start : start + 21]
        own, name = self.files["camera"][str(image["capture"])], image["camera"]
        R, C, f, c = (np.array(own[key][name]) for key in ("camrot", "campos", "focal", "princpt"))
        at = (world - C) @ R.T
        return np.asarray(at[:, :2] / at[:, 2:] * f + c)

    # --- the kinds -------------------------------------------------------------------------------

    def _wrong_fit(self, image: Any, annotation: Any, number: int) -> None:
        """8 to 13 mm beside the joints, or two fingers stretched away."""
        fit = self._fit(image, annotation)
        if number % 2:
            away = self.rng.normal(size=3)
            shift = self.rng.uniform(0.008, 0.013) * away / np.linalg.norm(away)
            fit["trans"] = (np.array(fit["trans"]) + shift).tolist()
        else:
            pose = np.array(fit["pose"])
            pose[[5, 14]] += 0.5  # index and middle finger, at the knuckle
            fit["pose"] = pose.tolist()

    def _wrong_bones(self, image: Any, annotation: Any, number: int) -> None:
        """An eighth too large, or a joint 15 mm off."""
        joints = self._joints(image)
        world = np.array(joints["world_coord"])
        start = 21 * (annotation["hand_type"] == "left")
        own = world[start : start + 21]
        if number % 2:
            wrist = own[FROM_INTERHAND[WRIST]]
            own[:] = wrist + 1.13 * (own - wrist)
        else:
            away = self.rng.normal(size=3)
            own[self.rng.integers(0, 20)] += 15 * away / np.linalg.norm(away)
        joints["world_coord"] = world.tolist()

    def _shape_drift(self, image: Any, annotation: Any, number: int) -> None:
        fit = self._fit(image, annotation)
        betas = np.array(fit["shape"])
        betas[self.rng.permutation(10)[:3]] += self.rng.choice([-1.0, 1.0], 3)
        fit["shape"] = betas.tolist()

    def _swapped_side(self, image: Any, annotation: Any, number: int) -> None:
        """All that is said of one hand is said of the other; there is no fit."""
        joints = self._joints(image)
        other = {"right": "left", "left": "right"}[annotation["hand_type"]]
        annotation["hand_type"] = joints["hand_type"] = other
        for record, name in (
            (annotation, "joint_valid"),
            (joints, "joint_valid"),
            (joints, "world_coord"),
        ):
            record[name] = record[name][21:] + record[name][:21]
        self.files["MANO_NeuralAnnot"][str(image["capture"])].pop(str(image["frame_idx"]))

    def _second_hand(self, image: Any, annotation: Any, number: int) -> None:
        """Of two hands that are there one is annotated."""
        joints, kept = self._joints(image), number % 2
        name = ("right", "left")[kept]
        annotation["hand_type"] = joints["hand_type"] = name
        for record, nothing in ((annotation, 0), (joints, False)):
            flags = copy.deepcopy(record["joint_valid"])
            for k in range(21 * (1 - kept), 21 * (1 - kept) + 21):
                flags[k] = [nothing] if isinstance(flags[k], list) else nothing
            record["joint_valid"] = flags
        self._fits(image)[("left", "right")[kept]] = None

    def _dark_photo(self, image: Any, annotation: Any, number: int) -> None:
        picture = read(image)
        dark = picture * self.rng.uniform(0.04, 0.1) + self.rng.normal(2, 2, picture.shape)
        write(image, dark)

    def _cut_off(self, image: Any, annotation: Any, number: int) -> None:
        """A camera that is turned away: two fifths of the joints are outside its photo."""
        uv, picture = self._uv(image, annotation), read(image)
        axis = number % 2
        shift = np.zeros(2)
        shift[axis] = -round(float(np.quantile(uv[:, axis], 0.4)))
        M = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
        moved = cv2.warpAffine(
            picture, M, (image["width"], image["height"]), borderMode=cv2.BORDER_REPLICATE
        )
        old, new = image["camera"], f"49{number:04}"
        own = self.files["camera"][str(image["capture"])]
        for values in own.values():
            values[new] = copy.deepcopy(values[old])
        own["princpt"][new] = (np.array(own["princpt"][new]) + shift).tolist()
        image["camera"] = new
        image["file_name"] = image["file_name"].replace(f"cam{old}", f"cam{new}")
        annotation["bbox"] = [
            *(np.array(annotation["bbox"][:2]) + shift).tolist(),
            *annotation["bbox"][2:],
        ]
        if number % 4 > 1:  # as InterHand2.6M says it
            start = 21 * (annotation["hand_type"] == "left")
            outside = ((uv + shift) < 0).any(1)
            for k in np.flatnonzero(outside).tolist():
                flag = annotation["joint_valid"][start + k]
                annotation["joint_valid"][start + k] = [0] if isinstance(flag, list) else 0
        write(image, moved)

    def _repeated_photos(self, count: int) -> None:
        """A camera's last photo again, where the hand has moved; half of them encoded anew.

        Fewer where few hands move.
        """
        clips: dict[Any, list[Any]] = defaultdict(list)
        for image, annotation in self.hands:
            if annotation["hand_type"] != "interacting" and annotation["hand_type_valid"]:
                clips[image["capture"], image["camera"]].append((image, annotation))
        pairs = []
        held = {key_of(image) for image, _ in self._held()}
        for own in clips.values():
            own.sort(key=lambda pair: pair[0]["frame_idx"])
            for first, second in pairwise(own):
                keys = {key_of(first[0]), key_of(second[0])}
                if keys & self.used or key_of(second[0]) not in held:
                    continue
                moved = np.linalg.norm(self._uv(*first) - self._uv(*second), axis=1).mean()
                if moved > 0.1 * max(second[1]["bbox"][2:]):
                    pairs.append((first[0], second[0]))
        for at in self.rng.permutation(len(pairs)).tolist():
            first, second = pairs[at]
            number, keys = len(self.truth["repeated_photo"]), {key_of(first), key_of(second)}
            if keys & self.used or number == count:
                continue
            self.used |= keys
            if number % 2:
                write(second, read(first), quality=80)
            else:
                path_of(second).write_bytes(path_of(first).read_bytes())
            self.truth["repeated_photo"].add(key_of(second))
        planted = len(self.truth["repeated_photo"])
        assert 2 * planted >= count, f"{len(pairs)} pairs to choose from"

    def _neutral_ends(self) -> None:
        """Frames at rest; those that are neither at rest nor formed are taken out."""
        between, data = set(), self.files["data"]
        planted = set().union(*self.truth.values())
        for image, _ in self.hands:
            key = key_of(image)
            if key not in self.phases or key in planted:
                continue
            end = min(self.phases[key], 1 - self.phases[key])
            if AT_REST < end < FORMED:
                if key not in self.used:  # the photo before a repeated one stays
                    between.add(image["id"])
            elif end <= AT_REST and not any(word in image["seq_name"] for word in LIKE_REST):
                self.truth["neutral_end"].add(key)
        data["images"] = [one for one in data["images"] if one["id"] not in between]
        data["annotations"] = [one for one in data["annotations"] if one["image_id"] not in between]


def key_of(image: dict[str, Any]) -> Key:
    return image["capture"], image["frame_idx"]


def path_of(image: dict[str, Any]) -> Path:
    return ROOT / "images" / "train" / str(image["file_name"])


def read(image: dict[str, Any]) -> Any:
    return cv2.imread(str(path_of(image)))


def write(image: dict[str, Any], picture: Any, quality: int = 90) -> None:
    path_of(image).parent.mkdir(parents=True, exist_ok=True)
    clean = np.clip(picture, 0, 255).astype(np.uint8)
    cv2.imwrite(str(path_of(image)), clean, [cv2.IMWRITE_JPEG_QUALITY, quality])


def found_at_precision(ranks: Iterable[tuple[bool, bool]], precision: float) -> int:
    """Faults found in the longest beginning of a ranking of which so large a share is faulty.

    Args:
        ranks: of each rank, whether it is faulty at all, and whether of the kind in question.
        precision: the share.
    """
    best = faulty = found = 0
    for number, (any_fault, own) in enumerate(ranks, start=1):
        faulty, found = faulty + any_fault, found + own
        if faulty >= precision * number:
            best = found
    return best
