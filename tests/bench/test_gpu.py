from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from bench.gpu import __main__ as command
from bench.gpu.record import Record
from bench.gpu.setting import TOP, Setting, merged


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return Setting(tmp_path_factory.mktemp("bench-gpu"), quick=True)


@pytest.mark.parametrize("name", [n for n in command.ITEMS if n not in ("stage 2 W48",)])
def test_each_item_leaves_figures(name: str, setting: Setting) -> None:
    command.one(name, setting)
    figures = json.loads(command.file_of(name, setting.work).read_text())
    assert figures
    values = [v for entry in figures.values() for v in entry.values() if not isinstance(v, str)]
    assert all(math.isfinite(value) for value in values)
    speeds = [entry["images_s"] for entry in figures.values() if "images_s" in entry]
    assert all(speed > 0 for speed in speeds)


def test_two_eager_runs_are_equal_on_a_cpu(setting: Setting) -> None:
    figures = json.loads(command.file_of("equality", setting.work).read_text())
    assert figures["pretrain, eager again"]["largest"] == 0
    assert figures["pose, eager again"]["largest"] == 0


def test_a_failure_costs_no_other_item(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(command.ITEMS, "unknown", command.Item(lambda *_: None, 60))
    monkeypatch.setitem(command.ITEMS, "slow", command.Item(lambda *_: None, 0.1))
    machine = command.ITEMS["machine"]._replace(limit_s=200)  # a loaded machine imports slowly
    monkeypatch.setitem(command.ITEMS, "machine", machine)
    out = tmp_path / "gpu.json"
    command.every(["unknown", "slow", "machine"], setting, 5.0, out)
    found = json.loads(out.read_text())
    assert "invalid choice" in found["unknown"]["status"]
    assert found["slow"]["status"] == "ended by its limit of 0 s"
    assert found["machine"]["status"] == "done"
    assert found["machine"]["figures"]["host"]["cores"] >= 1


def test_what_comes_after_the_end_of_the_time_is_named(setting: Setting, tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    command.every(["machine", "kernels"], setting, 0.0, out)
    found = json.loads(out.read_text())
    assert [entry["status"] for entry in found.values()] == ["not begun: the time was up"] * 2


def test_figures_are_kept_before_the_item_ends(tmp_path: Path) -> None:
    record = Record(tmp_path / "item.json")
    record.add("first", images_s=2.0)
    assert json.loads((tmp_path / "item.json").read_text()) == {"first": {"images_s": 2.0}}


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["bench.gpu"])
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match="finds no GPU here"):
        command.main()


def test_it_needs_no_package_that_a_machine_with_a_gpu_may_lack() -> None:
    lacking = ("dvc", "prefect", "simplejpeg", "msgspec", "typer", "rich", "jinja2", "sklearn")
    code = f"import sys; sys.modules.update(dict.fromkeys({lacking})); import bench.gpu.__main__"
    subprocess.run([sys.executable, "-c", code], cwd=TOP, check=True)


def test_only_named_values_are_replaced() -> None:
    values = {"a": {"b": 1, "c": 2}, "d": 3}
    assert merged(values, {"a": {"b": 5}}) == {"a": {"b": 5, "c": 2}, "d": 3}
