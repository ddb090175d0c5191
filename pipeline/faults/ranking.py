"""The most suspicious annotations of each kind: ranked, and as a CSV file to choose from."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from handpose.exclusions import ANY, Exclusion
from handpose.files import atomic_file
from pipeline.faults.fault_kinds import KINDS, FaultKind, limit
from pipeline.faults.ingested_hands import Floats, IngestedHands

MOST = 500
"""Annotations of a kind that are ranked, at least; all that are proposed are."""

COLUMNS = (
    *("kind", "rank", "proposed", "value", "limit"),
    *("split", "session", "sequence", "frame", "camera", "hand"),
    *("action", "person", "used_in", "image"),
)


class RankedRow(NamedTuple):
    """A row of the file."""

    kind: str
    rank: int  # from 1
    proposed: bool
    used_in: str  # our split, to which the person belongs
    exclusion: Exclusion  # what leaves it out


class Suspect(NamedTuple):
    """An annotation that may be wrong."""

    kind: FaultKind
    rank: int  # from 1
    value: float
    limit: float
    at: int  # hand or view, as of its kind
    view: int  # that shows it

    @property
    def proposed(self) -> bool:
        """Whether it is proposed to be left out."""
        return self.value >= self.limit

    @property
    def value_text(self) -> str:
        """The value with the digits of its kind."""
        return f"{self.value:.{self.kind.digits}f}"


def rank(hands: IngestedHands, values: Mapping[str, Floats]) -> dict[str, list[Suspect]]:
    """Suspects by kind, the most suspicious first: `MOST` of each, or more if more are proposed.

    Args:
        hands: whose values.
        values: by kind, of each hand (M,) or view (N,); NaN is unknown.
    """
    found = {}
    for kind in KINDS:
        own = values.get(kind.name, np.empty(0))
        above = limit(kind, own)
        known = np.flatnonzero(np.isfinite(own) & (own > 0))
        order = known[np.argsort(-own[known], kind="stable")]
        count = max(MOST, int((own[known] >= above).sum()))
        found[kind.name] = [
            Suspect(
                kind,
                number,
                float(own[at]),
                above,
                int(at),
                int(hands.view_of[at] if kind.unit == "hand" else at),
            )
            for number, at in enumerate(order[:count].tolist(), start=1)
        ]
    return found


def exclusion_of(hands: IngestedHands, suspect: Suspect) -> Exclusion:
    """The row that leaves a suspect out: of every camera, where the kind is about a hand."""
    column = {name: values[suspect.view] for name, values in hands.columns.items()}
    return Exclusion(
        str(column["source_split"]),
        int(column["session"]),
        str(column["sequence"]),
        int(column["frame"]),
        None if suspect.kind.unit == "hand" else str(column["camera"]),
        "left" if column["is_left"] else "right",
        suspect.kind.name,
        suspect.kind.action,
        f"{suspect.value_text}, limit {suspect.limit:.{suspect.kind.digits}f}",
    )


def write_ranking(path: Path, hands: IngestedHands, suspects: Iterable[Sequence[Suspect]]) -> None:
    """One row for each suspect."""
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for own in suspects:
            for one in own:
                row = exclusion_of(hands, one)
                names = ("subject", "split", "image")
                person, used_in, image = (hands.columns[name][one.view] for name in names)
                where = row.cells()[:6]
                proposed = str(one.proposed).lower()
                numbers = (f"{one.value:.6g}", f"{one.limit:.6g}")
                what = (row.action, person, used_in, image)
                writer.writerow([one.kind.name, one.rank, proposed, *numbers, *where, *what])


def read_ranking(path: Path) -> list[RankedRow]:
    """The rows of a file as written.

    Raises:
        ValueError, KeyError: the file is another one.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    found = []
    for row in rows:
        frame, camera = row["frame"], row["camera"]
        digits = next(kind.digits for kind in KINDS if kind.name == row["kind"])
        value, least = float(row["value"]), float(row["limit"])
        exclusion = Exclusion(
            row["split"],
            int(row["session"]),
            row["sequence"],
            None if frame == ANY else int(frame),
            None if camera == ANY else camera,
            row["hand"],
            row["kind"],
            row["action"],
            f"{value:.{digits}f}, limit {least:.{digits}f}",
        )
        rank, proposed = int(row["rank"]), row["proposed"] == "true"
        found.append(RankedRow(row["kind"], rank, proposed, row["used_in"], exclusion))
    return found
