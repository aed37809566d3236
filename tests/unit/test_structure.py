"""The architecture holds: who may import whom, and the README's file tree names what is there."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = ("teacher", "assessor", "augmentor", "trainer", "coordinator")
HEAVY = {"torch", "transformers", "deepspeed", "vllm"}
# pure decisions: functions without I/O (house rule), so nothing that talks to a network, a disk or a clock
PURE = {
    "services/assessor/difficulty.py",
    "services/assessor/verdict.py",
    "services/augmentor/novelty.py",
    "services/augmentor/validity.py",
    "services/coordinator/benchmarks/bootstrap.py",
    "services/coordinator/benchmarks/prompts.py",
    "services/coordinator/benchmarks/reading_letters.py",
    "services/coordinator/benchmarks/scores.py",
    "services/coordinator/benchmarks/tables.py",
    "services/coordinator/selection.py",
    "services/coordinator/merge.py",
    "services/coordinator/states.py",
    "services/coordinator/training_events.py",
    "services/trainer/captions/selection.py",
    "shared/identity.py",
}
IMPURE = {"httpx", "redis", "sqlalchemy", "psycopg", "os", "pathlib", "fastapi", "asyncio", "time", "random"}


def imported(file: Path) -> set[str]:
    """Every module that a file imports, anywhere in it, with its full dotted name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute here"
            found |= {str(node.module), *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def top(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("service", SERVICES)
def test_services_never_import_each_other(service: str) -> None:
    for file in files(f"services/{service}"):
        others = {name for name in imported(file) if name.startswith("services.")}
        strangers = {name for name in others if name.split(".")[1] in set(SERVICES) - {service}}
        assert not strangers, f"{file.relative_to(ROOT)} imports {strangers}"


def test_shared_knows_neither_services_nor_models() -> None:
    for file in files("shared"):
        assert not top(imported(file)) & ({"services", "comd"} | HEAVY), file


@pytest.mark.parametrize("service", [name for name in SERVICES if name != "trainer"])
def test_light_services_stay_light(service: str) -> None:
    for file in files(f"services/{service}"):
        assert not top(imported(file)) & (HEAVY | {"comd"}), file


@pytest.mark.parametrize("service", [name for name in SERVICES if name != "coordinator"])
def test_only_the_coordinator_knows_the_database_and_the_queue(service: str) -> None:
    for file in files(f"services/{service}"):
        assert not top(imported(file)) & {"sqlalchemy", "psycopg", "redis", "alembic"}, file


@pytest.mark.parametrize("name", sorted(PURE))
def test_pure_decisions_do_no_input_or_output(name: str) -> None:
    assert not top(imported(ROOT / name)) & IMPURE


def test_the_readmes_file_tree_is_true() -> None:
    tree = (ROOT / "README.md").read_text(encoding="utf-8").split("<!-- tree -->")[1]
    folders: list[tuple[int, str]] = []
    for line in tree.splitlines():
        name = line.split("#")[0].rstrip()
        if not name.strip() or name.startswith("```"):
            continue
        depth = len(name) - len(name.lstrip())
        folders = [(at, folder) for at, folder in folders if at < depth]
        path = "".join(folder for _, folder in folders) + name.strip()
        assert (ROOT / path).exists(), f"the README names {path}, which is not there"
        if path.endswith("/"):
            folders.append((depth, name.strip()))


DRIVERS = {"alembic", "psycopg", "pyarrow", "redis", "sqlalchemy", "numpy", "pandas", "datasets"}


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import comd.cli", HEAVY | DRIVERS),
        ("import comd.client", HEAVY | DRIVERS | {"fastapi", "PIL"}),
        ("import comd", {"pydantic", "httpx"}),
    ],
)
def test_the_command_and_the_client_need_no_extra(code: str, heavy: set[str]) -> None:
    """`pip install comd` is a client; what `comd up` or a database needs is imported where it is used."""
    code = f"import sys; {code}; print(*{{name.split('.')[0] for name in sys.modules}})"
    found = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split())
    assert "comd" in found
    assert not found & heavy
