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
    in_epochs,
    progress,
    same_bytes,
    time_ratio,
    tokens,
)
from pipeline.experiment.grid import SeedGrid
from pipeline.experiment.grid_results import PRIMARY, SECONDARY, GridResults, Row
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
    assert "It trained 1.00 times as long" in text


def test_training_times_are_stated_as_a_ratio_by_seed() -> None:
    results = grid(old=30.0, new=27.0)
    for seed, one in results.row("new").results.items():
        assert one is not None
        one["seconds"] = {"pretrain": 100.0, "pose": 50.0 + 150 * seed}
    assert time_ratio(results, "new") == (
        "It trained 0.50 to 1.50 times as long by the clock of a shared machine."
    )


def test_times_of_different_machines_are_not_compared() -> None:
    results = grid(old=30.0, new=27.0)
    for seed, one in results.row("new").results.items():
        assert one is not None
        one["seconds"] = {"pretrain": 100.0, "pose": 50.0 + 150 * seed}
    first, *others = results.row("new").known
    for one in others:
        one["machine"] = {"cpu": "another"}
    assert "It trained 0.50 times as long" in time_ratio(results, "new")
    first["test"] = "other bytes"
    assert time_ratio(results, "new") == (
        "The two were timed on different kinds of machines, so their times do not compare."
    )


@pytest.mark.parametrize(("mean", "word"), [(20.0, "Yes"), (28.0, "Not shown"), (40.0, "No")])
def test_a_difference_may_have_to_be_large(mean: float, word: str) -> None:
    """The whole interval, not the difference alone."""
    much = Question("A tenth better?", "g", ("new",), "lower", "it is", at_least_percent=10.0)
    results = grid(old=30.0, new=mean)
    assert answer(much, results).startswith(word)
    seen = results.grid.model_copy(update={"added": "when all had been seen"})
    assert answer(much, replace(results, grid=seen)).endswith("Added when all had been seen.")


def test_the_secondary_measure_stands_beside_the_primary_one() -> None:
    results = grid(old=30.0, new=27.0)
    found = results.differences(SECONDARY)["new"]
    assert f"By PA-MPJPE {found.value:+.2f} mm [{found.low:+.2f}, " in answer(BETTER, results)


def test_runs_of_one_kind_of_processor_are_compared_by_themselves() -> None:
    """Its runs and no others; without two of each, that cannot be."""
    results = grid(old=30.0, new=27.0)
    assert same_bytes(results, "new") == ""
    for name, seed in (("old", 0), ("new", 2)):
        one = results.row(name).results[seed]
        assert one is not None
        one["test"] = "u" * 64
        for person in one["people"].values():
            person[PRIMARY]["mean"] = 1000.0
    text = same_bytes(results, "new")
    assert text.startswith("Within one kind of processor: -") and text.endswith("(2 and 2 runs).")
    value = float(text.split(": ")[1].split(" mm")[0])
    assert value == pytest.approx(-3, abs=0.6)
    for one in results.row("new").known:
        one["test"] = "v" * 64
    assert same_bytes(results, "new") == (
        "The two were rendered and trained on different kinds of processors."
    )


def test_the_time_of_the_full_model_is_stated_in_epochs_without_gestures() -> None:
    """The full model of 30 mm and 300 s, beside eight epochs of 20 mm and 400 s."""
    epochs = {"neither": 8, "neither_equal_time": 6, "neither_fewer_steps": 3}
    found = {
        "claim": grid("claim", neither=20.0, full=30.0),
        "equal_time": grid("equal_time", neither_equal_time=26.0),
        "equal_steps": grid("equal_steps", neither_fewer_steps=35.0),
    }
    for one in found.values():
        for row in one.rows:
            for run in row.known:
                run["settings"] = {"pose_scratch": {"epochs": epochs.get(row.name, 3)}}
                if row.name == "neither":
                    run["seconds"] = {"pose": 400.0}
    text = in_epochs(found)
    assert text.startswith("By the clocks of runs side by side, the full model takes as long as 6")
    equal = float(text.split("as good as ")[1].split(" of them")[0])
    assert equal == pytest.approx(3 + 3 * (35 - 30) / (35 - 26), abs=0.4)
    assert "mm after 3, " in text and "mm after 8; straight lines" in text
    worse = found | {"claim": grid("claim", neither=20.0, full=50.0)}
    for run in worse["claim"].known:
        run["settings"] = {"pose_scratch": {"epochs": 8}}
    assert "as good as" not in in_epochs(worse)
    assert in_epochs({name: found[name] for name in ("claim", "equal_time")}) == ""


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
    assert answer(both, grid(old=30.0, new=27.0, newer=30.0)).startswith("In part.")
    opposite = answer(both, grid(old=30.0, new=27.0, newer=33.0))
    assert opposite.startswith("For one yes, for the other the reverse.")
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
    assert ", by +1.50 mm [+1.4" in text and "decides nothing" in text
    for one in results.row("full").known:
        for person in one["people"].values():
            person[f"true_class_{PRIMARY}"] = {"mean": -0.001, "images": 20}
            person[f"true_class_{SECONDARY}"] = {"mean": -0.12, "images": 20}
    assert "by +0.00 mm [+0.00, +0.00] (PA -0.12) with the true class on top." in tokens(results)


def test_there_is_an_answer_to_every_question() -> None:
    found = list(answers({}))
    assert len(found) == len(QUESTIONS)
    assert "**Does gesture pretraining" in found[0] and "`claim`" in found[0]
    assert all("Open: " in text for text in found)
