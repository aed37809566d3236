"""`comd evaluate`, `comd evaluation` and `comd benchmark` against a real coordinator and a model that takes tests."""

import asyncio
import csv
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from comd.cli import app
from comd.commands.exits import Exit, of_error
from shared.errors import ComdError
from tests.doubles.official import write_scienceqa
from tests.doubles.test_taker import TestTaker, create_app
from tests.doubles.town import Town
from tests.loopback import serving

PATIENCE_S = 60
SAYS = {"noun": "The answer is C.", "capital": "I cannot say.\x1b[2J"}


async def comd(*words: str, status: Exit = Exit.DONE) -> tuple[str, str]:
    """What `comd ...` prints on stdout and stderr."""
    done = await asyncio.to_thread(CliRunner().invoke, app, list(words), catch_exceptions=False)
    assert done.exit_code == status, done.output
    return str(done.stdout), str(done.stderr)


async def data(*words: str) -> Any:
    return json.loads((await comd(*words, "--json"))[0])


async def refused(*words: str) -> tuple[Exit, str]:
    """The status with which `comd ...` ends, and what it says."""
    done = await asyncio.to_thread(CliRunner().invoke, app, list(words))
    assert isinstance(done.exception, ComdError), done.output
    return of_error(done.exception), str(done.exception)


@pytest.fixture(autouse=True)
def logs_apart() -> Iterator[None]:
    """What the town's services log meanwhile is not what the command prints."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    yield
    structlog.reset_defaults()


@pytest.fixture
async def exam(commanded: Town) -> AsyncIterator[tuple[Town, Path, TestTaker, list[str]]]:
    """ScienceQA's folder, a model, and the words that name both."""
    folder = write_scienceqa(commanded.folder / "exam")
    taker = TestTaker(says=lambda text: next((SAYS[key] for key in SAYS if key in text), "A"))
    with serving(create_app(taker)) as url:
        words = ["evaluate", "scienceqa", "--endpoint", url, "--model", "taker"]
        yield commanded, folder, taker, words


async def test_a_model_is_measured_with_one_command(exam: tuple[Town, Path, TestTaker, list[str]]) -> None:
    _, folder, taker, words = exam
    out, _ = await comd(*words, "--data", str(folder))
    head, columns, _, measured, *_ = out.splitlines()
    assert head.startswith("scienceqa-test (")
    assert columns.split() == ["NAT", "SOC", "LAN", "TXT", "IMG", "NO", "G1-6", "G7-12", "AVG"]
    assert measured.startswith("taker")
    assert "CoMD-7B (paper)" in out
    assert "91.94" in out
    assert out.splitlines()[-1].endswith("is finished; 5 questions: 3 right, 1 wrong, 1 unreadable")
    assert len(taker.asked) == 5 + 1  # and the question of the probe

    one = await data(*words)  # the folder is known by now; the answers too
    assert (one["status"], one["benchmark"], one["outcomes"]["right"]) == ("finished", "scienceqa-test", 3)
    out, _ = await comd(*words, "--format", "csv")
    rows = list(csv.DictReader(out.splitlines()))
    assert (rows[0]["AVG"], rows[-1]["source"]) == ("60.0", "paper")
    assert len({row["id"] for row in await data("evaluation", "list")}) == 3

    listed, _ = await comd("evaluation", "list", "--benchmark", "scienceqa-test")
    assert f"{one['id']}  finished   scienceqa-test  taker  60.00 (" in listed
    await look(one, folder)
    file = folder / "problems.json"
    file.write_text(file.read_text().replace("Which is a solid?", "Which is hard?"))
    status, said = await refused(*words, "--data", str(folder))
    assert (status, said.endswith("give these data a name of their own with --name")) == (Exit.CONFLICT, True)


async def look(one: dict[str, Any], folder: Path) -> None:
    other = (await data("evaluation", "list"))[0]["id"]
    assert (await data("evaluation", "show", one["id"]))["scores"] == one["scores"]
    out, _ = await comd("evaluation", "show", one["name"], "--beside", other)
    assert [line.startswith("taker") for line in out.splitlines()[3:5]] == [True, True]
    out, _ = await comd("evaluation", "show", one["id"], "--format", "latex")
    assert out.count("\\begin{table}") == 1
    out, _ = await comd("evaluation", "items", one["id"], "--outcome", "unreadable")
    assert "    E. Elm  <- right" in out
    assert "answer: I cannot say.\\x1b[2J" in out
    assert [item["name"] for item in await data("evaluation", "items", one["id"], "--group", "IMG")] == [
        "3",
        "11",
    ]
    out, _ = await comd("evaluation", "compare", one["id"], other)
    assert out.splitlines()[-1].split() == ["AVG", "+0.00", "(+0.00", "to", "+0.00)", "5", "questions"]
    file = folder / "items.jsonl"
    assert (await data("evaluation", "export", one["id"], "--out", str(file)))["items"] == 5
    assert [json.loads(line)["id"] for line in file.read_text().splitlines()] == [1, 2, 3, 4, 5]
    assert "scienceqa-test: scienceqa, test, 5 questions" in (await comd("benchmark", "list"))[0]
    assert (await data("benchmark", "show", "scienceqa-test"))["num_items"] == 5
    assert "created" in (await comd("run", "log", one["id"]))[0]


async def test_the_same_again_goes_on_and_ctrl_c_leaves_it_alone(
    exam: tuple[Town, Path, TestTaker, list[str]],
) -> None:
    _, folder, taker, words = exam
    taker.holds = "noun"  # one question alone, so that three evaluations leave room for a probe
    begun = await asyncio.to_thread(
        subprocess.Popen,
        [sys.executable, "-m", "comd", *words, "--data", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert begun.stderr is not None
    said = await asyncio.to_thread(begun.stderr.readline)
    assert "of 5 questions" in said
    begun.send_signal(signal.SIGINT)
    out, err = await asyncio.to_thread(begun.communicate, timeout=PATIENCE_S)
    (one,) = await data("evaluation", "list")
    assert (begun.returncode, out, one["status"]) == (Exit.INTERRUPTED, "", "running")
    assert (
        err == f"the evaluation goes on; `comd evaluation watch {one['id']}` shows it again\ncomd: stopped\n"
    )

    assert (await data("evaluation", "pause", one["id"]))["status"] == "paused"
    out, err = await comd(*words, "--detach")
    assert f"going on with evaluation {one['id']}" in err
    assert out == f"evaluation {one['id']} is begun; `comd evaluation watch {one['id']}` shows it\n"
    assert (await data("evaluation", "show", one["id"]))["status"] == "running"
    new = await data(*words, "--detach", "--again")
    other = await data(*words, "--detach", "--temperature", "0")
    assert len({one["id"], new["id"], other["id"]}) == 3
    out, _ = await comd("evaluation", "cancel", new["id"])
    assert out == "evaluation taker on scienceqa-test is cancelled\n"
    _, err = await comd("evaluation", "watch", new["id"], status=Exit.CANCELLED)
    assert f"evaluation {new['id']} is cancelled" in err
    taker.holds = None


async def test_a_runs_student_and_the_teacher(commanded: Town) -> None:
    folder = write_scienceqa(commanded.folder / "exam")
    out, _ = await comd("benchmark", "register", "exam", "--kind", "scienceqa", "--data", str(folder))
    assert out == "exam: scienceqa, test, 5 questions, 2 pictures\n"
    run_id = await commanded.begin(trainings=1)
    await commanded.wait_for_end(run_id)
    of_run = ("evaluate", "scienceqa", "--name", "exam", "--run", "run")
    newest = await data(*of_run)
    base = await data(*of_run, "--iteration", "0", "--as", "before")
    assert [(one["run"], one["iteration"]) for one in (newest, base)] == [(run_id, 1), (run_id, 0)]
    assert base["name"] == "before"
    teacher = await data("evaluate", "scienceqa", "--name", "exam", "--teacher", "--without-images")
    assert (teacher["model"]["role"], teacher["settings"]["with_images"]) == ("teacher", False)
    await refuse()


async def refuse() -> None:
    teacher = ("evaluate", "scienceqa", "--teacher")
    for words, status, said in (
        (teacher, Exit.NOT_FOUND, "there is no benchmark 'scienceqa-test'"),
        (teacher[:2], Exit.USAGE, "expected one model"),
        ((*teacher, "--iteration", "1"), Exit.USAGE, "--iteration belongs to --run"),
        ((*teacher, "--judge", "http://h:1"), Exit.USAGE, "--judge-model together"),
        ((*teacher, "--data", "/nowhere"), Exit.REFUSED, "/nowhere is not below the data roots"),
        (
            ("evaluate", "seed-bench", "--name", "exam", "--teacher"),
            Exit.USAGE,
            "is of the kind scienceqa, not",
        ),
        ((*teacher, "--name", "exam", "--judge-sees", "context"), Exit.USAGE, "belongs to llava-bench"),
        (("evaluation", "show", "before!"), Exit.NOT_FOUND, "did you mean before?"),
    ):
        found, message = await refused(*words)
        assert (found, said in message) == (status, True), message
