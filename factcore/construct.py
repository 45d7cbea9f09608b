"""`construct`: one entry for every way to build a fact-storing MLP; the paper's encoder-decoder is in this file."""

from __future__ import annotations

import inspect

import torch
from torch import Tensor

from factcore.decodability import decodability
from factcore.decoder import CODES, LEAST_MARGIN, Codes, projected_codes, projection_basis, separator_codes
from factcore.encoder import Encoder, encode_with_buckets, encode_with_random_gates, n_buckets
from factcore.facts import FactSet
from factcore.mlp import GatedMLP
from factcore.ntk import ntk
from factcore.recall import margins
from factcore.training import trained

TRIES = 4  # random cuts tried before a build is given up


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

    encoder: 'buckets' (gates 'step' or 'relu'; at most ``fill``·d keys a bucket, 1 by default, 0.8 with 'relu', whose
    steep ramps want better conditioned systems) or 'random-gates' (any gate, 'silu' by default). codes: 'separators' of the projected values, or 'projected' separators (the paper's). code_dim: m,
    None for the smallest that stores everything; h = m·⌈n/d⌉ (with 'relu' buckets m·(2⌈n/d⌉ − 1)).

    The result has been verified: every fact decodes in the dtype of ``facts``. With ``strict=False`` a network that
    loses facts is returned all the same; by default ValueError names the first row that is lost.
    """
    gate, fill = _encoder_defaults(encoder, gate, fill)
    if codes not in CODES:
        raise ValueError(f"codes must be one of {list(CODES)}, got {codes!r}")
    generator = torch.Generator().manual_seed(seed)
    units = units_per_coordinate(facts, encoder=encoder, gate=gate, fill=fill if encoder == "buckets" else None)
    code_dim = _code_dim_for(facts, width, code_dim, units)
    chosen = _choose_codes(facts, codes, code_dim, generator, strict)
    keys, rows = _distinct_keys(facts)
    per_key = chosen.codes[facts.targets[rows]]
    for _ in range(TRIES):
        if encoder == "buckets":
            hidden = encode_with_buckets(keys, per_key, generator, gate=gate, fill=fill)
        else:
            hidden = encode_with_random_gates(keys, per_key, generator, gate=gate)
        mlp = _assemble(hidden, chosen.projection, facts.keys.dtype)
        lost = (~(margins(mlp, facts) > 0)).nonzero().flatten()
        if len(lost) == 0 or not strict:
            return mlp
    raise ValueError(
        f"{len(lost)} of {len(facts)} facts are lost, the first in row {int(lost[0])}, though their codes decode: "
        f"keys that nearly coincide or are parallel cannot be told apart in {facts.keys.dtype}. Remove such keys, "
        f"take fill < 1 (smaller buckets) or convert the facts to float64."
    )


def units_per_coordinate(
    facts: FactSet, *, encoder: str = "buckets", gate: str | None = None, fill: float | None = None
) -> int:
    """Hidden units that one code coordinate takes: ⌈n/d⌉, or 2⌈n/d⌉ − 1 where two ReLUs make a ramp."""
    gate, fill = _encoder_defaults(encoder, gate, fill)
    units = n_buckets(len(facts), facts.d, fill)
    return 2 * units - 1 if encoder == "buckets" and gate == "relu" else units


def _encoder_defaults(encoder: str, gate: str | None, fill: float | None) -> tuple[str, float]:
    if encoder == "buckets":
        return gate or "step", (0.8 if gate == "relu" else 1.0) if fill is None else fill
    if encoder == "random-gates":
        if fill is not None:
            raise ValueError("fill belongs to encoder='buckets'")
        return gate or "silu", 1.0
    raise ValueError(f"encoder must be 'buckets' or 'random-gates', got {encoder!r}")


def _code_dim_for(facts: FactSet, width: int | None, code_dim: int | None, units: int) -> int | None:
    """The code dimension that ``width`` leaves room for, or the one asked for; None when both are free."""
    d = facts.d
    if code_dim is not None and (not isinstance(code_dim, int) or not 1 <= code_dim <= d):
        raise ValueError(f"code_dim must be an integer from 1 to d = {d}, got {code_dim!r}")
    if width is None:
        return code_dim
    if width < units * (code_dim or 1):
        raise ValueError(
            f"width {width} is too small: {len(facts)} keys in d = {d} need {units} hidden units per code "
            f"coordinate, so at least {units * (code_dim or 1)}"
        )
    return code_dim or min(d, width // units)


def _choose_codes(
    facts: FactSet, kind: str, code_dim: int | None, generator: torch.Generator, strict: bool
) -> Codes:
    """Codes of dimension ``code_dim``, or of the smallest one at which every used value has a clear margin."""
    values = facts.values.double()
    used = torch.unique(facts.targets)
    basis = projection_basis(facts.d, generator).to(values.device)
    solved = decodability(values) if kind == "projected" and facts.n_values > 1 else None
    tried: dict[int, Codes] = {}

    def failing(m: int) -> Tensor:
        if m not in tried:
            projection = basis[:, :m]
            if facts.n_values == 1:  # nothing to tell apart: any output will do
                tried[m] = Codes(projection, values.new_ones(1, m), values.new_ones(1))
            elif solved is None:
                tried[m] = separator_codes(values, projection)
            else:
                tried[m] = projected_codes(values, projection, solved.separators)
        return used[~(tried[m].margins[used] > LEAST_MARGIN)]

    def smallest() -> int:
        """Double, then bisect: a longer code is never worse for separators, and nearly never for projections."""
        high = min(facts.d, max(2, int(facts.n_values - 1).bit_length()))
        low = 0
        while len(failing(high)) and high < facts.d:
            low, high = high, min(facts.d, max(high + 1, high * 3 // 2))
        while high - low > 1:
            middle = (low + high + 1) // 2 if low else max(1, high * 3 // 4)
            low, high = (middle, high) if len(failing(middle)) else (low, middle)
        return high

    m = code_dim or smallest()
    lost = failing(m)
    if strict and len(lost):
        row, count = int(lost[0]), len(lost)
        if m == facts.d:
            why = "it lies in (or too near) the convex hull of the others, so no output can pick it"
        else:
            why = f"a code of dimension {m} is too short; leave code_dim and width free to find one that is not"
        raise ValueError(f"{count} of {len(used)} values cannot be decoded, the first is values[{row}]: {why}")
    return tried[m]


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


METHODS = {"encoder-decoder": encoder_decoder, "ntk": ntk, "trained": trained}
