"""Five sentences that say what the numbers say, and nothing of a grid that is not whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.experiment.grid import read_grids, resolve
from pipeline.experiment.grid_results import PRIMARY, GridResults
from pipeline.experiment.verdict import CLAIMS, WORDS, verdict
from tests.pipeline.experiment.test_answers import grid

ROOT = Path(__file__).parents[3]


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


def test_a_grid_that_was_added_after_a_look_says_so() -> None:
    found = grids(27.0)
    name = CLAIMS[0].grid
    seen = found[name].grid.model_copy(update={"added": "when all had been seen"})
    found[name] = replace(found[name], grid=seen)
    first, second, *_ = verdict(found)
    assert first.endswith("3 seeds; added when all had been seen.")
    assert "added" not in second


def test_a_grid_that_is_not_whole_says_nothing() -> None:
    found = grids(27.0)
    first, second = (found[claim.grid] for claim in CLAIMS[:2])
    first.rows[1].results[2] = None
    del found[second.name]
    sentences = list(verdict(found))
    subject = CLAIMS[0].subject.rstrip(",")
    assert sentences[0] == f"{subject}: open, 5 of 6 runs of `claim` have a result."
    assert "open, grid `equal_time` is missing" in sentences[1]
    assert "open" not in sentences[2]


def test_claims_compare_what_their_sentences_name() -> None:
    grids = read_grids(ROOT).grids
    compared = [(claim.grid, claim.variant, grids[claim.grid].against) for claim in CLAIMS]
    assert compared == [
        ("claim", "full", "neither"),
        ("equal_time", "full", "neither_equal_time"),
        ("parts", "pretraining_only", "full"),
        ("paper_pair", "no_gesture_loss", "untrained_tokens_fewer_steps"),
        ("fewer_poses_seeds", "three_percent_full", "three_percent_neither"),
    ]
    for claim in CLAIMS:
        assert claim.variant in grids[claim.grid].variants


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
