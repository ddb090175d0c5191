"""`handpose data verify`: a line for each finding on a download, with its remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from handpose.gestures import GestureTable
from handpose.interhand.verify.check_annotations import Asked
from handpose.interhand.verify.check_photos import Step
from handpose.interhand.verify.verify import verify
from stages.artifacts import Progress
from stages.params import Params


def check(
    params: Params,
    root: Path | None = None,
    *,
    each: int | None,
    say: Callable[[str], None] = print,
) -> int:
    """Say every finding on a data set; the exit code: 2 if one is a FAIL, else 0.

    Args:
        params: name the data set, the people held out of it, and the gesture map.
        root: another data set, of which the parameters ask nothing.
        each: so many photos of every camera folder are opened; None: all.
        say: where the lines go.
    """
    own = Path(params.data.root)
    root = root or own
    asked = _asked(params) if root.resolve() == own.resolve() else None
    failed = 0
    for finding in verify(root, each=each, asked=asked, start=_progress):
        say(f"{finding.state:<5} {finding.where:<6} {finding.text}")
        failed += finding.state == "FAIL"
    say(f"{failed or 'nothing'} to mend")
    return 2 if failed else 0


def _asked(params: Params) -> Asked:
    held_out = {
        "ingest.validation_subjects": params.ingest.validation_subjects,
        "ingest.test_subjects": params.ingest.test_subjects,
    }
    table = GestureTable.read(Path(params.label.map))
    return Asked(held_out, {row.folder for row in table.rows})


def _progress(what: str, total: int, unit: str) -> Step:
    return Progress(what, total, unit).step
