"""torch.compile around a network: what it shares, and what a failure leaves."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import handpose.training.fit
from handpose.training import compilation
from handpose.training.compilation import (
    CACHE,
    STEPS_WORTH_COMPILING,
    compiled_if_it_works,
    keep_kernels_in,
    missing_for_compiling,
    should_compile,
)
from handpose.training.history import FitError
from handpose.training.seeding import rng_state
from tests.training.test_fit import SETTINGS, assert_same, toy, train

COMPILED = replace(SETTINGS, compile=True, ema=0.5)


def with_backend(monkeypatch: pytest.MonkeyPatch, backend: str | Callable[..., Any]) -> None:
    """Every run of the test compiles with it: inductor's own kernels need a minute."""

    def compiled(net: nn.Module, trial: Callable[[nn.Module], None]) -> nn.Module:
        return compiled_if_it_works(net, trial, backend)

    monkeypatch.setattr(handpose.training.fit, "compiled_if_it_works", compiled)


def broken(*_: object) -> Any:
    raise RuntimeError("ptxas is not here\nand a long story")


@pytest.mark.parametrize("backend", ["eager", broken], ids=["works", "fails"])
def test_a_compiled_run_is_the_plain_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    backend: str | Callable[..., Any],
) -> None:
    """The trial leaves no trace, names in the state dicts stay, a failure costs only speed."""
    caplog.set_level(logging.INFO, "handpose")
    with_backend(monkeypatch, backend)
    assert_same(
        train(tmp_path / "compiled", COMPILED),
        train(tmp_path / "plain", replace(COMPILED, compile=False)),
    )
    assert caplog.messages[0].startswith("compiles the network; that takes minutes")
    if backend == "eager":
        assert caplog.messages[1].startswith("compiled in ")
    else:
        assert "it is trained as it is" in caplog.messages[1]
        assert "long story" not in caplog.messages[1]


def test_a_trial_that_fails_half_way_is_undone() -> None:
    net = toy()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    generators = rng_state()["torch"]

    def trial(network: nn.Module) -> None:
        network(torch.rand(3, 3, 4, 4)).sum().backward()
        raise ValueError("in the backward pass")

    assert compiled_if_it_works(net, trial, "eager") is net
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(weight.grad is None for weight in net.parameters())
    assert torch.equal(rng_state()["torch"], generators)


def test_the_environment_decides_where_kernels_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CACHE, raising=False)
    keep_kernels_in(tmp_path / "a")
    keep_kernels_in(tmp_path / "b")
    assert Path(os.environ[CACHE]) == tmp_path / "a"


def test_what_a_compiler_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert missing_for_compiling() == "the package triton"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    assert missing_for_compiling() == "a C compiler"


def test_several_processes_refuse_to_compile() -> None:
    with pytest.raises(FitError, match="Set compile to auto, or processes to 1"):
        should_compile(True, STEPS_WORTH_COMPILING, torch.device("cpu"), 2)
    assert not should_compile("auto", STEPS_WORTH_COMPILING, torch.device("cuda"), 2)


def test_a_short_training_is_not_compiled_unless_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "missing_for_compiling", lambda: "")
    gpu, least = torch.device("cuda"), STEPS_WORTH_COMPILING
    assert should_compile("auto", least, gpu, 1)
    assert not should_compile("auto", least - 1, gpu, 1)
    assert should_compile(True, 1, gpu, 1)
    assert not should_compile(False, least, gpu, 1)


def test_a_cpu_compiles_only_if_wanted() -> None:
    cpu = torch.device("cpu")
    assert not should_compile("auto", STEPS_WORTH_COMPILING, cpu, 1)
    assert should_compile(True, 1, cpu, 1)
