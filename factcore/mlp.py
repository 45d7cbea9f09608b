"""The one network that every construction returns (paper section 2)."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from factcore.support import check_choice

GATES: dict[str, Callable[[Tensor], Tensor]] = {
    "step": lambda z: (z > 0).to(z.dtype),
    "relu": torch.relu,
    "gelu": nn.functional.gelu,
    "silu": nn.functional.silu,
    "identity": lambda z: z,
}


def gate_and_slope(gate: str, z: Tensor) -> tuple[Tensor, Tensor]:
    """σ(z) and σ'(z), entry by entry; the slope of a step is 0."""
    with torch.inference_mode(False), torch.enable_grad():
        z = z.detach().clone().requires_grad_()
        opened = GATES[gate](z)
        slope = torch.zeros_like(z) if gate == "step" else torch.autograd.grad(opened.sum(), z)[0]
    return opened.detach(), slope


class GatedMLP(nn.Module):
    """g(x) = W_down (σ(W_gate x + b) ⊙ (W_up x)), mapping (…, d) to (…, e).

    ``gate_weight`` and ``up`` are (h, d), ``down`` is (e, h), ``gate_bias`` is (h,) or None, ``gate`` names σ:
    one of `GATES`. ``up=None`` makes it the plain, ungated MLP g(x) = W_down σ(W_gate x + b). The weights are frozen;
    ``n_solved`` of them were computed from the facts, the rest follow from a seed. ``lost`` holds the rows of the facts
    that `construct` found lost, None before it has looked.
    """

    gate_weight: Tensor
    up: Tensor | None
    down: Tensor
    gate_bias: Tensor | None

    def __init__(
        self,
        gate_weight: Tensor,
        up: Tensor | None,
        down: Tensor,
        *,
        gate: str,
        gate_bias: Tensor | None = None,
        n_solved: int | None = None,
    ) -> None:
        super().__init__()
        check_choice("gate", gate, GATES)
        self.gate = gate
        for name, weight in {"gate_weight": gate_weight, "up": up, "down": down, "gate_bias": gate_bias}.items():
            frozen = None if weight is None else nn.Parameter(weight.detach().clone(), requires_grad=False)
            self.register_parameter(name, frozen)
        self.n_solved = self.n_params if n_solved is None else n_solved
        self.solves: list[dict[str, float]] = []  # of a construction by convex solves, their certificates
        self.lost: Any = None  # (k,) int64

    @property
    def width(self) -> int:
        """h, the number of hidden units."""
        return len(self.gate_weight)

    @property
    def n_params(self) -> int:
        """Dense count: (2d + e)h, or (d + e)h where ungated, and h more where the gates have biases."""
        return sum(weight.numel() for weight in self.parameters())

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.gate_weight.shape[1]:
            raise ValueError(f"the MLP takes inputs of size {self.gate_weight.shape[1]}, got {x.shape[-1]}")
        return self.hidden(x) @ self.down.T  # (…, e)

    def hidden(self, x: Tensor) -> Tensor:
        """The hidden units σ(W_gate x + b) ⊙ (W_up x), what the down projection gets: (…, d) to (…, h)."""
        opened = GATES[self.gate](nn.functional.linear(x, self.gate_weight, self.gate_bias))
        return opened if self.up is None else opened * (x @ self.up.T)

    def extra_repr(self) -> str:
        kind = "ungated, " if self.up is None else ""
        return f"d={self.gate_weight.shape[1]}, width={self.width}, {kind}gate={self.gate!r}, n_params={self.n_params}"
