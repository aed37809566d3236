"""Sessions of the dashboard: a token is taken only as it was given, only while it lasts, only for its key."""

import base64
import json

import pytest
from starlette.datastructures import Headers

from services.coordinator.dashboard import session
from services.coordinator.dashboard.door import Door
from services.coordinator.dashboard.session import LASTS_S
from services.coordinator.key_ring import KeyRing, hash_of
from services.coordinator.settings import CoordinatorSettings
from shared.errors import Forbidden

SECRET = session.signing_secret("internal-key")
KEY = hash_of("comd-key")
NOW = 1_800_000_000.0


def test_two_coordinators_with_one_internal_key_agree() -> None:
    token = session.issue(SECRET, "ann", KEY, NOW)
    found = session.read(session.signing_secret("internal-key"), token, NOW)
    assert found is not None
    assert (found.name, found.ends_at) == ("ann", int(NOW) + LASTS_S)
    assert session.read(session.signing_secret("another key"), token, NOW) is None


def test_a_token_holds_neither_the_key_nor_its_hash() -> None:
    token = session.issue(SECRET, "ann", KEY, NOW)
    said = base64.urlsafe_b64decode(token.split(".")[0] + "==").decode()
    assert "comd-key" not in said
    assert KEY not in said


def test_it_ends() -> None:
    token = session.issue(SECRET, "ann", KEY, NOW)
    assert session.read(SECRET, token, NOW + LASTS_S - 1) is not None
    assert session.read(SECRET, token, NOW + LASTS_S) is None


def test_every_changed_character_is_noticed() -> None:
    token = session.issue(SECRET, "ann", KEY, NOW)
    for at in range(len(token)):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        assert session.read(SECRET, changed, NOW) is None


def test_nobody_writes_one_without_the_secret() -> None:
    said = {"name": "api", "key": "x", "ends_at": int(NOW) + 10, "nonce": ""}
    body = base64.urlsafe_b64encode(json.dumps(said).encode()).decode()
    for forged in ("", ".", body, f"{body}.", f"{body}.{'0' * 64}", "é.é", f"{'x' * 5000}.y", f".{'0' * 64}"):
        assert session.read(SECRET, forged, NOW) is None


def test_it_is_good_for_the_key_that_opened_it_alone() -> None:
    found = session.read(SECRET, session.issue(SECRET, "ann", KEY, NOW), NOW)
    assert found is not None
    assert session.is_of_key(SECRET, found, KEY)
    assert not session.is_of_key(SECRET, found, hash_of("the next key of this machine"))


def test_each_session_has_a_csrf_token_of_its_own() -> None:
    one, two = (session.read(SECRET, session.issue(SECRET, "ann", KEY, NOW), NOW) for _ in range(2))
    assert one is not None
    assert two is not None
    assert session.is_right_csrf_token(one, one.csrf_token)
    for wrong in (two.csrf_token, "", "é", one.csrf_token[:-1]):
        assert not session.is_right_csrf_token(one, wrong)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8100", "localhost", "[::1]:8100", "desk.example", "Desk.Example:8100"]
)
def test_changes_come_to_our_own_names(door: Door, host: str) -> None:
    door.check_place(Headers({"host": host}))


@pytest.mark.parametrize(
    "host", ["", "evil.example", "127.0.0.1.evil.example", "evil@127.0.0.1", "a b", "lan:99"]
)
def test_other_names_are_refused(door: Door, host: str) -> None:
    with pytest.raises(Forbidden, match="allowed_hosts"):
        door.check_place(Headers({"host": host}))


def test_other_sites_are_refused(door: Door) -> None:
    door.check_place(Headers({"host": "localhost", "sec-fetch-site": "same-origin"}))
    for site in ("cross-site", "same-site"):
        with pytest.raises(Forbidden, match="another site"):
            door.check_place(Headers({"host": "localhost", "sec-fetch-site": site}))


@pytest.fixture
def door() -> Door:
    allowed = CoordinatorSettings(allowed_hosts=frozenset({"desk.example", "lan:80"})).allowed_hosts
    ring: KeyRing = None  # type: ignore[assignment]  # nobody is looked up here
    return Door(ring, SECRET, allowed)
