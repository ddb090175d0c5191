"""What is known here of a split: this clone's results and imported ones, if they are of these data.

Results are of the data that are here only if that shows. This clone's: the same samples, each with
the error that its predicted joints have against today's annotation. Imported ones: the digest of
photos and annotated joints with which they were scored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from numpy.typing import NDArray

from handpose.errors import HandPoseError
from handpose.evaluation.metrics import wrist_mpjpe_mm
from handpose.nets.network_by_name import GESTURE_GUIDED
from handpose.training.checkpoint import CheckpointError
from handpose.training.trained_nets import read_pose_record
from pipeline.compare.paired import IDENTITY
from pipeline.imported.held_out import HeldOut
from pipeline.imported.side_by_side import SCHEMA, estimate
from stages.evaluation.data import column
from stages.evaluation.summary import MODELS, PRIMARY, Estimates
from stages.paths import IMPORTED, METRICS, PREDICTIONS, SAMPLES, STAGE_2_MODELS

State = Literal["ran here", "imported", "refused", "missing"]

SAME_MM = 0.01
"""By which an error that is computed again may differ: predictions.parquet holds float32."""


class FieldError(HandPoseError):
    """A file of results is damaged."""


@dataclass(frozen=True)
class FieldResult:
    """One line of the table."""

    model: str
    state: State
    remark: str = ""  # why it is refused, how to get it, or what a reader must know
    images: int = 0
    estimates: Estimates = field(default_factory=dict)
    source: str = ""  # file of the numbers


# --- this clone's models -------------------------------------------------------------------------


def own_network(run: str) -> str | None:
    """The network of this clone's model of a run; None where there is none."""
    folder = STAGE_2_MODELS[run]
    try:
        return str(read_pose_record(folder).pose_net.get("network", GESTURE_GUIDED))
    except CheckpointError:
        return None


def own_result(run: str, name: str, held_out: HeldOut | None) -> FieldResult:
    """What `dvc repro` measured of a run, or why that is not shown."""
    folder = STAGE_2_MODELS[run]
    shown = f"{name}: {folder}, {MODELS[run]}"
    if held_out is None:
        return FieldResult(shown, "missing", f"{SAMPLES} is not here: `dvc repro`")
    if not (METRICS.is_file() and PREDICTIONS.is_file()):
        return FieldResult(shown, "missing", "it is trained and not evaluated: `dvc repro`")
    recorded = _json(METRICS)["pose"].get(held_out.split, {}).get(run)
    if recorded is None:
        remark = f"{METRICS} has no split {held_out.split}: `dvc repro` evaluates it"
        return FieldResult(shown, "missing", remark)
    if fault := _not_of_these_data(run, held_out) or _not_of_this_model(folder):
        return FieldResult(shown, "refused", f"{fault}: `dvc repro` evaluates it anew")
    estimates = {key: estimate(one) for key, one in recorded.items()}
    return FieldResult(shown, "ran here", "", len(held_out), estimates, str(METRICS))


def _not_of_these_data(run: str, held_out: HeldOut) -> str:
    """Why results/ are not of the samples that are here, or ''."""
    names = [*IDENTITY, f"{run}_{PRIMARY}", f"{run}_joints"]
    if missing := sorted({*names, "split"} - set(pq.read_schema(PREDICTIONS).names)):
        return f"{PREDICTIONS} has no {', '.join(missing)}: an older version wrote it"
    table = pq.read_table(PREDICTIONS, columns=names, filters=[("split", "=", held_out.split)])
    theirs = list(zip(*(table[name].to_pylist() for name in IDENTITY), strict=True))
    ours = list(zip(*(held_out.origin[name].tolist() for name in IDENTITY), strict=True))
    if len(set(ours)) < len(ours):
        return "two samples have one origin, so results cannot be told apart"
    if set(theirs) != set(ours):
        other = len(set(theirs) ^ set(ours))
        return f"{PREDICTIONS} is of other images: {other:,} are not on both sides"
    row = {key: k for k, key in enumerate(theirs)}
    table = table.take(pa.array([row[key] for key in ours]))
    joints = column(table, f"{run}_joints").reshape(-1, 21, 3).astype(np.float64)
    errors = wrist_mpjpe_mm(
        torch.from_numpy(joints),
        torch.from_numpy(held_out.fields["joints_cam"].astype(np.float64)),
        torch.from_numpy(held_out.fields["joint_valid"]),
    ).numpy()
    written = table[f"{run}_{PRIMARY}"].to_numpy().astype(np.float64)
    if (np.isnan(errors) != np.isnan(written)).any():
        return f"{PREDICTIONS} is of other annotations: other joints are valid"
    apart = _largest(np.abs(errors - written))
    if apart > SAME_MM:
        return (
            f"{PREDICTIONS} is of other annotations: errors computed again differ by {apart:.3g} mm"
        )
    return ""


def _largest(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.max()) if len(known) else 0.0


def _not_of_this_model(folder: Path) -> str:
    """Why results/ are not of the weights that are here, as far as dvc.lock shows, or ''."""
    weights, lock = folder / "model.safetensors", Path("dvc.lock")
    if not lock.is_file() or not weights.is_file():
        return ""
    try:
        deps = yaml.safe_load(lock.read_text("utf-8"))["stages"]["evaluate"]["deps"]
        recorded = {one["path"]: one.get("md5") for one in deps}
    except (yaml.YAMLError, KeyError, TypeError):
        return ""
    found = hashlib.md5(weights.read_bytes(), usedforsecurity=False).hexdigest()
    if recorded.get(str(weights), found) != found:
        return f"{weights} is not the file that was evaluated (dvc.lock)"
    return ""


# --- imported ------------------------------------------------------------------------------------


def imported_results(held_out: HeldOut | None, split: str) -> Iterator[FieldResult]:
    """Every file that `handpose evaluate file` has scored here.

    Raises:
        FieldError: one is damaged.
    """
    for path in sorted(IMPORTED.glob("*.json")):
        content = _json(path)
        try:
            yield _imported(path, content, held_out, split)
        except (KeyError, TypeError, AttributeError) as error:
            raise FieldError(
                f"{path}: is no result of `handpose evaluate file` ({error!r}); delete it"
            ) from None


def _imported(
    path: Path, content: Mapping[str, Any], held_out: HeldOut | None, split: str
) -> FieldResult:
    again = "score its file again: `handpose evaluate file`"
    model = content.get("statement", {}).get("model", path.stem)

    def refused(why: str) -> FieldResult:
        return FieldResult(model, "refused", f"{path}: {why}", source=str(path))

    if content.get("schema") != SCHEMA:
        return refused(f"has schema {content.get('schema')}, expected {SCHEMA}; {again}")
    if content["split"] != split:
        own = content["split"]
        return refused(f"is of split {own}: `handpose field --split {own}` shows it")
    if held_out is None:
        return refused("there are no data here that it could be of")
    if content["data_sha256"] != held_out.sha256:
        return refused(f"is of other photos or annotations than split {split} has now; {again}")
    images, of = content["images"], content["images_of_the_split"]
    some = f"{images:,} of {of:,} images alone, so no other row is comparable. " * (images < of)
    estimates = {key: estimate(one) for key, one in content["estimates"].items()}
    remark = some + " ".join(content["remarks"])
    return FieldResult(model, "imported", remark, images, estimates, str(path))


def _json(path: Path) -> Any:
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise FieldError(f"{path}: is no JSON ({error}); delete it, and score again") from None
    if not isinstance(found, dict):
        raise FieldError(f"{path}: expected an object, found {type(found).__name__}; delete it")
    return found


# --- benchmarks ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class BenchmarkResults:
    """What `handpose evaluate benchmark` has scored here of one benchmark."""

    name: str
    results: Sequence[FieldResult]
    over: str  # what its intervals resample


def benchmark_results(name: str, sha256: str | None) -> BenchmarkResults | None:
    """The files of a benchmark; None without any.

    Args:
        name: key of `data.benchmarks`.
        sha256: of its truth; None where its folder is not configured, so that it is not known.

    Raises:
        FieldError: a file is damaged.
    """
    paths = sorted((IMPORTED / name).glob("*.json"))
    if not paths:
        return None
    found, over = [], ""
    for path in paths:
        content = _json(path)
        try:
            model = content["predictions"]["name"]
            if fault := _benchmark_fault(path, content, sha256):
                found.append(FieldResult(model, "refused", fault, source=str(path)))
                continue
            state: State = "ran here" if _is_own(model) else "imported"
            remark = " ".join(content["remarks"])
            for line, part in _parts(model, content):
                units = part["intervals_over"]
                why = f" ({units['why']})" if "why" in units else ""
                over = f"{units['what']}{why}"
                estimates = {key: estimate(one) for key, one in part["estimates"].items()}
                found.append(FieldResult(line, state, remark, part["hands"], estimates, str(path)))
        except (KeyError, TypeError, AttributeError) as error:
            raise FieldError(
                f"{path}: is no result of `handpose evaluate benchmark` ({error!r}); delete it"
            ) from None
    return BenchmarkResults(name, found, over)


def _parts(model: str, content: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The numbers of a file, or of each subset of one that has subsets, of all their joints."""
    if "subsets" not in content:
        yield model, content
        return
    for subset, own in content["subsets"].items():
        yield f"{model}, {subset}", {**own, "estimates": own["pck"]["all joints"]}


def _is_own(model: str) -> bool:
    return (Path(model) / "model.json").is_file()


def _benchmark_fault(path: Path, content: Mapping[str, Any], sha256: str | None) -> str:
    """Why the numbers are not shown, or ''."""
    again = "score it again: `handpose evaluate benchmark`"
    name = content["benchmark"]
    if "data_sha256" not in content:
        return f"{path}: an older version wrote it; {again}"
    if sha256 is None:
        return (
            f"{path}: data.benchmarks in params.yaml does not name {name}, so whether it is of "
            "that data set cannot be checked"
        )
    if content["data_sha256"] != sha256:
        return f"{path}: is of other hands than {name} has now; {again}"
    model, weights = content["predictions"]["name"], content["predictions"]["sha256"]
    if _is_own(model) and read_pose_record(Path(model)).weights_sha256 != weights:
        return f"{path}: the model in {model} was trained anew since; {again}"
    return ""
