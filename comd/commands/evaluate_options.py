"""The words of `comd evaluate`, in the groups in which its help shows them."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from comd.commands import completion
from services.coordinator.benchmarks.items import Kind
from services.coordinator.evaluation_settings import Method
from shared.types import EngineKind

KEY = "The variable COMD_ENGINE_KEY_... that holds its key."
Format = Literal["text", "csv", "latex", "json"]


def _group(panel: str) -> Any:
    def option(*names: str, said: str, default: str | bool = False, **more: Any) -> Any:
        return typer.Option(*names, help=said, show_default=default, rich_help_panel=panel, **more)

    return option


_data, _model = _group("The benchmark"), _group("The model: one of these")
_how, _judge, _end = _group("How it is asked"), _group("The judge of llava-bench"), _group("The result")

KindName = Annotated[
    Kind,
    typer.Argument(
        metavar="KIND", help="The kind: scienceqa, seed-bench or llava-bench.", show_default=False
    ),
]
Data = Annotated[Path | None, _data(said="Folder as it is published.", default="as it was registered")]
Split = Annotated[str | None, _data(said="Of scienceqa: train, val or test.", default="test")]
Name = Annotated[
    str | None,
    _data(said="The benchmark's name.", default="its kind and split", autocompletion=completion.benchmarks),
]

Endpoint = Annotated[
    str | None, _model(said="Root of an OpenAI-compatible server, without /v1; with --model.")
]
Model = Annotated[str | None, _model(said="The model, as the server lists it.")]
ServerKind = Annotated[
    EngineKind,
    _model(
        "--kind", said="What the server is: openai (any), vllm or scripted.", default=True, metavar="KIND"
    ),
]
KeyName = Annotated[str | None, _model(said=KEY, default="no key")]
Run = Annotated[str | None, _model(said="A run, whose student is measured.", autocompletion=completion.runs)]
Iteration = Annotated[
    int | None, _model(said="After this training of the run; 0: its base.", default="the newest", min=0)
]
Student = Annotated[str | None, _model(said="A student of the trainer's.", metavar="CHECKPOINT")]
Teacher = Annotated[bool, _model("--teacher", said="The model behind the teacher service.")]

MethodName = Annotated[
    Method,
    _how("--method", said="By the letter that it writes, or by the likeliest choice.", default=True),
]
WithoutImages = Annotated[bool, _how("--without-images", said="Ask without the pictures.")]
Temperature = Annotated[float | None, _how(said="Of its answers.", default="the paper's", min=0, max=2)]
MaxTokens = Annotated[int | None, _how(said="Of an answer.", default="by the benchmark", min=1)]
Seed = Annotated[int, _how(said="Of its answers.", default=True, min=0)]

Judge = Annotated[
    str | None,
    _judge(said="Root of its server; with --judge-model.", default="the assessor's own", metavar="URL"),
]
JudgeModel = Annotated[str | None, _judge(said="The model, as that server lists it.")]
JudgeKeyName = Annotated[str | None, _judge(said=KEY, default="no key")]
JudgeSees = Annotated[
    Literal["image", "context"],
    _judge(said="The picture, or its captions and boxes as text.", default=True),
]

As = Annotated[str | None, _end("--as", said="Name of the evaluation.", default="by model and benchmark")]
Again = Annotated[bool, _end("--again", said="Begin a new one, where the same is on its way.")]
Detach = Annotated[bool, _end("--detach", said="Begin it and do not wait for its end.")]
TableFormat = Annotated[Format, typer.Option("--format", help="Of the table.", rich_help_panel="The result")]
Beside = Annotated[
    list[str] | None,
    typer.Option(
        help="Another evaluation for the same table; may be repeated.", autocompletion=completion.evaluations
    ),
]
