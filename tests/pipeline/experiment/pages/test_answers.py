"""Sentences that say what the numbers say, and nothing before a grid is whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from handpose.evaluation.crossed import crossed_difference
from pipeline.experiment.grid import SeedGrid
from pipeline.experiment.grid_results import PRIMARY, SECONDARY, GridResults, Row
from pipeline.experiment.pages.answers import (
    OTHER_PROCESSOR,
    answer,
    answer_word,
    answers_of,
    interval,
    planned,
    progress,
    same_bytes,
    time_ratio,
    tokens,
)
from pipeline.experiment.pages.questions import QUESTIONS, Question
from tests.pipeline.experiment.made_up_results import result

SEEDS = [0, 1, 2]
BETTER = Question("Better?", "new minus old", "g", ("new",), "lower", "A remark.")


def grid(name: str = "g", **means: float) -> GridResults:
    """The first variant is what the others are compared with."""
    rows = [
        Row(variant, "?", {seed: result(variant, seed, mean) for seed in SEEDS})
        for variant, mean in means.items()
    ]
    first = next(iter(means))
    return GridResults(
        name,
        SeedGrid(what="?", planned="first", against=first, variants=[*means], seeds=SEEDS),
        rows,
    )


@pytest.mark.parametrize(("mean", "word"), [(27.0, "Yes."), (33.0, "No."), (30.0, "Not shown.")])
def test_the_first_word_is_the_outcome(mean: float, word: str) -> None:
    results = grid(old=30.0, new=mean)
    text = answer(BETTER, results)
    found = results.differences(PRIMARY)["new"]
    assert text.startswith(word)
    assert f"{found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}] mm" in text
    assert f"`old` {found.first:.2f} mm" in text
    assert "Side by side it trained 1.00 times as long." in text


def test_training_times_are_stated_as_a_ratio_by_seed() -> None:
    results = grid(old=30.0, new=27.0)
    for seed, one in results.row("new").results.items():
        assert one is not None
        one["seconds"] = {"pretrain": 100.0, "pose": 50.0 + 150 * seed}
    assert time_ratio(results, "new") == ("Side by side it trained 0.50 to 1.50 times as long.")


def with_keys(results: GridResults, **keys: Any) -> GridResults:
    """The same results of a grid with other keys."""
    return replace(results, grid=results.grid.model_copy(update=keys))


def test_times_are_compared_only_of_runs_side_by_side() -> None:
    """Of one machine and commit, in a grid of two variants that was planned before its runs."""
    results = grid(old=30.0, new=27.0)
    for seed, one in results.row("new").results.items():
        assert one is not None
        one["seconds"] = {"pretrain": 100.0, "pose": 50.0 + 150 * seed}
    assert time_ratio(with_keys(results, planned="later"), "new") != ""
    assert time_ratio(with_keys(results, planned="seen"), "new") == ""
    assert time_ratio(grid(old=30.0, new=27.0, newer=27.0), "new") == ""
    first, second, third = results.row("new").known
    second["machine"] = {"cpu": "another"}
    third["commit"] = "another"
    assert time_ratio(results, "new") == "Side by side it trained 0.50 times as long."
    first["test"] = "other bytes"
    assert time_ratio(results, "new") == ""


@pytest.mark.parametrize(
    ("mean", "word"), [(20.0, "Yes"), (28.0, "Not shown"), (40.0, "Not shown")]
)
def test_a_difference_may_have_to_be_large(mean: float, word: str) -> None:
    """With a margin the p-value is of the difference from nine tenths, whose mean is uncertain."""
    results = with_keys(grid(old=30.0, new=mean), margin_percent=10.0)
    assert answer_word(BETTER, results) == word
    own, old = (results.row(name).table(PRIMARY, results.people) for name in ("new", "old"))
    assert results.p_values(PRIMARY)["new"] == crossed_difference(0.9 * old, own).p_value
    assert results.differences(PRIMARY)["new"].first == pytest.approx(old.mean())


def test_seeds_that_choose_the_images_are_paired_in_a_second_interval() -> None:
    """Narrower where runs of one seed are alike; the first interval stays as it is."""
    plain = grid(old=30.0, new=27.0)
    for row in plain.rows:
        for seed, one in row.results.items():
            assert one is not None
            for person in one["people"].values():
                person[PRIMARY]["mean"] += 3.0 * seed
    results = with_keys(plain, paired=True)
    found, pairs = results.differences(PRIMARY)["new"], results.of_pairs("new")
    assert pairs is not None and pairs.value == pytest.approx(found.value)
    assert pairs.high - pairs.low < 0.5 * (found.high - found.low)
    assert f"with seeds paired, {interval(pairs)} mm" in answer(BETTER, results)
    assert "paired" not in answer(BETTER, plain)
    results.row("new").results.update(dict.fromkeys(SEEDS[:2]))
    assert results.of_pairs("new") is None


def test_when_a_grid_was_planned() -> None:
    results = grid(old=30.0, new=27.0)
    assert planned(results) == ""
    assert "before any run that is new" in planned(with_keys(results, planned="later"))
    seen = with_keys(results, planned="seen", added="when all had been seen")
    assert planned(seen) == "Added to the plan when all had been seen."


def test_the_secondary_measure_stands_beside_the_primary_one() -> None:
    results = grid(old=30.0, new=27.0)
    found = results.differences(SECONDARY)["new"]
    assert f"By PA-MPJPE {found.value:+.2f} [{found.low:+.2f}, " in answer(BETTER, results)


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
    value = float(text.split(": ")[1].split(" [")[0])
    assert value == pytest.approx(-3, abs=0.6)
    for one in results.row("new").known:
        one["test"] = "v" * 64
    assert same_bytes(results, "new") == OTHER_PROCESSOR


def test_missing_variants_make_a_p_value_no_smaller() -> None:
    """Holm counts the variants that are planned, not those that happen to have results."""
    whole = grid(old=30.0, new=29.5, newer=40.0)
    part = grid(old=30.0, new=29.5, newer=40.0)
    part.row("newer").results.update(dict.fromkeys(SEEDS))
    assert set(part.p_values(PRIMARY)) == {"new"}
    alone = part.differences(PRIMARY)["new"].p_value
    assert part.p_values(PRIMARY)["new"] == pytest.approx(min(1, 2 * alone))
    assert part.p_values(PRIMARY)["new"] >= whole.p_values(PRIMARY)["new"]


def test_where_variants_disagree_each_has_its_outcome() -> None:
    both = Question("Better?", "both minus old", "g", ("new", "newer"), "lower")

    def word(new: float, newer: float) -> str:
        return answer_word(both, grid(old=30.0, new=new, newer=newer))

    assert word(27.0, 27.0) == "Yes"
    assert word(27.0, 30.0) == "`new` lower, `newer` not shown"
    assert word(27.0, 33.0) == "`new` lower, `newer` higher"
    assert word(33.0, 30.0) == "No"
    assert word(30.0, 30.0) == "Not shown"


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
    assert (
        "by +0.00 mm [+0.00, +0.00] (PA -0.12) if the true class is made the most likely one."
        in tokens(results)
    )


def test_a_grid_s_page_has_its_questions_with_their_remarks() -> None:
    question = QUESTIONS[0]
    results = grid(question.grid, neither=30.0, **{question.variants[0]: 33.0})
    (text,) = answers_of(results)
    assert text.startswith(f"**{question.text}** No. `full` has 3")
    assert text.endswith(question.note)
    assert not list(answers_of(grid("another", neither=30.0)))
    results.rows[1].results[2] = None
    assert "Open: 5 of 6 runs" in next(answers_of(results))
