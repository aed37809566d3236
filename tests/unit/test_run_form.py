"""The form of a new run: what is typed becomes settings, settings become what is typed, mistakes find their field."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from services.coordinator.dashboard import run_form
from services.coordinator.dashboard.run_form import (
    MORE,
    Typed,
    WrongFields,
    by_field,
    changed,
    settings,
    typed_from,
)
from services.coordinator.dashboard.toml_text import toml_text
from services.coordinator.run_config import RunConfig, parse_run_config
from shared.errors import Unprocessable
from shared.settings import read_toml

CONFIGS = [
    file
    for file in sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))
    if file.stem != "scienceqa" and not file.stem.startswith("ablation-")  # of other commands
]


def wrong(**values: str) -> dict[str, str]:
    """What stands beside the fields when this was typed."""
    typed = Typed({name.replace("__", "."): value for name, value in values.items()})
    try:
        parse_run_config(settings(typed))
    except WrongFields as error:
        return error.by_field
    except Unprocessable as error:
        return by_field(error.message, error.param, typed)
    return {}


def test_benchmarks_are_chosen_by_name_and_with_settings_of_their_own_written() -> None:
    plain = {"benchmarks": [{"benchmark": "a"}, {"benchmark": "b-2"}]}
    assert typed_from(plain)["benchmarks"] == "a b-2"
    assert settings(typed_from(plain)) == plain
    engine = {"base_url": "http://h:1", "model": "m", "kind": "openai"}
    own = {"benchmarks": [{"benchmark": "a", "method": "likelihood", "with_images": False, "judge": engine}]}
    typed = typed_from(own)
    assert (typed["benchmarks"], settings(typed)) == ("", own)
    both = Typed({"benchmarks": "a", MORE: typed[MORE]})
    with pytest.raises(WrongFields, match="given above as well"):
        settings(both)
    assert "named twice" in wrong(benchmarks="a a")["benchmarks"]


def test_an_empty_form_is_the_papers_run() -> None:
    assert parse_run_config(settings(Typed({}))) == RunConfig()


def test_fields_and_text_come_together() -> None:
    typed = Typed(
        {
            "trainings": " 2 ",
            "training.learning_rate": "1e-3",
            "budget.limit": "5",
            MORE: "[training]\nepochs = 3",
        }
    )
    config = parse_run_config(settings(typed))
    assert (config.trainings, config.training.learning_rate, config.training.epochs) == (2, 0.001, 3)
    assert config.budget is not None
    assert config.budget.limit == 5


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.name)
def test_every_shipped_file_goes_through_the_form_unchanged(file: Path) -> None:
    values = read_toml(file)
    assert parse_run_config(settings(typed_from(values))) == parse_run_config(values)


def test_a_run_with_everything_set_goes_through_the_form_unchanged() -> None:
    engine = {
        "base_url": "http://h:1",
        "model": 'a "quoted" \\ näme\n\x7f',
        "kind": "vllm",
        "json_schema": True,
    }
    config = RunConfig.model_validate(
        {
            "seed": 7,
            "max_failed_share": 0.5,
            "teacher": {"engine": engine, "price": {"prompt": 0.25}},
            "evaluation": {"dataset": "held", "max_tokens": 3},
            "training": {"adaptation": "lora", "lora_rank": 4},
            "budget": {"limit": 1e9},
        }
    )
    assert parse_run_config(settings(typed_from(changed(config.model_dump())))) == config


def test_null_that_means_never_is_said_as_all() -> None:
    text = toml_text(changed(RunConfig(max_failed_share=None).model_dump()))
    assert tomllib.loads(text) == {"max_failed_share": 1.0}


def test_mistakes_stand_beside_their_fields() -> None:
    assert wrong(trainings="four", tau="2").keys() == {"trainings", "tau"}
    assert wrong(trainings="0") == {
        "trainings": "trainings: Input should be greater than or equal to 1, got 0"
    }
    assert wrong(teacher__engine__model="m").keys() == {"teacher.engine.base_url"}
    assert wrong(training__learning_rate="inf").keys() == {"training.learning_rate"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trainings =", "not TOML"),
        ("[training]\nepoch = 1", "allowed in training: adaptation"),
        ("trainings = 'x'", "trainings: Input should be a valid integer"),
        ("training = 3", "expected a table"),
        ("tau = 99999999999999999999", "expected tables"),
        ("a = " + "[" * 9000, "TOML"),
        ("learning_rate = inf", "learning_rate: unknown key"),
    ],
)
def test_mistakes_in_the_text_stand_beside_it(text: str, said: str) -> None:
    typed = {"more": text} | ({"training__batch_size": "8"} if text == "training = 3" else {})
    found = wrong(**typed)
    assert found.keys() == {MORE}
    assert said in found[MORE] or said == "TOML"


def test_a_setting_given_twice_is_refused() -> None:
    assert wrong(tau="0.5", more="tau = 0.4") == {MORE: "tau is given above as well; leave it in one place"}


def test_refusals_of_data_sets_and_engines_find_their_fields() -> None:
    typed = Typed(
        {"teacher.engine.base_url": "http://h:1", MORE: "[assessor.engine]\nbase_url = 'http://h:2'"}
    )
    found: dict[str, Any] = {
        "teacher": by_field("teacher: the engine refuses\nwith a second line", None, typed),
        "assessor": by_field("assessor: the engine refuses", None, typed),
        "data set": by_field("there is no data set 'x'; register it", "evaluation.dataset", typed),
        "text": by_field(
            "body.config.student.base: expected a text without NUL", "body.config.student.base", typed
        ),
        "nothing": by_field("something else", None, typed),
    }
    assert {name: list(fields) for name, fields in found.items()} == {
        "teacher": ["teacher.engine.base_url"],
        "assessor": [MORE],
        "data set": ["evaluation.dataset"],
        "text": ["student.base"],
        "nothing": [""],
    }


def test_a_field_too_long_is_refused() -> None:
    assert wrong(more="#" * (run_form.MOST_CHARS + 1)).keys() == {MORE}
