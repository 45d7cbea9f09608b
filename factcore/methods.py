"""The table of constructions: what `construct` and `smallest_width` know of each. A new one is a line here."""

from collections.abc import Callable
from typing import NamedTuple

from factcore.constructions.block_convex import block_convex
from factcore.constructions.encoder_decoder import encoder_decoder, units_per_coordinate
from factcore.constructions.hebbian import hebbian
from factcore.constructions.max_margin import max_margin
from factcore.constructions.ntk import ntk
from factcore.constructions.one_hot import one_hot
from factcore.constructions.trained import trained
from factcore.facts import FactSet
from factcore.mlp import GatedMLP

LARGEST_WIDTH = 2**18


class Method(NamedTuple):
    """One construction: its function and what is known of its widths, each from the facts and the options."""

    build: Callable[..., GatedMLP]  # name(facts, width, seed, *, its options)
    per_fact: float = 30.0  # parameters per fact at which a search begins
    step: Callable[..., int] = lambda facts, **options: 1  # hidden units by which its width can usefully grow
    most: Callable[[FactSet], int] = lambda facts: LARGEST_WIDTH  # hidden units beyond which it gains nothing
    finds_width: bool = False  # at width=None; the others are doubled until they store everything
    fixed_width: bool = False  # the facts alone decide it
    uneven: bool = False  # a wider network may store less, as another draw does

    def guess(self, facts: FactSet) -> int:
        """Hidden units at which a search begins."""
        return max(1, round(self.per_fact * len(facts) / (2 * facts.d + facts.e)))


METHODS: dict[str, Method] = {
    "encoder-decoder": Method(encoder_decoder, step=units_per_coordinate, finds_width=True),
    "ntk": Method(ntk, 600, uneven=True),
    "one-hot": Method(one_hot, finds_width=True, fixed_width=True),
    # d (d + 1) / 2 features are independent
    "hebbian": Method(hebbian, 90, most=lambda facts: 8 * facts.d * (facts.d + 1), uneven=True),
    "max-margin": Method(max_margin, 25, most=lambda facts: 8 * len(facts)),
    "block-convex": Method(block_convex, 6, most=lambda facts: 8 * len(facts)),
    "trained": Method(trained, 4, most=lambda facts: 4 * (len(facts) + facts.d)),
}
