"""Where vLLM is for these tests: the python of another environment, which `make test-vllm` sets up."""

from pathlib import Path

import pytest

from tests.vllm.environment import default_folder, python_of


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
