"""Texts in front of the judge: an unguessable mark, and a cut that shows where no answer can fake it."""

from services.assessor import fence

SECRET = b"s" * 32


def test_the_mark_is_equal_on_repeats_and_differs_by_request_and_secret() -> None:
    assert fence.mark(SECRET, {"a": 1}) == fence.mark(SECRET, {"a": 1})
    assert fence.mark(SECRET, {"a": 1}) != fence.mark(SECRET, {"a": 2})
    assert fence.mark(SECRET, {"a": 1}) != fence.mark(b"other", {"a": 1})
    assert len(fence.mark(SECRET, {"a": 1})) == fence.MARK_DIGITS


def test_a_text_stands_between_its_lines() -> None:
    assert (
        fence.fenced("answer 1", "m0", " A cup.\r\nBig. ")
        == "[answer 1 m0]\nA cup.\nBig.\n[end of answer 1 m0]"
    )


def test_emptiness_and_a_cut_are_told_by_the_closing_line_alone() -> None:
    assert fence.fenced("answer 2", "m0", " \u200b\n").endswith("]\n\n[end of answer 2 m0, empty]")
    assert fence.fenced("answer 2", "m0", "(no answer)").endswith("\n[end of answer 2 m0]")
    assert fence.fenced("answer 2", "m0", "x" * 102_400) == (
        f"[answer 2 m0]\n{'x' * 8000}\n[end of answer 2 m0, cut after 8000 of 102400 characters]"
    )
    assert fence.fenced("answer 2", "m0", "x" * 8000).endswith("x\n[end of answer 2 m0]")


def test_a_cut_spares_a_letter_with_its_accents_as_far_as_that_is_reasonable() -> None:
    at_the_cut = "x" * 7999 + "e\u0301\u0323" + "x" * 98
    assert "x\n[end of answer 1 m0, cut after 7999 of 8100" in fence.fenced("answer 1", "m0", at_the_cut)
    assert "\u0323\n[end of answer 1 m0, cut after 8000 of 8098" in fence.fenced(
        "answer 1", "m0", at_the_cut[2:]
    )
    flood = fence.fenced("answer 1", "m0", "e" + "\u0301" * 9000)
    assert f"cut after {8000 - fence.LONGEST_LETTER} of 9001" in flood
