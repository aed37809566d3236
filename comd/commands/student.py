"""`comd student init`: a base student from a language model and a vision tower."""

from pathlib import Path
from typing import Annotated

import typer

from comd.student import Made, Plan, make

app = typer.Typer(help="Make a base student from its parts.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Make a base student from its parts."""


@app.command()
def init(
    llm: Annotated[Path, typer.Option(help="Folder of a causal language model: Llama, Vicuna, Qwen2, ...")],
    vision: Annotated[Path, typer.Option(help="Folder of a CLIP or SigLIP vision tower.")],
    out: Annotated[Path, typer.Option(help="The folder to write; new or empty.")],
    projector: Annotated[
        str,
        typer.Option(help="Kind of the projector: linear (the paper's single matrix) or mlp (two layers)."),
    ] = "linear",
    seed: Annotated[int, typer.Option(help="Seed of the projector's weights.")] = 0,
    dtype: Annotated[
        str | None,
        typer.Option(help="Type of the weights: fp32, bf16 or fp16.", show_default="the language model's"),
    ] = None,
    chat_template: Annotated[
        Path | None,
        typer.Option(
            help="Jinja file of the chat template.",
            show_default="ChatML where the tokenizer has it, else Vicuna's",
        ),
    ] = None,
) -> None:
    """Build a student of the LLaVA form: language model, vision tower, and a new projector between them."""
    from transformers.utils import logging  # seconds of imports, which no other command needs

    logging.set_verbosity_error()
    show(make(Plan(llm, vision, out, projector, seed, dtype, chat_template)), projector, out)


def show(made: Made, projector: str, out: Path) -> None:
    """What was made, and what to do with it."""
    print(f"A student of {sum(made.parameters.values()):,} parameters ({made.dtype}) in {out}:")
    for part, number in made.parameters.items():
        print(f"  {number:>16,}  {part}" + (f", {projector}" if part == "projector" else ""))
    print(f"A picture takes {made.image_tokens:,} of the {made.context:,} tokens of its context.")
    print(f"Answers end with {made.stop_token}.")
    print("Next: name it in stack.toml, and in a run's configuration as [student] base:")
    print("  [trainer]")
    print(f'  base_students = {{ "{out.resolve().name}" = "{out.resolve()}" }}')
