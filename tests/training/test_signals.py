"""SIGTERM, Ctrl-C and SIGHUP wait for the loop to exit."""

from __future__ import annotations

import logging
import signal

import pytest

from handpose.stop_signal import MEANINGS
from handpose.training.signals import DeferredSignals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_waits_until_the_loop_exits(
    number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "handpose")
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as caught, DeferredSignals() as signals:
        signals.exit_if_received()
        signal.raise_signal(number)
        assert not caplog.messages
        signals.exit_if_received()
    assert caught.value.code == 128 + number
    (message,) = caplog.messages
    assert message == f"stopped by {number.name}; run again to resume ({MEANINGS[number]})"
    assert signal.getsignal(number) == before


def test_a_signal_after_the_last_step_is_not_lost() -> None:
    with pytest.raises(SystemExit), DeferredSignals():
        signal.raise_signal(signal.SIGTERM)


def test_a_failure_is_not_hidden_by_a_signal() -> None:
    with pytest.raises(ValueError, match="the cause"), DeferredSignals():
        signal.raise_signal(signal.SIGTERM)
        raise ValueError("the cause")


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGHUP])
def test_a_repeated_signal_counts_once(second: signal.Signals) -> None:
    with pytest.raises(SystemExit) as caught, DeferredSignals() as signals:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(second)
        signals.exit_if_received()
    assert caught.value.code == 128 + signal.SIGTERM


def test_a_second_ctrl_c_acts_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), DeferredSignals() as signals:
        signal.raise_signal(signal.SIGINT)
        assert signals.received == signal.SIGINT
        signal.raise_signal(signal.SIGINT)


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with DeferredSignals() as signals:
            signal.raise_signal(signal.SIGHUP)
            assert not signals.received
    finally:
        signal.signal(signal.SIGHUP, before)
