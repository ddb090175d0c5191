"""What a result's file has to hold."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.experiment.result_content import content_fault
from tests.pipeline.experiment.made_up_results import result

MEAN = "wrist_mpjpe_mm"


def with_measure(value: Any) -> dict[str, Any]:
    found = result("full", 0, 30.0)
    found["people"]["15"][MEAN] = value
    return found


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in result("full", 0, 30.0).items() if name != key}


def test_a_whole_result_has_no_fault() -> None:
    found = result("full", 0, 30.0)
    assert content_fault(found) == ""
    sets = {"roll_1": {"test": "t", "people": found["people"]}}
    assert content_fault(found | {"sets": sets, "labels": "a" * 64}) == ""
    assert content_fault(with_measure({"mean": 3, "images": 1})) == "", "JSON has 3 for 3.0"
    del found["people"]["15"][MEAN]
    assert content_fault(found) == "", "it is left out, and the page says so"


@pytest.mark.parametrize(
    ("mean", "shown"),
    [
        ('"3"', "'3'"),
        ("NaN", "nan"),
        ("Infinity", "inf"),
        ("-Infinity", "-inf"),
        ("1e400", "inf"),
        ("null", "None"),
        ("true", "True"),
        ("[3]", r"\[3\]"),
        ("1" + "0" * 400, "1000"),
    ],
)
def test_a_mean_that_is_no_finite_number_is_named(mean: str, shown: str) -> None:
    found = with_measure({"mean": json.loads(mean), "images": 1})
    words = rf"of test split the mean of {MEAN} of person 15 is {shown}.*, expected a finite number"
    with pytest.raises(ValueError, match=words):
        raise ValueError(content_fault(found))


@pytest.mark.parametrize("value", [{"images": 1}, 3.0, None, [3.0]])
def test_a_measure_without_a_mean_is_named(value: Any) -> None:
    words = f"of test split the mean of {MEAN} of person 15 is None, expected a finite number"
    assert content_fault(with_measure(value)) == words


def test_a_mean_of_another_test_set_counts_too() -> None:
    sets = {"roll_1": {"test": "t", "people": with_measure({"mean": float("nan")})["people"]}}
    fault = content_fault(result("full", 0, 30.0) | {"sets": sets})
    assert fault.startswith(f"of roll_1 the mean of {MEAN} of person 15 is nan")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([], "found list, expected an object"),
        (without("weights"), "its weights is None, expected str"),
        (without("steps"), "its steps is None, expected int"),
        (result("full", 0, 1.0, weights=""), "its weights are '', expected their SHA-256"),
        (result("full", 0, 1.0, code={"pose": ""}), "its code of pose is '', expected a digest"),
        (result("full", 0, 1.0, code={"pose": [1]}), "its code of pose is [1], expected a digest"),
        (result("full", 0, 1.0, labels="a map"), "its labels are 'a map', expected a SHA-256"),
        (result("full", 0, 1.0, labels=["a" * 64]), "its labels are ['aaa"),
        (result("full", 0, 1.0, seconds={"pose": "1"}), "its seconds of pose are '1', expected a"),
        (result("full", 0, 1.0, sets=[]), "its sets are [], expected dict"),
        (result("full", 0, 1.0, sets={"a": []}), "of a it has no digest of the images"),
        (result("full", 0, 1.0, sets={"a": {"test": "t"}}), "of a it has no people"),
        (result("full", 0, 1.0, people={}), "of test split it has no people"),
        (result("full", 0, 1.0, people={"x": {"images": 1}}), "it has no images of person x"),
        (result("full", 0, 1.0, people={"²": {"images": 1}}), "it has no images of person ²"),
        (result("full", 0, 1.0, people={"1": {"images": "2"}}), "it has no images of person 1"),
    ],
)
def test_what_is_wrong_is_named(found: Any, words: str) -> None:
    assert words in content_fault(found)
