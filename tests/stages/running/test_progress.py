from __future__ import annotations

import pytest

from stages.running.progress import Progress


def test_progress_shows_count_rate_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("shard", 4, "images", every_s=0)
    assert list(progress.over("abcd")) == list("abcd")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("shard: 1/4 images, ")
    assert lines[-1].startswith("shard: 4/4 images, ")
    assert lines[-1].endswith("0 s left")
