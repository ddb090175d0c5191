"""`handpose labels suggest`: a map that agrees with the evidence, beside the curated one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from handpose.counted import counted
from handpose.files import atomic_file
from pipeline.labels.audit import APART, PairFinding, findings
from pipeline.labels.edit import GestureMapFile, LabelEditError
from pipeline.labels.evidence import Confusions, PoseSums
from pipeline.labels.map_diff import changes, images
from stages.paths import LABELS, PREDICTIONS, SAMPLES

WORD = re.compile(r"[^\w]+")


class Suggestion(NamedTuple):
    """A map with edits, and the reason of each."""

    map: GestureMapFile
    reasons: list[str]
    twins: list[str]  # twins whose poses differ, for which there is no edit


def suggest(root: Path, curated: GestureMapFile) -> list[str]:
    """Write the proposed map and its diff beside the map, which stays as it is; lines of text.

    Raises:
        EvidenceError: there are no samples.
    """
    poses = PoseSums.read(root / SAMPLES)
    confusions = Confusions.read(root / PREDICTIONS, root / LABELS)
    found = proposal(curated, findings(curated.table, poses, confusions))
    lines = [*found.reasons, *found.twins]
    if confusions is None:
        lines.append(
            f"no class is merged, since {PREDICTIONS} or {LABELS} is missing: poses alone do not "
            "show how a hand is turned"
        )
    if not found.reasons:
        return [*lines, f"nothing to suggest; {curated.table.path} is as the data have it"]
    proposed, patch = paths_beside(curated.table.path)
    moved = changes(curated.table, found.map.table, images(root))
    for path, text in (
        (proposed, found.map.text),
        (
            patch,
            "\n".join([*lines, "", *moved, "", *_unified(curated, found.map, proposed)]) + "\n",
        ),
    ):
        with atomic_file(path) as partial:
            partial.write_bytes(text.encode("utf-8"))
    edits = counted(len(found.reasons), "edit")
    wrote = f"wrote {proposed} with {edits}, and {patch}; {curated.table.path} is as it was"
    return [*lines, *moved, wrote]


def paths_beside(path: Path) -> tuple[Path, Path]:
    """Where the proposed map and its diff are written: `NAME.suggested.csv` and `.diff`."""
    return path.with_suffix(".suggested.csv"), path.with_suffix(".suggested.diff")


def proposal(curated: GestureMapFile, found: Sequence[PairFinding]) -> Suggestion:
    """The curated map with an edit for each clear finding, each one checked as an edit by hand.

    A fine class whose gestures are clearly apart is split, within its coarse class. Two fine
    classes become one where the network takes one for the other and the poses are not clearly
    apart. Which of two is right, and whether either is, a person decides.
    """
    edited, reasons = curated, list[str]()
    for group in _groups(found):
        for folders, why in group:
            name = _new_name(edited, folders[0])
            edited = edited.split(name, folders)
            reasons.append(f"split {name} ({', '.join(folders)}): {why}")
    for one in found:
        if one.kind == "split" and one.confused and not one.distance.ratio.low > APART:
            first, second = (edited.rows[side.folders[0]].fine for side in (one.first, one.second))
            if first == second:
                continue
            try:
                edited = edited.merge(first, second)
            except LabelEditError:  # an edit before it made the names unfit; the audit lists it
                continue
            reasons.append(
                f"merge {first} and {second}: {one.confusion.value:.0%} of their images are taken "
                f"for the other, and their poses are {_far(one)}"
            )
    twins = [
        f"twins {one.first.folders[0]} and {one.second.folders[0]}: their poses are {_far(one)}; "
        "are they one gesture?"
        for one in found
        if one.kind == "twins" and one.debatable
    ]
    return Suggestion(edited, reasons, twins)


def _groups(found: Sequence[PairFinding]) -> Iterator[list[tuple[list[str], str]]]:
    """For each class to be split: the folders of each new class, and why."""
    merged = [one for one in found if one.kind == "merged"]
    for fine in dict.fromkeys(one.first.fine for one in merged if one.debatable):
        pairs = [one for one in merged if one.first.fine == fine]
        members = dict.fromkeys(side.folders for one in pairs for side in (one.first, one.second))
        group = {folders: k for k, folders in enumerate(members)}
        for one in pairs:
            if not one.debatable:  # together, and so are those that either is with
                a, b = group[one.first.folders], group[one.second.folders]
                group = {folders: a if k == b else k for folders, k in group.items()}
        parts: dict[int, list[str]] = {}
        for folders, k in sorted(group.items()):
            parts.setdefault(k, []).append(folders[0])
        _, *others = sorted(parts.values(), key=lambda part: -len(part))  # the largest stays
        farthest = max((p for p in pairs if p.debatable), key=lambda p: p.distance.ratio.low)
        why = (
            f"{farthest.first.folders[0]} and {farthest.second.folders[0]} of {fine} are "
            f"{_far(farthest)}"
        )
        yield [(folders, why) for folders in others]


def _far(one: PairFinding) -> str:
    """The distance of a pair in words."""
    ratio = one.distance.ratio
    return (
        f"{one.distance.apart_mm:.1f} mm, {ratio.value:.2f} of their spread, apart "
        f"({ratio.low:.2f} to {ratio.high:.2f}, {counted(ratio.subjects, 'person', 'people')})"
    )


def _new_name(edited: GestureMapFile, folder: str) -> str:
    """A name for a class of this folder that no class has."""
    row = edited.rows[folder]
    taken = {name for one in edited.table.labelled for name in (one.coarse, one.fine)}
    own = WORD.sub("_", row.gesture)
    name = own if own.startswith(row.coarse) else f"{row.coarse}_{own}"
    number = 2
    while name in taken:
        name, number = f"{row.coarse}_{own}_{number}", number + 1
    return name


def _unified(before: GestureMapFile, after: GestureMapFile, proposed: Path) -> Iterator[str]:
    old, new = (one.text.removesuffix("\n").split("\n") for one in (before, after))
    yield from difflib.unified_diff(
        old, new, str(before.table.path), str(proposed), n=0, lineterm=""
    )
