"""What is wrong with the content of a result's file, as far as it is read."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

DIGEST = re.compile(r"[0-9a-f]{64}")

KINDS: dict[str, type] = {
    **dict.fromkeys(("variant", "run", "test", "weights"), str),
    **dict.fromkeys(("seed", "steps"), int),
    **dict.fromkeys(("settings", "code", "machine", "people", "seconds"), dict),
    "gates": list,
}


def content_fault(found: Any) -> str:
    """The first thing that is wrong, or '' if nothing is."""
    if not isinstance(found, dict):
        return f"found {type(found).__name__}, expected an object"
    return next(_faults(found), "")


def _faults(found: Mapping[str, Any]) -> Iterator[str]:
    """To be read up to the first: what comes after a check relies on it."""
    for name, kind in KINDS.items():
        if not isinstance(found.get(name), kind):
            yield f"its {name} is {found.get(name)!r:.60}, expected {kind.__name__}"
    if not found["weights"]:
        yield "its weights are '', expected their SHA-256"
    for stage, digest in found["code"].items():
        if not isinstance(digest, str) or not digest:
            yield f"its code of {stage} is {digest!r:.60}, expected a digest"
    if (labels := found.get("labels")) is not None and not DIGEST.fullmatch(str(labels)):
        yield f"its labels are {labels!r:.80}, expected a SHA-256"
    for stage, seconds in found["seconds"].items():
        if not _is_finite(seconds):
            yield f"its seconds of {stage} are {seconds!r:.60}, expected a finite number"
    sets = found.get("sets", {})
    if not isinstance(sets, dict):
        yield f"its sets are {sets!r:.60}, expected dict"
    for name, one in {"test split": found, **sets}.items():
        if not isinstance(one, dict) or not isinstance(one.get("test"), str):
            yield f"of {name} it has no digest of the images"
        yield from _people_faults(name, one.get("people"))


def _people_faults(test: str, people: Any) -> Iterator[str]:
    """Of one test set."""
    if not isinstance(people, dict) or not people:
        yield f"of {test} it has no people"
    for person, measured in people.items():
        images = measured.get("images") if isinstance(measured, dict) else None
        if not person.isdecimal() or not isinstance(images, int):
            yield f"of {test} it has no images of person {person}"
        for measure, value in measured.items():
            if measure == "images":
                continue
            mean = value.get("mean") if isinstance(value, dict) else None
            if not _is_finite(mean):
                yield (
                    f"of {test} the mean of {measure} of person {person} is {mean!r:.60}, "
                    "expected a finite number"
                )


def _is_finite(value: Any) -> bool:
    """Whether it is a number that a float holds; JSON has NaN, infinities and huge integers."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) <= sys.float_info.max
