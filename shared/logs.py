"""Structured logs: pretty on a terminal, one JSON object a line elsewhere; secrets are masked on the way out."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

SECRET = re.compile(r"(?i)(bearer\s+)[^\s\"']+|comd-(?:internal-)?[A-Za-z0-9_-]{30,}")
SECRET_FIELDS = {"authorization", "api_key", "key", "password"}


def configure(service: str, level: int = logging.INFO, quiet: bool = False) -> None:
    """Route structlog and the standard library's loggers through one format on stderr.

    `quiet` lets only errors through: for commands whose output is for a person.
    """
    level = logging.ERROR if quiet else level
    renderer: Any = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    before: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask_secrets,
    ]
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for noisy in ("httpx", "httpcore", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(service=service)


def mask_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask bearer keys and our own keys wherever they stand in an event."""
    for name, value in event.items():
        if name.lower() in SECRET_FIELDS:
            event[name] = "***"
        elif isinstance(value, str) and SECRET.search(value):
            event[name] = SECRET.sub(lambda match: (match[1] or "") + "***", value)
    return event


def get(name: str) -> Any:
    """A logger whose events carry an `action` first: `log.info("task_done", run_id=...)`."""
    return structlog.get_logger(name)
