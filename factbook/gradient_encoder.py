"""The paper's other encoder: gates and up projection by gradient steps, for the page that compares it."""

from __future__ import annotations

import torch
from torch import Tensor

from factcore.constructions.decoder import choose_codes
from factcore.constructions.encoder import Encoder, key_rank, n_buckets
from factcore.facts import FactSet, distinct_keys
from factcore.mlp import GatedMLP
from factcore.scoring import lost_rows
from factcore.support.streams import stream


def gradient_encoder_decoder(facts: FactSet, code_dim: int, *, fill: float = 1.0, seed: int = 0) -> GatedMLP:
    """The encoder-decoder with separator codes of length ``code_dim`` and `encode_by_gradient`; ``mlp.lost`` is set."""
    keys, rows = distinct_keys(facts)
    codes = choose_codes(facts, "separators", code_dim, seed)
    hidden = encode_by_gradient(keys, codes.codes[facts.targets[rows]], stream(seed, "weights"), fill=fill)
    mlp = hidden.followed_by(codes.projection).to(facts.keys.dtype)
    mlp.lost = lost_rows(mlp, facts)
    return mlp


@torch.enable_grad()
def encode_by_gradient(
    keys: Tensor, codes: Tensor, generator: torch.Generator, *, fill: float = 1.0, steps: int = 2000, lr: float = 0.1
) -> Encoder:
    """Gates and up projection by gradient steps: full-batch Adam on the squared error of the codes, cosine decay.

    enc(x)_c = Σ_j ⟨g_cj, x⟩⟨a_cj, x⟩ over p = ⌈n / (2·fill·d)⌉ units: each has 2d free numbers where one of the closed
    forms has d, so half as many units have as many unknowns as equations. How close to the codes the steps come is not
    guaranteed; a lower ``fill`` brings them closer. h = m·p.

    keys (n, d) of about one norm and codes (n, m), both float64.
    """
    (n, d), m = keys.shape, codes.shape[1]
    units = n_buckets(n, 2 * key_rank(keys), fill)
    scale, spread = d**0.5 / keys.norm(dim=1).mean(), codes.square().mean().sqrt()
    size = torch.tensor([d**-0.5, (d * units) ** -0.5], dtype=torch.float64)  # outputs then begin at about 1
    weights = torch.randn(2, m * units, d, generator=generator, dtype=torch.float64) * size[:, None, None]
    weights = weights.to(keys).requires_grad_()
    optimiser = torch.optim.Adam([weights], lr=lr * d**-0.5)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        gates, up = (scale * keys) @ weights.mT
        loss = ((gates * up).view(n, m, units).sum(dim=2) - codes / spread).square().mean()
        (weights.grad,) = torch.autograd.grad(loss, weights)
        optimiser.step()
        decay.step()
    gates, up = scale * weights.detach()
    coordinate = torch.arange(m, device=keys.device).repeat_interleave(units)
    return Encoder(gates, None, spread * up, coordinate, "identity", weights.numel())
