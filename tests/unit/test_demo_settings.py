"""What the demo tells the services of its stack, they take."""

from pathlib import Path

import pytest

from comd.demo.folder import DemoFolder
from comd.demo.run import stack_settings
from services.assessor.app import AssessorSettings
from services.augmentor.app import AugmentorSettings
from services.coordinator.settings import CoordinatorSettings
from services.teacher.app import TeacherSettings
from services.trainer.settings import TrainerSettings

SERVICES = {
    "teacher": TeacherSettings,
    "assessor": AssessorSettings,
    "augmentor": AugmentorSettings,
    "trainer": TrainerSettings,
    "coordinator": CoordinatorSettings,
}


@pytest.mark.parametrize("name", SERVICES)
def test_the_demos_tables_are_settings(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COMD_HOME", str(tmp_path))  # the demo sets it
    told = getattr(stack_settings(DemoFolder(0, tmp_path), 8100), name)
    taken = SERVICES[name](**told)
    assert set(told) <= taken.model_fields_set
