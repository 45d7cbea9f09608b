"""Random streams that do not meet: what is drawn for one purpose is no copy of what is drawn for another."""

import torch

PURPOSES = ("facts", "transformer", "noise", "weights")
SPACING = 10**9  # between the seeds of two purposes


def stream(seed: int, purpose: str) -> torch.Generator:
    """The generator of ``seed`` for one of `PURPOSES`; facts and other data take ``seed`` itself.

    With one stream for all, the random gates of a network would be the first keys of `spherical_facts` of that seed.
    """
    return torch.Generator().manual_seed(seed + PURPOSES.index(purpose) * SPACING)
