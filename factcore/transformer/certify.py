"""What an MLP is proved to take, and what a whole transformer is proved to answer. Angles are in degrees."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from factcore.facts import FactSet
from factcore.mlp import GatedMLP, gate_and_slope
from factcore.scoring import output_margins
from factcore.support import row_blocks
from factcore.transformer.attention import certified_noise
from factcore.transformer.model import FactTransformer

# Largest |σ'| and |σ''|: within a step's or a ReLU's linear pieces; `certified_tolerance` stays inside them.
SLOPES = {"step": (0.0, 0.0), "relu": (1.0, 0.0), "identity": (1.0, 0.0), "silu": (1.1, 0.5)}
NUMBERS = 2**23  # held at once


@torch.no_grad()
def certified_tolerance(mlp: GatedMLP, facts: FactSet) -> Tensor:
    """Per key an angle (n,), float64, up to which it is proved to decode, whatever the direction.

    For x = k + δ, ‖δ‖ ≤ r, the margin against value j is at least m_j − r‖Jᵀ(v_f − v_j)‖ − r² c ‖v_f − v_j‖, with J
    the Jacobian at k and c a bound on what g does beyond its linear part (Taylor, from the weights' norms; r ≤ ‖k‖).
    Where gates have kinks, r also stays below the distance to the nearest one. The answer is the largest such r that
    leaves every margin positive, as an angle, in exact arithmetic; 0 where the key itself is lost, be it in the dtype
    of ``mlp`` alone. ValueError for another gate or network.
    """
    if not isinstance(mlp, GatedMLP) or mlp.up is None or mlp.gate not in SLOPES:
        raise ValueError(f"a certificate needs a GatedMLP with an up projection and a gate of {sorted(SLOPES)}")
    slope, bend = SLOPES[mlp.gate]
    gates, up, down = mlp.gate_weight.double(), mlp.up.double(), mlp.down.double()
    gate_norm, up_norm, values = gates.norm(dim=1), up.norm(dim=1), facts.values.double()
    down_norm = torch.linalg.matrix_norm(down, ord=2)
    # Outputs lie in the range of ``down``, of dimension r (the code's, for an encoder-decoder): J has r rows there.
    # Directions below 1e-12 of the largest are mostly rounding of the decomposition. They are left out of J, and what
    # they could do is added to the bound, with the rounding of the rest.
    left, stretch, inner = torch.linalg.svd(down, full_matrices=False)
    rank = int((stretch > 1e-12 * stretch[0]).sum())
    inner, seen = stretch[:rank, None] * inner[:rank], values @ left[:, :rank]  # (r, h), (v, r)
    dropped = torch.linalg.matrix_norm(down - left[:, :rank] @ inner)
    radii = []
    for rows in row_blocks(len(facts), values.numel() + up.numel(), values.device, entries=NUMBERS):
        keys, right = facts.keys[rows].double(), facts.targets[rows]
        size = keys.norm(dim=1, keepdim=True)  # (b, 1)
        z = keys @ gates.T + (0 if mlp.gate_bias is None else mlp.gate_bias.double())
        opened, tilted = gate_and_slope(mlp.gate, z)  # (b, h)
        raised = keys @ up.T
        beyond = bend / 2 * gate_norm**2 * (raised.abs() + size * up_norm) + slope * gate_norm * up_norm
        curve = (down_norm * beyond.norm(dim=1))[:, None]  # c (b, 1)
        slopes = opened[:, :, None] * up + (tilted * raised)[:, :, None] * gates  # of the hidden units (b, h, d)
        pulled = seen @ torch.linalg.qr((inner @ slopes).mT, mode="r").R.mT  # Jᵀ v_j (b, v, r), but for a rotation
        apart = torch.cdist(values[right], values, compute_mode="donot_use_mm_for_euclid_dist")  # (b, v)
        linear = (pulled[torch.arange(len(right), device=right.device), right][:, None] - pulled).norm(dim=2)
        linear += dropped * torch.linalg.matrix_norm(slopes)[:, None] * apart  # (b, v)
        scores = (opened * raised) @ down.T @ values.T
        margin = scores.gather(1, right[:, None]) - scores  # (b, v)
        square = curve * apart
        root = 2 * margin / (linear + (linear**2 + 4 * square * margin.clamp_min(0)).sqrt()).clamp_min(1e-300)
        root.scatter_(1, right[:, None], torch.inf)
        radius = torch.minimum(root.amin(dim=1), size[:, 0])
        radius *= output_margins(mlp(facts.keys[rows].to(mlp.down)), right, facts.values.to(mlp.down)) > 0
        if mlp.gate in ("step", "relu"):
            radius = torch.minimum(radius, (z.abs() / gate_norm).nan_to_num(torch.inf, posinf=torch.inf).amin(dim=1))
        radii.append(2 * torch.rad2deg((radius.clamp_min(0) / (2 * size[:, 0])).asin()))
    return torch.cat(radii)


def certified_recall(model: FactTransformer, targets: Tensor) -> float:
    """Share of the keys that ``model`` is proved to answer with ``targets`` (n,), in every sequence of the task.

    For those the angle that attention never exceeds (`attention.certified_noise`) is below the one that the model's MLP
    is proved to take (`certified_tolerance`) around the key as the norm before the MLP leaves it. A proof in exact
    arithmetic; the model computes in its dtype. ValueError where either bound is not to be had.
    """
    if not isinstance(model.mlp, GatedMLP):
        raise ValueError("a certificate needs a GatedMLP in the model; insert one first")
    noise, keys = certified_noise(model), model.embedding.detach()[: model.n_facts].double()
    arriving = FactSet(model.key_norm * normalize(keys, dim=1), model.head.detach().double(), targets)
    return float((noise < certified_tolerance(model.mlp, arriving)).double().mean())
