"""In CI a skip is a failure, unless the test says why it must be.

`.ci/run` sets HANDPOSE_NO_SKIPS, and installs first what tests need. A test that cannot run on some
machines says so: `@pytest.mark.may_skip(because="a container may not mount")`.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest

SWITCH = "HANDPOSE_NO_SKIPS"
REMEDY = "install what it needs (.ci/packages), or mark the test may_skip(because=...)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure."""
    report = yield
    if _is_refused(report) and not any(
        mark.kwargs.get("because") for mark in item.iter_markers("may_skip")
    ):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {_reason(report.longrepr)}; {REMEDY}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn the skip of a whole module into a failure."""
    report = yield
    if _is_refused(report):
        report.outcome = "failed"
        report.longrepr = f"module skipped in CI: {_reason(report.longrepr)}; {REMEDY}"
    return report


def _is_refused(report: pytest.TestReport | pytest.CollectReport) -> bool:
    expected_to_fail = hasattr(report, "wasxfail")
    return bool(os.environ.get(SWITCH)) and report.skipped and not expected_to_fail


def _reason(longrepr: Any) -> str:
    return str(longrepr[-1]) if isinstance(longrepr, tuple) else str(longrepr)
