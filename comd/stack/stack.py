"""The whole system on this machine: starts every process, restarts what dies, stops all in order.

In: StackSettings. Out: a context in which the coordinator answers at `url`.
"""

import fcntl
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO

import httpx
import psycopg

from comd.stack.children import Child
from comd.stack.ports import check_free
from comd.stack.postgres import forget_sockets, postgres_child
from comd.stack.redis import redis_child
from comd.stack.restarts import Restarts
from comd.stack.settings import ROLES, SERVICES, StackSettings, environment, role_settings
from shared import logs
from shared.errors import ComdError, ConfigError, Conflict
from shared.keys import Keys, load_keys

START_TIMEOUT_S = 120.0

log = logs.get(__name__)


class Stack:
    """The running stack. Leaving the context stops everything that was started."""

    def __init__(self, settings: StackSettings, announce: Callable[[str], None] = lambda _: None):
        self.settings = settings
        self.announce = announce
        self.keys: Keys = load_keys(settings.home / "keys")
        self.url = settings.url("coordinator")
        self.children: list[Child] = []
        self.failure: str | None = None
        self._restarts: defaultdict[str, Restarts] = defaultdict(Restarts)
        self._due: dict[str, float] = {}  # when dead children are started again
        self._stopping = threading.Event()
        self._started_all = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stack", daemon=True)
        self._lock_file: IO[str] | None = None

    def __enter__(self) -> "Stack":
        try:
            self._lock()
            check_free(self.settings)
            # one thread starts all children: the kernel ends a child when the thread that started it ends
            self._thread.start()
            while not self._started_all.wait(0.1):
                self.check()
            self.check()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def check(self) -> None:
        """ComdError with the reason where a process could not be kept running."""
        if self.failure:
            raise ComdError(self.failure)

    def stop(self) -> None:
        """Ask every process to end, the last started first, and wait; kill what does not."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._lock_file:
            self._lock_file.close()

    def _lock(self) -> None:
        self.settings.home.mkdir(parents=True, exist_ok=True)
        self._lock_file = (self.settings.home / "stack.lock").open("w")
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict(
                f"another stack is running with its data in {self.settings.home}; stop it, or set COMD_HOME"
            ) from error

    def _run(self) -> None:
        try:
            self._start_all()
            self._started_all.set()
            while not self._stopping.wait(0.2):
                self._restart_dead()
        except ConfigError as error:
            self.failure = error.message
        except Exception as error:
            log.error("stack_failed", exc_info=error)
            self.failure = f"{type(error).__name__}: {error}"
        finally:
            self._started_all.set()
            self._stop_children()

    def _start_all(self) -> None:
        database_url, redis_url = self._start_stores()
        common = self._common_environment(database_url, redis_url)
        if self.settings.scripted is not None:
            flags = [f"--{key.replace('_', '-')}={value}" for key, value in self.settings.scripted.items()]
            self._start(
                "scripted", ["-m", "comd.scripted", f"--port={self.settings.port('scripted')}", *flags], {}
            )
        elsewhere = self.settings.elsewhere()
        for role in (role for role in ROLES if role not in elsewhere):
            self._start_service(role, role_settings(self.settings, role), common)
        if "trainer" not in elsewhere:
            own = {"port": self.settings.port("trainer"), "image_store": self.settings.image_store}
            self._start_service("trainer", {**own, **self.settings.trainer}, common)
        own = {
            "port": self.settings.port("coordinator"),
            "image_store": self.settings.image_store,
            "data_roots": [str(Path.cwd())],  # what the user who started the stack has at hand
        }
        urls = {
            f"{name}_url": self.settings.url(name) for name in ("teacher", "assessor", "augmentor", "trainer")
        }
        values = {**own, **urls, **self.settings.coordinator}
        self._start_service("coordinator", values, common)
        for number in range(1, self.settings.workers + 1):
            told = {**common, **environment("coordinator", values)}
            self._start(f"worker-{number}", ["-m", "services.coordinator.worker"], told)
        for name in (name for name in SERVICES if name not in elsewhere):
            self._wait_for_http(name)

    def _start_stores(self) -> tuple[str, str]:
        database_url, redis_url = self.settings.database_url, self.settings.redis_url
        if database_url is None:
            child, database_url = postgres_child(self.settings.home / "postgres", self._log("postgres"))
            self._launch(child)
            self._wait("postgres", lambda: _postgres_answers(str(database_url)))
        if redis_url is None:
            port = self.settings.port("redis")
            child, redis_url = redis_child(self.settings.home / "redis", port, self._log("redis"))
            self._launch(child)
        return database_url, redis_url

    def _common_environment(self, database_url: str, redis_url: str) -> dict[str, str]:
        return {
            "COMD_HOME": str(self.settings.home),
            "COMD_IMAGE_STORE": self.settings.image_store,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
        }

    def _start_service(self, name: str, values: dict[str, object], common: dict[str, str]) -> None:
        self._start(name, ["-m", f"services.{name}"], {**common, **environment(name, values)})

    def _start(self, name: str, arguments: list[str], env: dict[str, str]) -> None:
        self._launch(Child(name, [sys.executable, *arguments], self._log(name), env))

    def _launch(self, child: Child) -> None:
        if self._stopping.is_set():
            raise ConfigError("stopped while starting")
        child.start()
        self.children.append(child)

    def _log(self, name: str) -> Path:
        return self.settings.home / "logs" / f"{name}.log"

    def _wait_for_http(self, name: str) -> None:
        url = f"{self.settings.url(name)}/health"
        self._wait(name, lambda: _http_answers(url))
        self.announce(name)

    def _wait(self, name: str, answers: Callable[[], bool]) -> None:
        child = next(child for child in self.children if child.name == name)
        ends = time.monotonic() + START_TIMEOUT_S
        while not answers():
            if child.exit_status is not None:
                raise ConfigError(f"{name} ended with status {child.exit_status}:\n{child.last_words()}")
            if time.monotonic() > ends:
                raise ConfigError(
                    f"{name} did not answer within {START_TIMEOUT_S:g} s:\n{child.last_words()}"
                )
            if self._stopping.wait(0.1):
                raise ConfigError("stopped while starting")

    def _restart_dead(self) -> None:
        """One look at all children; none waits for the pause of another."""
        now = time.monotonic()
        for child in self.children:
            if child.exit_status is None:
                continue
            if child.name not in self._due:
                self._due[child.name] = now + self._pause_after(child, now, child.exit_status)
            elif now >= self._due[child.name]:
                del self._due[child.name]
                child.start()

    def _pause_after(self, child: Child, now: float, exit_status: int) -> float:
        pause_s = self._restarts[child.name].pause_after(now - child.started_at, exit_status)
        log.warning("child_died", name=child.name, exit_status=exit_status, restart_in_s=pause_s)
        if pause_s is None:
            raise ConfigError(f"{child.name} keeps ending, last with {exit_status}:\n{child.last_words()}")
        return pause_s

    def _stop_children(self) -> None:
        workers_first = [child for child in self.children if child.name not in {"postgres", "redis"}]
        stores = [child for child in self.children if child not in workers_first]
        for group in (workers_first, stores):
            for child in reversed(group):
                child.ask_to_stop()
            for child in reversed(group):
                child.wait_or_kill()
        forget_sockets(self.settings.home / "postgres")


def _http_answers(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(url, timeout=2.0, trust_env=False).status_code == 200
    return False


def _postgres_answers(url: str) -> bool:
    with suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=2):
        return True
    return False
