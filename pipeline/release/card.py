"""The card of a released model: what it is, what it was made of, how good it is, what it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = {
    "pck_2d": "2D PCK at 20 %",
    "error_2d": "2D error, %",
    "wrist_mpjpe_mm": "wrist-relative, mm",
    "pa_mpjpe_mm": "PA, mm",
    "side": "side",
    "certain": "certain of it",
    "side_if_certain": "side if certain",
    "facing": "facing",
    "palm_for_back": "palm for back",
    "mirrored": "fingers mirrored",
}

CONFIDENCE_COLUMNS = {
    "inside_2d": "joints within their region in the image",
    "inside_3d": "in 3D",
    "hands_lower_by": "3D error without the least sure fifth of hands lower by",
    "best_lower_by": "at most",
    "joints_lower_by": "without that of joints",
    "auc": "AUC, hand or none",
    "hand_recognised": "hands recognised",
    "window_recognised": "windows without a hand recognised",
}


def card(facts: Mapping[str, Any]) -> str:
    """Markdown from the facts that `release.py` collects."""
    trained, machine = facts["training"], facts["machine"]
    speed = facts["images_per_s"]
    sets, reference = facts["sets"], next(iter(facts["sets"].values()))
    once = {f"{next(iter(sets))}, one pass": facts["one_look"]} if "one_look" in facts else {}
    seconds = sum(trained["seconds"].values())
    machines = [_name(one["machine"]) for one in [*facts["earlier"], facts]]
    steps = trained["steps"] + sum(one["training"]["steps"] for one in facts["earlier"])
    return "\n".join(
        [
            "# The released model",
            "",
            "Hands in photos, by a network that has seen no photo of a hand: it was trained on "
            "hands that this repository renders. Written by `handpose release`.",
            "",
            f"- **Weights**: {facts['bytes'] / 1e6:.1f} MB, half precision, "
            f"{facts['parameters'] / 1e6:.2f} million parameters; SHA-256 {facts['sha256'][:16]}.",
            *_data(facts),
            f"- **Code** at the time of packing: commit {facts['commit'][:10]}"
            + (" with uncommitted changes." if facts["uncommitted"] else "."),
            f"- **Training**: {steps:,} steps of Stage 2 at batch {trained['batch']}, "
            f"{seconds / 3600:.1f} hours with Stage 1; {', then '.join(machines)}.",
            f"- **Speed** on {_name(machine)}, photos in memory to hands, all cores: "
            f"{speed['1']:.0f} photos/s one by one, {speed['16']:.0f} sixteen at a time.",
            "- **Licence**: that of this repository, Apache-2.0. Nothing of MANO, of InterHand2.6M "
            "or of any photo of a hand is in it; crops of three photos by others were backdrops of "
            "its training images. Running it needs no smplx, whose licence is non-commercial: "
            "where that package is not installed, this repository's own code poses the hand. "
            "NOTICE has the credits and the terms.",
            "",
            "## On synthetic sets that it never saw",
            "",
            f"{facts['images_a_set']:,} images of {facts['people_a_set']} people each. The model "
            "gets the photo and a box that is moved and scaled by up to 8 %; it predicts the side "
            "itself. Mean [95 % interval over people].",
            "",
            *_table("set", {f"{k}: {v['what']}": v["estimates"] for k, v in sets.items()} | once),
            "",
            *(
                [
                    "The model makes two passes: the first finds where the fingers point, the "
                    "second sees the hand turned upright, and its mirror image.",
                    "",
                ]
                if once
                else []
            ),
            "2D errors are shares of the longer side of the joints' box. With all joints at the "
            f"middle of the given box, the first set's 2D error is "
            f"{_cell(reference['estimates'], 'centre_2d')}.",
            "",
            "## By rotation in the image and by face, first set",
            "",
            *_table("degrees clockwise from fingers up", facts["by_rotation"]),
            "",
            *_table("face", facts["by_facing"]),
            "",
            *(_confidence(facts["confidence"], sets) if "confidence" in facts else []),
            "## What it does not do",
            "",
            "- It finds no hands: a box is needed. Without intrinsics its hand is in the frame of "
            "a camera that looks at the box's middle.",
            "- What it takes for no hand was learnt and measured on windows beside the hands of "
            "such synthetic photos. Feet, faces, animals and other pictures were not tried.",
            "- Its size is relative: from one photo, a small hand that is near looks like a large "
            "one that is far.",
            "- Two hands that touch, hands in gloves and hands that hold large objects were not in "
            "its data. Children's hands were not either.",
            "- These numbers are of synthetic images. Expect larger errors on photos "
            "([of real hands](../../docs/photos.md#on-photos-of-real-hands)). Measure them on "
            "photos of your own before you rely on it.",
            "",
        ]
    )


def _name(machine: Mapping[str, Any]) -> str:
    """`A CPU, 2 cores`, and the GPU if it has one."""
    gpu = f", {machine['gpu']}" if machine["gpu"] else ""
    return f"{machine['cpu']}, {machine['cores']} cores{gpu}"


def _data(facts: Mapping[str, Any]) -> list[str]:
    """The images of each training, the last first."""
    lines: list[str] = []
    for one in [facts, *reversed(facts["earlier"])]:
        data = one["data"]
        started = " before that, on" if lines else ""
        lines.append(
            f"- **Data**:{started} {data['images']:,} synthetic images of {data['people']} people, "
            f"{_profile(data['unlike_wide'])}, seed {data['seed']}; {one['training']['steps']:,} "
            "steps."
        )
    return lines


def _profile(unlike: Sequence[str]) -> str:
    """The profile, and the keys that differ from it."""
    if not unlike:
        return "profile `wide`"
    return f"profile `wide` but for {', '.join(f'`{key}`' for key in unlike)}"


def _confidence(record: Mapping[str, Any], sets: Mapping[str, Any]) -> list[str]:
    """How far its regions and its answer to "is this a hand" can be relied on."""
    own, other = record["training"], record["calibration"]
    return [
        "## How sure it is",
        "",
        f"A small head reads off the finished network, for every joint, a region that should hold "
        f"{100 * record['region']:.0f} % of such joints, and whether the box holds a hand. It was "
        f"trained on {own['hands']:,} hands and {own['windows']:,} windows without one, and "
        f"calibrated on {other['hands']:,} and {other['windows']:,} of {other['people']} people "
        "that neither it nor the network was trained on. The sets are those above; each photo "
        "with room beside its hand gives a window without one. A hand is as sure as its joints' "
        "regions are small, on average; errors are wrist-relative. At most: if the fifth of hands "
        "with the largest errors were dropped.",
        "",
        *_table("set", {k: v["confidence"] for k, v in sets.items()}, CONFIDENCE_COLUMNS),
        "",
    ]


def _table(
    name: str, rows: Mapping[str, Mapping[str, Any]], columns: Mapping[str, str] = COLUMNS
) -> list[str]:
    header = [name, *columns.values(), "images"]
    return [
        _row(header),
        f"|{' --- |' * len(header)}",
        *(
            _row([row, *(_cell(found, key) for key in columns), _count(found, columns)])
            for row, found in rows.items()
        ),
    ]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _count(found: Mapping[str, Any], columns: Mapping[str, str]) -> str:
    """Images, of which each counts in the first column."""
    return f"{found[next(iter(columns))]['samples']:,}"


def _cell(found: Mapping[str, Any], key: str) -> str:
    """`12.3 [11.0, 13.6]`; lengths in mm, shares in percent."""
    one = found[key]
    if one["value"] is None:
        return ""
    factor = 1 if key.endswith("_mm") else 100
    unit = "" if key.endswith("_mm") else " %"
    value = f"{factor * one['value']:.1f}"
    if one["low"] is None:
        return value + unit
    return f"{value} [{factor * one['low']:.1f}, {factor * one['high']:.1f}]{unit}"
