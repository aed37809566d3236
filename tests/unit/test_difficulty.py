"""The difficulty score against the shared vectors and its own algebra."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.assessor.difficulty import difficulty

VECTORS = Path(__file__).parents[1] / "vectors"
TAU = 0.33
scores = st.floats(1, 10)


@pytest.mark.parametrize("vector", json.loads((VECTORS / "difficulty.json").read_text()))
def test_vectors(vector: dict[str, float]) -> None:
    if "error" in vector:
        with pytest.raises(ValueError, match="from 1 to 10"):
            difficulty(vector["student"], vector["teacher"])
        return
    found = difficulty(vector["student"], vector["teacher"])
    assert found == pytest.approx(vector["difficulty"], abs=1e-6)
    assert (found >= TAU) == vector["difficult"]


@given(scores, scores)
def test_it_is_symmetric_and_within_its_range(a: float, b: float) -> None:
    assert difficulty(a, b) == difficulty(b, a)
    assert 0.1 <= difficulty(a, b) <= 1


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 0.999, 10.001])
def test_what_is_no_score_is_refused_in_either_place(bad: float) -> None:
    with pytest.raises(ValueError, match="teacher score"):
        difficulty(5, bad)
    with pytest.raises(ValueError, match="student score"):
        difficulty(bad, 5)
