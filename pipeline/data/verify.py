"""`handpose data verify`: one line per finding on a data set, with its remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from handpose.errors import HandPoseError
from handpose.gestures import GestureTable
from handpose.interhand.verify.check_annotations import Expected
from handpose.interhand.verify.check_photos import Step
from handpose.interhand.verify.verify import VerifyResult, verify
from stages.artifacts import Progress
from stages.ingestion.formats import open_reader
from stages.ingestion.naming import folder_naming
from stages.params import Params


def check(
    params: Params,
    root: Path | None = None,
    *,
    each: int | None,
    write_line: Callable[[str], None] = print,
) -> int:
    """Print every finding on a data set; the exit code: 2 if one is a FAIL, else 0.

    InterHand2.6M is compared with its official counts; any other format is read as `ingest` reads
    it, and its photos are looked for.

    Args:
        params: name the data set, the people held out of it, and the gesture map.
        root: another data set, of which the parameters expect nothing.
        each: number of photos to open in every camera folder; None: all.
        write_line: called with each line.
    """
    own = Path(params.data.root)
    root = root or own
    failed = 0
    for finding in _findings(params, root, each, is_own=root.resolve() == own.resolve()):
        write_line(f"{finding.state:<5} {finding.where:<6} {finding.text}")
        failed += finding.state == "FAIL"
    write_line(f"{failed or 'nothing'} to fix")
    return 2 if failed else 0


def _findings(
    params: Params, root: Path, each: int | None, *, is_own: bool
) -> Iterator[VerifyResult]:
    if params.data.format == "interhand":
        expected = _expected(params) if is_own else None
        yield from verify(root, each=each, expected=expected, start=_progress)
    else:
        yield from _as_ingest_reads(params, root)


def _as_ingest_reads(params: Params, root: Path) -> Iterator[VerifyResult]:
    """What the reader reports, and the photos that are missing."""
    reader = open_reader(params.data.model_copy(update={"root": str(root)}))
    try:
        for split in reader.splits():
            usable, rejected = reader.read(split)
            subjects = len(usable.table["subject"].unique())
            text = f"{len(usable):,} hands of {subjects} subjects"
            yield VerifyResult("ok", split.name, text + "; ingest will open each photo")
            for reason, count in Counter(rejected["reason"].to_pylist()).most_common():
                yield VerifyResult("note", split.name, f"{count:,} annotations rejected: {reason}")
            missing = [p for p in usable.plain("image").to_pylist() if not (root / p).is_file()]
            if missing:
                text = f"{len(missing):,} photos not found, the first is {root / missing[0]}"
                yield VerifyResult("FAIL", split.name, text)
    except HandPoseError as error:
        yield VerifyResult("FAIL", "layout", str(error))


def _expected(params: Params) -> Expected:
    held_out = {
        "ingest.validation_subjects": params.ingest.validation_subjects,
        "ingest.test_subjects": params.ingest.test_subjects,
    }
    table = GestureTable.read(Path(params.label.map), folder_naming(params.data))
    return Expected(held_out, {row.folder for row in table.rows})


def _progress(what: str, total: int, unit: str) -> Step:
    return Progress(what, total, unit).step
