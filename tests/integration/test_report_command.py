"""`comd report` against a real coordinator: a run's whole report, and one of a run that has not begun."""

import asyncio
import csv
import json
from pathlib import Path
from typing import Any

import psycopg
from typer.testing import CliRunner

from comd.cli import app
from tests.doubles.official import write_scienceqa
from tests.doubles.town import Town
from tests.run_reports import HOSTILE


async def comd(*words: str) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return str(result.output)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def spoil(commanded: Town) -> None:
    """Every text of the run is hostile."""
    with psycopg.connect(commanded.settings.database_url) as connection:
        for statement in ("UPDATE answers SET text = %s", "UPDATE candidates SET text = %s"):
            connection.execute(statement, [HOSTILE])


async def test_a_run_is_told_drawn_and_tabled(commanded: Town, tmp_path: Path) -> None:
    run_id = await commanded.begin(trainings=2, evaluation={"dataset": "heldout"})
    assert (await commanded.wait_for_end(run_id))["status"] == "finished"
    spoil(commanded)
    found: Any = await commanded.get(f"/v1/runs/{run_id}/report")
    said = json.loads(await comd("report", "run", "--out", str(tmp_path / "out"), "--json"))
    assert said["run"] == run_id
    assert all(Path(path).stat().st_size for path in said["files"])

    page = (tmp_path / "out" / "report.html").read_text()
    assert found["examples"]
    assert "<script" not in page
    assert page.count("data:image/png;base64,") == len(found["examples"])
    verdicts = table(tmp_path / "out" / "figures" / "verdicts.csv")
    first = found["iterations"][1]
    assert verdicts == [
        {"iteration": "1", **{k: str(first["verdicts"][k]) for k in ("difficult", "easy", "unjudged")}}
    ]
    assert sum(first["verdicts"][kind] for kind in ("difficult", "easy", "unjudged")) == first["cache_pool"]
    attempts = {
        row["outcome"]: int(row["attempts"]) for row in table(tmp_path / "out" / "figures" / "candidates.csv")
    }
    assert attempts.pop("accepted") == first["accepted"]
    assert sum(attempts.values()) == first["rejected"]
    curve: Any = (await commanded.get(f"/v1/runs/{run_id}/iterations/2/curve"))["data"]
    drawn = [row for row in table(tmp_path / "out" / "figures" / "training.csv") if row["iteration"] == "2"]
    assert [row["loss"] for row in drawn] == [str(point["loss"]) for point in curve]
    assert curve
    used = table(tmp_path / "out" / "tables" / "usage.csv")
    assert sum(int(row["calls"]) for row in used) == sum(
        sums["calls"] for sums in found["usage"]["by_role"].values()
    )
    assert len(table(tmp_path / "out" / "tables" / "iterations.csv")) == len(found["iterations"])


async def test_its_benchmarks_are_told_beside_the_papers(commanded: Town, tmp_path: Path) -> None:
    path = str(write_scienceqa(commanded.folder / "exam"))
    await commanded.post("/v1/benchmarks", {"name": "exam", "kind": "scienceqa", "path": path})
    run_id = await commanded.begin(trainings=1, benchmarks=[{"benchmark": "exam"}])
    assert (await commanded.wait_for_end(run_id))["status"] == "finished"
    out = tmp_path / "out"
    await comd("report", "run", "--out", str(out))
    scored = {
        one["iteration"]: one["scores"]["AVG"]
        for one in (await commanded.get("/v1/evaluations", run=run_id))["data"]
    }
    drawn = table(out / "figures" / "benchmarks.csv")
    assert {int(row["iteration"]): row["score"] for row in drawn} == {
        number: str(cell["value"]) for number, cell in scored.items()
    }
    (tabled,) = [
        path
        for path in (out / "tables").iterdir()
        if path.name.startswith("benchmark-") and path.suffix == ".csv"
    ]
    labels = [row[0] for row in csv.reader(tabled.read_text().splitlines())]
    assert [label for label in labels if "iteration" in label] == ["run, iteration 0", "run, iteration 1"]
    assert any("CoMD-7B" in label for label in labels)
    assert r"\toprule" in tabled.with_suffix(".tex").read_text()
    assert "CoMD-7B</bdi> (the paper)" in (out / "report.html").read_text()


async def test_a_run_that_has_not_begun_has_a_report(commanded: Town, tmp_path: Path) -> None:
    await commanded.register()
    await commanded.post("/v1/runs", {"name": "fresh", "dataset": "world", "config": {}})
    said = await comd("report", "fresh", "--out", str(tmp_path / "out"))
    assert f"{tmp_path / 'out' / 'report.html'}: the page" in said
    assert "It has not begun" in (tmp_path / "out" / "report.html").read_text()
    assert table(tmp_path / "out" / "tables" / "iterations.csv") == []
