"""Whitening: unit covariance, its inverse, and what it does to a linear stretch."""

import math

import pytest
import torch

from factbook.geometries import whiten
from factcore.geometry import decodability


def sphere(v: int, d: int, seed: int = 0) -> torch.Tensor:
    x = torch.randn(v, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x / x.norm(dim=1, keepdim=True)


def test_whiten_gives_unit_covariance_and_its_inverse():
    x = sphere(200, 6) * torch.arange(1.0, 7) + 3
    white, unwhiten = whiten(x)
    assert torch.allclose(torch.cov(white.T, correction=0), torch.eye(6, dtype=torch.float64), atol=1e-10)
    assert torch.allclose(white.mean(0), torch.zeros(6, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(unwhiten(white), x, atol=1e-12)
    rest = whiten(x.float(), ridge=0.1)
    assert rest[0].dtype == torch.float32 and torch.allclose(rest[1](rest[0]), x.float(), atol=1e-5)
    variance = torch.linalg.eigvalsh(torch.cov(rest[0].double().T, correction=0))
    spectrum = torch.linalg.eigvalsh(torch.cov(x.T, correction=0))
    assert torch.allclose(variance, spectrum / (spectrum + 0.1 * spectrum.mean()), atol=1e-5)


def test_whitening_undoes_a_linear_stretch():
    stretch = torch.linspace(1, 30, 16, dtype=torch.float64)
    stretched = sphere(300, 16) * stretch
    assert decodability(whiten(stretched)[0]).rho > decodability(stretched).rho + 0.1


@pytest.mark.parametrize(
    ("values", "ridge", "message"),
    [
        (torch.zeros(3), 0, "2-D tensor"),
        (torch.zeros(3, 2, dtype=torch.int32), 0, "floating dtype, got torch.int32"),
        (torch.eye(3), -1, "ridge must be non-negative, got -1"),
        (torch.eye(4), 0, "rank 3 of 4: pass ridge"),
        (torch.tensor([[0.0], [math.nan]]), 0, "NaN .* row 1"),
    ],
)
def test_whiten_bad_input_is_named(values, ridge, message):
    with pytest.raises(ValueError, match=message):
        whiten(values, ridge)
