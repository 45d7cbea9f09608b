"""`construct`: one entry for every way to build a fact-storing MLP; the paper's encoder-decoder is in this file."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from torch import Tensor

from factcore.decoder import CODES, Codes, choose_codes
from factcore.encoder import Encoder, encode_with_buckets, encode_with_random_gates, key_rank, n_buckets
from factcore.facts import FactSet
from factcore.mlp import GatedMLP
from factcore.ntk import ntk
from factcore.recall import margins
from factcore.training import trained

FILLS = (1.0, 1.0, 0.95, 0.9, 0.8, 0.65, 0.5)  # bucket fills tried in turn, each with a fresh random cut
TRIES = 4  # random draws tried at a fill that the caller chose


def construct(
    facts: FactSet, method: str = "encoder-decoder", *, width: int | None = None, seed: int = 0, **options
) -> GatedMLP:
    """Build an MLP that stores ``facts``.

    method: 'encoder-decoder' (see `encoder_decoder`), 'ntk' (see `ntk`) or 'trained' (see `trained`); their
    docstrings list the ``options``. ``width`` is the number of hidden units allowed; None means as few as the method
    finds it needs. The same seed gives the same network. ValueError for an unknown method or option, and for a
    width that is too small.
    """
    if not isinstance(facts, FactSet):
        raise ValueError(f"facts must be a FactSet, got {type(facts).__name__}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {list(METHODS)}, got {method!r}")
    if width is not None and (not isinstance(width, int) or width < 1):
        raise ValueError(f"width must be a positive integer or None, got {width!r}")
    known = list(inspect.signature(METHODS[method]).parameters)[3:]
    for name in options:
        if name not in known:
            raise ValueError(f"method {method!r} has no option {name!r}; it has {known}")
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
    strict: bool = True,
) -> GatedMLP:
    """The paper's construction g(x) = D enc(x), enc(k_i) = c_f(i) (paper section 4; spec section 3).

    encoder: 'buckets' (gates 'step' or 'relu') or 'random-gates' (any gate, 'silu' by default). codes: 'separators'
    of the projected values, or 'projected' separators (the paper's). code_dim: m, None for the smallest that stores
    everything; h = m·⌈n/d⌉ (with 'relu' buckets m·(2⌈n/d⌉ − 1)). fill: buckets hold at most fill·d keys; None starts
    at 1 and makes room where full buckets are too badly conditioned for the dtype of ``facts``. Where the keys span
    fewer than d dimensions, read their rank for d.

    The result has been verified: every fact decodes in the dtype of ``facts``, by more than the rounding error. With
    ``strict=False`` a network that loses facts is returned all the same; by default ValueError names the first row.
    """
    if codes not in CODES:
        raise ValueError(f"codes must be one of {list(CODES)}, got {codes!r}")
    gate = _encoder_gate(encoder, gate, fill)
    if code_dim is not None and (not isinstance(code_dim, int) or not 1 <= code_dim <= facts.d):
        raise ValueError(f"code_dim must be an integer from 1 to d = {facts.d}, got {code_dim!r}")
    generator = torch.Generator().manual_seed(seed)
    keys, rows = _distinct_keys(facts)
    chosen, chosen_for, lost = None, code_dim, torch.zeros(0)
    for share in FILLS if fill is None and encoder == "buckets" else [fill or 1.0] * TRIES:
        allowed = _code_dim_for(facts, width, code_dim, encoder=encoder, gate=gate, fill=share, first=chosen is None)
        if chosen is None or allowed != chosen_for:  # smaller buckets leave a fixed width less room for codes
            chosen, chosen_for = choose_codes(facts, codes, allowed, seed, strict), allowed
        hidden = _encode(encoder, keys, chosen.codes[facts.targets[rows]], generator, gate, share)
        mlp = _assemble(hidden, chosen.projection, facts.keys.dtype)
        lost = _lost_rows(mlp, facts, chosen)
        if len(lost) == 0 or not strict:
            return mlp
    raise ValueError(
        f"{len(lost)} of {len(facts)} facts are lost, the first in row {int(lost[0])}, though their codes decode: "
        f"keys that nearly coincide or are parallel cannot be told apart in {facts.keys.dtype}. Remove such keys, "
        f"allow more width or convert the facts to float64."
    )


def units_per_coordinate(
    facts: FactSet, *, encoder: str = "buckets", gate: str | None = None, fill: float | None = None
) -> int:
    """Hidden units that one code coordinate takes: ⌈n/d⌉, or 2⌈n/d⌉ − 1 where two ReLUs make a ramp."""
    gate = _encoder_gate(encoder, gate, fill if encoder == "buckets" else None)
    units = n_buckets(len(facts), key_rank(facts.keys), fill or 1.0)
    return 2 * units - 1 if encoder == "buckets" and gate == "relu" else units


def _encode(encoder: str, keys: Tensor, codes: Tensor, generator: torch.Generator, gate: str, fill: float) -> Encoder:
    if encoder == "buckets":
        return encode_with_buckets(keys, codes, generator, gate=gate, fill=fill)
    return encode_with_random_gates(keys, codes, generator, gate=gate)


def _encoder_gate(encoder: str, gate: str | None, fill: float | None) -> str:
    if encoder not in ("buckets", "random-gates"):
        raise ValueError(f"encoder must be 'buckets' or 'random-gates', got {encoder!r}")
    if encoder == "random-gates" and fill is not None:
        raise ValueError("fill belongs to encoder='buckets'")
    return gate or {"buckets": "step", "random-gates": "silu"}[encoder]


def _code_dim_for(facts: FactSet, width: int | None, code_dim: int | None, first: bool, **layout) -> int | None:
    """The code dimension that ``width`` leaves room for, or the one asked for; None when both are free."""
    if width is None:
        return code_dim
    units = units_per_coordinate(facts, **layout)
    if width < units * (code_dim or 1):
        smaller = "" if first else " in smaller buckets, which the conditioning of the keys calls for,"
        raise ValueError(
            f"width {width} is too small: {len(facts)} keys in d = {facts.d}{smaller} need {units} hidden units per "
            f"code coordinate, so at least {units * (code_dim or 1)}"
        )
    return code_dim or min(facts.d, width // units)


@torch.no_grad()
def _lost_rows(mlp: GatedMLP, facts: FactSet, chosen: Codes) -> Tensor:
    """Facts whose margin is not above what an error of the size of this one's rounding error could undo."""
    intended = (chosen.codes @ chosen.projection.T)[facts.targets]
    error = torch.cat([(mlp(k) - out).norm(dim=1) for k, out in zip(facts.keys.split(1024), intended.split(1024))])
    safe = margins(mlp, facts) > 2 * error * facts.values.norm(dim=1).amax()
    return (~safe).nonzero().flatten()


def _distinct_keys(facts: FactSet) -> tuple[Tensor, Tensor]:
    """The keys without repetitions in float64 (n', d), and a row of the fact set for each."""
    distinct, group = torch.unique(facts.keys, dim=0, return_inverse=True)
    rows = torch.empty(len(distinct), dtype=torch.int64, device=group.device)
    rows[group] = torch.arange(len(group), device=group.device)
    return distinct.double(), rows


def _assemble(hidden: Encoder, projection: Tensor, dtype: torch.dtype) -> GatedMLP:
    bias = None if hidden.gate_bias is None else hidden.gate_bias.to(dtype)
    return GatedMLP(
        hidden.gate_weight.to(dtype),
        hidden.up.to(dtype),
        projection[:, hidden.coordinate].to(dtype),
        gate=hidden.gate,
        gate_bias=bias,
        n_solved=hidden.n_solved,
    )


METHODS: dict[str, Callable[..., GatedMLP]] = {"encoder-decoder": encoder_decoder, "ntk": ntk, "trained": trained}
