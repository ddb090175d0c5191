"""Five sentences that say what the numbers say, and nothing of a grid that is not whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from handpose.evaluation.crossed import CrossedDifference
from pipeline.experiment.grid import read_grids, resolve
from pipeline.experiment.grid_results import PRIMARY, GridResults
from pipeline.experiment.pages.answers import MARKS, format_p, interval
from pipeline.experiment.pages.verdict import CLAIMS, WORDS, Claim, verdict
from tests.pipeline.experiment.pages.test_answers import grid

ROOT = Path(__file__).parents[4]


def grids(mean: float) -> dict[str, GridResults]:
    found = {}
    for claim in CLAIMS:
        beside = dict.fromkeys(claim.beside, mean + 1)
        means: dict[str, Any] = {"other": 30.0, claim.variant: mean, **beside}
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
        assert sentence.startswith(f"{claim.subject} {WORDS[kind]}: {own.value:+.2f} [")
        assert f"[{own.low:+.2f}, {own.high:+.2f}] mm, {own.percent:+.1f} %" in sentence
        ends = [
            f"{words} {interval(beside(found, claim, name))} mm, p "
            f"{format_p(found[claim.grid].p_values(PRIMARY)[name])}"
            for name, words in claim.beside.items()
        ]
        assert sentence.endswith("; ".join(["3 seeds", *ends]) + ".")


def beside(found: dict[str, GridResults], claim: Claim, name: str) -> CrossedDifference:
    return found[claim.grid].differences(PRIMARY)[name]


def test_a_grid_that_was_added_later_is_marked() -> None:
    found = grids(27.0)
    name = CLAIMS[0].grid
    seen = found[name].grid.model_copy(update={"planned": "seen"})
    found[name] = replace(found[name], grid=seen)
    first, second, *_ = verdict(found)
    assert first.endswith(f"3 seeds{MARKS['seen']}.")
    assert not any(mark in second for mark in MARKS.values() if mark)


def test_a_grid_that_is_not_whole_says_nothing() -> None:
    found = grids(27.0)
    first, second = (found[claim.grid] for claim in CLAIMS[:2])
    first.rows[1].results[2] = None
    del found[second.name]
    sentences = list(verdict(found))
    subject = CLAIMS[0].subject.rstrip(",")
    assert sentences[0] == f"{subject}: open, 5 of 6 runs of `{CLAIMS[0].grid}` have a result."
    assert f"open, grid `{second.name}` is missing" in sentences[1]
    assert "open" not in sentences[2]


def test_claims_compare_what_their_sentences_name() -> None:
    grids = read_grids(ROOT).grids
    compared = [(claim.grid, claim.variant, grids[claim.grid].against) for claim in CLAIMS]
    assert compared == [
        ("equal_time", "full", "neither_equal_time"),
        ("parts", "pretraining_only", "full"),
        ("warmup_equal_steps", "pretraining_only", "neither_fewer_steps"),
        ("fewer_poses_seeds", "three_percent_full", "three_percent_neither"),
        ("labels_stage_1", "stage_1_shuffled_images", "no_gesture_loss"),
    ]
    for claim in CLAIMS:
        assert {claim.variant, *claim.beside} <= {*grids[claim.grid].variants}


def test_weights_alone_means_that_nothing_else_of_stage_2_differs() -> None:
    file = read_grids(ROOT)
    for name, variant in (("paper_pair", "no_gesture_loss"), ("eanet_pair", "eanet_pretrained")):
        names = [file.grids[name].against, variant]
        without, pretrained = (one.params for one in resolve(ROOT, file, names))
        assert file.variants[names[0]].run == "scratch"
        own = pretrained.pose.weights.gesture, pretrained.pose_net.gesture_tokens
        other = without.pose_scratch.gesture, without.pose_scratch.gesture_tokens
        assert own == other
        assert pretrained.pose.epochs == without.pose_scratch.epochs == 3
