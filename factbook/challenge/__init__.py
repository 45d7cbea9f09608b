"""The memorisation challenge: two-token look-ups by linear systems, and the study that compares them with training."""

from factbook.challenge.pairs import count_right, drawn_pairs, pair_facts, pair_tables, pairs_network
from factbook.challenge.study import (
    FITS,
    LABELS,
    PUBLISHED,
    attempt,
    beside_published,
    fit,
    jobs,
    largest,
    precision,
    train,
)

__all__ = ["FITS", "LABELS", "PUBLISHED", "attempt", "beside_published", "count_right", "drawn_pairs", "fit", "jobs"]
__all__ += ["largest", "pair_facts", "pair_tables", "pairs_network", "precision", "train"]
