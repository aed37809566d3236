"""The stack's settings: what `[coordinator]` says stands elsewhere is not started here."""

import pytest
from pydantic import ValidationError

from comd.stack.ports import check_free
from comd.stack.settings import StackSettings
from shared.errors import Conflict
from tests.loopback import serving


def test_a_service_whose_url_is_given_is_not_started_here() -> None:
    settings = StackSettings(coordinator={"teacher_url": "http://gpu7:8000", "teacher_model": "m"})
    assert settings.elsewhere() == {"teacher"}
    assert StackSettings().elsewhere() == set()


def test_its_own_table_would_have_no_use() -> None:
    with pytest.raises(ValidationError, match=r"\[teacher\] is for a service of this stack, but teacher_url"):
        StackSettings(coordinator={"teacher_url": "http://gpu7:8000"}, teacher={"timeout_s": 9})


def test_its_port_may_be_taken() -> None:
    with serving(_nothing) as url:
        base_port = int(url.rpartition(":")[2]) - 2  # the teacher's is the second after the first
        with pytest.raises(Conflict, match=r"\(teacher\)"):
            check_free(StackSettings(base_port=base_port))
        check_free(StackSettings(base_port=base_port, coordinator={"teacher_url": url}))


async def _nothing(scope: object, receive: object, send: object) -> None:
    """An app that is never asked."""
