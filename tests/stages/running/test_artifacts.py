from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from handpose.files import digest
from stages.running.artifacts import write_json, write_manifest


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "m.json", {"mpjpe": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_manifest_holds_counts_digests_versions_and_seconds(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    write_manifest(
        tmp_path / "manifest.json",
        started=time.monotonic(),
        counts={"samples": 3},
        outputs=[tmp_path / "out"],
    )
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["counts"] == {"samples": 3}
    assert manifest["digests"] == {str(tmp_path / "out"): digest(tmp_path / "out")}
    assert {"torch", "smplx"} <= manifest["versions"].keys()
    assert manifest["seconds"] >= 0
