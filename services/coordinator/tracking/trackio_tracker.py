"""trackio: a project for all runs, a run for each. Where to: TRACKIO_DIR, TRACKIO_SERVER_URL or TRACKIO_SPACE_ID."""

import trackio
from trackio.sqlite_storage import SQLiteStorage

from services.coordinator.tracking.trackers import PROJECT, Record, Shipment


def send(shipment: Shipment) -> None:
    """What the local folder has already is left as it is."""
    run = trackio.init(
        project=PROJECT,
        name=shipment["run_id"],
        group=shipment["name"],
        config={**shipment["parameters"], "status": shipment["status"]},
        resume="allow",
        embed=False,
        auto_log_gpu=False,
        auto_log_cpu=False,
    )
    there = SQLiteStorage.get_logs(PROJECT, shipment["run_id"])
    for record in shipment["records"]:
        if not any(_is_of(log, record, shipment["number"]) for log in there):
            run.log({**record["metrics"], "shipment": shipment["number"]}, step=record["step"])
    run.finish()


def _is_of(log: dict[str, object], record: Record, number: int) -> bool:
    return log.get("step") == record["step"] and log.get("shipment") == number
