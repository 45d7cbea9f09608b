"""The pairs that are hardest to tell apart, against pictures in the plane and the separators that bind."""

import math

import pytest
import torch

from factapp.confusable import most_confusable
from factcore.geometry import decodability


def sphere(v: int, d: int, seed: int = 0) -> torch.Tensor:
    x = torch.randn(v, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x / x.norm(dim=1, keepdim=True)


def cross(d: int) -> torch.Tensor:
    return torch.cat([torch.eye(d), -torch.eye(d)]).double()


def test_most_confusable_names_the_binding_pair():
    # A square with a flat roof: its ridge sees its two nearest corners at almost a straight angle.
    x = torch.tensor([[0.0, 0], [10, 0], [10, 10], [0, 10], [5, 10.1]], dtype=torch.float64)
    first = most_confusable(x, 1, names=list("abcde"))[0]
    assert first.i == 4 and first.j in (2, 3) and first.names == ("e", "dc"[first.j == 2])
    assert first.margin == pytest.approx(math.cos(math.atan2(5, 0.1)), abs=1e-6)


def test_most_confusable_is_sorted_unique_and_attained():
    x = sphere(120, 6)
    result = decodability(x)
    pairs = most_confusable(x, 15, result=result)
    assert len(pairs) == 15 == len({frozenset(p[:2]) for p in pairs})
    assert [p.margin for p in pairs] == sorted(p.margin for p in pairs) and pairs[0].margin == result.rho
    for i, j, margin, _ in pairs:  # the partner's constraint is active at the separator
        z = torch.nn.functional.normalize(x[i] - x[j], dim=0)
        assert (z @ result.separators[i]).item() == pytest.approx(margin, abs=1e-5)


def test_most_confusable_pairs_twins_and_interior_rows():
    x = torch.cat([cross(3), cross(3)[1:2], torch.tensor([[0.1, 0, 0]], dtype=torch.float64)])
    pairs = most_confusable(x, 3)
    assert {frozenset(p[:2]) for p in pairs if p.margin == 0} >= {frozenset((1, 6))}
    assert any(7 in p[:2] for p in pairs)


@pytest.mark.parametrize(
    "options, got",
    [
        ({"k": 0}, r"got 0 and \(9, 9, 9\)"),
        ({"names": ["a"]}, r"got 10 and \(9, 1, 9\)"),
        ({"result": decodability(torch.eye(3))}, r"got 10 and \(9, 9, 3\)"),
    ],
)
def test_most_confusable_bad_input_is_named(options, got):
    with pytest.raises(ValueError, match="k must be ≥ 1, values, names and result of one length, " + got):
        most_confusable(torch.eye(9), **options)
