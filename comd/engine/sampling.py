"""Sampling that depends on a row's seed alone, never on its batch mates or the order of arrival.

The noise of (seed, step, token) is a hash of the three: adding it to the scaled logits and taking the
largest draws exactly from their softmax (the Gumbel-max trick).
"""

import torch

MASK = 0xFFFFFFFF


def gumbel(seeds: torch.Tensor, step: int, num_tokens: int) -> torch.Tensor:
    """Standard Gumbel noise (B, V) for int64 seeds (B), the same for equal arguments."""
    rows = _mix(_mix(seeds & MASK) ^ _mix((seeds >> 32 & MASK) + 0x9E3779B9) ^ (step * 0x85EBCA6B & MASK))
    tokens = torch.arange(num_tokens, device=seeds.device) * 0x9E3779B9 & MASK
    uniform = (_mix(rows[:, None] ^ _mix(tokens)[None, :]).double() + 0.5) / (MASK + 1)
    return (-torch.log(-torch.log(uniform))).float()


def _mix(value: torch.Tensor) -> torch.Tensor:
    """A bijection of 32 bits that spreads every input bit over all output bits (murmur3's finalizer)."""
    value = (value ^ (value >> 16)) * 0x85EBCA6B & MASK
    value = (value ^ (value >> 13)) * 0xC2B2AE35 & MASK
    return value ^ (value >> 16)


class SeededSampling:
    """The seeds and temperatures of a batch's rows; a row without temperature is greedy."""

    def __init__(self, seeds: list[int], temperatures: list[float]):
        self.seeds = torch.tensor(seeds, dtype=torch.int64)
        self.warm = torch.tensor([t > 0 for t in temperatures])
        self.scale = torch.tensor([t if t > 0 else 1.0 for t in temperatures])

    def scores(self, logits: torch.Tensor, step: int) -> torch.Tensor:
        """Scores (B, V) whose largest is the row's sampled token at this step of its answer."""
        if not bool(self.warm.any()):
            return logits
        noise = gumbel(self.seeds, step, logits.shape[1])
        return logits.float() / self.scale[:, None] + noise * self.warm[:, None]

    def choose(self, logits: torch.Tensor, step: int) -> torch.Tensor:
        """The sampled tokens (B)."""
        return self.scores(logits, step).argmax(1)

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these rows only."""
        self.seeds, self.warm, self.scale = self.seeds[rows], self.warm[rows], self.scale[rows]
