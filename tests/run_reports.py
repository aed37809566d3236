"""Reports of runs as the coordinator gives them, small, for tests of what is made of them."""

import io
from typing import Any

from PIL import Image

HOSTILE = (
    "=cmd|'/c calc'!A1 <script>alert(1)</script> \u202egnp.exe $x^{2$ \\input{/etc/passwd} & \"quoted\" 世 "
    "{{ 7 * 7 }}"
)
USED = {
    "items": 10,
    "calls": 12,
    "prompt_tokens": 8000,
    "cached_tokens": 100,
    "completion_tokens": 900,
    "seconds": 12.5,
    "cost": 0.25,
}


def picture(_: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(buffer, "PNG")
    return buffer.getvalue()


def iteration(number: int, **more: Any) -> dict[str, Any]:
    return {
        "number": number,
        "phase": "complete",
        "tuning_pool": 3000,
        "cache_pool": 3000,
        "difficult": 1200,
        "easy": 1200,
        "accepted": 2100,
        "rejected": 300,
        "rejected_by_reason": {"not novel": 280, "empty": 20},
        "unjudged": 4,
        "dropped": 12,
        "mean_difficulty": 0.41,
        "train_loss": 0.5,
        "heldout_accuracy": 0.52,
        "heldout_by_kind": {"colour": 0.9, "count": 0.14},
        "seconds": {"teaching": 12.0, "training": 40.2, "selecting": 0.1},
        "score_histogram": {"teacher": [0] * 9 + [10], "student": [5] + [0] * 8 + [5]},
        "difficulty_histogram": [0, 5, 0, 0, 0, 0, 0, 0, 2, 3],
        "verdicts": {"difficult": 1200, "easy": 1796, "unjudged": 4, "better": 3},
        "endings": {},
        "usage": {"currency": "USD", "spent": 0.25, "by_role": {"teacher": USED}},
        **more,
    }


COUNTS = ("tuning_pool", "cache_pool", "difficult", "easy", "accepted", "dropped", "rejected", "unjudged")
UNKNOWN = (*COUNTS, "mean_difficulty", "train_loss", "heldout_accuracy", "heldout_by_kind", "score_histogram")
NOTHING = {
    **dict.fromkeys((*UNKNOWN, "difficulty_histogram", "verdicts")),
    "rejected_by_reason": {},
    "seconds": {},
    "usage": {"currency": "USD", "spent": 0.0, "by_role": {}},
}
START = iteration(
    0,
    **{
        **NOTHING,
        "train_loss": 0.5,
        "heldout_accuracy": 0.05,
        "heldout_by_kind": {"colour": 0.1, "count": 0.0},
        "seconds": {"pretraining": 20.0},
    },
)
EXAMPLE = {
    "image": "ab" * 32,
    "instruction": "What is <b>here</b>?",
    "kind": "colour",
    "difficulty": 0.9,
    "iteration": 1,
    "after_iteration": 2,
    "teacher_answer": "Red.",
    "student_before": "Blue & green.",
    "student_after": "Red.",
    "runs": [{"order": "teacher_first", "teacher_score": 9, "student_score": 2, "evidence": "It is red."}],
    "new_question": "Name the colour there.",
}
CURVES = {
    number: [{"step": step, "loss": 1 / step, "learning_rate": 2e-5} for step in range(1, 6)]
    for number in (0, 1)
}


def report(*iterations: dict[str, Any], **run: Any) -> dict[str, Any]:
    """Of a run that has done what its iterations say."""
    measured = [row["heldout_accuracy"] for row in iterations if row["heldout_accuracy"] is not None]
    about = dict.fromkeys(("reason", "parent_run", "branched_from"))
    times = {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T01:00:00Z"}
    config = {"tau": 0.33, "training": {"batch_size": 16, "lora_rank": None}}
    known = {"id": "run-1", "name": "first", "dataset": "world", "status": "finished", "target": 1}
    return {
        "version": "0.1.0",
        "run": {**about, **times, **known, "config": config, **run},
        "start_accuracy": measured[0] if measured else None,
        "final_accuracy": measured[-1] if measured else None,
        "tau": 0.33,
        "usage": {
            "currency": "USD",
            "spent": 0.25,
            "limit": None,
            "by_role": {"teacher": USED} if iterations else {},
        },
        "iterations": list(iterations),
        "examples": [],
        "failures": [],
        "warnings": [],
    }
