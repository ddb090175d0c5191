"""A folder of one's own recordings as `data/reader.py` wants it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from handpose.data.annotation_table import (
    NO_BOX,
    NO_FIT,
    REJECT,
    ROW,
    AnnotationTable,
    Camera,
    HandJoints,
    ManoFit,
    as_bytes,
    box_bytes,
)
from handpose.data.reader import SourceSplit, SplitAnnotations
from handpose.data.splits import TRAIN
from handpose.errors import HandPoseError
from handpose.file_content import recognise, replaced_by
from handpose.folder.hand_record import FILE, FolderRecord, RecordFault, parse

MOST_FAULTS = 20
"""Faults listed at once."""

AS_LINES = "import json, sys; [print(json.dumps(hand)) for hand in json.load(sys.stdin)]"
"""Program that turns a JSON list into JSON lines."""


class FolderError(HandPoseError):
    """hands.jsonl is missing, or not as docs/own-data.md describes it."""


class NumberedRecord(NamedTuple):
    """A record and the number of its line, from 1."""

    line: int
    record: FolderRecord


class FolderReader:
    """Reads a folder with images/ and annotations/hands.jsonl; the whole file is in memory."""

    def __init__(self, root: Path) -> None:
        """Nothing is read yet."""
        self._root, self._file = root, root / FILE

    def __reduce__(self) -> tuple[type[FolderReader], tuple[Path]]:
        """A process that it is sent to reads the file itself."""
        return FolderReader, (self._root,)

    def files(self) -> Sequence[Path]:
        """The file of the records.

        Raises:
            FolderError: it is missing.
        """
        if not self._file.is_file():
            raise self._missing()
        return [self._file]

    def splits(self) -> Sequence[SourceSplit]:
        """The training data, and every other split that a record names.

        Raises:
            FolderError: the file is missing, is faulty, or has no record of the training data.
        """
        names = dict.fromkeys(one.record.split for one in self._records)
        if TRAIN not in names:
            raise FolderError(
                f"{self._file}: no line is of the training data: all have a key split, of "
                f"{', '.join(names) or 'which there is none'}; leave split out of what trains"
            )
        others = (name for name in names if name != TRAIN)
        train = SourceSplit(TRAIN, f"the training data of {self._file}")
        return [train, *(SourceSplit(n, f"split {n}", evaluated_as=n) for n in others)]

    def read(self, split: SourceSplit) -> SplitAnnotations:
        """The records of a split; none is rejected, for a faulty one is an error.

        Raises:
            FolderError: the file is missing or has faults; each is named with its line and key.
        """
        own = [one for one in self._records if one.record.split == split.name]
        return SplitAnnotations(_table(split.name, own), REJECT.empty_table())

    def no_fits(self, split: SourceSplit) -> str:
        """Which key is missing, and what follows."""
        return (
            f"no such line of {self._file} has the key mano. Stage pose learns from the joints "
            "alone, and metrics against the fit stay empty; docs/own-data.md describes the key"
        )

    def _missing(self) -> FolderError:
        return FolderError(
            f"{self._file}: not found. data.format in params.yaml is folder, so data.root "
            f"({self._file.parents[1]}) must hold images/ and {FILE}, as docs/own-data.md describes"
        )

    def _refuse_other(self) -> None:
        """FolderError if the file is none of JSON lines: the reason why no line is a record."""
        found = recognise(self._file)
        if found is not None and found.kind == "utf-16":
            command = replaced_by("iconv -f UTF-16 -t UTF-8", self._file)
            raise FolderError(f"{self._file}: is in UTF-16: {command}")
        if found is not None and found.kind not in ("json", "text"):
            raise FolderError(f"{self._file}: {found}")

    @cached_property
    def _records(self) -> list[NumberedRecord]:
        try:
            text = self._file.read_text("utf-8-sig")  # Windows' editors write a byte order mark
            self._refuse_other()
        except FileNotFoundError:
            raise self._missing() from None
        except UnicodeDecodeError as error:
            self._refuse_other()
            raise FolderError(
                f"{self._file}: byte {error.start} is not UTF-8; save it in UTF-8"
            ) from None
        if text.lstrip().startswith("["):
            command = replaced_by(f"python -c '{AS_LINES}' <", self._file)
            raise FolderError(
                f"{self._file}: is one JSON list; expected a record on each line. This converts "
                f"it: {command}"
            )
        records, faults = [], []
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                try:
                    records.append(NumberedRecord(number, parse(line, number)))
                except RecordFault as fault:
                    faults.append(f"{self._file}:{number}: {fault}")
        faults += _contradictions(self._file, records)
        if faults:
            more = f"\n  and {len(faults) - MOST_FAULTS} more" * (len(faults) > MOST_FAULTS)
            raise FolderError(
                f"{self._file} has {len(faults)} fault{'s' * (len(faults) > 1)}:\n  "
                + "\n  ".join(faults[:MOST_FAULTS])
                + more
            )
        return records


def _contradictions(file: Path, records: Sequence[NumberedRecord]) -> list[str]:
    """Sequences without a gesture that are called like a gesture: they would get its class."""
    gestures = {one.record.sequence for one in records if one.record.is_gesture}
    lines: Counter[str] = Counter()
    found = []
    for line, record in records:
        if not record.is_gesture and record.sequence in gestures:
            lines[record.sequence] += 1
            if lines[record.sequence] == 1:
                found.append(
                    f"{file}:{line}: sequence: {record.sequence} is a gesture in other lines; "
                    "write it as gesture here too, or choose another name"
                )
    return found


def _table(split: str, records: Sequence[NumberedRecord]) -> AnnotationTable:
    own = [one.record for one in records]
    fits = [record.fit for record in own if record.fit is not None]
    has_fit = np.array([record.fit is not None for record in own], np.bool_)
    fit_at = np.where(has_fit, np.cumsum(has_fit) - 1, -1)
    everyone = np.arange(len(own))
    columns: dict[str, Any] = {
        "annotation_id": [one.line for one in records],
        "session": [record.session for record in own],
        "subject": [record.subject for record in own],
        "sequence": [record.sequence for record in own],
        "camera": [record.camera_name for record in own],
        "frame": [record.frame for record in own],
        "image": [record.image for record in own],
        "hand": [record.side for record in own],
        "kind": ["gesture" if record.is_gesture else "rom" for record in own],
        "width": [record.width for record in own],
        "height": [record.height for record in own],
        "visible": as_bytes(np.ones((len(own), 21), np.bool_)),  # joint_valid alone decides
        "box": box_bytes(np.tile(NO_BOX, (len(own), 1))),
        "camera_at": everyone,
        "joints_at": everyone,
        "fit_at": fit_at,
        "other_at": np.full(len(own), -1),
    }
    arrays = {name: pa.array(columns[name], ROW.field(name).type) for name in ROW.names}
    return AnnotationTable(
        split,
        pa.table(arrays, ROW),
        Camera(*map(np.stack, zip(*(record.camera for record in own), strict=True))),
        HandJoints(*map(np.stack, zip(*(record.joints for record in own), strict=True))),
        ManoFit(*map(np.stack, zip(*fits, NO_FIT, strict=True))),
    )
