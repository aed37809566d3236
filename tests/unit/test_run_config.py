"""A run's settings: the paper's defaults, refusals that name the key, every shipped file loads."""

from pathlib import Path

import pytest

from comd.ablation.plan import read_ablation
from services.coordinator.phases.training import hyperparameters
from services.coordinator.run_config import RunConfig, parse_run_config
from shared.errors import Unprocessable
from shared.settings import read_toml

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))
ABLATIONS = [file for file in CONFIGS if file.stem.startswith("ablation-")]
RUNS = [file for file in CONFIGS if file not in ABLATIONS and file.stem != "scienceqa"]


def test_the_defaults_are_the_papers() -> None:
    config = RunConfig()
    assert (config.trainings, config.tau, config.student.temperature) == (4, 0.33, 0.5)
    training = config.training
    assert (training.epochs, training.batch_size, training.learning_rate, training.warmup_ratio) == (
        1,
        16,
        2e-5,
        0.03,
    )


@pytest.mark.parametrize("file", RUNS, ids=lambda file: file.name)
def test_every_shipped_run_loads(file: Path) -> None:
    parse_run_config(read_toml(file))


@pytest.mark.parametrize("file", ABLATIONS, ids=lambda file: file.name)
def test_every_shipped_ablation_loads(file: Path) -> None:
    read_ablation(file)


def test_the_papers_file_is_among_them() -> None:
    assert "paper.toml" in {file.name for file in RUNS}


def test_an_unknown_key_is_named_with_what_is_allowed() -> None:
    with pytest.raises(Unprocessable) as caught:
        parse_run_config({"training": {"epoch": 2}})
    assert "training.epoch: unknown key" in caught.value.message
    assert "allowed in training: adaptation, batch_size, epochs, first_epochs" in caught.value.message


def test_an_unknown_key_of_an_optional_section_is_named() -> None:
    with pytest.raises(Unprocessable, match="allowed in evaluation: dataset"):
        parse_run_config({"evaluation": {"dataset": "x", "name": "y"}})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"tau": 1.5}, "tau: .*less than or equal to 1, got 1.5"),
        ({"taw": 1}, "taw: unknown key\nallowed in the top level: .*tau"),
        ({"selection": {"mode": "balanced", "number": 0}}, "selection.number: .*greater than or equal to 1"),
        ({"augmentation": {"mode": "again"}}, "augmentation.mode: .*'new' or 'repeat'"),
        ({"training": {"steps": 0}}, "training.steps: .*greater than or equal to 1"),
        ({"training": {"lora_rank": 8}}, "lora_rank: belongs to adaptation"),
        ({"teacher": {"engine": {"base_url": "http://x", "model": "m", "key_name": "AWS"}}}, "key_name"),
    ],
)
def test_a_wrong_value_is_named(values: dict[str, object], said: str) -> None:
    with pytest.raises(Unprocessable, match=said):
        parse_run_config(values)


def test_the_trainer_is_told_what_is_set() -> None:
    training = {"adaptation": "lora", "lora_rank": 8, "first_epochs": 2, "epochs": 3}
    config = parse_run_config({"training": training, "pretraining": {"dataset": "captions"}})
    assert hyperparameters(config, 1, "tune")["n_epochs"] == 2
    later = hyperparameters(config, 2, "tune")
    assert (later["n_epochs"], later["lora_rank"]) == (3, 8)
    assert not later.keys() & {"adaptation", "first_epochs", "lora_alpha", "epochs"}
    assert hyperparameters(config, 0, "pretrain")["learning_rate"] == 2e-3


def test_steps_take_the_place_of_epochs_but_of_those_of_the_first_training() -> None:
    config = parse_run_config({"training": {"first_epochs": 2, "steps": 30}})
    assert "max_steps" not in hyperparameters(config, 1, "tune")
    assert hyperparameters(config, 2, "tune")["max_steps"] == 30
    without_first = parse_run_config({"training": {"steps": 30}})
    assert hyperparameters(without_first, 1, "tune")["max_steps"] == 30
    assert "steps" not in hyperparameters(without_first, 1, "tune")
    assert "max_steps" not in hyperparameters(RunConfig(), 2, "tune")
