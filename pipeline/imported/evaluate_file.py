"""`handpose evaluate file FILE`: match, doubt, score, compare, write."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

from handpose.counted import counted
from handpose.files import digest
from handpose.hand.mano import Mano, ManoError
from handpose.imported.predictions_file import SHAPES, PredictionsFile
from pipeline.imported.held_out import HeldOut
from pipeline.imported.imported_scores import definition_mm, same_definition, score_file
from pipeline.imported.matching import Matched, check_statement, match
from pipeline.imported.side_by_side import SideBySide, written_to
from stages.evaluation.data import EvaluationData
from stages.evaluation.report import WIDTH
from stages.hand_model import load_hand_model
from stages.params import Params
from stages.paths import PREDICTIONS
from stages.running.artifacts import write_json

Write = Callable[[str], None]


def evaluate_file(
    path: Path, split: str, params: Params, *, partial: bool, out: Path, write: Write
) -> Path:
    """Score a file of predictions; returns the JSON file of its numbers.

    Args:
        path: the predictions.
        split: that they are of.
        params: of this clone.
        partial: samples may be missing.
        out: folder of the JSON file.
        write: takes lines for the user.

    Raises:
        HandPoseError: the file is refused, or the clone has no evaluated data.
    """
    file = PredictionsFile.open(path)
    data = EvaluationData.open(
        image_px=params.encoder.image_px, canonical=False, batch=params.evaluate.batch
    )
    held_out = HeldOut.open(data, split)
    mano = load_hand_model(params.hand, params.data)
    vertices = len(mano.layer.v_template)
    if "vertices" in file.columns and vertices != SHAPES["vertices"][0]:
        raise ManoError(
            f"{path}: has meshes of MANO's {SHAPES['vertices'][0]} vertices, but the hand of "
            f"{params.hand.mano} has {vertices}; set hand.mano to MANO, or leave the column out"
        )
    matched = match(file, held_out, partial=partial)
    check_statement(file, matched, held_out, mano)
    scores = score_file(file, matched, held_out, mano)
    found = SideBySide.of_scores(scores, held_out, params.evaluate.seed)

    remarks = list(_remarks(file, matched, held_out, mano, found))
    write(
        f"{file.statement.model} on {split}: {counted(found.images, 'image')} of "
        f"{found.units.counted(found.subjects)}; [low, high]: Student's 95 % interval over "
        f"{found.units.explained()}."
    )
    write("")
    for line in found.lines(file.statement.model):
        write(line)
    for remark in remarks:
        write(textwrap.fill(f"- {remark}", WIDTH, subsequent_indent="  "))
    target = written_to(out, path)
    out.mkdir(parents=True, exist_ok=True)
    write_json(
        target,
        {
            **found.to_json(),
            "remarks": remarks,
            "split": split,
            "data_sha256": held_out.sha256,
            "statement": file.statement.to_json(),
            "file": {"name": path.name, "sha256": digest(path)},
        },
    )
    write(f"wrote {target}")
    return target


def _remarks(
    file: PredictionsFile, matched: Matched, held_out: HeldOut, mano: Mano, found: SideBySide
) -> Iterator[str]:
    """What a reader of the table must know of these predictions."""
    statement = file.statement
    if matched.missing:
        yield (
            f"{counted(matched.missing, 'image')} of {len(held_out):,} have no prediction. All "
            "numbers are of the others: no other table's are comparable with them."
        )
    if matched.ignored:
        yield f"{counted(matched.ignored, 'row')} of images that the evaluation leaves out."
    has_mesh = "vertices" in file.columns
    if not has_mesh:
        yield (
            "Joints without a mesh: no MPVPE and no F-score, and for Table 2 the joints are as "
            "they are, not regressed from a mesh with its evaluator's fingertips."
        )
    if not same_definition(statement, mano):
        named = f"joint_definition {statement.joint_definition!r}"
        if has_mesh:
            yield f"The joints ({named}) were replaced by the data set's, of the mesh."
        else:
            cost = definition_mm(statement, held_out, mano)
            offset = "an unknown part of each error is due to that"
            if math.isfinite(cost):
                offset = f"the true meshes' own joints by it are {cost:.1f} mm off, wrist-relative"
            yield f"The joints are not the data set's ({named}): {offset}."
    if not found.against:
        yield f"{PREDICTIONS} holds no errors of these images: `dvc repro` evaluates this clone's."
    else:
        yield (
            "Differences are the predictions minus the model, each image with itself, each "
            f"{found.units.one} once; all verdicts but the primary's are Holm-adjusted. How, on "
            "what and how long either was trained, and its seed, are not compared."
        )
