"""Makes the demo student's base model: a genuine LLaVA-form model of 1.2 million parameters, saved to a folder."""

from pathlib import Path


def make(out: Path, seed: int) -> None:
    """Writes model, processor and chat template to `out`; the same seed gives the same weights.

    As at real size, the vision tower knows pictures and the language model can read, each without the other: the
    projector between them is fresh, and no question has been seen.
    """
    from comd.student_base.saving import build_and_save  # torch is loaded only where a model is made

    build_and_save(out, seed)


__all__ = ["make"]
