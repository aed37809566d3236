"""The three libraries in earnest, each in its process: what is written is read back, and nothing is there twice."""

import asyncio
import json
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.coordinator.tracking.delivery import DeliveryFailed, deliver
from services.coordinator.tracking.trackers import Shipment

RUN = "run-1"
Series = list[tuple[int, str, float]]


def shipment(number: int, *steps: int, status: str = "running", **metrics: float) -> Shipment:
    records: Any = [{"step": step, "metrics": {"heldout_accuracy": step / 10, **metrics}} for step in steps]
    return Shipment(
        run_id=RUN,
        name="first",
        number=number,
        at_ms=1_700_000_000_000 + number,
        parameters={"training.batch_size": "16"},
        records=records,
        status=status,
    )


def read_mlflow(folder: Path) -> Series:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("comd")
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params == {"training.batch_size": "16"}
    history = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    return [(one.step, name, one.value) for name, all_of_it in history.items() for one in all_of_it]


def read_trackio(folder: Path, run_id: str = RUN) -> Series:
    """By trackio itself, in a process of its own: it takes its folder when it is imported."""
    code = (
        "import json, sys; from trackio.sqlite_storage import SQLiteStorage; "
        "print(json.dumps(SQLiteStorage.get_logs('comd', sys.argv[1])))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, run_id], capture_output=True, text=True, check=True
    ).stdout
    assert (folder / "trackio" / "comd.db").exists()
    return [
        (log["step"], name, value)
        for log in json.loads(said)
        for name, value in log.items()
        if name not in {"step", "timestamp", "shipment"}
    ]


def read_wandb(folder: Path) -> Series:
    from wandb.proto import wandb_internal_pb2

    series = []
    for file in sorted(folder.glob("wandb/offline-run-*-run-1/*.wandb")):
        for data in _wandb_records(file.read_bytes()):
            record = wandb_internal_pb2.Record.FromString(data)
            items = {
                item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item
            }
            step = items.pop("iteration", None)
            series += [(step, name, value) for name, value in items.items() if not name.startswith("_")]
    return series


def _wandb_records(data: bytes) -> Iterator[bytes]:
    """The file's frames: LevelDB's log format behind a head of seven bytes; our records fit into one block."""
    at = 7
    while at + 7 <= len(data):
        _, size, kind = struct.unpack_from("<IHB", data, at)
        assert kind == 1, "a whole record"
        yield data[at + 7 : at + 7 + size]
        at += 7 + size


async def hand_over(tracker: str, one: Shipment) -> None:
    """MLflow in this process, because it takes seconds to import; the others as in earnest."""
    if tracker == "mlflow":
        from services.coordinator.tracking import mlflow_tracker

        await asyncio.to_thread(mlflow_tracker.send, one)
    else:
        await deliver(tracker, one)


READERS = {"mlflow": read_mlflow, "trackio": read_trackio, "wandb": read_wandb}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's, of its own database
@pytest.mark.parametrize("tracker", sorted(READERS))
async def test_what_is_sent_twice_is_there_once(tracker: str, folder: Path) -> None:
    """As after a coordinator that ended between sending and marking."""
    for one in (shipment(1, 0, 1), shipment(1, 0, 1), shipment(2, 2, status="finished", train_loss=0.5)):
        await hand_over(tracker, one)
    expected = [(step, "heldout_accuracy", step / 10) for step in (0, 1, 2)]
    assert sorted(READERS[tracker](folder)) == [*expected, (2, "train_loss", 0.5)]


async def test_a_server_that_never_answers_costs_no_more_than_its_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(DeliveryFailed, match="mlflow did not answer within 1 s"):
            await deliver("mlflow", shipment(1, 0), longest_s=1)


async def test_what_a_library_raises_is_the_cause(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://somewhere")
    with pytest.raises(DeliveryFailed, match=r"mlflow: .*Exception: .*nonsense"):
        await deliver("mlflow", shipment(1, 0))


async def test_the_process_goes_with_the_coordinator() -> None:
    command = (sys.executable, "-m", "services.coordinator.tracking", "mlflow")
    child = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert child.stdin is not None
    child.stdin.write(json.dumps(shipment(1, 0)).encode() + b"\n")
    await child.stdin.drain()
    child.stdin.close()
    assert await asyncio.wait_for(child.wait(), 30) == -9
