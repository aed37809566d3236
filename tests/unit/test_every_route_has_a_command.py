"""The command line does all that REST does: each route of the document names its command, and both are there."""

import typer

from comd.cli import app
from services.coordinator.app import create_coordinator_app
from services.coordinator.settings import CoordinatorSettings
from shared.keys import Keys

COMMAND_OF = {
    "GET /v1/datasets": "data list",
    "POST /v1/datasets": "data import",
    "GET /v1/datasets/{name}": "data show",
    "GET /v1/runs": "run list",
    "POST /v1/runs": "run create",
    "GET /v1/runs/{run_id}": "run watch",
    "PATCH /v1/runs/{run_id}": "run swap",
    "POST /v1/runs/{run_id}/iterations": "run start",
    "GET /v1/runs/{run_id}/iterations": "run iterations",
    "GET /v1/runs/{run_id}/iterations/{number}": "run iterations",
    "GET /v1/runs/{run_id}/iterations/{number}/curve": "run curve",
    "GET /v1/runs/{run_id}/iterations/{number}/heldout": "run heldout",
    "GET /v1/runs/{run_id}/instructions": "instruction list",
    "GET /v1/runs/{run_id}/flips": "run flips",
    "POST /v1/runs/{run_id}/pause": "run pause",
    "POST /v1/runs/{run_id}/resume": "run resume",
    "POST /v1/runs/{run_id}/retry": "run retry",
    "POST /v1/runs/{run_id}/cancel": "run cancel",
    "POST /v1/runs/{run_id}/branch": "run branch",
    "GET /v1/runs/{run_id}/events": "run events",
    "GET /v1/runs/{run_id}/log": "run log",
    "GET /v1/runs/{run_id}/failures": "run failures",
    "GET /v1/runs/{run_id}/usage": "run usage",
    "GET /v1/runs/{run_id}/report": "run show",
    "GET /v1/runs/{run_id}/pools/{pool}": "pool list",
    "GET /v1/runs/{run_id}/pools/{pool}/export": "pool export",
    "GET /v1/runs/{run_id}/instructions/{instruction_id}": "instruction show",
    "GET /v1/images/{sha256}": "image get",
    "GET /v1/benchmarks": "benchmark list",
    "POST /v1/benchmarks": "benchmark register",
    "GET /v1/benchmarks/{name}": "benchmark show",
    "GET /v1/evaluations": "evaluation list",
    "POST /v1/evaluations": "evaluate",
    "GET /v1/evaluations/{evaluation_id}": "evaluation show",
    "GET /v1/evaluations/{evaluation_id}/table": "evaluation show",
    "GET /v1/evaluations/{evaluation_id}/items": "evaluation items",
    "GET /v1/evaluations/{evaluation_id}/difference": "evaluation compare",
    "GET /v1/evaluations/{evaluation_id}/export": "evaluation export",
    "GET /v1/keys": "key list",
    "POST /v1/keys": "key create",
    "DELETE /v1/keys/{name}": "key revoke",
    "GET /v1/log": "log",
    "GET /v1/doctor": "doctor",
}
FOR_PROGRAMS = {"GET /health", "GET /ready", "GET /metrics", "GET /v1/models", "POST /v1/chat/completions"}


def test_every_route_has_a_command_that_is_there() -> None:
    settings = CoordinatorSettings(database_url="postgresql://nobody@127.0.0.1:1/none")
    document = create_coordinator_app(settings, Keys("api-key", "internal-key")).openapi()
    routes = {
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method in operations
        if method in {"get", "post", "patch", "put", "delete"}
    }
    assert routes - FOR_PROGRAMS == set(COMMAND_OF)
    for command in COMMAND_OF.values():
        at = typer.main.get_command(app)
        for word in command.split():
            at = at.commands[word]  # type: ignore[attr-defined]
