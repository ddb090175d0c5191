"""`handpose publish`: a trained and evaluated model into a folder that can be passed on."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from safetensors.numpy import load_file

from handpose.confidence import confidence_io
from handpose.data.merged.interval_units import IntervalUnits
from handpose.errors import HandPoseError
from handpose.files import atomic_folder
from handpose.training.model_io import ModelRecord, read_record
from pipeline import git
from pipeline.licence_guard import is_synthetic
from pipeline.publish.model_card import model_card
from pipeline.publish.terms import terms
from stages.params import Params
from stages.paths import INGEST, METRICS, SAMPLES, SHARDS, STAGE_2_MODELS

SPLIT = INGEST / "split.json"
CARD, NUMBERS = "card.md", "numbers.json"


class PublishError(HandPoseError):
    """The model is not trained, not evaluated, or there is no place for it."""


def publish(root: Path, params: Params, run: str, out: Path) -> dict[str, Any]:
    """Write weights, records, numbers and card of a Stage 2 model into a new folder.

    The hand model is never in it: a network's weights hold nothing of it.

    Args:
        root: the clone, in which `dvc repro` has finished.
        params: its parameters.
        run: pretrained or scratch.
        out: the folder, which must be new or empty.

    Returns:
        The facts that the card states.

    Raises:
        PublishError: the folder holds something; or the numbers in results/ are not of this model.
        CheckpointError: there is no model, it was trained with other parameters, or its confidence
            head is of another one.
        GitError: git cannot be asked.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise PublishError(f"{out}: is there already; name a new folder, or delete that one")
    model = STAGE_2_MODELS[run]
    record = read_record(root / model)
    record.require(
        root / model, encoder=params.encoder.keywords(), handedness=params.label.handedness
    )
    metrics = _metrics(root, model, params)
    has_head = confidence_io.load_confidence(root / model, record) is not None
    facts = {
        "run": run,
        "model": _model(root / model, record),
        "data": _data(root, params),
        "synthetic": is_synthetic(root / params.data.root),
        "terms": terms(root, params, record.before),
        "splits": {split: found[run] for split, found in metrics["pose"].items()},
        "intervals_over": metrics.get("intervals_over", {}),  # of splits without people
        "singular": _singular(root),  # of what stands for people, by its plural
        "gesture": metrics["gesture"].get(run),
        "confidence": has_head,
        "two_hands": params.ingest.interacting == "train",
        "code": {
            "commit": git.text(root, "rev-parse", "HEAD").strip(),
            "changed": len(
                git.text(root, "status", "--porcelain", "--untracked-files=no").splitlines()
            ),
        },
    }
    names = ["model.safetensors", "model.json"]
    names += [confidence_io.WEIGHTS, confidence_io.RECORD] if has_head else []
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(out) as folder:
        for name in names:
            shutil.copyfile(root / model / name, folder / name)
        (folder / NUMBERS).write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
        (folder / CARD).write_text(model_card(facts), "utf-8")
    return facts


def _metrics(root: Path, model: Path, params: Params) -> dict[str, Any]:
    """What evaluation measured of this model, as `dvc.lock` confirms.

    Raises:
        PublishError: it was not evaluated, or its weights, its numbers or the parameters were
            changed since.
    """
    try:
        lock = yaml.safe_load((root / "dvc.lock").read_text("utf-8"))
        stage = lock["stages"]["evaluate"]
        recorded = {one["path"]: one.get("md5") for one in (*stage["deps"], *stage["outs"])}
        for path in (model / "model.safetensors", METRICS):
            content = (root / path).read_bytes()
            if hashlib.md5(content, usedforsecurity=False).hexdigest() != recorded[str(path)]:
                raise PublishError(
                    f"{path}: is not the file of the last finished evaluation (dvc.lock); "
                    "`dvc repro` evaluates the model that is here now"
                )
        if changed := sorted(_changed(lock["stages"], params)):
            raise PublishError(
                f"params.yaml: {', '.join(changed)} are not what the last run had (dvc.lock), so "
                "the card would describe other data; set them back, or `dvc repro`"
            )
        found: dict[str, Any] = json.loads((root / METRICS).read_text("utf-8"))
    except (OSError, yaml.YAMLError, ValueError, KeyError, TypeError) as error:
        raise PublishError(
            f"{METRICS}: no finished evaluation of {model} is here ({error!r}); `dvc repro` trains "
            "and evaluates, then publish"
        ) from None
    return found


def _changed(stages: Mapping[str, Any], params: Params) -> Iterator[str]:
    """Keys or sections of params.yaml that a stage of dvc.lock ran with other values of."""
    now = params.model_dump(mode="json")
    recorded = [stage.get("params", {}).get("params.yaml", {}) for stage in stages.values()]
    for key in {key for one in recorded for key in one}:
        value: Any = now
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if any(key in one and one[key] != value for one in recorded):
            yield key


def _model(folder: Path, record: ModelRecord) -> dict[str, Any]:
    weights = load_file(folder / "model.safetensors").values()
    with (folder / "curves.csv").open(encoding="utf-8") as stream:
        steps = max(int(float(row["step"])) for row in csv.DictReader(stream))
    return {
        "parameters": sum(one.size for one in weights if one.dtype.kind == "f"),
        "backbone": record.encoder["backbone"],
        "image_px": record.encoder["image_px"],
        "coarse": len(record.coarse),
        "joints_file": record.joints.get("file", ""),
        "seconds": record.seconds,
        "steps": steps,
        "sha256": record.weights_sha256,
        "labels": record.labels_digest,
    }


def _singular(root: Path) -> dict[str, str]:
    """`block` by `blocks`: what stands for people in the data; nothing where all are people.

    Raises:
        PublishError: the table of samples cannot be read.
    """
    try:
        metadata = pq.read_schema(root / SAMPLES).metadata
    except (OSError, pa.ArrowInvalid) as error:
        raise PublishError(f"{SAMPLES}: cannot be read ({error}); `dvc repro` makes it") from None
    others = IntervalUnits.of_metadata(metadata).others
    return {one.units.many: one.units.one for one in others}


def _data(root: Path, params: Params) -> dict[str, Any]:
    split: Mapping[str, Any] = json.loads((root / SPLIT).read_text("utf-8"))["train"]
    index: Mapping[str, Any] = json.loads((root / SHARDS / "index.json").read_text("utf-8"))
    kinds = {"interhand": "in InterHand2.6M's format", "folder": "own recordings"}
    own = "synthetic, rendered by this project"
    data = root / params.data.root
    not_people = {what: len(own) for what, own in split.get("subjects_not_people", {}).items()}
    return {
        "people": len(split["subjects"]) - sum(not_people.values()),
        **({"not_people": not_people} if not_people else {}),
        "images": index["splits"]["train"]["samples"],
        "what": own if is_synthetic(data) else kinds[params.data.format],
    }
