from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from pipeline import stage
from pipeline.runner.child_process import StageProcess
from pipeline.runner.dvc_command import DvcCommand
from stages import code_digest
from stages.params import load_params
from tests.stray_files import leave_strays

ROOT = Path(__file__).parents[2]


def test_the_stages_are_the_runnable_modules_of_stages() -> None:
    stages = {
        "synthesize",
        "ingest",
        "label",
        "shard",
        "pretrain",
        "pose",
        "evaluate",
        "score",
        "shift",
        "code",
        "inputs",
    }
    assert set(stage.stage_names()) == stages
    assert stage.stage_names() == code_digest.entry_points()
    assert stage.RECORDS == code_digest.RECORDS


def test_an_unknown_stage_is_refused_and_the_known_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert stage.main(["shrad"]) == 2
    message = capsys.readouterr().err
    assert "shard" in message
    assert "'shrad'" in message


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_the_stages(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert stage.main([flag]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Run one stage: `python -m pipeline.stage NAME [ARGS]`")
    assert printed.endswith(f"NAME: {', '.join(stage.stage_names())}\n")


def test_a_stage_runs_where_dvc_cannot_be_watched(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A failure to ask is not the answer that DVC has ended."""

    def refuse(pid: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setenv("DVC_STAGE", "label")
    monkeypatch.setattr(DvcCommand, "above", refuse)
    monkeypatch.setattr(stage, "_refresh_record", lambda name: None)
    monkeypatch.setattr(
        stage, "StageProcess", lambda words: StageProcess([sys.executable, "-c", "exit(0)"])
    )
    before = {number: signal.getsignal(number) for number in (2, 15, 1)}
    try:
        assert stage.main(["label"]) == 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert "dvc cannot be watched here (Operation not permitted)" in capfd.readouterr().out


def test_a_python_without_the_packages_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The system's, where no environment is active."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert stage.main(["label"]) == 2
    assert f"{sys.executable}, lacks this project's packages; activate" in capsys.readouterr().err


def test_the_keys_that_lower_memory_are_those_of_params_yaml() -> None:
    params = load_params(ROOT / "params.yaml")
    assert set(stage.LESS_MEMORY) <= set(stage.stage_names())
    for key in stage.LESS_MEMORY.values():
        section, name = key.split(".")
        assert isinstance(getattr(getattr(params, section), name), int)


def test_editors_backups_and_locks_are_no_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.py").write_text('if __name__ == "__main__": pass\n')
    leave_strays(tmp_path)
    monkeypatch.setattr(stage, "STAGES", tmp_path)
    assert stage.stage_names() == code_digest.entry_points(tmp_path) == ["a"]
