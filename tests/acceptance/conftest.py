"""One trainer for all acceptance tests that leave it as it was."""

from collections.abc import Iterator

import pytest

from tests.trainer_process import TrainerProcess, prepared_folder


@pytest.fixture(scope="session")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrainerProcess]:
    running = TrainerProcess(prepared_folder(tmp_path_factory.mktemp("trainer")))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def file_id(trainer: TrainerProcess) -> str:
    return trainer.upload()
