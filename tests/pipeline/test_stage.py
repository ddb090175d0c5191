from __future__ import annotations

import pytest

from pipeline import stage
from stages import code_digest


def test_the_stages_are_the_runnable_modules_of_stages() -> None:
    stages = {"synthesize", "ingest", "label", "shard", "pretrain", "pose", "evaluate", "code"}
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
