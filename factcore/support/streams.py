"""Random streams that do not meet: what is drawn for one purpose is no copy of what is drawn for another."""

import torch

PURPOSES = ("facts", "transformer", "noise", "weights", "projection", "training", "evaluation")
SPACING = 10**9  # between the seeds of two purposes
MOST = 2**63 - len(PURPOSES) * SPACING  # torch takes 64 bits


def stream(seed: int, purpose: str) -> torch.Generator:
    """The generator of ``seed`` for one of `PURPOSES`; facts and other data take ``seed`` itself.

    With one stream for all, the random gates of a network would be the first keys of `spherical_facts` of that seed.
    ValueError for a seed that is no integer of at least 0, or too large for torch.
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < MOST:
        raise ValueError(f"seed must be an integer from 0 to {MOST - 1}, got {seed!r}")
    return torch.Generator().manual_seed(seed + PURPOSES.index(purpose) * SPACING)
