"""SIGTERM, Ctrl-C and SIGHUP wait for the loop to leave."""

from __future__ import annotations

import signal

import pytest

from handpose.training.signals import Stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_waits_until_the_loop_leaves(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    told: list[str] = []
    with pytest.raises(SystemExit) as caught, Stop(told.append) as stop:
        stop.leave()
        signal.raise_signal(number)
        assert not told
        stop.leave()
    assert caught.value.code == 128 + number
    assert told == [f"stopped by {number.name}; run again to go on"]
    assert signal.getsignal(number) == before


def test_a_signal_after_the_last_step_is_not_lost() -> None:
    with pytest.raises(SystemExit), Stop(print):
        signal.raise_signal(signal.SIGTERM)


def test_a_failure_is_not_hidden_by_a_signal() -> None:
    with pytest.raises(ValueError, match="the cause"), Stop(print):
        signal.raise_signal(signal.SIGTERM)
        raise ValueError("the cause")


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGHUP])
def test_a_wish_that_comes_twice_is_one(second: signal.Signals) -> None:
    with pytest.raises(SystemExit) as caught, Stop(print) as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(second)
        stop.leave()
    assert caught.value.code == 128 + signal.SIGTERM


def test_a_second_ctrl_c_acts_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), Stop(print) as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.signal == signal.SIGINT
        signal.raise_signal(signal.SIGINT)


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stop(print) as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.signal
    finally:
        signal.signal(signal.SIGHUP, before)
