from __future__ import annotations

import pytest

from pipeline import stage


def test_the_doors_are_the_runnable_modules_of_stages() -> None:
    assert {"ingest", "label", "shard", "pretrain", "pose", "evaluate"} <= set(stage.stage_names())
    assert not {"params", "artifacts"} & set(stage.stage_names())


def test_unknown_door_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert stage.main(["shrad"]) == 2
    message = capsys.readouterr().err
    assert "shard" in message
    assert "'shrad'" in message
