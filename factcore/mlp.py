"""The one network that every construction returns (spec sections 1 and 3; paper section 2)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

GATES: dict[str, Callable[[Tensor], Tensor]] = {
    "step": lambda z: (z > 0).to(z.dtype),
    "relu": torch.relu,
    "silu": nn.functional.silu,
    "identity": lambda z: z,
    # Hermite polynomials normalised to unit variance on a standard normal argument.
    "hermite2": lambda z: (z * z - 1) / 2**0.5,
    "hermite3": lambda z: (z**3 - 3 * z) / 6**0.5,
}


class GatedMLP(nn.Module):
    """g(x) = W_down (σ(W_gate x + b) ⊙ (W_up x)), mapping (…, d) to (…, d).

    ``gate_weight`` and ``up`` are (h, d), ``down`` is (d, h), ``gate_bias`` is (h,) or None, ``gate`` names σ:
    one of `GATES`. The weights are frozen (requires_grad is off); ``n_solved`` counts the numbers that were
    computed from the facts, the rest follow from a seed.
    """

    def __init__(
        self,
        gate_weight: Tensor,
        up: Tensor,
        down: Tensor,
        *,
        gate: str,
        gate_bias: Tensor | None = None,
        n_solved: int | None = None,
    ) -> None:
        super().__init__()
        if gate not in GATES:
            raise ValueError(f"gate must be one of {sorted(GATES)}, got {gate!r}")
        frozen = lambda weight: nn.Parameter(weight.detach().clone(), requires_grad=False)  # noqa: E731
        self.gate = gate
        self.gate_weight, self.up, self.down = frozen(gate_weight), frozen(up), frozen(down)
        self.gate_bias = None if gate_bias is None else frozen(gate_bias)
        self.n_solved = self.n_params if n_solved is None else n_solved

    @property
    def width(self) -> int:
        """h, the number of hidden units."""
        return len(self.up)

    @property
    def n_params(self) -> int:
        """Dense count: 3dh, and h more where the gates have biases."""
        return sum(weight.numel() for weight in self.parameters())

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.up.shape[1]:
            raise ValueError(f"the MLP takes inputs of size {self.up.shape[1]}, got {x.shape[-1]}")
        gates = GATES[self.gate](nn.functional.linear(x, self.gate_weight, self.gate_bias))  # (…, h)
        return (gates * (x @ self.up.T)) @ self.down.T  # (…, d)

    def extra_repr(self) -> str:
        return f"d={self.up.shape[1]}, width={self.width}, gate={self.gate!r}, n_params={self.n_params}"
