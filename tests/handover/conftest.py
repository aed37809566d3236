"""A teacher service before an engine that answers by looking, and the problems that it is asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.coordinator.benchmarks.items import Item
from services.teacher.app import TeacherSettings, create_teacher_app
from shared.keys import Keys
from shared.types import EngineSpec
from tests.doubles import colour_engine
from tests.handover_problems import colour_problems
from tests.loopback import serving

KEY = "key-of-the-teacher"


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    return colour_problems(tmp_path / "problems")


@pytest.fixture
def teacher_url(tmp_path: Path) -> Iterator[str]:
    with serving(colour_engine.create_app([])) as engine:
        spec = EngineSpec(base_url=engine, model=colour_engine.NAME, kind="openai")
        settings = TeacherSettings(engine=spec, image_store=str(tmp_path / "images"))
        with serving(create_teacher_app(settings, Keys(KEY, "internal-key"))) as url:
            yield url
