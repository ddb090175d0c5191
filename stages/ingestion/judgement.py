"""What becomes of every annotation of a split: a sample, a reject with its reason, or left out.

The stage `ingest` and `handpose data verify` both ask here, so that what one counts the other
takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import islice, pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from handpose.data.annotation_table import AnnotationTable
from handpose.data.camera_frame import RestWrist
from handpose.data.merged.fit_form import RootDecision
from handpose.data.reader import SourceSplit
from handpose.hand.mano import Mano
from stages.ingestion.camera_boxes import OffCamera
from stages.ingestion.candidates import Candidates
from stages.ingestion.chunks import Chunk, PhotoFaults, Rules, Verdict, chunks, decided
from stages.ingestion.contradictions import DRAWN, unused_fits
from stages.ingestion.tally import Tally
from stages.params import IngestParams

ROWS_AT_A_TIME = 20_000
"""Annotations that become one table of samples."""

NO_FIT_AT = -1
"""Stands for the index of a fit where there is none; what is less, for one that is not used."""


class Judgement:
    """Decides over the annotations of a data set, split by split, and counts."""

    def __init__(self, ingest: IngestParams, mano: Mano | None) -> None:
        """Without a hand model fits are not compared with joints."""
        self._ingest, self._mano = ingest, mano
        nowhere = torch.zeros(11, 3)
        self._rest_wrist = RestWrist(mano.rest_wrist if mano else lambda _: nowhere)
        self.left_out: Counter[str] = Counter()
        """Annotations that the parameters leave out: `held_out`, `trimmed` and `thinned`."""
        self.excluded: Counter[tuple[str, str]] = Counter()
        """Annotations that the list of exclusions names, by action and kind of fault."""
        self.unused_fits: dict[str, Tally] = {}
        """Samples whose fit is not used, by reason; those without one are not counted."""
        self.incomplete: Counter[str] = Counter()
        """Samples with a joint that is masked, by reason."""
        self.off_cameras: list[tuple[str, OffCamera]] = []
        """Source split and camera."""
        self.beside_boxes = Tally()
        """Annotations of these cameras."""
        self.contradictions: list[pa.Table] = []
        """Rows of contradictions.parquet."""
        self.of_both_hands = 0
        """Annotations of both hands that count as two, whatever becomes of each."""
        self.made_fits = 0
        """Annotations whose fit was made from their joints, whatever becomes of them."""
        self.roots: dict[str, RootDecision] = {}
        """What was decided of root rotations in doubt, by source split."""
        self._drawn: Counter[str] = Counter()  # fits, by source split

    @property
    def fit_faults(self) -> dict[str, int]:
        """How many samples keep no fit, by reason."""
        return {reason: tally.total for reason, tally in self.unused_fits.items()}

    def of(
        self,
        found: Candidates,
        split: SourceSplit,
        photo_faults: PhotoFaults | None,
        step: Callable[[int], None] = lambda _: None,
        *,
        by_all_cores: bool = False,
    ) -> Iterator[tuple[pa.Table | None, pa.Table]]:
        """A split in parts: samples, if any, and rejects.

        Args:
            found: its candidates.
            split: whose annotations they are.
            photo_faults: None: photos stay unopened.
            step: called with the number of annotations just decided.
            by_all_cores: as opening photos needs; otherwise all is done here.
        """
        yield None, found.rejected
        if found.root is not None:
            self.roots[split.name] = found.root
        self.off_cameras += [(split.name, camera) for camera in found.off_cameras]
        self.contradictions += found.contradictions
        self.left_out.update(found.left_out)  # += would drop a parameter that leaves out nothing
        self.excluded.update(found.excluded_kinds)
        self.of_both_hands += found.of_both_hands
        self.made_fits += found.made_fits
        if len(found.excluded):
            yield None, found.excluded
        if len(found.beside_boxes):
            self.beside_boxes.add(found.beside_boxes)
            yield None, found.beside_boxes
        step(found.total - len(found.rows))
        rules = Rules(split, self._ingest, self._rest_wrist, photo_faults)
        parts = list(_parts(found.rows))
        tasks = (Chunk(rules, rows) for part in parts for rows in chunks(part))
        with decided(tasks, len(found.rows), by_all_cores=by_all_cores) as verdicts:
            for part in parts:
                own = list(_of_part(part, verdicts, step))
                yield None, pa.concat_tables(one.damaged for one in own)
                samples = pa.concat_tables(one.samples for one in own)
                rejects = pa.concat_tables(one.rejected for one in own)
                if len(samples) + len(rejects):
                    self._count(part, own, split, found.far_fit_of)
                    yield samples, rejects

    def _count(
        self,
        rows: AnnotationTable,
        verdicts: list[Verdict],
        split: SourceSplit,
        far_fit_of: Mapping[tuple[int, bool], int],
    ) -> None:
        """The samples of a part that lack a joint or their fit."""
        for reason in verdicts[0].incomplete:
            if count := sum(one.incomplete[reason] for one in verdicts):
                self.incomplete[reason] += count
        if (rows.table["fit_at"].to_numpy() < NO_FIT_AT).any():
            starts = np.cumsum([0, *(one.rows for one in verdicts)])
            used = [start + one.used for start, one in zip(starts, verdicts, strict=False)]
            self._count_unused_fits(rows.take(np.concatenate(used)), split, far_fit_of)

    def _count_unused_fits(
        self, rows: AnnotationTable, split: SourceSplit, far_fit_of: Mapping[tuple[int, bool], int]
    ) -> None:
        if not (rows.table["fit_at"].to_numpy() < NO_FIT_AT).any():
            return
        numbers = rows.table["annotation_id"].to_pylist()
        hands = zip(numbers, rows.is_left().tolist(), strict=True)
        far_fit_at = np.array([far_fit_of.get(hand, NO_FIT_AT) for hand in hands], np.int64)
        left = DRAWN - self._drawn[split.name]
        found = unused_fits(rows, far_fit_at, self._mano, left)
        self._drawn[split.name] += len(found) - found["fit"].null_count
        self.contradictions.append(found)
        for reason in found["reason"].unique().to_pylist():
            own = found.filter(pc.equal(found["reason"], reason))
            self.unused_fits.setdefault(reason, Tally()).add(own)


def _of_part(
    part: AnnotationTable, verdicts: Iterator[Verdict], step: Callable[[int], None]
) -> Iterator[Verdict]:
    """The next verdicts, those of this part."""
    left = len(part)
    while left:
        (one,) = islice(verdicts, 1)
        left -= one.rows
        step(one.rows)
        yield one


def _parts(rows: AnnotationTable) -> Iterator[AnnotationTable]:
    """The rows, session by session, in parts of at most `ROWS_AT_A_TIME`."""
    sessions = np.flatnonzero(np.diff(rows.table["session"].to_numpy())) + 1
    ends = [0, *sessions.tolist(), len(rows)]
    for begin, end in pairwise(ends):
        for start in range(begin, end, ROWS_AT_A_TIME):
            yield rows.slice(start, min(start + ROWS_AT_A_TIME, end))
