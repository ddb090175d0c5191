"""`handpose data exclude`: rows of the ranking into the list of exclusions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from handpose.counted import counted
from handpose.data.splits import TRAIN
from handpose.errors import HandPoseError
from handpose.exclusions import DROP, DROP_FIT, Exclusion, Exclusions
from pipeline.faults.fault_kinds import BY_NAME
from pipeline.faults.ranking import RankedRow, read_ranking

RANKS = re.compile(r"[1-9]\d*(-[1-9]\d*)?(,[1-9]\d*(-[1-9]\d*)?)*")


class AcceptError(HandPoseError):
    """What is to be excluded is not in the ranking."""


class Choice(NamedTuple):
    """A kind, and which of its ranks; None: those that are proposed."""

    kind: str
    ranks: frozenset[int] | None

    @classmethod
    def parse(cls, text: str) -> Choice:
        """`KIND`, or `KIND:1-20,25`.

        Raises:
            AcceptError: the kind is unknown, or the ranks are not numbers from 1.
        """
        kind, _, ranks = text.partition(":")
        if kind not in BY_NAME:
            raise AcceptError(f"found the kind {kind!r}, expected one of {', '.join(BY_NAME)}")
        if ":" not in text:
            return cls(kind, None)
        if not RANKS.fullmatch(ranks):
            raise AcceptError(f"{text}: found ranks {ranks!r}, expected such as {kind}:1-20,25")
        chosen: set[int] = set()
        for part in ranks.split(","):
            first, _, last = part.partition("-")
            if int(last or first) < int(first):
                raise AcceptError(f"{text}: {part} ends before it begins; write {last}-{first}")
            chosen.update(range(int(first), int(last or first) + 1))
        return cls(kind, frozenset(chosen))


def accept(
    ranking: Path, exclusions: Path, choices: Sequence[str], *, all_splits: bool = False
) -> list[str]:
    """Add what is chosen to the list; lines of text.

    Args:
        ranking: as `handpose data faults` wrote it.
        exclusions: the list that `ingest.exclusions` names.
        choices: texts as of `Choice.parse`; at least one.
        all_splits: also what is not of training people; otherwise that is counted and left.

    Raises:
        AcceptError: there is no ranking, or it lacks a rank that is asked for.
        ExclusionError: the list has faults.
    """
    wanted = [Choice.parse(text) for text in choices]
    before = Exclusions.read(exclusions)
    rows = _rows(ranking)
    asked = [row for choice in wanted for row in _chosen(rows, choice, ranking)]
    taken = [row.exclusion for row in asked if all_splits or row.used_in == TRAIN]
    left = Counter(row.used_in for row in asked if not all_splits and row.used_in != TRAIN)
    new, raised = before.add(taken)
    lines = [f"{kind}: {counted(count, 'row')} added" for kind, count in _by_kind(new).items()]
    lines += [
        f"{kind}: {counted(count, 'row')} of {DROP_FIT} became {DROP}: the annotation is not used "
        f"at all ({', '.join(f'line {row.line}' for row in raised if row.kind == kind)})"
        for kind, count in _by_kind(raised).items()
    ]
    listed = {row.target for row in before.rows} - {row.target for row in raised}
    known = sum(row.target in listed for row in taken)
    if known:
        lines.append(f"{counted(known, 'row was', 'rows were')} in {exclusions} already")
    if twice := len(taken) - len(new) - len(raised) - known:
        lines.append(f"{counted(twice, 'row names', 'rows name')} what another of these names")
    if left:
        of = ", ".join(f"{count} of {split}" for split, count in sorted(left.items()))
        lines.append(
            f"{counted(left.total(), 'row was', 'rows were')} left, as not of training people: "
            f"{of}. What is excluded of validation and test changes what the figures are measured "
            "on; --all-splits takes these too"
        )
    after = len(before.rows) + len(new)
    return [
        *lines,
        f"{exclusions} has {counted(after, 'row')} now; dvc repro runs ingest and what reads its "
        "results. Remove a line to take an annotation back",
    ]


def _rows(ranking: Path) -> list[RankedRow]:
    try:
        return read_ranking(ranking)
    except FileNotFoundError:
        raise AcceptError(f"{ranking}: not found; run `handpose data faults` first") from None
    except (ValueError, KeyError, StopIteration, TypeError) as error:
        raise AcceptError(
            f"{ranking}: is not as handpose data faults wrote it ({error}); run it again"
        ) from None


def _chosen(rows: Sequence[RankedRow], choice: Choice, ranking: Path) -> list[RankedRow]:
    own = {row.rank: row for row in rows if row.kind == choice.kind}
    if choice.ranks is None:
        return [row for row in own.values() if row.proposed]
    if missing := sorted(choice.ranks - set(own)):
        last = f"its last is {max(own)}" if own else "it has none of this kind"
        raise AcceptError(f"{ranking}: has no rank {missing[0]} of {choice.kind}; {last}")
    return [row for rank, row in own.items() if rank in choice.ranks]


def _by_kind(rows: Sequence[Exclusion]) -> dict[str, int]:
    return dict(Counter(row.kind for row in rows))
