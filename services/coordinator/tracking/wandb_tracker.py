"""Weights & Biases: a run for each of ours, by its id. Where to, and with which key: WANDB_*.

Offline (WANDB_MODE=offline) every shipment is a folder of its own; `wandb sync` puts them together.
"""

import os
from pathlib import Path

import wandb

from services.coordinator.tracking.trackers import PROJECT, Shipment

STEPS_A_SHIPMENT = 1000  # W&B's own steps only ever grow: room for the iterations of one shipment


def send(shipment: Shipment) -> None:
    """W&B drops steps that it has; offline a mark in the folder tells which shipments are there."""
    mark = f"shipment-{shipment['number']}"
    place = Path(os.environ.get("WANDB_DIR", ".")) / "wandb"
    if any(place.glob(f"*-{shipment['run_id']}/{mark}")):
        return
    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        id=shipment["run_id"],
        name=shipment["name"],
        group=shipment["run_id"],
        config={**shipment["parameters"], "status": shipment["status"]},
        resume="allow",
        settings=wandb.Settings(
            console="off",
            disable_git=True,
            save_code=False,
            silent=True,
            x_disable_meta=True,
            x_disable_stats=True,
        ),
    )
    run.config.update({**shipment["parameters"], "status": shipment["status"]}, allow_val_change=True)
    run.define_metric("iteration")
    run.define_metric("*", step_metric="iteration")
    for position, record in enumerate(shipment["records"]):
        step = shipment["number"] * STEPS_A_SHIPMENT + position
        run.log({**record["metrics"], "iteration": record["step"]}, step=step)
    folder = Path(run.dir).parent
    run.finish(exit_code=1 if shipment["status"] == "failed" else 0)
    (folder / mark).touch()
