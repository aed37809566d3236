"""Names that are hashes: stable, distinct, and in the range that engines and databases take."""

from hypothesis import given
from hypothesis import strategies as st

from shared import identity


def test_ids_do_not_change_between_versions() -> None:
    assert identity.seed_instruction_id("demo", "d1", 0) == identity.seed_instruction_id("demo", "d1", 0)
    assert identity.seed_instruction_id("demo", "d1", 0) != identity.seed_instruction_id("demo", "d1", 1)
    assert identity.digest("a", "bc") != identity.digest("ab", "c")


@given(st.integers(0, 2**62), st.text(max_size=20), st.integers(0, 5))
def test_ranges(parent: int, text: str, attempt: int) -> None:
    assert 0 <= identity.augmented_instruction_id(parent, 2, text) < 2**63
    assert 0 <= identity.request_seed(parent, "teacher", None, text, attempt) < 2**31


def test_every_part_of_a_request_is_part_of_its_name() -> None:
    parts = {
        "role": "teacher",
        "image": "ab",
        "text": "what",
        "prompt_version": "1",
        "model_revision": "m",
        "sampling": {"temperature": 0.5, "max_tokens": 10},
        "seed": 3,
    }
    names = {identity.request_hash(**parts)}  # type: ignore[arg-type]
    for key, other in [
        ("role", "student"),
        ("image", None),
        ("text", "who"),
        ("prompt_version", "2"),
        ("model_revision", "n"),
        ("sampling", {"temperature": 0.4, "max_tokens": 10}),
        ("seed", 4),
    ]:
        names.add(identity.request_hash(**{**parts, key: other}))  # type: ignore[arg-type]
    assert len(names) == 8
