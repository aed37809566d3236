"""Structured logs: pretty on a terminal, one JSON object a line elsewhere; secrets are masked on the way out."""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any

import structlog

from shared import request_ids
from shared.masking import hide_environment, mask

SECRET_FIELDS = {"authorization", "api_key", "key", "password"}


def configure(service: str, level: int = logging.INFO, quiet: bool = False) -> None:
    """Route structlog and the standard library's loggers through one format on stderr.

    `quiet` lets only errors through: for commands whose output is for a person.
    """
    hide_environment()
    sys.excepthook = _crash
    level = logging.ERROR if quiet else level
    renderer: Any = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    before: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _name_request,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask_fields,
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
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer, _mask_line],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for noisy in ("httpx", "httpcore", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(service=service)


def _name_request(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The id of the request or task in whose course the line is written."""
    if request_id := request_ids.current():
        event.setdefault("request_id", request_id)
    return event


def mask_fields(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask fields that hold a secret by their name."""
    for name in event.keys() & SECRET_FIELDS:
        event[name] = "***"
    return event


def _mask_line(_: Any, __: str, line: Any) -> Any:
    """The last step: the line as it would be written, tracebacks and nested values included."""
    return mask(line)


def _crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What nobody caught goes to stderr as always, without keys."""
    sys.stderr.write(mask("".join(traceback.format_exception(kind, error, trace))))


def get(name: str) -> Any:
    """A logger whose events carry an `action` first: `log.info("task_done", run_id=...)`."""
    return structlog.get_logger(name)
