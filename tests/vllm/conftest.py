"""Where vLLM is for these tests: the python of another environment, which `make test-vllm` sets up; and one vLLM that
all tests of engines behind roles share, since its start takes most of a minute.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.talking_model import make_talking_model
from tests.vllm.environment import default_folder, python_of
from tests.vllm.server import VllmServer


@pytest.fixture(scope="session")
def vllm_python() -> Path:
    python = python_of(default_folder())
    if not python.is_file():
        pytest.skip(f"no {python}; `make test-vllm` sets it up")
    return python


@pytest.fixture(scope="session", autouse=True)
def small_and_eager() -> object:
    """A GiB for vLLM's cache instead of half of the memory; nothing compiled, which took most of each start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        patch.setenv("TORCH_COMPILE_DISABLE", "1")
        yield


@pytest.fixture(scope="session")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the model that vLLM serves to the roles."""
    return make_talking_model(tmp_path_factory.mktemp("talker") / "talker")


@pytest.fixture(scope="session")
def vllm(
    vllm_python: Path, talker: Path, small_and_eager: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VllmServer]:
    """vLLM, answering; a test that ends it starts it again."""
    log_file = tmp_path_factory.mktemp("vllm") / "vllm.log"
    flags = ["--max-num-seqs", "32", "--max-model-len", "4096", "--block-size", "32"]
    server = VllmServer(vllm_python, talker, log_file, flags)
    server.start()
    try:
        server.wait()
        yield server
    finally:
        server.stop()
