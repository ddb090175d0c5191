"""The official image counts of InterHand2.6M, and the version that a data set's counts match.

Sources: mks0601.github.io/InterHand2.6M (v1.0, 5 fps) and facebookresearch/InterHand2.6M issue 122
(v0.0). The 30 fps version has no official table; its folders are those of the 5 fps one, filled
about six times as densely.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from handpose.counted import counted


class Counts(NamedTuple):
    """Numbers of annotations of one split: one per photo."""

    single: int
    both: int  # interacting hands

    @property
    def total(self) -> int:
        """All of them."""
        return self.single + self.both


OFFICIAL: dict[str, dict[str, Counts]] = {
    "train": {
        "H": Counts(142_231, 386_251),
        "M": Counts(594_189, 314_848),
        "H+M": Counts(687_548, 673_514),
    },
    "val": {"H+M": Counts(234_183, 145_942)},  # M alone
    "test": {
        "H": Counts(33_665, 87_908),
        "M": Counts(455_303, 272_284),
        "H+M": Counts(488_968, 360_192),
    },
}
"""v1.0, 5 fps, by split: annotated by people (H), by machine (M), and both as they are shipped."""

LEGACY = {"train": 738_602, "val": 184_287, "test": 352_897}
"""v0.0: half the images, other annotation files."""

CAPTURES = {"train": 27, "val": 1, "test": 8}
"""Numbers of captures; they are numbered from 0 in every split."""

GREY = "41"
"""How names of grey cameras begin: 410xxx. Colour cameras are 400xxx."""

PHOTO_SIZES = {(512, 334), (334, 512)}
"""Width and height of landscape and portrait photos, px."""

DENSER = (4.0, 8.0)
"""The 30 fps version has between these many times the 5 fps counts."""
NEAR = 0.25
"""A total that differs by more than this share from an official one is another data set's."""


class Release(NamedTuple):
    """The version of a split, by its counts."""

    kind: Literal["5 fps", "30 fps", "incomplete", "legacy", "other"]
    text: str


def version(split: str, found: Counts) -> Release:
    """The version of InterHand2.6M that a split is of; the text includes what is missing."""
    full = OFFICIAL[split]["H+M"]
    if found == full:
        return Release("5 fps", f"{_describe(found)}: the official counts of v1.0, 5 fps")
    if found.total == LEGACY[split]:
        return Release("legacy", f"{_describe(found)}: the counts of v0.0, which v1.0 has replaced")
    if DENSER[0] <= found.total / full.total <= DENSER[1]:
        times = found.total / full.total
        return Release(
            "30 fps",
            f"{_describe(found)}: {times:.1f} times the 5 fps version, so the 30 fps one; there "
            "is no official table to compare it with",
        )
    near, official = min(
        OFFICIAL[split].items(), key=lambda entry: abs(entry[1].total - found.total)
    )
    if abs(found.total - official.total) > NEAR * official.total:
        return Release("other", f"{_describe(found)}: not the official set")
    return Release(
        "incomplete" if found != official else "5 fps",
        f"{_describe(found)}: nearest is v1.0 5 fps {near} with {_describe(official)}; "
        f"{_difference(official.single - found.single, 'of one hand')}, "
        f"{_difference(official.both - found.both, 'of two')}",
    )


def _describe(counts: Counts) -> str:
    return (
        f"{counted(counts.total, 'image')} ({counts.single:,} of one hand, {counts.both:,} of two)"
    )


def _difference(missing: int, what: str) -> str:
    if missing == 0:
        return f"as many {what}"
    return f"{abs(missing):,} {'missing' if missing > 0 else 'too many'} {what}"
