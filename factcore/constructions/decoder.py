"""Decoders: a projection D and codes that pick the right value through it (paper section 4).

The value j scores ⟨c, w_j⟩ with w_j = Dᵀ v_j, so a code c decodes to i when it separates w_i from every other w_j.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from factcore.constructions.optimised import fitted_projection
from factcore.constructions.projection import LEAST_MARGIN, equal_norms, placed_projection, short_projection, shortest
from factcore.facts import FactSet
from factcore.geometry import QUICK_FROM, decodability, quick_separators
from factcore.scoring import normalised_margins
from factcore.support import stream

CODES = ("separators", "projected")
CODE_TOLERANCE = 0.05  # a code needs a clear margin, not the last digit of the largest one


class Codes(NamedTuple):
    """D (e, m), one unit code per value (v, m), and each code's smallest normalised margin (v,)."""

    projection: Tensor
    codes: Tensor
    margins: Tensor

    @property
    def outputs(self) -> Tensor:
        """D c_i, what an MLP puts out for value i: (v, e)."""
        return self.codes @ self.projection.T


def choose_codes(facts: FactSet, kind: str, code_dim: int | None, seed: int, projection: str | None = None) -> Codes:
    """Codes of dimension ``code_dim``, or of the smallest one at which every used value has a clear margin.

    ``kind`` is one of `CODES`; ``projection`` says how D is found for separator codes (see `short_projection`), and by
    default values that are affinely independent are placed on a circle or a sphere (`placed_projection`). `failing`
    tells the values without a margin: the code is too short, or the value lies in the hull of the others.
    """
    values, used = facts.values.double(), torch.unique(facts.targets)
    basis = projection_basis(facts.e, stream(seed, "projection")).to(values.device)
    if facts.n_values == 1:  # nothing to tell apart: any output will do
        m = code_dim or 1
        return Codes(basis[:, :m], torch.nn.functional.normalize(values.new_ones(1, m)), values.new_ones(1))
    if kind == "projected":
        separators = decodability(values).separators

        def attempt(m: int) -> Codes | None:
            codes = projected_codes(values, basis[:, :m], separators)
            return codes if m in (code_dim, len(basis)) or not len(failing(codes, used)) else None

        guess = 2 * (len(values) - 1).bit_length()
        found = shortest(attempt, guess, len(basis)) if code_dim is None else attempt(code_dim)
        assert found is not None  # the whole basis is always taken
        return found
    if code_dim is not None:
        return _of_length(code_dim, values, used, basis, projection)
    placed = placed_projection(values, used, facts.keys.dtype) if projection is None else None
    return separator_codes(values, short_projection(values, used, basis, projection) if placed is None else placed)


def _of_length(code_dim: int, values: Tensor, used: Tensor, basis: Tensor, projection: str | None) -> Codes:
    """Separator codes of length ``code_dim``: through the basis's first columns where these do, else a better D."""
    start = basis[:, :code_dim]
    chosen = separator_codes(values, start)
    if projection != "random" and code_dim < len(basis) and len(failing(chosen, used)):
        fit = fitted_projection if projection == "optimised" else equal_norms
        chosen = separator_codes(values, fit(values, used, start))
    return chosen


def failing(codes: Codes, used: Tensor) -> Tensor:
    """Those of the values ``used`` whose code has no clear margin."""
    return used[~(codes.margins[used] > LEAST_MARGIN)]


def projection_basis(d: int, generator: torch.Generator) -> Tensor:
    """A random orthonormal basis of R^d (d, d) in float64; its first m columns are the projection D.

    Orthonormal columns span what Gaussian ones span, and nested columns make a longer code never worse.
    """
    q, r = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))
    return q * r.diagonal().sign()  # type: ignore[no-any-return]


def separator_codes(values: Tensor, projection: Tensor) -> Codes:
    """c_i = the separator of w_i among the projected values: the code with the largest margin there is.

    From `QUICK_FROM` values on, a code whose margin is certified to exceed `CODE_TOLERANCE` is good enough.
    """
    projected = values @ projection
    if len(values) >= QUICK_FROM:
        everything = torch.arange(len(values), device=values.device)
        codes, lower = quick_separators(projected, everything, tol=LEAST_MARGIN / 4, enough=CODE_TOLERANCE)
        return Codes(projection, codes, lower)
    solved = decodability(projected, tol=CODE_TOLERANCE)
    codes, margins = solved.separators.clone(), solved.lower.clone()
    tight = (margins <= CODE_TOLERANCE).nonzero().flatten()
    if len(tight):
        solved = decodability(projected, tol=LEAST_MARGIN / 4, which=tight)
        codes[tight], margins[tight] = solved.separators[tight], solved.lower[tight]
    return Codes(projection, codes, margins)


def projected_codes(values: Tensor, projection: Tensor, separators: Tensor) -> Codes:
    """c_i = Dᵀ u_i with u_i the separator of v_i in R^d: the paper's codes, good when D nearly keeps angles."""
    codes = torch.nn.functional.normalize(separators @ projection, dim=1)
    own = torch.arange(len(codes), device=codes.device)
    return Codes(projection, codes, normalised_margins(codes, own, values @ projection))
