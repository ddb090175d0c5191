"""Trainings side by side: how many, what is shown of them, and how they end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import pytest

from handpose.errors import HandPoseError
from pipeline.clones import training_pool
from pipeline.clones.training_pool import TrainingPool


def test_as_many_run_at_once_as_there_are_jobs() -> None:
    pool, both = TrainingPool(2, 8, lambda _: None), threading.Barrier(2, timeout=60)
    assert pool.run({name: lambda: (both.wait(), None)[1] for name in "abcd"}) == []
    assert pool.threads == "4" and TrainingPool(3, 2, print).threads == "1"


def test_lines_begin_with_the_name_and_empty_ones_are_left_out() -> None:
    lines: list[str] = []
    pool = TrainingPool(1, 1, lines.append)
    for text in ("Running stage 'pose':", "", "  "):
        pool.line_of("seed 1")(text)
    assert lines == ["seed 1: Running stage 'pose':"]


def test_a_failure_is_reported_once_by_its_name_and_does_not_stop_the_others() -> None:
    lines: list[str] = []
    done: list[str] = []

    def fail(message: str) -> None:
        raise HandPoseError(message)

    pool = TrainingPool(1, 1, lines.append)
    tasks: dict[str, Callable[[], None]] = {
        "a": partial(fail, "a: is full"),
        "b": partial(fail, "the disk is full"),
        "c": partial(done.append, "c"),
    }
    assert pool.run(tasks) == ["a: is full", "b: the disk is full"]
    assert done == ["c"] and lines == ["a: failed", "b: failed"]


def test_ctrl_c_ends_the_running_trainings_and_starts_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, ended = threading.Event(), []
    pool = TrainingPool(1, 1, lambda _: None)

    def train(name: str) -> None:
        begun.set()
        try:
            while True:
                pool.line_of(name)("a step")
                time.sleep(0.001)
        finally:
            ended.append(name)

    def ctrl_c(_: object) -> None:
        begun.wait(60)
        raise KeyboardInterrupt

    monkeypatch.setattr(training_pool, "as_completed", ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        pool.run({name: partial(train, name) for name in "ab"})
    assert ended == ["a"]


def test_after_its_block_a_training_that_goes_on_is_stopped_and_its_last_lines_are_shown() -> None:
    lines: list[str] = []
    pool = TrainingPool(1, 1, lines.append)
    on_line = pool.line_of("a")
    with pool.stopping():
        on_line("a step")
    with pytest.raises(KeyboardInterrupt):
        on_line("another")
    on_line("stopped; run again to resume")  # what it says while it ends
    assert lines == ["a: a step", "a: another", "a: stopped; run again to resume"]
