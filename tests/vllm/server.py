"""vLLM as an engine that role services are given: a process with a port on loopback.

In: the python that has vLLM, a model's folder. Out: its URL, its metrics, its development routes; a guard ends it and
all that it started when the tests end, however they end.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from services.trainer.serving.vllm_command import environment
from services.trainer.serving.vllm_process import GUARD
from shared.types import EngineSpec
from tests.loopback import free_port

NAME = "talker"
START_TIMEOUT_S = 240.0
COUNTERS = {
    "prompt_tokens": "vllm:prompt_tokens_total",
    "cached_tokens": "vllm:prefix_cache_hits_total",
    "completion_tokens": "vllm:generation_tokens_total",
    "calls": "vllm:request_success_total",
}
# vLLM 0.32 ends with "CPU Generator does not use offset" where a request with a seed is read in more than one step.
WHOLE_PROMPTS = ("--no-enable-chunked-prefill", "--max-num-batched-tokens", "8192")


@dataclass
class VllmServer:
    """At most one process; started again, it has the same URL."""

    python: Path
    model: Path
    log_file: Path
    flags: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def spec(self) -> EngineSpec:
        return EngineSpec(base_url=self.url, model=NAME, kind="vllm")

    def start(self) -> None:
        """The process begins; `wait` says when it answers."""
        with self.log_file.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(GUARD), str(os.getpid()), str(self.python), *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.log_file.parent,
                env={**environment(None), "VLLM_SERVER_DEV_MODE": "1", **self.variables},
            )

    def wait(self) -> None:
        """Until it answers."""
        ends = time.monotonic() + START_TIMEOUT_S
        while not self.answers():
            assert self._process is not None, "start it first"
            assert self._process.poll() is None, self._last_words()
            assert time.monotonic() < ends, self._last_words()
            time.sleep(0.1)

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """SIGKILL to vLLM's own process, as when memory runs out; the guard sweeps up what it had started."""
        assert self._process is not None
        (child,) = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def post(self, path: str, **options: object) -> httpx.Response:
        """To one of its development routes."""
        return httpx.post(f"{self.url}{path}", timeout=60, trust_env=False, **options)  # type: ignore[arg-type]

    def metrics(self) -> dict[str, float]:
        """Its counters and gauges by name (`vllm:prompt_tokens_total`), summed over their labels."""
        text = httpx.get(f"{self.url}/metrics", timeout=30, trust_env=False).text
        sums: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
        return sums

    def settled(self, before: Mapping[str, float], calls: int) -> dict[str, int]:
        """What it has counted since `before`, by the names of `Usage`; its counters follow its replies by a step."""
        ends = time.monotonic() + 5
        while True:
            now = self.metrics()
            counted = {name: int(now[key] - before.get(key, 0)) for name, key in COUNTERS.items()}
            if counted["calls"] >= calls or time.monotonic() > ends:
                return counted
            time.sleep(0.05)

    def _arguments(self) -> list[str]:
        given = {
            "--model": self.model,
            "--served-model-name": NAME,
            "--host": "127.0.0.1",
            "--port": self.port,
            "--dtype": "float32",
            "--generation-config": "vllm",
            "--limit-mm-per-prompt": '{"image": 1}',
        }
        flags = [str(part) for flag, value in given.items() for part in (flag, value)]
        return [
            "-m",
            "vllm.entrypoints.openai.api_server",
            *flags,
            "--enforce-eager",
            "--enable-prompt-tokens-details",
            *WHOLE_PROMPTS,
            *self.flags,
        ]

    def _last_words(self) -> str:
        return "vLLM did not start:\n" + self.log_file.read_text(errors="replace")[-3000:]
