"""A file of arms: what it may say, how an arm's settings come about, and which arms go on from the base."""

from pathlib import Path
from typing import Any

import pytest

from comd.ablation.plan import Ablation, read_ablation
from shared.errors import ConfigError

RUN: dict[str, Any] = {
    "trainings": 2,
    "training": {"epochs": 3, "batch_size": 4},
    "pretraining": {"dataset": "captions"},
    "evaluation": {"dataset": "heldout"},
}


def plan(*arms: dict[str, Any], run: dict[str, Any] | None = None) -> Ablation:
    told = [{"name": "base", "stands_for": "the base"}, *({"stands_for": "an arm", **arm} for arm in arms)]
    world = {"pictures": 4, "heldout_per_kind": 2}
    return Ablation.model_validate({"title": "T", "world": world, "run": run or RUN, "arms": told})


def test_changes_are_merged_section_by_section() -> None:
    ablation = plan({"name": "a", "changes": {"tau": 0.5, "training": {"epochs": 5}}})
    config = ablation.config(ablation.arms[1], 7)
    assert (config.seed, config.tau, config.trainings) == (7, 0.5, 2)
    assert (config.training.epochs, config.training.batch_size) == (5, 4)
    assert ablation.config(ablation.base, 7).training.epochs == 3


def test_a_section_can_be_left_out() -> None:
    ablation = plan({"name": "a", "without": ["pretraining"]})
    assert ablation.config(ablation.arms[1], 0).pretraining is None
    assert ablation.config(ablation.base, 0).pretraining is not None


@pytest.mark.parametrize(
    ("arm", "branches"),
    [
        ({"changes": {"tau": 1.0}}, True),
        ({"changes": {"selection": {"mode": "random", "number": 3}}}, True),
        ({"changes": {"augmentation": {"mode": "repeat"}}}, True),
        ({"changes": {"training": {"epochs": 5}}}, False),
        ({"changes": {"tau": 1.0, "student": {"temperature": 0.0}}}, False),
        ({"without": ["pretraining"]}, False),
    ],
)
def test_an_arm_goes_on_from_the_base_where_all_before_is_equal(arm: dict[str, Any], branches: bool) -> None:
    ablation = plan({"name": "a", **arm})
    assert ablation.branches(ablation.arms[1]) is branches
    assert not ablation.branches(ablation.base)


@pytest.mark.parametrize(
    ("arm", "said"),
    [
        ({"name": "base"}, "arms of the same name: base"),
        ({"name": "a", "changes": {"taw": 1}}, "arm a: taw: unknown key"),
        ({"name": "a", "without": ["lora"]}, r"arm a: \[run\] has no lora to leave out"),
        ({"name": "a", "without": ["evaluation"]}, "arm a: without .evaluation. nothing is measured"),
        ({"name": "a", "change": {}}, "Extra inputs"),
        ({"name": "a|b"}, "should match pattern"),
    ],
)
def test_what_cannot_run_is_refused(arm: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        plan(arm)


def test_the_base_has_no_changes() -> None:
    arms = [{"name": "base", "stands_for": "x", "changes": {"tau": 1.0}}]
    world = {"pictures": 4, "heldout_per_kind": 2}
    with pytest.raises(ValueError, match=r"the first arm \(base\) is the base"):
        Ablation.model_validate({"title": "T", "world": world, "run": RUN, "arms": arms})


def test_a_file_s_unknown_key_is_named(tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(
        'title = "T"\nseed = 3\n[world]\npictures = 4\nheldout_per_kind = 2\n[run]\n[[arms]]\nname = "a"\n'
    )
    with pytest.raises(ConfigError, match=r"(?s)wrong.toml.*seed: unknown key"):
        read_ablation(file)


def test_the_shipped_arms_differ_in_what_they_say_and_have_equal_data_and_steps() -> None:
    ablation = read_ablation(Path(__file__).parents[2] / "configs" / "ablation-tau.toml")
    arms = {arm.name: ablation.config(arm, 0) for arm in ablation.arms}
    assert {config.selection.number for config in arms.values()} == {arms["tau 0.33"].selection.number}
    assert {config.training for config in arms.values()} == {arms["tau 0.33"].training}
    assert [arms[f"tau {tau}"].tau for tau in ("0", "0.33", "0.67", "1")] == [0, 0.33, 0.67, 1]
    assert arms["random"].selection.mode == "random"
    assert arms["no augmentation"].augmentation.mode == "repeat"
    assert arms["no stage 1"].pretraining is None
    assert [arm.name for arm in ablation.arms if not ablation.branches(arm)] == ["tau 0.33", "no stage 1"]
