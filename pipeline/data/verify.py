"""`handpose data verify`: one line per finding on a data set, with its remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from handpose.counted import counted
from handpose.data.annotation_table import AnnotationTable, Unusable
from handpose.data.reader import DatasetReader, SourceSplit, SplitAnnotations
from handpose.data.splits import LABELLED_SPLITS
from handpose.errors import HandPoseError
from handpose.exclusions import ExclusionError, Exclusions
from handpose.gesture_map import GestureMap
from handpose.hand.mano import Mano
from handpose.interhand.reader import SPLITS
from handpose.interhand.verify.check_annotations import Expected, Findings, State
from handpose.interhand.verify.check_photos import Faults, Step
from handpose.interhand.verify.verify import VerifyResult, verify
from stages.hand_model import load_hand_model
from stages.ingestion.candidates import (
    SubjectError,
    candidates,
    check_gestures,
    check_subjects,
)
from stages.ingestion.excluded import check_matches, check_splits, described
from stages.ingestion.formats import BENCHMARKS, benchmark_root, open_benchmark, open_reader
from stages.ingestion.judgement import Judgement
from stages.ingestion.naming import folder_naming
from stages.ingestion.reject_table import reasons
from stages.params import IngestParams, Params
from stages.running.progress import Progress

FEW = 0.25
"""Share of the cameras: of so many the calibration may be wrong in a sound data set."""

MANY = 0.5
"""Share of the annotations of one hand: if more are lost for one reason, a file is wrong."""


FOUND_BEFORE = ("image_", "no_camera", "no_joint_3d", "early_release", "joints_outside_boxes")
"""Reasons, or how they begin, that have lines of their own."""


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
    try:
        mano = load_hand_model(params.hand, params.data)
    except HandPoseError as error:
        mano = None
        yield VerifyResult("note", "hand", f"no fit is compared with the joints: {error}")
    exclusions, fault = _exclusions(params, root, is_own=is_own)
    if fault:
        yield VerifyResult("FAIL", "labels", fault)
    if params.data.format == "interhand":
        yield from verify(
            root,
            each=each,
            expected=_expected(params) if is_own else None,
            start=_progress,
            taken=lambda split, faults: taken(
                split.found, SPLITS[split.name], params, mano, faults, exclusions, is_own=is_own
            ),
            each_hand=params.ingest.each_hand,
        )
    else:
        only = params.data.model_copy(update={"root": str(root), "benchmarks": {}})
        yield from _as_ingest_reads(
            open_reader(only), params, root, mano, exclusions, is_own=is_own
        )
    for name in sorted(set(BENCHMARKS) & set(params.data.benchmarks)) if is_own else ():
        folder, reader = benchmark_root(params.data, name), open_benchmark(params.data, name)
        yield from _as_ingest_reads(reader, params, folder, mano, exclusions, is_own=is_own)


def _exclusions(params: Params, root: Path, *, is_own: bool) -> tuple[Exclusions, str]:
    """The list of exclusions, and what is wrong with it; no row where that, or of other data."""
    path = Path(params.ingest.exclusions)
    if not is_own:
        return Exclusions(path), ""
    try:
        found = Exclusions.read(path)
        if found.rows:
            reader = open_reader(params.data.model_copy(update={"root": str(root)}))
            check_splits(found, reader.splits())
    except ExclusionError as error:
        return Exclusions(path), str(error)
    except HandPoseError:  # of the layout, which has a line of its own
        pass
    return found, ""


def _as_ingest_reads(
    reader: DatasetReader,
    params: Params,
    root: Path,
    mano: Mano | None,
    exclusions: Exclusions,
    *,
    is_own: bool,
) -> Iterator[VerifyResult]:
    """What the reader reports, the photos that are missing, and what is taken."""
    try:
        for split in reader.splits():
            found = reader.read(split)
            if is_own:
                check_subjects(found, split, params.ingest)
                check_gestures(found, split, params.ingest)
            images = found.usable.plain("image").to_pylist()
            subjects = len(found.usable.table["subject"].unique())
            text = f"{counted(len(found.usable), 'hand')} of {counted(subjects, 'subject')}"
            yield VerifyResult("ok", split.name, text + "; ingest will open each photo")
            missing = [image for image in images if not (root / image).is_file()]
            if missing:
                text = f"{counted(len(missing), 'photo')} not found"
                text += f", {'the first' if len(missing) > 1 else 'it'} is {root / missing[0]}"
                yield VerifyResult("FAIL", split.name, text)
            faults = {image: ("image_missing", str(root / image)) for image in missing}
            for state, text in taken(found, split, params, mano, faults, exclusions, is_own=is_own):
                yield VerifyResult(state, split.name, text)
    except HandPoseError as error:
        yield VerifyResult("FAIL", "layout", str(error))


def taken(
    found: SplitAnnotations,
    split: SourceSplit,
    params: Params,
    mano: Mano | None,
    faults: Faults,
    exclusions: Exclusions,
    *,
    is_own: bool,
) -> Findings:
    """What `ingest` takes of a split and what it rejects, decided as it decides.

    Args:
        found: every annotation, as the reader reads it.
        split: whose annotations they are.
        params: of ingest.
        mano: None: fits are not compared with joints.
        faults: photos that cannot be used, as far as they are known.
        exclusions: what people left out.
        is_own: whether the held-out people of the parameters are of this data set.
    """
    judgement = Judgement(params.ingest, mano)
    known = partial(_known, faults=faults) if params.ingest.check_images else None
    used, gestures = 0, Counter[str]()
    unused: list[pa.Table] = []
    try:
        check_matches(found, split, exclusions)
    except ExclusionError as error:
        yield "FAIL", str(error)
    hands = candidates(found, split, params.ingest, mano, exclusions)
    for samples, rejects in judgement.of(hands, split, known):
        unused.append(rejects)
        if samples is not None:
            used += len(samples)
            own = samples.filter(pc.equal(samples["kind"], "gesture"))
            gestures.update(own["split"].to_pylist())
    rejected = pa.concat_tables(unused)
    for line in described(judgement.excluded, exclusions):
        yield "note", line
    yield from (("note", str(decision)) for decision in judgement.roots.values())
    yield from _off_cameras(judgement, found)
    yield from _unused_fits(judgement, used)
    for reason, count in judgement.incomplete.most_common():
        yield "note", f"{counted(count, 'sample')} will have a joint masked: {reason}"
    yield _summary(used, rejected, judgement)
    if is_own and used and not split.evaluated_as:
        yield from _unlabelled(found, split, params.ingest, gestures)


def _unlabelled(
    found: SplitAnnotations, split: SourceSplit, ingest: IngestParams, gestures: Counter[str]
) -> Findings:
    """Splits without a sample of a gesture folder, if the people held out are there."""
    with suppress(SubjectError):  # has a line of its own
        check_subjects(found, split, ingest)
        for name in LABELLED_SPLITS:
            if not gestures[name]:
                text = f"split {name} will have no sample of a gesture folder, and ingest refuses"
                yield "FAIL", f"{text}; hold out other people in params.yaml (section ingest)"


def _known(rows: AnnotationTable, faults: Faults) -> list[Unusable]:
    """What `ingest` will find when it opens the photos, as far as their faults are known."""
    images = rows.plain("image").to_pylist()
    return [Unusable(i, *faults[image]) for i, image in enumerate(images) if image in faults]


def _off_cameras(judgement: Judgement, found: SplitAnnotations) -> Findings:
    off = judgement.off_cameras
    table = found.usable.table.select(["session", "camera"])
    there = len(table.group_by(["session", "camera"]).aggregate([])) if off else 0
    for _, camera in off:
        if len(off) <= max(1, FEW * there) and len(off) < there:
            yield "note", f"{camera} (ingest.min_joints_in_boxes)"
        else:
            remedy = "is the camera file of this split? If the boxes are wrong: set "
            yield "FAIL", f"{camera}; {remedy}ingest.min_joints_in_boxes to 0"
    if judgement.beside_boxes.total:
        what = counted(judgement.beside_boxes.total, "annotation lies", "annotations lie")
        yield "note", f"{what} beside the box, {judgement.beside_boxes}"


def _unused_fits(judgement: Judgement, used: int) -> Findings:
    lost = sum(judgement.fit_faults.values())
    for reason, tally in judgement.unused_fits.items():
        text = f"{counted(tally.total, 'sample')} will keep no MANO fit: {reason}, {tally}"
        yield "note", f"{text} (ingest.max_fit_error_mm)" if reason == "fit_off_joints" else text
    if lost > MANY * used:
        text = f"{lost:,} of {counted(used, 'sample')} will keep no MANO fit"
        yield "FAIL", f"{text}; is the MANO_NeuralAnnot file of this split?"


def _summary(used: int, rejected: pa.Table, judgement: Judgement) -> tuple[State, str]:
    """One line: how many annotations are used, and how many are not for which reasons."""
    counts = reasons(rejected)
    unit = "hand" if judgement.of_both_hands else "annotation"
    text = f"ingest will use {counted(used, unit)} and reject {len(rejected):,}"
    text += ": " + ", ".join(f"{n:,} {reason}" for reason, n in counts.items()) if counts else ""
    if both := judgement.of_both_hands:
        text += f"; {counted(both, 'annotation')} of both hands {'is' if both == 1 else 'are'} two"
    for name, count in judgement.left_out.items():
        text += f"; {count:,} {'is' if count == 1 else 'are'} {name} (params.yaml, section ingest)"
    odd = {reason: n for reason, n in counts.items() if reason != "two_hands"}
    for reason in list(odd)[:1]:
        (first,) = rejected.filter(pc.equal(rejected["reason"], reason)).slice(0, 1).to_pylist()
        number = first["annotation_id"]
        text += f". For example annotation {number}: {reason}, {first['detail']}"
    if not used:
        return "FAIL", f"{text}. Nothing is left to use"
    one_hand = used + sum(odd.values())
    for reason, count in odd.items():
        if count > MANY * one_hand and not reason.startswith(FOUND_BEFORE):
            return "FAIL", f"{text}. {reason} takes more than half; compare data.root with its docs"
    return ("note" if odd else "ok"), text


def _expected(params: Params) -> Expected:
    held_out = {
        "ingest.validation_subjects": params.ingest.validation_subjects,
        "ingest.test_subjects": params.ingest.test_subjects,
    }
    table = GestureMap.read(Path(params.label.map), folder_naming(params.data))
    return Expected(held_out, {row.folder for row in table.rows})


def _progress(what: str, total: int, unit: str) -> Step:
    return Progress(what, total, unit).step
