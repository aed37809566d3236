"""Starts the scripted engine: `python -m comd.scripted --port 8101`.

In: command line. Out: a server on loopback until SIGTERM or Ctrl-C.
"""

import argparse
import logging
from pathlib import Path

import uvicorn

from comd.scripted.app import OWNER, create_app
from comd.scripted.errors import ApiError
from comd.scripted.faults import parse_rules
from comd.scripted.roles import Behaviour

log = logging.getLogger("comd.scripted")


def main(arguments: list[str] | None = None) -> None:
    """Runs until it is told to stop."""
    options = _parser().parse_args(arguments)
    try:
        rules = parse_rules(_text(options.faults))
    except (ApiError, OSError, TypeError) as error:
        raise SystemExit(f"--faults: {error}") from error
    behaviour = Behaviour(options.error_rate, options.unreadable_rate)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    log.info(
        "%s on http://%s:%d, %s, %d fault rules", OWNER, options.host, options.port, behaviour, len(rules)
    )
    uvicorn.run(
        create_app(behaviour, rules),
        host=options.host,
        port=options.port,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        lifespan="off",
        backlog=4096,
        timeout_graceful_shutdown=1,
    )


def _text(faults: str) -> str:
    return Path(faults[1:]).read_text(encoding="utf-8") if faults.startswith("@") else faults


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m comd.scripted", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8101)
    parser.add_argument("--error-rate", type=_rate, default=0.03, help="share of wrong teacher answers")
    parser.add_argument("--unreadable-rate", type=_rate, default=0.005, help="share of unreadable verdicts")
    parser.add_argument("--faults", default="[]", help="fault rules as a JSON list, or @FILE")
    return parser


def _rate(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"a rate lies between 0 and 1, not {text}")
    return value


if __name__ == "__main__":
    main()
