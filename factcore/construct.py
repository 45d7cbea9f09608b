"""`construct`: one entry for every way to build a fact-storing MLP; the paper's encoder-decoder is in this file."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from factcore.block_convex import block_convex
from factcore.checks import check_choice, check_integer, check_options
from factcore.decoder import CODES, Codes, choose_codes
from factcore.encoder import encode_by_gradient, encode_with_buckets, encode_with_random_gates, key_rank, n_buckets
from factcore.facts import FactSet, distinct_keys
from factcore.hebbian import hebbian
from factcore.max_margin import max_margin
from factcore.mlp import GatedMLP
from factcore.ntk import ntk
from factcore.one_hot import one_hot
from factcore.projection import PROJECTIONS
from factcore.recall import blocks_of_rows, output_margins
from factcore.streams import stream
from factcore.training import trained
from factcore.ungated import append_one, plain_relu_mlp

ENCODERS = {"buckets": encode_with_buckets, "random-gates": encode_with_random_gates, "gradient": encode_by_gradient}
FILLS = (1.0, 1.0, 0.95, 0.9, 0.8, 0.65, 0.5)  # bucket fills tried in turn, each with a fresh random cut
TRIES = 4  # random draws tried at a fill that the caller chose
GATES_OF = {"buckets": "step", "random-gates": "silu", "gradient": "identity"}  # encoders and their usual gates


def construct(
    facts: FactSet, method: str = "encoder-decoder", *, width: int | None = None, seed: int = 0, **options
) -> GatedMLP:
    """Build an MLP that stores ``facts``.

    method: 'one-hot', 'ntk', 'hebbian', 'encoder-decoder', 'max-margin', 'block-convex' or 'trained'; the docstring
    of the function of that name (`encoder_decoder`, `one_hot` …) states the formula and the ``options``. ``width`` is
    the number of hidden units allowed; None means as few as the method finds it needs. The same seed gives the same
    network. ValueError for an unknown method or option, and for a width that is too small.
    """
    if not isinstance(facts, FactSet):
        raise ValueError(f"facts must be a FactSet, got {type(facts).__name__}")
    check_choice("method", method, METHODS)
    if width is not None:
        check_integer("width", width)
    check_options(method, METHODS[method], options)
    return METHODS[method](facts, width, seed, **options)


def encoder_decoder(
    facts: FactSet,
    width: int | None,
    seed: int,
    *,
    encoder: str = "buckets",
    codes: str = "separators",
    code_dim: int | None = None,
    gate: str | None = None,
    fill: float | None = None,
    form: str = "gated",
    projection: str | None = None,
    strict: bool = True,
) -> GatedMLP:
    """The paper's construction g(x) = D enc(x), enc(k_i) = c_f(i) (paper section 4).

    encoder: 'buckets' (gates 'step' or 'relu'), 'random-gates' (any gate, 'silu' by default), or 'gradient': bilinear,
    trained to meet the codes, with half the units (see `encode_by_gradient`). codes: 'separators' of the projected
    values, or 'projected' separators (the paper's). code_dim: m, None for the smallest that stores everything;
    h = m·⌈n/d⌉ (with 'relu' buckets m·(2⌈n/d⌉ − 1)). fill: buckets hold at most fill·d keys; None starts at 1 and makes
    room where full buckets are too badly conditioned for the dtype of ``facts`` or training falls short. Where the keys
    span fewer than d dimensions, read their rank for d. With random gates fill is the share of equations to unknowns
    (1): a lower one makes the solution smaller and the network calmer around its keys. form: 'gated', or 'relu' for the
    step buckets as a plain ReLU MLP without gates, h = (m + 1)·⌈n/(d + 1)⌉ (see `plain_relu_mlp`). projection: how D is
    found for separator codes, 'optimised', 'aimed' or 'random', from the shortest codes to the quickest; None takes
    'optimised' up to 8,192 values and 'aimed' beyond (see `short_projection`). Projected codes take a random D, as in
    the paper.

    The result has been verified: every fact decodes in the dtype of ``facts``, by more than the rounding error. With
    ``strict=False`` a network that loses facts is returned all the same; by default ValueError names the first row.
    """
    check_choice("codes", codes, CODES)
    kinds = ("random",) if codes == "projected" else PROJECTIONS
    check_choice(f"with codes={codes!r}, projection", projection, (*kinds, None))
    gate = _encoder_gate(encoder, gate, form)
    if code_dim is not None:
        check_integer("code_dim", code_dim, most=facts.d)
    generator = stream(seed, "weights")
    keys, rows = distinct_keys(facts)
    chosen, chosen_for, lost = None, code_dim, torch.zeros(0)
    shares = FILLS if fill is None and encoder != "random-gates" else [1.0 if fill is None else fill] * TRIES
    for tried, share in enumerate(shares, 1):
        layout = {"encoder": encoder, "gate": gate, "fill": share, "form": form}
        allowed = _code_dim_for(facts, width, code_dim, chosen is None, **layout)
        if chosen is None or allowed != chosen_for:  # smaller buckets leave a fixed width less room for codes
            chosen, chosen_for = choose_codes(facts, codes, allowed, seed, strict, projection), allowed
        wanted = chosen.codes[facts.targets[rows]]
        if form == "relu":
            mlp = plain_relu_mlp(keys, wanted, chosen.projection, generator, fill=share)
        else:
            mlp = ENCODERS[encoder](keys, wanted, generator, gate=gate, fill=share).followed_by(chosen.projection)
        mlp = mlp.to(facts.keys.dtype)
        if not strict:
            return mlp
        lost = _lost_rows(mlp, facts, chosen, count_all=tried == len(shares))
        if len(lost) == 0:
            return mlp
    raise ValueError(
        f"{len(lost)} of {len(facts)} facts are lost, the first in row {int(lost[0])}, though their codes decode: "
        f"keys that nearly coincide or are parallel cannot be told apart in {facts.keys.dtype}. Remove such keys, "
        f"allow more width or convert the facts to float64."
    )


def units_per_coordinate(
    facts: FactSet,
    *,
    encoder: str = "buckets",
    gate: str | None = None,
    fill: float | None = None,
    form: str = "gated",
) -> int:
    """Hidden units that one code coordinate takes: ⌈n/d⌉, or 2⌈n/d⌉ − 1 where two ReLUs make a ramp.

    ⌈n/(d + 1)⌉ with form='relu', and once more that many for all coordinates together.
    """
    gate = _encoder_gate(encoder, gate, form)
    rank = key_rank(facts.keys if form == "gated" else append_one(facts.keys))
    unknowns = 2 * rank if encoder == "gradient" else rank  # of a unit
    units = n_buckets(len(facts), unknowns, 1.0 if fill is None else fill)
    return 2 * units - 1 if encoder == "buckets" and gate == "relu" else units


def _encoder_gate(encoder: str, gate: str | None, form: str) -> str:
    check_choice("encoder", encoder, ENCODERS)
    check_choice("form", form, ("gated", "relu"))
    if form == "relu" and (encoder != "buckets" or gate not in (None, "step")):
        raise ValueError("form='relu' rewrites the step-gated buckets: leave encoder and gate at their defaults")
    return gate or GATES_OF[encoder]


def _code_dim_for(facts: FactSet, width: int | None, code_dim: int | None, first: bool, **layout) -> int | None:
    """The code dimension that ``width`` leaves room for, or the one asked for; None when both are free."""
    if width is None:
        return code_dim
    units = units_per_coordinate(facts, **layout)
    shared = units if layout["form"] == "relu" else 0  # one unit more per bucket
    least = units * (code_dim or 1) + shared
    if width < least:
        smaller = "" if first else " in smaller buckets, which the conditioning of the keys calls for,"
        raise ValueError(
            f"width {width} is too small: {len(facts)} keys in d = {facts.d}{smaller} need {units} hidden units per "
            f"code coordinate, so at least {least}"
        )
    return code_dim or min(facts.d, (width - shared) // units)


@torch.no_grad()
def _lost_rows(mlp: GatedMLP, facts: FactSet, chosen: Codes, count_all: bool) -> Tensor:
    """Facts whose margin is not above what an error of the size of this one's rounding error could undo.

    Not all of them unless ``count_all``: one block with a lost fact is enough to try another cut.
    """
    intended = chosen.outputs[facts.targets]
    longest, safe = facts.values.norm(dim=1).amax(), []
    for rows in blocks_of_rows(mlp, facts):
        outputs = mlp(facts.keys[rows])
        error = (outputs - intended[rows]).norm(dim=1)
        safe.append(output_margins(outputs, facts.targets[rows], facts.values) > 2 * error * longest)
        if not (count_all or safe[-1].all()):
            break
    return (~torch.cat(safe)).nonzero().flatten()


METHODS: dict[str, Callable[..., GatedMLP]] = {
    "encoder-decoder": encoder_decoder,
    "ntk": ntk,
    "one-hot": one_hot,
    "hebbian": hebbian,
    "max-margin": max_margin,
    "block-convex": block_convex,
    "trained": trained,
}
