"""Which device is taken, what is refused, and how it is described."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from handpose.training import device
from handpose.training.device import DeviceError, describe_device, prepare_device, require_gpus


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("no_gpu")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    assert prepare_device("auto", 0).type == "cpu"
    with pytest.raises(DeviceError, match="set device to auto or cpu"):
        prepare_device("cuda", 0)


@pytest.mark.usefixtures("two_gpus")
def test_too_few_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "TORCHELASTIC_RUN_ID": "x",
        "LOCAL_RANK": "3",
        "LOCAL_WORLD_SIZE": "4",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DeviceError, match="4 processes on this machine, but it has 2 GPUs"):
        prepare_device("auto", 0)
    assert prepare_device("cpu", 0).type == "cpu"
    require_gpus(2)


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_is_described_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA H200")
    assert describe_device(prepare_device("auto", 0), "auto") == "NVIDIA H200"


@pytest.mark.usefixtures("no_gpu")
def test_a_driver_that_torch_cannot_use_is_mentioned(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    driver = tmp_path / "version"
    monkeypatch.setattr(device, "NVIDIA", driver)
    cpu = prepare_device("auto", 0)
    assert describe_device(cpu, "auto").startswith("the CPU, ")
    assert "Warning" not in describe_device(cpu, "auto")
    driver.touch()
    assert "there is an NVIDIA driver, but torch" in describe_device(cpu, "auto")
    assert "Warning" not in describe_device(cpu, "cpu"), "it was asked for"
