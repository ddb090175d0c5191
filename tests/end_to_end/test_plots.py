"""Curves open in a real browser that has no internet."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.end_to_end

CHROMIUM = (
    "chromium",
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--allow-file-access-from-files", "--virtual-time-budget=10000"),
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


@pytest.fixture
def browser() -> None:
    if "HANDPOSE_NO_SERVERS" in os.environ:
        pytest.skip("HANDPOSE_NO_SERVERS is set")
    if shutil.which("chromium") is None:
        pytest.fail("no chromium here: apt-get install -y --no-install-recommends chromium")


@pytest.mark.usefixtures("browser")
def test_every_plot_is_drawn_without_internet(tiny_copy: Path, tmp_path: Path, run: Any) -> None:
    run(tiny_copy, "python", "-m", "pipeline.offline_plots")
    run(tiny_copy, "dvc", "plots", "show", "-o", "work/plots")
    page = tiny_copy / "work" / "plots" / "index.html"
    log = tmp_path / "network.json"
    done = subprocess.run(
        [
            *CHROMIUM,
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--log-net-log={log}",
            *("--enable-logging=stderr", "--dump-dom"),
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    plots = yaml.safe_load((tiny_copy / "dvc.yaml").read_text("utf-8"))["plots"]
    charts = [next(iter(plot)) for plot in plots if isinstance(plot, dict)]
    pictures = [plot for plot in plots if isinstance(plot, str)]
    assert done.stdout.count("<svg") >= len(charts)
    assert len(re.findall(r'<img[^>]+src="static[^>]+\.png"', done.stdout)) == len(pictures)
    for name in ("Stage 1, training loss", "PCK of the test", "Test errors per gesture"):
        assert done.stdout.count(name) >= 2, f"{name}: in its specification, and drawn"
    assert "full model" in done.stdout
    assert "Uncaught" not in done.stderr, done.stderr
    requests = log.read_text("utf-8", "replace")
    assert "jsdelivr" not in requests
    assert "vega.github.io" not in requests
    assert "index.html" in requests or page.name in done.stderr, "the log saw the page"


@pytest.mark.usefixtures("browser")
def test_the_report_opens_without_an_error_or_a_request(tiny_run: Path, tmp_path: Path) -> None:
    log = tmp_path / "network.json"
    page = tiny_run / "results" / "report.html"
    done = subprocess.run(
        [
            *CHROMIUM,
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--log-net-log={log}",
            *("--enable-logging=stderr", "--window-size=390,800", "--dump-dom"),
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert re.search(r'<canvas id="mesh"[^>]+data-drawn="yes"', done.stdout), "the script ran"
    assert done.stdout.count("<option") == 2, "a choice for each model"
    assert "CONSOLE" not in done.stderr, done.stderr
    assert not re.findall(r'"url":"https?://[^"]+', log.read_text("utf-8", "replace"))
    assert page.stat().st_size < 15e6
