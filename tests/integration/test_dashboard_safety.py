"""Who gets to the dashboard's pages, and what its cookie can do: over real HTTP against a real database."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.coordinator.app import create_coordinator_app
from services.coordinator.dashboard import session
from services.coordinator.dashboard.door import COOKIE, CSRF_HEADER
from services.coordinator.key_ring import hash_of
from services.coordinator.settings import CoordinatorSettings
from tests.doubles.town import KEYS
from tests.loopback import serving

PAGE = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
SECRET = session.signing_secret(KEYS.internal)
ADMIN = {"authorization": f"Bearer {KEYS.api}"}


@pytest.fixture
def settings(tmp_path: Path, postgres_url: str, redis_url: str) -> CoordinatorSettings:
    return CoordinatorSettings(
        database_url=postgres_url,
        redis_url=redis_url,
        image_store=str(tmp_path),
        data_roots=(tmp_path,),
        allowed_hosts=frozenset({"desk.example"}),
    )


@pytest.fixture
def http(settings: CoordinatorSettings) -> Iterator[httpx.Client]:
    """A browser, as far as cookies and headers go."""
    with (
        serving(create_coordinator_app(settings, KEYS)) as url,
        httpx.Client(base_url=url, headers=PAGE, timeout=20, trust_env=False) as client,
    ):
        yield client


def sign_in(http: httpx.Client, key: str = KEYS.api, **more: Any) -> httpx.Response:
    return http.post("/signin", data={"key": key, **more.pop("data", {})}, **more)


def csrf(http: httpx.Client) -> dict[str, str]:
    found = session.read(SECRET, http.cookies[COOKIE], time.time())
    assert found is not None
    return {CSRF_HEADER: found.csrf_token}


def make_key(http: httpx.Client, name: str, scope: str) -> str:
    made = http.post("/v1/keys", json={"name": name, "scope": scope}, headers=ADMIN)
    return str(made.json()["key"])


def test_pages_send_strangers_to_the_sign_in_and_back(http: httpx.Client) -> None:
    answer = http.get("/runs/some run/instructions")
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/signin?to=/runs/some%20run/instructions",
    )
    assert http.get("/").headers["location"] == "/signin"
    assert 'value="/runs/x"' in http.get("/signin?to=/runs/x").text
    answer = sign_in(http, data={"to": "/runs/x"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs/x")
    assert http.get("/").status_code == 200
    part = httpx.get(f"{http.base_url}/", headers={**PAGE, "hx-request": "true"}, trust_env=False)
    assert (part.status_code, part.headers["hx-redirect"]) == (401, "/signin")


def test_the_sign_in_never_leads_elsewhere(http: httpx.Client) -> None:
    for elsewhere in ("//evil.example", "/\\evil.example", "https://evil.example", "", "/a b", "/\n"):
        assert sign_in(http, data={"to": elsewhere}).headers["location"] == "/", elsewhere


def test_rest_without_a_key_stays_401_for_browsers_too(http: httpx.Client) -> None:
    for path in ("/v1/runs", "/metrics"):
        expected = 303 if path == "/metrics" else 401
        assert http.get(path).status_code == expected
    assert http.get("/v1/runs", headers={"accept": "*/*"}).status_code == 401
    assert http.post("/v1/runs", json={}).status_code == 401


def test_the_cookie_is_closed_to_scripts_and_other_sites_and_holds_no_key(http: httpx.Client) -> None:
    said = sign_in(http).headers["set-cookie"]
    assert KEYS.api not in said
    assert KEYS.internal not in said
    parts = {part.strip().lower() for part in said.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/", f"max-age={session.LASTS_S}"} <= parts
    assert "secure" not in parts
    https = sign_in(http, headers={"x-forwarded-proto": "https"}).headers["set-cookie"]
    assert "secure" in https.lower()


def test_wrong_keys_open_nothing_and_are_limited(settings: CoordinatorSettings) -> None:
    few = settings.model_copy(update={"requests_per_minute": 5})
    with (
        serving(create_coordinator_app(few, KEYS)) as url,
        httpx.Client(base_url=url, headers=PAGE, trust_env=False) as http,
    ):
        answers = [sign_in(http, key) for key in ("", "x", KEYS.internal, KEYS.api[:-1], "é", "x", "x")]
        assert [one.status_code for one in answers] == [400, 401, 401, 401, 401, 401, 429]
        assert "set-cookie" not in " ".join(name for one in answers for name in one.headers)
        assert "not known" in answers[1].text
        assert sign_in(http).status_code == 303  # a right key from the same address is not held up


def test_forged_ended_and_foreign_cookies_open_nothing(http: httpx.Client) -> None:
    right, now = hash_of(KEYS.api), time.time()
    good = session.issue(SECRET, "api", right, now)
    bad = {
        "changed": good[:-1] + ("0" if good[-1] != "0" else "1"),
        "ended": session.issue(SECRET, "api", right, now - session.LASTS_S),
        "of another installation": session.issue(session.signing_secret("other"), "api", right, now),
        "of an earlier key": session.issue(SECRET, "api", hash_of("old"), now),
        "of nobody": session.issue(SECRET, "nobody", hash_of("x"), now),
        "of our own services": session.issue(SECRET, "internal", hash_of(KEYS.internal), now),
    }
    for what, token in bad.items():
        assert http.get("/v1/runs", headers={"cookie": f"{COOKIE}={token}"}).status_code == 401, what
    assert http.get("/v1/runs", headers={"cookie": f"{COOKIE}={good}"}).status_code == 200


def test_a_revoked_key_ends_its_session(http: httpx.Client) -> None:
    sign_in(http, make_key(http, "ann", "read"))
    assert "ann" in http.get("/").text
    assert http.get("/v1/runs").status_code == 200
    http.delete("/v1/keys/ann", headers=ADMIN)
    assert http.get("/v1/runs").status_code == 401
    assert http.get("/").status_code == 303


def test_changes_by_cookie_need_the_sessions_token(http: httpx.Client) -> None:
    sign_in(http)
    path, body = "/v1/keys", {"name": "bob", "scope": "read"}
    another = session.read(SECRET, session.issue(SECRET, "api", hash_of(KEYS.api), time.time()), time.time())
    assert another is not None
    for wrong in ({}, {CSRF_HEADER: ""}, {CSRF_HEADER: another.csrf_token}):
        refused = http.post(path, json=body, headers=wrong)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "csrf_token_wrong")
    assert http.post(path, json=body, headers=csrf(http)).status_code == 201
    assert http.delete("/v1/keys/bob", headers=csrf(http)).status_code == 200


def test_changes_by_cookie_come_to_hosts_that_are_ours(http: httpx.Client) -> None:
    sign_in(http)
    token = csrf(http)
    body, cookie = {"name": "x y"}, f"{COOKIE}={http.cookies[COOKIE]}"
    for host, status in (("evil.example", 403), ("desk.example", 422), ("localhost:8100", 422)):
        answer = http.post("/v1/keys", json=body, headers={**token, "host": host, "cookie": cookie})
        assert answer.status_code == status, host
    assert sign_in(http, headers={"host": "evil.example"}).status_code == 403
    crossing = http.post("/v1/keys", json=body, headers={**token, "sec-fetch-site": "cross-site"})
    assert crossing.json()["error"]["code"] == "cross_site"
    by_key = http.post("/v1/keys", json=body, headers={**ADMIN, "host": "evil.example"})
    assert by_key.status_code == 422  # a key in a header is no browser's doing


def test_signing_out_takes_the_cookie_back(http: httpx.Client) -> None:
    sign_in(http, make_key(http, "ann", "read"))
    assert http.post("/signout").status_code == 403
    answer = http.post("/signout", headers=csrf(http))
    assert (answer.status_code, answer.headers["hx-redirect"]) == (204, "/signin")
    assert COOKIE not in http.cookies


def test_every_page_forbids_what_is_not_its_own(http: httpx.Client) -> None:
    sign_in(http)
    for path in ("/signin", "/", "/runs/nothing", "/static/0/nothing.css", "/?skip=x"):
        answer = http.get(path)
        if path.startswith("/static"):
            assert answer.status_code == 404
            continue
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "style=" not in answer.text
        assert "<script>" not in answer.text
        assert "onclick" not in answer.text


def test_assets_are_open_named_by_their_content_and_kept_for_ever(http: httpx.Client) -> None:
    text = http.get("/signin").text
    named = [part.split('"')[0] for part in text.split('="')[1:] if part.startswith("/static/")]
    assert len(named) >= 4
    for url in {name.split("#")[0] for name in named}:
        answer = http.get(url)
        assert answer.status_code == 200, url
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    version = named[0].split("/")[2]
    assert http.get(f"/static/{version}/%2e%2e/dashboard.py").status_code == 404
    assert not [path for path in http.get("/openapi.json", headers=ADMIN).json()["paths"] if "static" in path]
