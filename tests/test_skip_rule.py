"""A skip fails in CI, for whatever reason, unless the test says why it must be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.skip_rule import SWITCH

ROOT = Path(__file__).parents[1]

TESTS = """
import pytest

@pytest.mark.skipif(True, reason="needs apt install x")
def test_a(): ...

def test_b():
    pytest.skip("no x here")

@pytest.mark.may_skip(because="a container may not mount")
def test_c():
    pytest.skip("no right to mount")

@pytest.mark.may_skip
def test_d():
    pytest.skip("without a reason of its own")

@pytest.mark.xfail(reason="known")
def test_e():
    assert False

def test_f(): ...

@pytest.fixture
def x():
    pytest.skip("in a fixture")

def test_g(x): ...
"""


@pytest.mark.parametrize(
    ("content", "in_ci", "elsewhere"),
    [
        (
            TESTS,
            "2 failed, 1 passed, 1 skipped, 1 xfailed, 2 errors",
            "1 passed, 5 skipped, 1 xfailed",
        ),
        ("import pytest\npytest.importorskip('no_such')", "1 error", "1 skipped"),
    ],
    ids=["tests", "a module"],
)
def test_a_skip_is_a_failure_in_ci_alone(
    tmp_path: Path, content: str, in_ci: str, elsewhere: str
) -> None:
    (tmp_path / "test_x.py").write_text(content, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(tmp_path),
               "-p", "tests.skip_rule", "-W", "ignore", str(tmp_path)]  # fmt: skip
    environ = {key: value for key, value in os.environ.items() if key != SWITCH}
    for switch, expected in (({SWITCH: "1"}, in_ci), ({}, elsewhere)):
        env = {**environ, **switch, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)
        assert expected in done.stdout, done.stdout
        assert ("skipped in CI: " in done.stdout) == bool(switch)


def test_ci_switches_the_rule_on_and_installs_before_it_tests() -> None:
    lines = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    order = [f"export {SWITCH}=1", ".ci/packages turbojpeg", "make test", "make tiny"]
    places = [next(i for i, line in enumerate(lines) if line.startswith(one)) for one in order]
    assert places == sorted(places)


def test_an_unknown_package_is_refused() -> None:
    done = subprocess.run([ROOT / ".ci" / "packages", "x"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "expected turbojpeg, sshd or chromium; found x" in done.stderr
