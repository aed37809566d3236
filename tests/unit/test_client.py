"""The client's requests and what it makes of replies, over httpx's own mock transport."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

import comd
from comd.client import StillRunning
from comd.client.frames import needed
from comd.client.service import Service, coordinator
from comd.client.sync.link import Link
from comd.client.sync.runs import Runs
from comd.client.unasync import made
from services.coordinator.api.shapes import RunList
from shared.errors import (
    BadRequest,
    ComdError,
    ConfigError,
    Conflict,
    DiskFull,
    EngineReplyError,
    EngineUnavailable,
    Forbidden,
    NotFound,
    TooManyRequests,
    Unauthorized,
    Unprocessable,
)

Answer = Callable[[httpx.Request], httpx.Response]
ENTRY = {"at": "2026-01-01T00:00:00+00:00", "run_id": None, "action": "leader", "cause": "me", "detail": {}}
NOW = "2026-01-01T00:00:00+00:00"
RUN: dict[str, Any] = {
    "id": "r",
    "name": "run",
    "dataset": "d",
    "config": {},
    "engines": {},
    "target": 1,
    "iteration": 1,
    "phase": "teaching",
    "progress": {},
    "reason": None,
    "parent_run": None,
    "branched_from": None,
    "failures": [],
    "created_at": NOW,
    "updated_at": NOW,
    "usage": {"currency": "USD", "spent": 0, "by_role": {}, "limit": None},
}
RUNS = httpx.Response(200, json={"object": "list", "data": []})


class Coordinator:
    """Answers in turn, the last one for ever, and keeps the requests; an exception is a connection that fails."""

    def __init__(self, *answers: httpx.Response | Exception):
        self.answers, self.requests = list(answers), list[httpx.Request]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def client(there: Answer, **more: Any) -> comd.Client:
    return comd.Client("http://there:1", "a-key-of-mine", transport=httpx.MockTransport(there), **more)


def link(there: Answer, slept: list[float], retries: int = 2) -> Link:
    service = Service("coordinator", "http://there:1", "key", "start it")
    return Link(service, retries, httpx.MockTransport(there), slept.append)


def refusal(status: int, code: str = "some_code", **headers: str) -> httpx.Response:
    error = {"message": "no, because", "type": "t", "param": "count", "code": code}
    return httpx.Response(status, json={"error": error}, headers=headers)


def test_the_sync_client_is_made_from_the_async_one() -> None:
    modules = made()
    for path, content in modules.items():
        assert path.read_text("utf-8") == content, (
            f"{path.name} is another: run python comd/client/unasync.py"
        )
    assert modules.keys() == set(next(iter(modules)).parent.glob("*.py"))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequest),
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (422, Unprocessable),
        (429, TooManyRequests),
        (503, EngineUnavailable),
        (507, DiskFull),
        (500, ComdError),
        (418, ComdError),
    ],
)
def test_an_error_has_its_class_status_code_and_message(status: int, kind: type[ComdError]) -> None:
    with client(Coordinator(refusal(status)), retries=0) as c, pytest.raises(ComdError) as caught:
        c.runs.get("run-1")
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.message) == (status, "no, because")
    assert caught.value.code == (TooManyRequests.code if status == 429 else "some_code")
    assert (caught.value.hint is not None) == (status == 401)


def test_what_cannot_be_reached_says_what_to_do() -> None:
    there = Coordinator(httpx.ConnectError("refused"))
    with client(there, retries=0) as c, pytest.raises(EngineUnavailable) as caught:
        c.runs.list()
    assert caught.value.hint == "start it with `comd up`, or set COMD_URL"
    assert (
        str(caught.value)
        == f"the coordinator at http://there:1 cannot be reached (refused); {caught.value.hint}"
    )


def test_a_get_is_repeated_and_waits_as_long_as_it_is_asked_to() -> None:
    slept: list[float] = []
    there = Coordinator(httpx.ReadError(""), refusal(503, **{"retry-after": "7"}), RUNS)
    assert link(there, slept).get(RunList, "/v1/runs").data == []
    assert slept == [0.2, 7.0]
    with pytest.raises(TooManyRequests):
        link(Coordinator(refusal(429, **{"retry-after": "31"})), slept).get(RunList, "/v1/runs")
    assert len(slept) == 2  # half a minute and more is for the caller to wait
    with pytest.raises(NotFound):
        link(Coordinator(refusal(404)), slept).get(RunList, "/v1/runs")
    assert len(slept) == 2


def test_retries_end() -> None:
    slept: list[float] = []
    there = Coordinator(refusal(503))
    with pytest.raises(EngineUnavailable, match="no, because"):
        link(there, slept).get(RunList, "/v1/runs")
    assert (len(there.requests), slept) == (3, [0.2, 0.6])


def test_a_write_is_sent_once_but_for_a_start_which_has_a_key() -> None:
    there = Coordinator(httpx.ReadError("lost"))
    with client(there) as c:
        for write in (
            lambda: c.runs.pause("r"),
            lambda: c.keys.create("n"),
            lambda: c.runs.change("r", budget=1),
        ):
            there.requests.clear()
            with pytest.raises(EngineUnavailable):
                write()
            assert len(there.requests) == 1
    there.requests.clear()
    with pytest.raises(EngineUnavailable):
        Runs(link(there, [], retries=1)).start("r", 2)
    first, second = there.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.content == second.content == b'{"count":2}'


def test_pages_are_asked_for_when_they_are_wanted() -> None:
    def page(number: int, more: bool) -> httpx.Response:
        body = {"object": "list", "data": [{**ENTRY, "id": number}], "next_cursor": number if more else None}
        return httpx.Response(200, json=body)

    there = Coordinator(page(4, True), page(9, False))
    with client(there) as c:
        entries = c.log()
        assert there.requests == []
        assert next(entries).id == 4
        assert len(there.requests) == 1
        assert [entry.id for entry in entries] == [9]
    assert [dict(request.url.params).get("after") for request in there.requests] == [None, "4"]


@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(200, html="<html>a proxy</html>"),
        httpx.Response(502, html="<html>Bad gateway</html>"),
        httpx.Response(302, headers={"location": "/login"}),
        httpx.Response(200, json={"object": "list", "data": [{"id": 7}]}),
        httpx.Response(200, content=b'{"object": "list", "da'),
        httpx.Response(404, json={"detail": "Not Found"}),
        httpx.Response(400, json={"error": "no object"}),
    ],
)
def test_an_answer_that_no_coordinator_gives_is_told_as_such(reply: httpx.Response) -> None:
    with client(Coordinator(reply)) as c, pytest.raises(EngineReplyError) as caught:
        c.runs.list()
    assert f"got {reply.status_code}" in str(caught.value)
    assert "and not a proxy or another service" in (caught.value.hint or "")


def test_ids_are_one_part_of_the_path_whatever_stands_in_them() -> None:
    there = Coordinator(refusal(404))
    with client(there) as c:
        for name in ("../keys", "a?b#c", "a b/ü"):
            with pytest.raises(NotFound):
                c.runs.get(name)
        with pytest.raises(BadRequest, match="expected an id or a name"):
            c.runs.get("..")
        with pytest.raises(BadRequest):
            c.datasets.get("")
    raw = [request.url.raw_path for request in there.requests]
    assert raw == [b"/v1/runs/..%2Fkeys", b"/v1/runs/a%3Fb%23c", b"/v1/runs/a%20b%2F%C3%BC"]


@pytest.mark.parametrize("url", ["there:8100", "ftp://there", "http://", "//there", " "])
def test_a_url_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ConfigError, match="expected a URL such as"):
        comd.Client(url)


def test_a_key_that_no_header_can_hold_is_refused_and_not_told() -> None:
    with pytest.raises(ConfigError) as caught:
        comd.Client("http://there", "schlüssel-geheim")
    assert "geheim" not in str(caught.value)


def test_where_it_is_and_the_key_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("COMD_HOME", str(tmp_path))
    for name in ("COMD_URL", "COMD_API_KEY", "COMD_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert (coordinator(None, None).url, coordinator(None, None).key) == ("http://127.0.0.1:8100", None)
    assert not list(tmp_path.iterdir())  # a client makes no keys
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "api-key").write_text("key-of-the-machine\n")
    assert coordinator(None, None).headers() == {"authorization": "Bearer key-of-the-machine"}
    monkeypatch.setenv("COMD_URL", "https://there/")
    monkeypatch.setenv("COMD_API_KEY", "key-of-the-environment")
    assert (coordinator(None, None).url, coordinator(None, None).key) == (
        "https://there",
        "key-of-the-environment",
    )
    assert coordinator("http://here", "mine").headers() == {"authorization": "Bearer mine"}
    assert "mine" not in repr(coordinator("http://here", "mine"))


def test_a_budget_of_none_takes_the_limit_away_and_left_out_changes_nothing() -> None:
    there = Coordinator(refusal(404))
    with client(there) as c:
        for more in ({"budget": None}, {"budget": 3.0}, {"prices": {"teacher": None}}):
            with pytest.raises(NotFound):
                c.runs.change("r", **more)  # type: ignore[arg-type]
    bodies = [request.content for request in there.requests]
    assert bodies == [b'{"budget":null}', b'{"budget":3.0}', b'{"prices":{"teacher":null}}']


def test_what_a_table_needs_and_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"need no_such_module, .*; pip install 'comd\[data\]'"):
        needed("no_such_module.inside")


def test_waiting_ends_with_the_run_or_with_the_time() -> None:
    def run(status: str) -> httpx.Response:
        return httpx.Response(200, json={**RUN, "status": status})

    slept: list[float] = []
    there = Coordinator(run("running"), refusal(503), run("running"), run("paused"))
    assert Runs(link(there, slept, retries=0)).wait("r", poll_s=2.0).status == "paused"
    assert slept == [2.0, 2.0, 2.0]  # a coordinator that restarts meanwhile is waited for
    with pytest.raises(StillRunning, match="run r still runs after 0 s") as caught:
        Runs(link(Coordinator(run("running")), slept)).wait("r", timeout_s=0)
    assert isinstance(caught.value, TimeoutError)
    with pytest.raises(EngineUnavailable):  # one that was never there is not
        Runs(link(Coordinator(refusal(503)), slept, retries=0)).wait("r")


def test_events_that_are_none_are_told_as_such() -> None:
    page = httpx.Response(200, html="<html>a proxy</html>")
    with (
        client(Coordinator(page)) as c,
        pytest.raises(EngineReplyError, match="expected a stream of events, got 200"),
    ):
        next(c.runs.events("r"))
    other = httpx.Response(200, content=b'data: {"id": 1}\n\n', headers={"content-type": "text/event-stream"})
    with client(Coordinator(other)) as c, pytest.raises(EngineReplyError, match="expected an event of a run"):
        next(c.runs.events("r"))
