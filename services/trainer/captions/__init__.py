"""Stage 1's data: captions in, phrases found, a balanced selection of captions out."""

from services.trainer.captions.selection import select_captions

__all__ = ["select_captions"]
