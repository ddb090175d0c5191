"""Sentences that say what the numbers say, and nothing before a grid is whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.experiment.answers import (
    QUESTIONS,
    Question,
    answer,
    answers,
    progress,
    time_ratio,
    tokens,
)
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
    assert "It trained 1.00 to 1.00 times as long" in text


def test_training_times_are_told_as_a_ratio_by_seed() -> None:
    results = grid(old=30.0, new=27.0)
    for seed, one in results.row("new").results.items():
        assert one is not None
        one["seconds"] = {"pretrain": 100.0, "pose": 50.0 + 150 * seed}
    assert time_ratio(results, "new") == (
        "It trained 0.50 to 1.50 times as long by the clock of a shared machine."
    )


@pytest.mark.parametrize(("mean", "word"), [(20.0, "Yes"), (28.0, "Not shown"), (40.0, "No")])
def test_a_difference_may_have_to_be_large(mean: float, word: str) -> None:
    """The whole interval, not the difference alone."""
    much = Question("A tenth better?", "g", ("new",), "lower", "it is", at_least_percent=10.0)
    results = grid(old=30.0, new=mean)
    assert answer(much, results).startswith(word)
    seen = results.grid.model_copy(update={"added": "when all had been seen"})
    assert answer(much, replace(results, grid=seen)).endswith("Added when all had been seen.")


def test_missing_variants_make_a_p_value_no_smaller() -> None:
    """Holm counts the variants that are planned, not those that happen to have results."""
    whole = grid(old=30.0, new=29.5, newer=40.0)
    part = grid(old=30.0, new=29.5, newer=40.0)
    part.row("newer").results.update(dict.fromkeys(SEEDS))
    assert set(part.p_values(PRIMARY)) == {"new"}
    alone = part.differences(PRIMARY)["new"].p_value
    assert part.p_values(PRIMARY)["new"] == pytest.approx(min(1, 2 * alone))
    assert part.p_values(PRIMARY)["new"] >= whole.p_values(PRIMARY)["new"]


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
    assert answer(BETTER, None) == "Open: grid `g` is missing or cannot be read."
    assert progress("g", grid(old=30.0)) == "3 of 3 runs of `g` have a result."


def test_what_tokens_do_is_described_and_not_judged() -> None:
    results = grid("claim", neither=30.0, full=30.0)
    for one in results.row("full").known:
        for k, person in enumerate(one["people"].values()):
            change: dict[str, Any] = {"mean": 1.5 + 0.1 * (-1) ** k, "images": 20}
            person[f"other_logits_{PRIMARY}"] = change
    text = tokens(results)
    assert text.startswith("The error of `full` changes by +0.70 mm [+0.70, +0.70] with both gates")
    assert "by +1.50 mm [+1.4" in text and "decides nothing" in text


def test_there_is_an_answer_to_every_question() -> None:
    found = list(answers({}))
    assert len(found) == len(QUESTIONS)
    assert "**Does gesture pretraining" in found[0] and "`claim`" in found[0]
    assert all("Open: " in text for text in found)
