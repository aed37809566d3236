"""The trainer's state: jobs and their transitions, the lease, checkpoints."""

import json
import resource
from pathlib import Path

import pytest

from services.trainer import durable
from services.trainer.checkpoints import MARKER, Checkpoints
from services.trainer.jobs import TRANSITIONS, Asked, Jobs
from services.trainer.lease import Entry, Lease
from shared.errors import Conflict, NotFound


def asked(seed: int = 1, owner: str | None = None) -> Asked:
    return Asked(training_file="file-1", model="tiny", seed=seed, stage="tune", owner=owner)


def test_jobs_survive_a_restart_in_their_order(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    first, second = jobs.create(asked(), None), jobs.create(asked(owner="run"), None)
    jobs.move(first.id, "running")
    again = Jobs(tmp_path)
    assert [job.id for job in again.all()] == [second.id, first.id]
    assert again.get(first.id).status == "running"
    assert again.waiting("run") == [second]
    assert [event["message"] for event in again.events(first.id)] == [
        "Created tune job from tiny",
        "Job running",
    ]


def test_a_torn_event_is_left_out(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    job = jobs.create(asked(), None)
    with (jobs.folder(job.id) / "events.jsonl").open("ab") as file:
        file.write(b'{"message": "to')
    assert len(jobs.events(job.id)) == 1
    again = Jobs(tmp_path)
    again.move(job.id, "running")
    assert [event["message"] for event in again.events(job.id)][1:] == ["Job running"]


def test_a_line_is_added_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    durable.append(path, b"first\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(OSError, match="No space left on device"):
            durable.append(path, b"second\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"first\n"


def test_an_idempotency_key_gives_the_same_job_for_the_same_request(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    job = jobs.create(asked(), "key")
    assert Jobs(tmp_path).create(asked(), "key") == job
    with pytest.raises(Conflict, match="use a new key"):
        jobs.create(asked(seed=2), "key")


def test_final_states_are_final(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    for final in (status for status, after in TRANSITIONS.items() if not after):
        job = jobs.create(asked(), None)
        jobs.move(job.id, "running")
        assert jobs.move(job.id, final).over
        with pytest.raises(Conflict, match="cannot become"):
            jobs.move(job.id, "running")


def test_the_lease_goes_round_in_order_of_arrival(tmp_path: Path) -> None:
    lease = Lease(tmp_path / "lease.json", 10, 0)
    for owner in ("a", "b", "c"):
        lease.ask(owner, None, 0)
    lease.ask("a", "ckpt-1", 1)
    assert lease.held_by("a")
    lease.give_back("b")
    lease.give_back("a")
    lease.give_back("nobody")
    assert lease.held_by("c")
    assert Lease(tmp_path / "lease.json", 10, 50).held_by("c")
    lease.ask("d", "ckpt-2", 2)
    assert (lease.wanting("ckpt-1"), lease.wanting("ckpt-2")) == (None, "d")


def test_a_silent_holder_loses_the_lease_unless_it_has_a_job(tmp_path: Path) -> None:
    lease = Lease(tmp_path / "lease.json", 10, 0)
    lease.ask("a", "ckpt-1", 0)
    lease.ask("b", None, 0)
    lease.touch("b", 9)
    assert lease.expire(11, busy={"a"}) == []
    assert lease.expire(11, busy=set()) == ["a"]
    assert lease.held_by("b")


def test_asking_again_keeps_the_checkpoint_that_was_wanted(tmp_path: Path) -> None:
    lease = Lease(tmp_path / "lease.json", 10, 0)
    lease.ask("a", "ckpt-1", 0)
    assert lease.ask("a", None, 1).checkpoint == "ckpt-1"
    assert Lease(tmp_path / "lease.json", 10, 0).holder == Entry("a", "ckpt-1", 0)


def test_a_checkpoint_without_its_marker_does_not_exist(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, {"tiny": tmp_path / "base"})
    (tmp_path / "ckpt-1").mkdir()
    with pytest.raises(NotFound, match="there are: tiny"):
        checkpoints.path("ckpt-1")
    (tmp_path / "ckpt-1" / MARKER).write_text(json.dumps({"id": "ckpt-1", "created_at": 5}))
    assert checkpoints.path("ckpt-1") == tmp_path / "ckpt-1"
    assert [(m["id"], m["loaded"]) for m in checkpoints.models("ckpt-1")] == [
        ("tiny", False),
        ("ckpt-1", True),
    ]


def test_a_checkpoint_that_is_forgotten_is_gone_at_once_and_then_from_disk(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, {})
    (tmp_path / "ckpt-1").mkdir()
    (tmp_path / "ckpt-1" / MARKER).write_text(json.dumps({"id": "ckpt-1"}))
    remove = checkpoints.forget("ckpt-1")
    with pytest.raises(NotFound):
        checkpoints.path("ckpt-1")
    assert checkpoints.published() == []
    remove()
    assert list(tmp_path.iterdir()) == []


def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        Checkpoints(tmp_path, {}).path("ckpt-/../../etc")


def test_a_base_student_that_is_not_there_is_named_with_its_folder(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints", {"tiny": tmp_path / "tiny"})
    with pytest.raises(NotFound, match=r"'tiny': expected a saved model in .*tiny.* base_students"):
        checkpoints.path("tiny")
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.json").write_text("{}")  # it may come while the trainer runs
    assert checkpoints.path("tiny") == tmp_path / "tiny"
