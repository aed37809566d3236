"""Every example of `docs/client.md` runs, one after the other, against a real coordinator."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

import comd
from tests.doubles.official import write_scienceqa
from tests.doubles.town import KEYS, town

DOCUMENT = Path(__file__).parents[2] / "docs" / "client.md"


def examples(folder: Path) -> str:
    """Its Python blocks in a row; the data's folder is that of the test."""
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    assert len(blocks) > 5
    return "\n".join(blocks).replace("/data/", f"{folder}/")


async def test_the_examples_run(
    tmp_path: Path,
    postgres_url: str,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    async with town(tmp_path, postgres_url, redis_url) as place:
        monkeypatch.setenv("COMD_URL", str(place.http.base_url))
        monkeypatch.setenv("COMD_API_KEY", KEYS.api)
        async with comd.AsyncClient() as client:
            await client.datasets.register("llava", place.folder / "instruct.json", place.folder / "images")
            await client.datasets.register(
                "llava-heldout", place.folder / "heldout.json", place.folder / "heldout", "evaluation"
            )
        write_scienceqa(place.folder / "scienceqa")
        names: dict[str, Any] = {}
        await asyncio.to_thread(exec, compile(examples(place.folder), str(DOCUMENT), "exec"), names)
    names["client"].close()
    said = capsys.readouterr().out
    assert "no run is called 'no such run' `comd run list` shows those there are" in said
    assert "iteration_begun" in said
    assert "CoMD-7B (paper)" in said
    assert names["data"].num_rows > 12  # the seed's questions and new ones
