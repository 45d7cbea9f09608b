"""The table of constructions: what `construct` and `smallest_width` know of each. A new one is a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from factcore.constructions import hebbian, max_margin, trained
from factcore.constructions.block_convex import block_convex
from factcore.constructions.encoder_decoder import encoder_decoder, units_per_coordinate
from factcore.constructions.ntk import ntk
from factcore.constructions.one_hot import one_hot
from factcore.facts import FactSet
from factcore.mlp import GatedMLP

LARGEST_WIDTH = 2**18


def one_unit(facts: FactSet, **options: Any) -> int:
    """Widths grow by single units."""
    return 1


def largest(facts: FactSet) -> int:
    """Wider is never worth trying."""
    return LARGEST_WIDTH


def about(per_fact: int) -> Callable[..., int]:
    """The width at ``per_fact`` parameters per fact."""
    return lambda facts, **options: max(1, per_fact * len(facts) // (2 * facts.d + facts.e))


class Method(NamedTuple):
    """One construction: its function and what is known of its widths, each from the facts and the options."""

    build: Callable[..., GatedMLP]  # name(facts, width, seed, *, its options)
    guess: Callable[..., int] = about(30)  # hidden units at which a search begins
    step: Callable[..., int] = one_unit  # hidden units by which its width can usefully grow
    most: Callable[[FactSet], int] = largest  # hidden units beyond which it gains nothing
    finds_width: bool = False  # at width=None; the others are doubled until they store everything
    fixed_width: bool = False  # the facts alone decide it
    build_many: Callable[..., list[GatedMLP]] | None = None  # name(facts, widths, seeds, *, its options)


METHODS: dict[str, Method] = {
    "encoder-decoder": Method(encoder_decoder, step=units_per_coordinate, finds_width=True),
    "ntk": Method(ntk, about(600)),
    "one-hot": Method(one_hot, finds_width=True, fixed_width=True),
    "hebbian": Method(hebbian.hebbian, hebbian.first_guess, most=hebbian.largest_useful_width),
    "max-margin": Method(max_margin.max_margin, about(25), most=max_margin.most_units),
    "block-convex": Method(block_convex, about(6), most=max_margin.most_units),
    "trained": Method(trained.trained, trained.first_guess, most=trained.most_units, build_many=trained.train_many),
}
