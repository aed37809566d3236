"""Faults of every kind change nothing: the same rows, hash for hash, and no call twice that was not in flight.

The scripted engine is a pure function of its requests, and training is a stub whose checkpoints are hashes. Here each
kind comes at least once; `make chaos` is the long form.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from services.augmentor.novelty import is_novel
from services.coordinator.selection import select
from shared.identity import augmented_instruction_id
from tests.chaos import kills, oddities, outages, trial
from tests.chaos.scene import Played
from tests.chaos.site import Site
from tests.chaos.trial import Disturbance

SLOW_S = 0.1
HOUR_S = 3600.0


@pytest.fixture(scope="module")
def site(servers_folder: Path) -> Iterator[Site]:
    folder = servers_folder / "site"
    folder.mkdir()
    with Site(folder, num_pictures=24) as site:
        yield site
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def undisturbed(site: Site) -> Played:
    return trial.undisturbed(site, trial.plain(site))


def check(site: Site, undisturbed: Played, disturbance: Disturbance) -> None:
    """The run ends equal, and each act did all that it was asked to do."""
    verdict = trial.disturbed(site, trial.plain(site), disturbance, undisturbed)
    verdict.check()
    assert not set(verdict.played.unfinished) - {"deliver_twice_and_shuffled"}


def test_killed_workers_coordinators_and_trainers(site: Site, undisturbed: Played) -> None:
    acts = [
        kills.kill_workers(3),
        kills.kill_coordinators(1),
        kills.kill_at_boundaries(2),
        kills.kill_trainer(1),
    ]
    check(site, undisturbed, Disturbance("kills", acts, slow_s=SLOW_S))


def test_a_lost_postgres(site: Site, undisturbed: Played) -> None:
    acts = [outages.stop_postgres(1), outages.kill_postgres(1)]
    check(site, undisturbed, Disturbance("servers", acts, slow_s=SLOW_S))


def test_full_disks(site: Site, undisturbed: Played) -> None:
    if not site.database_volume.is_small:
        pytest.skip("mounting a small file system is not permitted here")
    acts = [outages.fill_database(1), outages.fill_trainer(1)]
    check(site, undisturbed, Disturbance("disks", acts, slow_s=SLOW_S))


def test_lost_repeated_and_shuffled_messages_a_wrong_clock_and_a_worker_that_stood_still(
    site: Site, undisturbed: Played
) -> None:
    """Nothing here makes the coordinator begin anew, which would publish lost messages again by itself."""
    acts = [
        oddities.deliver_twice_and_shuffled,
        oddities.stop_worker(5),
        outages.flush_redis(1),
        outages.kill_redis(1),
    ]
    check(site, undisturbed, Disturbance("oddities", acts, slow_s=0.25, clocks_off_s=(HOUR_S,)))


def test_broken_pictures_and_an_engine_with_faults(site: Site) -> None:
    configuration = trial.with_broken_pictures(site, num_pictures=10, num_broken=12)
    reference = trial.undisturbed(site, configuration)
    assert reference.calls["faults"]["garbage"] > 5
    assert reference.content["failures"][0] >= 6  # the pictures that were damaged after the import
    faulty = trial.disturbed(
        site, configuration, Disturbance("engine", faults=trial.ENGINE_FAULTS), reference
    )
    faulty.check()
    assert {"hang", "500", "trickle"} <= faulty.played.calls["faults"].keys()


def test_the_undisturbed_run_did_something(undisturbed: Played) -> None:
    counts = {name: count for name, (count, _) in undisturbed.content.items()}
    assert counts["instructions"] > 50
    assert counts["selections"] > 0
    assert counts["verdicts"] == 48
    assert counts["candidates"] >= counts["selections"]
    assert counts["evaluations"] == 3 * 10
    assert undisturbed.calls["repeated"] == 0
    assert undisturbed.in_flight_at_end == 0  # so calls and rows are counted alike


def test_the_pools_follow_from_the_stored_rows(undisturbed: Played) -> None:
    """Selection, novelty and pools computed again from what is stored equal what is stored."""
    with psycopg.connect(undisturbed.database_url) as connection:
        judged = connection.execute("SELECT instruction_id, difficulty FROM verdicts WHERE NOT unjudged")
        difficult, easy = select(dict(judged.fetchall()), 0.33, 0)
        selected = connection.execute("SELECT instruction_id, kind FROM selections").fetchall()
        assert dict(selected) == {**dict.fromkeys(difficult, "difficult"), **dict.fromkeys(easy, "easy")}

        texts: dict[str, list[str]] = {}
        parents: dict[int, str] = {}
        rows = connection.execute("SELECT id, image, text FROM instructions WHERE born_in = 1 ORDER BY id")
        for number, image, text in rows:
            texts.setdefault(image, []).append(text)
            parents[number] = image
        born = {}
        attempts = "SELECT parent, attempt, text, accepted, reason FROM candidates ORDER BY attempt, parent"
        for parent, _, text, accepted, reason in connection.execute(attempts):
            others = texts[parents[parent]]
            assert accepted == is_novel(text, others) or reason not in {None, "not novel"}
            if accepted:
                others.append(text)
                born[augmented_instruction_id(parent, 2, text)] = (parent, text)
        stored = connection.execute("SELECT id, parent, text FROM instructions WHERE born_in = 2")
        assert {number: (parent, text) for number, parent, text in stored} == born
