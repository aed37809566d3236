"""A caption selection from end to end. In: what was asked for. Out: the selected pairs' file, and a report of them.

The work folder keeps what is dear: the phrases. Every other step is short and is done again.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from comd.holding import held
from comd.progress import WorkDisplay
from shared.errors import ConfigError
from shared.types import JsonObject

SUFFIXES = (".json", ".parquet")


@dataclass(frozen=True)
class Request:
    inputs: list[Path]
    out: Path
    images: Path | None
    pipeline: str
    min_frequency: int
    cap: int
    seed: int
    processes: int
    memory_mib: int
    ray_address: str | None  # None: without Ray
    work: Path
    prompt: str
    report: Path

    @property
    def numbers(self) -> Path:
        return self.report.with_suffix(".json")

    def check(self) -> None:
        """ConfigError for what would be found out only at the end, or would write over an input."""
        if self.out.suffix not in SUFFIXES:
            raise ConfigError(f"--out {self.out}: expected a name that ends in {' or '.join(SUFFIXES)}")
        if missing := [str(file) for file in self.inputs if not file.is_file()]:
            raise ConfigError(f"{', '.join(missing)}: there is no such file; expected files of captions")
        if self.images is not None and not self.images.is_dir():
            raise ConfigError(f"--images {self.images}: there is no such folder")
        written = {path.resolve() for path in (self.out, self.report, self.numbers)}
        if len(written) < 3 or written & {file.resolve() for file in self.inputs}:
            raise ConfigError(
                f"--out {self.out} and --report {self.report} (with its numbers in {self.numbers.name}) must be "
                "different files, and none of the inputs"
            )


def select_pairs(request: Request, console: Console) -> JsonObject:
    """Extract, choose, write, report; gives the report's facts."""
    request.check()
    taken = f"another selection is at work in {request.work}; wait for it, or give another --work"
    with held(request.work / "lock", taken), _extra_installed():
        _extract(request, console)
        counts = _choose(request, console)
        return _write(request, counts)


def _extract(request: Request, console: Console) -> None:
    from services.trainer.captions.extraction import extract
    from services.trainer.captions.sizing import about_how_many

    total = about_how_many(request.inputs)
    with WorkDisplay(console, "reading captions", "captions") as display:
        display.show(0, total)
        extract(
            request.inputs,
            request.work,
            pipeline=request.pipeline,
            processes=request.processes,
            images=request.images,
            progress=lambda done: display.show(done, max(total, done)),
        )


def _choose(request: Request, console: Console) -> JsonObject:
    asked = {
        "min_frequency": request.min_frequency,
        "cap": request.cap,
        "seed": request.seed,
        "memory_mib": request.memory_mib,
    }
    with console.status("choosing"):
        if request.ray_address is None:
            from services.trainer.captions import choosing

            return choosing.choose(request.work, **asked)._asdict()
        from services.trainer.captions import on_ray

        return on_ray.choose(request.work, **asked, address=request.ray_address)._asdict()


def _write(request: Request, counts: JsonObject) -> JsonObject:
    from comd.report.captions import render
    from services.trainer.captions.output import appearing, write_llava, write_parquet
    from services.trainer.captions.report import facts

    if request.out.suffix == ".parquet":
        write_parquet(request.work, request.out)
    else:
        write_llava(request.work, request.out, request.prompt)
    settings: dict[str, str | int] = {
        "min_frequency": request.min_frequency,
        "cap": request.cap,
        "seed": request.seed,
        "pipeline": request.pipeline,
    }
    told = facts(request.work, counts, settings)
    with appearing(request.report) as draft:
        draft.write_text(render(told, request.images), encoding="utf-8")
    with appearing(request.numbers) as draft:
        draft.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return told


@contextmanager
def _extra_installed() -> Iterator[None]:
    """What is not installed is told with the extra that brings it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in {"comd", "services", "shared"}:
            raise
        extra = "ray" if error.name == "ray" else "captions"
        raise ConfigError(f"{error.name} is not installed; pip install 'comd[{extra}]'") from error
