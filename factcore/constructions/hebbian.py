"""Hebbian memories with bilinear features, raw, whitened and data-dependent (Garcia et al. 2026, arXiv 2607.10034)."""

from collections.abc import Callable

import torch
from torch import Tensor

from factcore.constructions.decoder import choose_codes
from factcore.facts import FactSet, distinct_keys
from factcore.mlp import GatedMLP
from factcore.support import check_choice, stream

VARIANTS = ("raw", "whitened", "data-dependent")
TARGETS = ("values", "separators")
RESIDUAL = 1e-5  # relative, at which conjugate gradients stop


def hebbian(
    facts: FactSet, width: int, seed: int, *, variant: str = "whitened", targets: str = "values", ridge: float = 1e-6
) -> GatedMLP:
    """g(x) = W φ(x) with φ(x) = (A₀x) ⊙ (A₁x): identity gates, h bilinear features, (2d + e)h parameters.

    variant: 'raw', A₀ and A₁ drawn and W averaged, (1/n) Σ_i t_i φ(k_i)ᵀ with the targets t_i = v_f(i); 'whitened', W a
    linear solve, the ridge regression of t_i on φ(k_i); 'data-dependent', first A₁, then A₀ refitted by linear solves
    (`refit_factor`, with the raw W), then W as in 'whitened'. targets: 'values', or 'separators' of the values.
    ``ridge`` is relative to the mean eigenvalue of the system that is solved. Work is in float64.

    φ spans d(d + 1)/2 dimensions however large h is, so far more facts than that cannot be stored; 'raw' stores still
    fewer. Several equal keys count as one. ValueError for an option out of range.
    """
    check_choice("variant", variant, VARIANTS)
    check_choice("targets", targets, TARGETS)
    if not 0 <= ridge < 1:
        raise ValueError(f"ridge must lie in [0, 1), got {ridge}")
    keys, rows = distinct_keys(facts)
    values = facts.values.double()
    aims = values if targets == "values" else choose_codes(facts, "separators", facts.e, seed).outputs  # (v, e)
    wanted = aims[facts.targets[rows]]  # (n', e)
    factors = torch.randn(2, width, facts.d, generator=stream(seed, "weights"), dtype=torch.float64)
    # Of keys of one norm ⟨a, k⟩ is then a standard normal.
    first, second = factors.to(keys) / keys.norm(dim=1).mean()
    readout = wanted.T @ features(keys, first, second) / len(keys)
    if variant == "data-dependent":
        second = refit_factor(keys, first, readout, values, facts.targets[rows], ridge)
        first = refit_factor(keys, second, readout, values, facts.targets[rows], ridge)
    if variant != "raw":
        readout = ridge_readout(features(keys, first, second), wanted, ridge)
    solved = readout.numel() * (3 if variant == "data-dependent" else 1)
    return GatedMLP(first, second, readout, gate="identity", n_solved=solved).to(facts.keys.dtype)


def features(keys: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """φ(k_i) = (A₀k_i) ⊙ (A₁k_i), shape (n, h)."""
    return (keys @ first.T) * (keys @ second.T)


def ridge_readout(phi: Tensor, wanted: Tensor, ridge: float) -> Tensor:
    """W = argmin Σ_i ‖W φ(k_i) − t_i‖² + λ‖W‖² (e, h), λ = ridge · the mean eigenvalue of the Gram matrix.

    W = TᵀΦ (ΦᵀΦ + λ)⁻¹ = Tᵀ (ΦΦᵀ + λ)⁻¹ Φ: whichever of the two systems is smaller is solved, with one step of
    iterative refinement.
    """
    narrow = phi.shape[1] <= len(phi)
    gram = phi.T @ phi if narrow else phi @ phi.T
    gram.diagonal().add_(ridge * gram.diagonal().mean())
    right = phi.T @ wanted if narrow else wanted
    factor = torch.linalg.lu_factor(gram)
    solution = torch.linalg.lu_solve(*factor, right)
    solution = solution + torch.linalg.lu_solve(*factor, right - gram @ solution)
    return solution.T if narrow else solution.T @ phi  # type: ignore[no-any-return]


def refit_factor(
    keys: Tensor, partner: Tensor, readout: Tensor, values: Tensor, targets: Tensor, ridge: float
) -> Tensor:
    """A = argmin Σ_i ‖V W ((B k_i) ⊙ (A k_i)) − e_f(i)‖² + λ‖A‖² (h, d): scores of all values against the right one.

    One ridge problem in hd unknowns for fixed ``partner`` B (h, d) and ``readout`` W (e, h); λ = ridge · the mean
    diagonal entry of its normal equations. Solved matrix-free by conjugate gradients, as far as good features need.
    The objective is that of the published code of arXiv 2607.10034.
    """
    other = keys @ partner.T  # (n, h)
    spread = values.T @ values  # (e, e)
    diagonal = ((readout * (spread @ readout)).sum(dim=0)[:, None]) * (other.square().T @ keys.square())  # (h, d)
    penalty = ridge * diagonal.mean()

    def normal_equations(factor: Tensor) -> Tensor:
        outputs = (other * (keys @ factor.T)) @ readout.T  # (n, e)
        return (other * (outputs @ spread @ readout)).T @ keys + penalty * factor

    right = (other * (values[targets] @ readout)).T @ keys
    return conjugate_gradients(normal_equations, right, diagonal + penalty)


def conjugate_gradients(
    apply: Callable[[Tensor], Tensor],
    right: Tensor,
    diagonal: Tensor | float = 1.0,
    *,
    steps: int = 200,
    start: Tensor | None = None,
) -> Tensor:
    """Solve apply(X) = right, apply linear, symmetric and positive definite, preconditioned by its ``diagonal``.

    From ``start`` (0). Stops at a residual of `RESIDUAL` relative to ``right``, or after ``steps`` steps.
    """
    solution = torch.zeros_like(right) if start is None else start.clone()
    residual = right.clone() if start is None else right - apply(start)
    scaled = residual / diagonal
    direction, product = scaled.clone(), (residual * scaled).sum()
    for _ in range(steps):
        if residual.norm() <= RESIDUAL * right.norm():
            break
        image = apply(direction)
        length = product / (direction * image).sum()
        solution += length * direction
        residual -= length * image
        scaled = residual / diagonal
        product, before = (residual * scaled).sum(), product
        direction = scaled + (product / before) * direction
    return solution
