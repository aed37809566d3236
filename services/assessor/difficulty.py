"""Difficulty of an instruction from the two roles' scores (paper section 3.3, formula of the difficulty score)."""

import math

MIN_SCORE, MAX_SCORE = 1.0, 10.0


def difficulty(student_score: float, teacher_score: float) -> float:
    """S = (|R_S - R_T| + 1) / max(R_S, R_T), in [0.1, 1]; both scores in [1, 10], else ValueError."""
    for role, score in (("student", student_score), ("teacher", teacher_score)):
        if not math.isfinite(score) or not MIN_SCORE <= score <= MAX_SCORE:
            raise ValueError(f"{role} score: expected a number from 1 to 10, got {score!r}")
    return (abs(student_score - teacher_score) + 1) / max(student_score, teacher_score)
