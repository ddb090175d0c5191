"""Sentences that say what the numbers say, and nothing before a grid is whole."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.experiment.answers import QUESTIONS, Question, answer, answers, progress, tokens
from pipeline.experiment.grid import SeedGrid
from pipeline.experiment.grid_results import PRIMARY, GridResults, Row
from tests.pipeline.experiment.made_up_results import result

SEEDS = [0, 1, 2]
BETTER = Question("Better?", "g", ("new",), "lower", "new is better")


def grid(name: str = "g", **means: float) -> GridResults:
    """The first variant is what the others are compared with."""
    rows = [
        Row(variant, "?", {seed: result(variant, seed, mean) for seed in SEEDS})
        for variant, mean in means.items()
    ]
    first = next(iter(means))
    return GridResults(
        name, SeedGrid(what="?", against=first, variants=[*means], seeds=SEEDS), rows
    )


@pytest.mark.parametrize(
    ("mean", "word"), [(27.0, "Yes: new is better."), (33.0, "No."), (30.0, "Not shown.")]
)
def test_the_first_word_is_the_outcome(mean: float, word: str) -> None:
    results = grid(old=30.0, new=mean)
    text = answer(BETTER, results)
    found = results.differences(PRIMARY)["new"]
    assert text.startswith(word)
    assert f"{found.value:+.2f} mm [{found.low:+.2f}, {found.high:+.2f}]" in text
    assert f"`old` {found.first:.2f} mm" in text


def test_all_variants_must_agree() -> None:
    both = Question("Better?", "g", ("new", "newer"), "lower", "both are better")
    assert answer(both, grid(old=30.0, new=27.0, newer=27.0)).startswith("Yes: both are better.")
    assert answer(both, grid(old=30.0, new=27.0, newer=33.0)).startswith("In part.")
    assert answer(both, grid(old=30.0, new=27.0, newer=30.0)).startswith("In part.")
    assert answer(both, grid(old=30.0, new=33.0, newer=30.0)).startswith("No.")
    assert answer(both, grid(old=30.0, new=30.0, newer=30.0)).startswith("Not shown.")


def test_a_grid_is_read_when_it_is_whole() -> None:
    results = grid(old=30.0, new=27.0)
    results.rows[1].results[2] = None
    assert answer(BETTER, results) == "Open: 5 of 6 runs of `g` have a result."
    assert "27" not in answer(BETTER, results)
    assert tokens(results).startswith("Open: 5 of 6 runs")
    assert answer(BETTER, None) == "Open: `experiments/grid.yaml` has no grid `g`."
    assert progress("g", grid(old=30.0)) == "3 of 3 runs of `g` have a result."


def test_tokens_act_if_closing_their_gates_and_other_logits_cost() -> None:
    def with_cost(cost: float) -> GridResults:
        results = grid("claim", neither=30.0, full=30.0)
        for one in results.row("full").known:
            for k, person in enumerate(one["people"].values()):
                change: dict[str, Any] = {"mean": 3 * cost + 0.1 * (-1) ** k, "images": 20}
                person[f"other_logits_{PRIMARY}"] = change
        return results

    assert tokens(with_cost(0.5)).startswith("Yes: the error of `full` changes by +0.70 mm")
    assert "+1.50 mm" in tokens(with_cost(0.5))
    assert tokens(with_cost(0.0)).startswith("Not shown")


def test_there_is_an_answer_to_every_question() -> None:
    found = list(answers({}))
    assert len(found) == len(QUESTIONS) + 1
    assert all("Open: " in text for text in found)
