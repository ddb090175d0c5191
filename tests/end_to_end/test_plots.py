"""Curves open in a real browser that has no internet."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
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
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
BROWSERS_OWN = (".google.com", ".googleapis.com", ".gvt1.com")
"""Hosts that the browser asks for itself, whatever page it shows."""


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


def opened(address: str, folder: Path) -> tuple[str, str, set[str]]:
    """A page as a phone-wide browser shows it: elements, console, and hosts that it asked."""
    log = folder / "network.json"
    done = subprocess.run(
        [
            *CHROMIUM,
            f"--user-data-dir={folder / 'profile'}",
            f"--log-net-log={log}",
            *("--enable-logging=stderr", "--window-size=390,800", "--dump-dom"),
            address,
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    hosts = set(re.findall(r'"url":"https?://([^/:"]+)', log.read_text("utf-8", "replace")))
    return done.stdout, done.stderr, {one for one in hosts if not one.endswith(BROWSERS_OWN)}


@pytest.mark.usefixtures("browser")
def test_the_report_opens_without_an_error_or_a_request(tiny_run: Path, tmp_path: Path) -> None:
    page = tiny_run / "results" / "report.html"
    elements, console, hosts = opened(page.as_uri(), tmp_path)
    assert re.search(r'<canvas id="mesh"[^>]+data-drawn="yes"', elements), "the script ran"
    assert elements.count("<option") == 2, "a choice for each model"
    assert "CONSOLE" not in console, console
    assert hosts == set()
    assert page.stat().st_size < 15e6


@pytest.mark.usefixtures("browser")
def test_evaluated_hands_are_shown_one_by_one(
    tiny_run: Path, tmp_path: Path, environ_of: Any
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "view", "--port", "0"],
        cwd=tiny_run,
        env=environ_of(tiny_run),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    address = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
    assert address is not None
    elements, console, hosts = opened(address.group(), tmp_path)
    assert 'data-shown="0"' in elements, "the first sample, and its photo"
    assert re.search(r'id="title">[a-z_]+, (left|right) hand, subject \d+', elements)
    assert re.search(r'id="count"[^>]*>1 of \d+', elements)
    assert "CONSOLE" not in console, console
    assert hosts == {"127.0.0.1"}
    process.send_signal(signal.SIGTERM)
    assert "stopped" in process.communicate(timeout=60)[0]
    assert process.returncode == 0
