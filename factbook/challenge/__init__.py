"""The memorisation challenge: two-token look-ups by linear systems, and the study that compares them with training."""

from factbook.challenge.pairs import count_right, pair_tables, pairs_network
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
    precision,
    train,
)

__all__ = ["FITS", "LABELS", "PUBLISHED", "attempt", "beside_published", "bit_jobs", "count_right"]
__all__ += ["fewest_bits", "fit", "jobs", "largest", "pair_tables", "pairs_network", "precision", "train"]
