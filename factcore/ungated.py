"""The encoder-decoder without gates: a plain ReLU MLP g(x) = W₂ relu(W₁ x + b)."""

from __future__ import annotations

import torch
from torch import Tensor

from factcore.encoder import Encoder, encode_with_buckets
from factcore.mlp import GatedMLP

SAFETY = 1.01  # the slope s is so much larger than the keys ask for


def plain_relu_mlp(
    keys: Tensor, codes: Tensor, projection: Tensor, generator: torch.Generator, *, fill: float
) -> GatedMLP:
    """D enc(x) with enc(k_i) = c_i, h = (m + 1)·⌈n/(d + 1)⌉ ungated ReLU units, (2d + 1) h parameters.

    The bucket encoder's unit is 1[z > 0]·a with a gate's argument z = ⟨g, x⟩ − t and a linear a = ⟨a, x⟩ + β. At the
    keys it equals relu(s z + a) − relu(s z) once s z and s z + a agree in sign there: s ≥ max_i −a(k_i)/z(k_i). All
    m units of a bucket share z, so relu(z) is one unit more, which gets −Σ_c s_c D_c as its down column. A ReLU unit
    has a bias, so buckets solve for an affine map: they hold d + 1 keys, not d.

    keys (n, d) distinct, codes (n, m) and projection D (d, m), in float64 like the result.
    """
    affine = append_one(keys)
    hidden = encode_with_buckets(affine, codes, generator, gate="step", fill=fill)
    return ungate(hidden, affine, projection)


def append_one(keys: Tensor) -> Tensor:
    """Keys with a constant, of their own typical size, as one more coordinate (n, d + 1): linear becomes affine."""
    size = keys.norm(dim=1).mean()
    return torch.cat([keys, torch.where(size > 0, size, 1.0).expand(len(keys), 1)], dim=1)


def ungate(hidden: Encoder, affine: Tensor, projection: Tensor) -> GatedMLP:
    """The plain ReLU MLP of a step-gated encoder of m units per bucket over ``affine`` keys (n, d + 1)."""
    m, constant = projection.shape[1], affine[0, -1]
    assert hidden.gate == "step" and hidden.gate_bias is not None
    gates, offset = hidden.gate_weight[::m], hidden.gate_bias[::m]  # (B, d + 1), (B,): one gate per bucket
    gates, offset, steps = _from_the_middle(gates, offset, hidden.up.unflatten(0, (-1, m)))
    arguments = affine @ gates.T + offset  # (n, B), z
    slope = torch.stack([_slope(affine @ step.T, z) for step, z in zip(steps, arguments.T)])  # (B, m)
    # Per bucket its m units and then relu(z): what cancels is added up together.
    slope = torch.cat([slope, torch.ones_like(slope[:, :1])], dim=1)  # (B, m + 1)
    rows = slope[:, :, None] * gates[:, None, :] + torch.nn.functional.pad(steps, (0, 0, 0, 1))  # (B, m + 1, d + 1)
    bias = slope * offset[:, None] + constant * rows[:, :, -1]
    columns = projection.T.expand(len(gates), -1, -1)  # (B, m, d)
    down = torch.cat([columns, -slope[:, None, :-1] @ columns], dim=1)  # (B, m + 1, d)
    return GatedMLP(
        rows[:, :, :-1].flatten(0, 1),
        None,
        down.flatten(0, 1).T,
        gate="relu",
        gate_bias=bias.flatten(),
        n_solved=rows.numel() + projection.numel(),
    )


def _from_the_middle(gates: Tensor, offset: Tensor, steps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same encoder with its middle bucket always open: gates above it open upwards, those below it downwards.

    Half as many gates are open at once and their arguments are half as large, so less is added and taken away.
    """
    middle = len(gates) // 2
    sign = torch.ones_like(offset)
    sign[1 : middle + 1] = -1
    base = steps[: middle + 1].sum(dim=0, keepdim=True)
    steps = torch.cat([base, sign[1:, None, None] * steps[1:]])
    return sign[:, None] * gates, sign * offset, steps


def _slope(linear: Tensor, argument: Tensor) -> Tensor:
    """Smallest s ≥ 0 for which s z + a has the sign of z at every key; linear (n, m), argument (n,) → (m,)."""
    return SAFETY * (-linear / argument[:, None]).amax(dim=0).clamp_min(0)
