"""The card of a model that is passed on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from handpose.counted import counted
from stages.evaluation.summary import MODELS

COLUMNS = {
    "wrist_mpjpe_mm": "wrist-relative MPJPE, mm",
    "pa_mpjpe_mm": "PA-MPJPE, mm",
    "table2_mpjpe_mm": "as in the paper's Table 2, mm",
    "pck_auc": "AUC of PCK, 0 to 50 mm",
    "f5": "F at 5 mm",
    "f15": "F at 15 mm",
}


def model_card(facts: Mapping[str, Any]) -> str:
    """Markdown from the facts that `publish.py` collects."""
    return "\n".join(_lines(facts)) + "\n"


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    model, data, code = facts["model"], facts["data"], facts["code"]
    yield from ("# A model of 3D hand pose", "")
    yield (
        f"One hand from one picture: {MODELS[facts['run']]}, {model['parameters'] / 1e6:.2f} "
        f"million parameters, {model['backbone']} at {model['image_px']} px. Written by "
        "`handpose publish`."
    )
    yield from ("", "## Use", "", "```python", "from handpose import HandEstimator", "")
    yield 'hand = HandEstimator.load("THIS FOLDER")("photo.jpg", (x, y, width, height))'
    yield from ("```", "", 'Or `handpose predict photo.jpg --model "THIS FOLDER"`.')
    if model["joints_file"]:
        yield (
            f"Its joints are those of {model['joints_file']} in MANO's folder: name that folder by "
            "`mano=` or `--mano`."
        )
    if facts["confidence"]:
        yield "It says how sure it is of each joint, and whether there is a hand."
    else:
        yield "It does not say how sure it is: `handpose confidence` was not run for it."
    yield from ("", "## Terms", "")
    yield from _terms(facts["terms"])
    yield from ("", "## Numbers", "")
    yield (
        "Mean [95 % interval over people] of each set of pictures that it was not trained on; a "
        "set of one person has no interval. Protocols: see `handpose evaluate` and docs/choices.md "
        "of the code."
    )
    others = facts.get("intervals_over", {})
    for split, units in others.items():
        yield f"Of {split} the interval is over {units['what']}: {units['why']}."
    yield from ("", f"| set | {' | '.join(COLUMNS.values())} | pictures | people |")
    yield f"|{' --- |' * (len(COLUMNS) + 3)}"
    for split, found in facts["splits"].items():
        first = found[next(iter(COLUMNS))]
        cells = [_cell(found.get(key), 1 if key.endswith("_mm") else 3) for key in COLUMNS]
        count = f"{first['subjects']}"
        if split in others:
            count = _units(first["subjects"], others[split]["what"], facts["singular"])
        yield f"| {split} | {' | '.join(cells)} | {first['samples']:,} | {count} |"
    if gesture := facts["gesture"]:
        accuracy = _percent(gesture["coarse_accuracy"])
        yield ("")
        yield f"Gesture recognised on the set test: {accuracy} of {model['coarse']} classes."
    yield from ("", "## Data and training", "")
    not_people = data.get("not_people", {})
    seen = [_units(count, what, facts["singular"]) for what, count in not_people.items()]
    if data["people"] or not seen:
        seen = [counted(data["people"], "person", "people"), *seen]
    pictures = counted(data["images"], "picture")
    yield f"- Trained on {pictures} of {' and '.join(seen)}: {data['what']}."
    hours = sum(model["seconds"].values()) / 3600
    yield f"- {model['steps']:,} steps of Stage 2; {hours:.2f} hours with Stage 1."
    yield f"- Code: commit {code['commit'][:10]}{_changed(code['changed'])}"
    yield f"- Weights: SHA-256 {model['sha256'][:16]}; labels {model['labels'][:16]}."
    yield from ("", "## Limits", "")
    second = "" if facts["two_hands"] else " A second hand in the box confuses it."
    yield f"- It finds no hands: it needs a box around one.{second}"
    yield "- Its size is relative: one picture cannot tell a small hand from a distant one."
    if facts["synthetic"]:
        yield (
            "- Its numbers are of rendered hands. Expect larger errors on photos, and measure them "
            "on photos of your own before you rely on it."
        )
    else:
        yield "- Its numbers hold for pictures and people like those of its data."


def _terms(lines: list[str]) -> Iterator[str]:
    own = "Apache-2.0, as the code that trained it"
    if not lines:
        yield f"{own}. Nothing of others is in it."
        return
    yield f"{own}, as far as nobody else has a say. Others do:"
    yield ""
    yield from (f"- {line}." for line in lines)


def _units(count: int, many: str, singular: Mapping[str, str]) -> str:
    """`1 block` or `30 blocks`."""
    return counted(count, singular.get(many, many), many)


def _cell(found: Mapping[str, Any] | None, digits: int) -> str:
    """`12.3 [11.0, 13.6]`, or nothing."""
    if found is None or found["value"] is None:
        return ""
    keys = ("value",) if found["low"] is None else ("value", "low", "high")
    value, *interval = (f"{found[key]:.{digits}f}" for key in keys)
    return f"{value} [{', '.join(interval)}]" if interval else value


def _percent(found: Mapping[str, Any]) -> str:
    interval = (
        "" if found["low"] is None else f" [{100 * found['low']:.1f}, {100 * found['high']:.1f}]"
    )
    return f"{100 * found['value']:.1f}{interval} %"


def _changed(count: int) -> str:
    return f", with {counted(count, 'changed file')} not committed." if count else "."
