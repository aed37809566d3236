"""Children that never lasted are given up; killed ones and those that have lasted never are."""

import signal

import pytest

from comd.stack.restarts import FIRST_PAUSE_S, LASTING_S, LONGEST_PAUSE_S, TRIES, Restarts


def test_who_ends_by_itself_again_and_again_is_given_up() -> None:
    restarts = Restarts()
    pauses = [restarts.pause_after(1.0, 1) for _ in range(TRIES)]
    assert pauses == [0.5, 1.0, 2.0, 4.0, None]


@pytest.mark.parametrize("stop_signal", [signal.SIGKILL, signal.SIGTERM])
def test_who_is_killed_comes_back_at_once_however_often(stop_signal: signal.Signals) -> None:
    restarts = Restarts()
    assert {restarts.pause_after(1.0, -stop_signal) for _ in range(50)} == {FIRST_PAUSE_S}


def test_who_has_lasted_is_tried_for_ever_with_longer_pauses() -> None:
    restarts = Restarts()
    assert restarts.pause_after(LASTING_S, 1) == FIRST_PAUSE_S
    pauses = [restarts.pause_after(0.1, 1) for _ in range(3 * TRIES)]
    assert pauses[-1] == LONGEST_PAUSE_S
    assert restarts.pause_after(LASTING_S, 1) == FIRST_PAUSE_S
