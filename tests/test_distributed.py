"""Two processes against one, on the CPU: the same steps, each sample once, one checkpoint.

The two are started once, with torchrun's environment variables. They run
`tests/distributed_scenarios.py` and save its results, which the tests compare with those of one
process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from handpose.distributed import SINGLE_PROCESS, Distributed, synchronize_batch_norms
from handpose.nets.backbone import Backbone
from handpose.sample import UNLABELLED, HandBatch
from handpose.training.checkpoint import Checkpoint
from handpose.training.fit import Fitted
from tests.distributed_scenarios import (
    BATCH,
    Weights,
    gradients,
    toy,
    train,
)


def start(folder: Path, *arguments: str, world: int = 2) -> list[subprocess.Popen[str]]:
    """Start processes that run the scenarios, as torchrun would."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    return [
        subprocess.Popen(
            [sys.executable, "-m", "tests.distributed_scenarios", str(folder), *arguments],
            cwd=Path(__file__).parents[1],
            env={
                **os.environ,
                "SCENARIOS_FOLDER": str(folder),
                "TORCHELASTIC_RUN_ID": "test",
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(world),
                "LOCAL_WORLD_SIZE": str(world),
                "MASTER_ADDR": "localhost",
                "MASTER_PORT": str(port),
                "OMP_NUM_THREADS": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(world)
    ]


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory,
    stand_in: Path,
    make_batch: Callable[..., HandBatch],
) -> Path:
    """The scenarios' folder: a hand model, a batch, and a run that one process began."""
    folder = tmp_path_factory.mktemp("scenarios")
    (folder / "mano").symlink_to(stand_in)
    batch = make_batch(BATCH, side=64)
    fits = torch.tensor([True, False, True, True, True])
    valid = batch.joint_valid.clone()
    valid[1] = False  # of the first slice
    valid[3, :7] = False  # of the second
    classes = torch.tensor([0, UNLABELLED, 1, UNLABELLED, 2])
    batch = dataclasses.replace(
        batch, has_mano=fits, joint_valid=valid, coarse=classes, fine=classes
    )
    (folder / "batch.pickle").write_bytes(pickle.dumps(batch))
    assert train(folder / "from_one", SINGLE_PROCESS, stop_at=5) == 128 + signal.SIGTERM
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> list[dict[str, Any]]:
    """Each of the two processes' results of the scenarios."""
    processes = start(folder)
    output = [process.communicate(timeout=100)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(output)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Weights, Fitted]:
    """The result of one process."""
    result = train(tmp_path_factory.mktemp("one"), SINGLE_PROCESS)
    assert isinstance(result, tuple)
    return result


def assert_close(ours: tuple[Weights, Fitted], theirs: tuple[Weights, Fitted]) -> None:
    """The same run except for rounding."""
    close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-6)
    close(ours[0], theirs[0])
    assert ours[1].best_epoch == theirs[1].best_epoch
    assert len(ours[1].rows) == len(theirs[1].rows)
    for our, their in zip(ours[1].rows, theirs[1].rows, strict=True):
        close(our, their)


@pytest.mark.parametrize("size", range(8))
@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_slices_and_round_robin_hold_each_sample_once(size: int, world: int) -> None:
    processes = [Distributed(rank, world) for rank in range(world)]
    batch = list(range(size))
    slices = [distributed.slice(batch) for distributed in processes]
    assert list(chain(*slices)) == batch
    assert max(map(len, slices)) - min(map(len, slices)) <= 1
    assert (
        sorted(item for distributed in processes for item in distributed.round_robin(batch))
        == batch
    )


def test_collective_operations(results: list[dict[str, Any]]) -> None:
    ours, theirs = (scenarios["communicate"] for scenarios in results)
    assert ours["drawn"][0] == ours["drawn"][2] != ours["drawn"][1]
    assert not set(ours.pop("drawn")) & set(theirs.pop("drawn"))
    assert ours == theirs
    assert ours == {
        "maximum": 1,
        "rank_zero": 0,
        "gathered": [list(range(n)) for n in range(6)],
        "count": [0.5, 3.0],  # at least 1 in the whole batch
        "broadcast": 1.0,
    }


@pytest.mark.parametrize("stage", ["stage_1", "stage_2"])
def test_losses_and_gradients_are_those_of_the_whole_batch(
    folder: Path, results: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    monkeypatch.setenv("SCENARIOS_FOLDER", str(folder))
    one = gradients(SINGLE_PROCESS, folder)[stage]
    unused = {name for name, gradient in one["gradients"].items() if gradient is None}
    assert unused, "the paper's profile has weights without a gradient"
    for scenarios in results:
        two = scenarios["gradients"][stage]
        assert two["terms"] == pytest.approx(one["terms"], rel=1e-5)
        assert {name for name, gradient in two["gradients"].items() if gradient is None} == unused
        for name in one["gradients"].keys() - unused:
            scale = one["gradients"][name].abs().max().item()
            torch.testing.assert_close(
                two["gradients"][name],
                one["gradients"][name],
                rtol=1e-3,
                atol=1e-4 * scale + 1e-7,
            )


def test_two_processes_take_the_steps_of_one(
    results: list[dict[str, Any]], whole: tuple[Weights, Fitted]
) -> None:
    for scenarios in results:
        assert_close(scenarios["whole"], whole)
    start = toy().state_dict()
    for name in ("unused.weight", "unused.bias"):
        assert torch.equal(results[0]["whole"][0][name], start[name]), "no gradient, no decay"


def test_a_run_goes_on_with_more_processes_and_with_fewer(
    folder: Path,
    results: list[dict[str, Any]],
    whole: tuple[Weights, Fitted],
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert_close(results[1]["resumed"], whole)
    stopped = [scenarios["stopped"] for scenarios in results]
    assert stopped == [128 + signal.SIGTERM] * 2, "one received the signal"
    caplog.set_level(logging.INFO, "handpose")
    result = train(folder / "from_two", SINGLE_PROCESS)
    assert caplog.messages[0].startswith("resumes after step 6/8"), "the current step was saved"
    assert isinstance(result, tuple)
    assert_close(result, whole)


def test_the_same_number_of_processes_goes_on_bit_for_bit(results: list[dict[str, Any]]) -> None:
    """Dropout and batch statistics of the slice included."""
    assert [scenarios["rough_stopped"] for scenarios in results] == [128 + signal.SIGTERM] * 2
    for scenarios in results:
        weights, fitted = scenarios["rough_resumed"]
        assert fitted == results[0]["rough"][1]
        for name, value in results[0]["rough"][0].items():
            assert torch.equal(weights[name], value), name


def test_only_the_first_saves(tmp_path: Path) -> None:
    with (
        Checkpoint(tmp_path, {}, writable=True) as first,
        Checkpoint(tmp_path, {}, writable=False) as other,
    ):
        other.save({"step": 1})
        assert not first.path.exists()
        assert other.age_s < 0 <= first.age_s


def test_trained_batch_norms_are_shared_on_a_gpu_and_frozen_ones_are_left_alone() -> None:
    backbone = Backbone(name="hrnet_w18_small", frozen_stages=2)
    names = set(backbone.state_dict())
    synchronize_batch_norms(backbone.train())
    norms = [m for m in backbone.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        assert norm.training == norm.weight.requires_grad == isinstance(norm, nn.SyncBatchNorm)
    assert {norm.training for norm in norms} == {True, False}
    assert set(backbone.state_dict()) == names, "checkpoints fit either way"


CHILD = """
import os, time
from handpose.distributed import end_with_parent
end_with_parent()
print(os.getpid(), flush=True)
time.sleep(60)
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


def test_a_process_ends_soon_after_the_one_that_started_it() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    patience = time.monotonic() + 20
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < patience:
            os.kill(child, 0)  # it is there
            time.sleep(0.1)
        pytest.fail(f"process {child} lives on")
