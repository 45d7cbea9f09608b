"""The sequential recall task: a key hidden in junk, and a query for its value (paper section 5)."""

import torch
from torch import Tensor

JUNK = 16  # junk tokens in the vocabulary, unless told otherwise
RUN = (8, 16)  # shortest and longest run of junk
LENGTH = 2 * RUN[1] + 2  # tokens of the longest sequence


def recall_batch(
    n_facts: int,
    size: int,
    generator: torch.Generator,
    device: str | torch.device = "cpu",
    *,
    junk: int = JUNK,
    run: tuple[int, int] = RUN,
) -> Tensor:
    """Sequences (size, 2 · run[1] + 2) int64 of the recall task; the key in a row is its only token below ``n_facts``.

    Tokens 0 … n−1 are the keys, then come ``junk`` tokens of junk (here 16), the query Q, and the padding in front,
    which nothing attends to:

        tokens   pad … pad  junk₇ junk₀ … junk₃  K₄₁  junk₁ … junk₉  Q
        loss                                                         value of K₄₁

    Both runs of junk have ``run[0]`` to ``run[1]`` tokens, as long runs as short ones. Drawn on the generator's device.
    """
    where, length = generator.device, 2 * run[1] + 2
    before, after = torch.randint(run[0], run[1] + 1, (2, size, 1), generator=generator, device=where)
    tokens = torch.randint(n_facts, n_facts + junk, (size, length), generator=generator, device=where)
    key = torch.randint(n_facts, (size, 1), generator=generator, device=where)
    at = length - 2 - after  # the key's place
    tokens.scatter_(1, at, key)
    tokens[:, -1] = n_facts + junk
    return tokens.masked_fill_(torch.arange(length, device=where) < at - before, n_facts + junk + 1).to(device)


def asked(tokens: Tensor, n_facts: int) -> Tensor:
    """The key that each sequence asks for, (b, T) → (b,)."""
    return tokens.amin(dim=1)
