"""`comd evaluate`: one model on one benchmark, and its table beside the paper's rows."""

from pathlib import Path

from rich.console import Console

from comd import measuring
from comd.client import Client
from comd.commands import evaluate_options as options
from comd.commands.connection import AsJson, connect, find_run
from comd.commands.errors import UnknownName
from comd.commands.evaluations import follow_to_its_end, tell_result
from comd.commands.printing import print_json
from services.coordinator.api.evaluation_shapes import Benchmark, EvaluationSummary
from services.coordinator.benchmarks.items import Kind
from services.coordinator.evaluation_settings import EvaluationSettings
from shared.errors import BadRequest, Conflict, NotFound
from shared.types import JsonObject


def evaluate(
    kind: options.KindName,
    data: options.Data = None,
    split: options.Split = None,
    name: options.Name = None,
    endpoint: options.Endpoint = None,
    model: options.Model = None,
    server_kind: options.ServerKind = "openai",
    key_name: options.KeyName = None,
    run: options.Run = None,
    iteration: options.Iteration = None,
    student: options.Student = None,
    teacher: options.Teacher = False,
    method: options.MethodName = "letter",
    without_images: options.WithoutImages = False,
    temperature: options.Temperature = None,
    max_tokens: options.MaxTokens = None,
    seed: options.Seed = 0,
    judge: options.Judge = None,
    judge_model: options.JudgeModel = None,
    judge_key_name: options.JudgeKeyName = None,
    judge_sees: options.JudgeSees = "image",
    as_: options.As = None,
    again: options.Again = False,
    detach: options.Detach = False,
    format: options.TableFormat = "text",
    as_json: AsJson = False,
) -> None:
    """Measure a model on a benchmark; print the table with intervals, and the paper's rows beside it.

    The same again goes on with what is on its way. Ctrl-C leaves it alone; `comd evaluation watch` shows it again.
    """
    settings = measuring.settings(
        method=method,
        with_images=not without_images,
        temperature=temperature,
        max_tokens=max_tokens,
        seed=seed,
        judge=measuring.engine("judge-model", judge, judge_model, judge_key_name),
        judge_sees=judge_sees,
    )
    spec = measuring.engine("model", endpoint, model, key_name, server_kind)
    asked = measuring.only_one(
        endpoint=None if spec is None else {"engine": spec.model_dump()},
        run=None if run is None else {"run": run, "iteration": iteration},
        student=None if student is None else {"checkpoint": student},
        teacher={"role": "teacher"} if teacher else None,
    )
    if iteration is not None and run is None:
        raise BadRequest("--iteration belongs to --run")
    console = Console(stderr=True, quiet=as_json)
    with connect() as client:
        benchmark = _benchmark(client, kind, data, split, name, console)
        if run is not None:
            asked = _student_of(client, run, iteration)
        begun = _begun(client, benchmark, asked, settings, as_, again, console)
        ended = client.evaluations.get(begun.id) if detach else follow_to_its_end(client, begun, console)
        if as_json:
            print_json(ended)
        elif detach:
            print(f"evaluation {ended.id} is begun; `comd evaluation watch {ended.id}` shows it")
        else:
            tell_result(client, ended, (), format)


def _benchmark(
    client: Client, kind: Kind, data: Path | None, split: str | None, name: str | None, console: Console
) -> Benchmark:
    """The registered one; with `data`, registered now where it is not."""
    split = split or ("test" if kind == "scienceqa" else None)
    called = name or "-".join(filter(None, (kind, split)))
    if data is None:
        return _registered(client, kind, called)
    try:
        with console.status(f"reading {data} …"):
            return client.benchmarks.register(called, kind, data, split)
    except Conflict as error:
        raise Conflict(
            error.message, code=error.code, hint="give these data a name of their own with --name"
        ) from error


def _registered(client: Client, kind: Kind, name: str) -> Benchmark:
    try:
        found = client.benchmarks.get(name)
    except NotFound:
        known = (one.name for one in client.benchmarks.list())
        raise UnknownName("benchmark", name, known, "--data DIR registers it; comd benchmark list") from None
    if found.kind != kind:
        raise BadRequest(f"the benchmark {name!r} is of the kind {found.kind}, not {kind}")
    return found


def _student_of(client: Client, run: str, iteration: int | None) -> JsonObject:
    """The run's student after that training, by its number: what is newest may be another one tomorrow."""
    run_id = find_run(client, run).id
    trained = [one.number for one in client.runs.iterations(run_id) if one.checkpoint is not None]
    if iteration is None and not trained:
        raise NotFound(f"run {run} has no student yet", hint="--iteration 0 is the base that it starts from")
    return {"run": run_id, "iteration": trained[-1] if iteration is None else iteration}


def _begun(
    client: Client,
    benchmark: Benchmark,
    model: JsonObject,
    settings: EvaluationSettings,
    name: str | None,
    again: bool,
    console: Console,
) -> EvaluationSummary:
    """A new evaluation, or the same where it is on its way; one that stands goes on."""
    known = [] if again else client.evaluations.list(benchmark=benchmark.name)
    same = measuring.same_on_its_way(known, benchmark.kind, model, settings)
    if same is None:
        return client.evaluations.create(benchmark.name, model, name, settings.model_dump())
    console.print(
        f"going on with evaluation {same.id}, which is on its way; --again begins a new one",
        highlight=False,
        soft_wrap=True,
    )
    if same.status in measuring.STANDS:
        client.runs.resume(same.id)
    return same
