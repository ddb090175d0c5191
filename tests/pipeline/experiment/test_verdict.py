"""Five sentences that say what the numbers say, and nothing of a grid that is not whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.experiment.grid_results import PRIMARY, GridResults
from pipeline.experiment.verdict import CLAIMS, WORDS, verdict
from tests.pipeline.experiment.test_answers import grid


def grids(mean: float) -> dict[str, GridResults]:
    found = {}
    for claim in CLAIMS:
        means: dict[str, Any] = {"other": 30.0, claim.variant: mean}
        found[claim.grid] = replace(grid(**means), name=claim.grid)
    return found


@pytest.mark.parametrize(
    ("mean", "kind"), [(27.0, "lower"), (33.0, "higher"), (30.0, "inconclusive")]
)
def test_a_sentence_has_the_outcome_and_the_numbers_of_its_grid(mean: float, kind: str) -> None:
    found = grids(mean)
    sentences = list(verdict(found))
    assert len(sentences) == 5
    for claim, sentence in zip(CLAIMS, sentences, strict=True):
        own = found[claim.grid].differences(PRIMARY)[claim.variant]
        assert sentence.startswith(f"{claim.subject} {WORDS[kind]}: {own.value:+.2f} mm [")
        assert f"[{own.low:+.2f}, {own.high:+.2f}], {own.percent:+.1f} %" in sentence
        assert sentence.endswith("3 seeds.")


def test_a_grid_that_is_not_whole_says_nothing() -> None:
    found = grids(27.0)
    first, second = (found[claim.grid] for claim in CLAIMS[:2])
    first.rows[1].results[2] = None
    del found[second.name]
    sentences = list(verdict(found))
    assert sentences[0] == f"{CLAIMS[0].subject}: open, 5 of 6 runs of `equal_time` have a result."
    assert "open, grid `equal_steps` is missing" in sentences[1]
    assert "open" not in sentences[2]
