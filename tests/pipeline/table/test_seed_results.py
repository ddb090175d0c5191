from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from pipeline.table.seed_results import Spread, as_text, merge, merged_metrics
from tests.pipeline.table.made_up_metrics import estimate, metrics, without

SEEDS = [metrics(seed) for seed in (0, 1, 2)]


def values(node: Any) -> list[dict[str, Any]]:
    """Every merged number and estimate of a tree."""
    if isinstance(node, dict):
        found = [node] if "mean" in node else []
        return found + [one for inner in node.values() for one in values(inner)]
    return []


def test_a_mean_lies_in_its_range_and_every_seed_is_kept() -> None:
    found = values(merged_metrics(SEEDS))
    assert len(found) > 8
    for node in found:
        assert node["min"] <= node["mean"] <= node["max"]
        assert [node["min"], node["max"]] == [min(node["value"]), max(node["value"])]
        assert node["mean"] == pytest.approx(sum(node["value"]) / 3, rel=1e-5)


def test_the_order_of_seeds_changes_their_lists_alone() -> None:
    def no_lists(node: Any) -> Any:
        for key in ("value", "low", "high"):
            node = without(node, key)
        return node

    expected = no_lists(merged_metrics(SEEDS))
    assert all(
        no_lists(merged_metrics(order)) == expected for order in itertools.permutations(SEEDS)
    )


def test_equal_seeds_have_no_range() -> None:
    for node in values(merged_metrics([SEEDS[1]] * 3)):
        found = Spread.of(node)
        assert found is not None
        assert found.least == found.mean == found.most


def test_intervals_and_counts_are_each_seeds_own() -> None:
    node = merged_metrics(SEEDS)["pose"]["test"]["pretrained"]["wrist_mpjpe_mm"]
    assert node["low"] == [27.0, 27.9, 28.8]
    assert (node["samples"], node["subjects"]) == (1073, 4)
    assert merge([estimate(1.0, 7), estimate(1.0, 8)])["samples"] == [7, 8]


def test_whatever_rows_there_are_are_merged_of_the_test_alone() -> None:
    found = merged_metrics(SEEDS)
    assert set(found) == set(SEEDS[0])
    assert set(found["pose"]) == {"test"}
    assert "a_new_row" in found["pose"]["test"]
    assert found["tokens"]["gates_closed"]["wrist_mpjpe_mm"]["by_person"]["mean"] == 0.5
    assert found["training"]["pretrained"]["steps"] == 807
    assert found["protocols"] == SEEDS[0]["protocols"]


def test_what_a_seed_lacks_is_left_out_or_has_no_mean() -> None:
    assert "tokens" not in merged_metrics([*SEEDS[:2], without(SEEDS[2], "tokens")])
    found = merge([{"value": 1.0}, {"value": None}])
    assert found == {"mean": None, "min": None, "max": None, "value": [1.0, None]}
    assert Spread.of(found) is None
    assert merge([[1.0, 2.0], [3.0, 2.0]])[0]["mean"] == 2.0
    assert merge(["a", "b"]) == ["a", "b"]
    assert merge([True, False]) == [True, False]


@pytest.mark.parametrize(
    "node", [{}, [], {"a": []}, None, 1.5, "é", merged_metrics(SEEDS), [[1, {"b": "x" * 200}]]]
)
def test_the_text_is_json(node: Any) -> None:
    assert json.loads(as_text(node)) == node


def test_a_line_of_the_file_has_a_whole_number_with_its_interval() -> None:
    lines = as_text(merged_metrics(SEEDS)).splitlines()
    assert sum('"mean"' in line for line in lines) == len(values(merged_metrics(SEEDS)))
    assert all(line.count("{") == line.count("}") for line in lines if '"mean"' in line)


def test_nothing_that_strict_readers_refuse_is_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        as_text({"a": float("nan")})
