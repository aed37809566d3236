"""MLflow: an experiment for all runs, a run for each, found by its tag. Where to: MLFLOW_TRACKING_URI."""

import os

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

from services.coordinator.tracking.trackers import PROJECT, Record, Shipment

RUN_TAG = "comd.run"
STATUS = {"finished": "FINISHED", "exhausted": "FINISHED", "cancelled": "KILLED", "failed": "FAILED"}


def send(shipment: Shipment) -> None:
    """What is there already is left as it is."""
    client = MlflowClient()
    run = _run(client, shipment)
    there = run.data.params
    parameters = [Param(name, value) for name, value in shipment["parameters"].items() if name not in there]
    for start in range(0, len(parameters), 100):  # the most that MLflow takes at once
        client.log_batch(run.info.run_id, params=parameters[start : start + 100])
    for record in shipment["records"]:
        metrics = _missing(client, run, record, shipment["at_ms"])
        if metrics:
            client.log_batch(run.info.run_id, metrics=metrics)
    client.update_run(run.info.run_id, status=STATUS.get(shipment["status"], "RUNNING"))


def _run(client: MlflowClient, shipment: Shipment) -> Run:
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
    experiment = client.get_experiment_by_name(name)
    number = experiment.experiment_id if experiment else client.create_experiment(name)
    found = client.search_runs([number], f"tags.`{RUN_TAG}` = '{shipment['run_id']}'", max_results=1)
    if found:
        return found[0]
    tags = {RUN_TAG: shipment["run_id"], MLFLOW_RUN_NAME: shipment["name"]}
    return client.create_run(number, tags=tags, run_name=shipment["name"], start_time=shipment["at_ms"])


def _missing(client: MlflowClient, run: Run, record: Record, at_ms: int) -> list[Metric]:
    """Metrics of the record that this shipment has not brought yet; the same moment tells."""
    metrics = []
    for name, value in record["metrics"].items():
        there = client.get_metric_history(run.info.run_id, name) if name in run.data.metrics else []
        if not any(one.step == record["step"] and one.timestamp == at_ms for one in there):
            metrics.append(Metric(name, value, at_ms, record["step"]))
    return metrics
