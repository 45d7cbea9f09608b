"""The memorisation challenge: two-token look-ups by linear systems, and the study that compares them with training."""

from factbook.challenge.pairs import count_right, named_pairs, pair_tables, pairs_network
from factbook.challenge.study import (
    FITS,
    LABELS,
    PUBLISHED,
    attempt,
    beside_published,
    bit_jobs,
    fewest_bits,
    fit,
    jobs,
    largest,
    laws,
    precision,
    shares,
    train,
    unbroken,
)
from factbook.challenge.words import findings

__all__ = [
    "FITS",
    "LABELS",
    "PUBLISHED",
    "attempt",
    "beside_published",
    "bit_jobs",
    "count_right",
    "fewest_bits",
    "findings",
]
__all__ += ["fit", "jobs", "largest", "laws", "named_pairs", "pair_tables", "pairs_network"]
__all__ += ["precision", "shares", "train", "unbroken"]
