"""Makes the demo student's base model: a genuine LLaVA-form model of 1.4 million parameters, saved to a folder."""

from pathlib import Path


def make(out: Path, seed: int) -> None:
    """Writes model, processor and chat template to `out`; the same seed gives the same weights.

    Only the vision tower has learnt anything, as CLIP's has at real size; projector and language model are fresh.
    """
    from comd.student_base.saving import build_and_save  # torch is loaded only where a model is made

    build_and_save(out, seed)


__all__ = ["make"]
