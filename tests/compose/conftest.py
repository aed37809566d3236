"""One stack of containers for all tests here; skipped, or failed with REQUIRE_DOCKER=1, where it cannot be had."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.compose import images
from tests.compose.docker_host import NotHere, compose_command, daemon
from tests.compose.stack import Containers


@pytest.fixture(scope="session")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """The stack right after `docker compose up`; all of it is taken down at the end."""
    folder = tmp_path_factory.mktemp("compose")
    with ExitStack() as held:
        try:
            held.enter_context(daemon(folder / "dockerd.log"))
            compose = compose_command()
            images.have_bases()
        except NotHere as reason:
            if os.environ.get("REQUIRE_DOCKER") == "1":
                pytest.fail(f"REQUIRE_DOCKER=1, but {reason}")
            pytest.skip(str(reason))
        images.build_ours()
        place = folder / "comd"
        place.mkdir()
        stack = Containers(compose, Path(place))
        held.callback(stack.run, "down", "--volumes", "--timeout", "5", check=False)
        stack.run("down", "--volumes", check=False)  # what a killed test left
        stack.up()
        yield stack
