"""Which tries are repeated and when; vLLM's metrics; the session of a request. All pure."""

import pytest

from shared.engine.retries import TRIES, pause_before_next, retry_after_s
from shared.engine.sessions import session_of
from shared.engine.waiting import read_waiting

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize("status", [None, 429, 500, 502, 503, 504])
def test_what_may_help_is_repeated_a_few_times(status: int | None) -> None:
    pauses = [pause_before_next(attempt, status, None, chance=0.5) for attempt in range(1, TRIES + 1)]
    assert pauses == [pytest.approx(0.2), pytest.approx(0.4), None]


@pytest.mark.parametrize("status", [400, 401, 404, 413, 422, 501, 307])
def test_what_cannot_help_is_not(status: int) -> None:
    assert pause_before_next(1, status, None) is None


def test_pauses_differ_between_calls() -> None:
    assert len({pause_before_next(1, 503, None) for _ in range(20)}) > 1


def test_what_the_engine_asks_for_is_the_least_pause_and_a_long_one_is_the_callers() -> None:
    assert pause_before_next(1, 429, 3.0) == 3.0
    assert pause_before_next(1, 429, 30.0) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2.0),
        ("0.25", 0.25),
        ("86400", 60.0),
        ("Tue, 14 Nov 2023 22:13:27 GMT", 7.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("nan", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, NOW) == seconds


def test_vllms_waiting_requests_are_read_and_summed() -> None:
    said = (
        b"# HELP vllm:num_requests_waiting Number of requests waiting.\n"
        b'vllm:num_requests_running{engine="0",model_name="m"} 5.0\n'
        b'vllm:num_requests_waiting{engine="0",model_name="m"} 3.0\n'
        b'vllm:num_requests_waiting{engine="1",model_name="m"} 4.0\n'
        b'vllm:num_requests_waiting_by_reason{engine="1",reason="x"} 9.0\n'
    )
    assert read_waiting(said) == 7.0
    assert read_waiting(b"router_requests 1\n") is None
    assert read_waiting(b"vllm:num_requests_waiting 1.2e+01\n") == 12.0
    for nonsense in (b"many", b"NaN", b"+Inf", b"1.2.3"):
        assert read_waiting(b"vllm:num_requests_waiting " + nonsense + b"\n") is None


def test_a_session_is_the_first_pictures_name_and_never_something_else() -> None:
    def asked(uuid: object) -> list[dict[str, object]]:
        part = {"type": "image_url", "image_url": {"url": "data:"}, "uuid": uuid}
        return [{"role": "system", "content": "s"}, {"role": "user", "content": [part]}]

    assert session_of(asked("ab" * 32)) == "ab" * 32
    assert session_of(asked("a\r\nx-evil: 1")) is None
    assert session_of(asked(7)) is None
    assert session_of([{"role": "user", "content": "text"}]) is None
