"""A one-layer transformer that looks facts up in an MLP (paper section 5).

    junk … junk  K  junk … junk  Q   →  the value of K

One head of attention finds the key K and hands it to the MLP, written down beforehand, which turns it into its value.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, normalize

from factcore.facts import FactSet
from factcore.support import check_integer, stream
from factcore.transformer.task import JUNK, RUN

ROPE_BASE = 10_000.0
GAP = 5.0  # of logits: `insert` scales them so that, at half of the keys, the best value leads by this much


class FactTransformer(nn.Module):
    """Embedding → RMSNorm → attention → RMSNorm → MLP → scores of the values; no residual around either.

    The embeddings of the key tokens are the keys of ``facts`` and the head is its values, both frozen. Attention's
    value and output projections are the identity, so what reaches the MLP is a mixture of embeddings; the second norm
    gives it the norm of a key. Only the query and key projections and the first norm learn. ``residuals`` adds both
    residuals; whatever else should learn is told so by `requires_grad_`. ``junk`` and ``run`` are those of the task it
    is for (`recall_batch`), kept in ``task``.

    ValueError for a task that is none, and unless keys and values have one dimension d, an even one (RoPE turns pairs),
    and all keys have one norm (RMSNorm leaves directions only), not a tiny one.
    """

    turns: Tensor

    def __init__(
        self, facts: FactSet, *, seed: int = 0, residuals: bool = False, junk: int = JUNK, run: tuple[int, int] = RUN
    ) -> None:
        super().__init__()
        check_integer("junk", junk)
        check_integer("run[0]", run[0], most=run[1])
        self.task: dict[str, Any] = {"junk": junk, "run": run}
        n, d = len(facts), facts.d
        self.key_norm = _one_norm(facts)
        generator = stream(seed, "transformer")

        def draw(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator, dtype=torch.float64).to(facts.keys)

        def frozen(weight: Tensor) -> nn.Parameter:
            return nn.Parameter(weight, requires_grad=False)

        others = self.key_norm * normalize(draw(junk + 2, d), dim=1)  # junk, Q and the padding
        self.n_facts, self.residuals = n, residuals
        self.embedding = frozen(torch.cat([facts.keys, others]))  # (n + junk + 2, d)
        self.head = frozen(facts.values.clone())
        self.attention_norm = nn.Parameter(facts.keys.new_ones(d))
        # Small at first: attention that is sharp before it is right gets no gradient from the keys it misses.
        self.query, self.key = (nn.Parameter(0.1 * draw(d, d) / d**0.5) for _ in range(2))
        self.value, self.output = (frozen(torch.eye(d).to(facts.keys)) for _ in range(2))
        self.mlp_norm = frozen(facts.keys.new_full((d,), self.key_norm / d**0.5))
        self.mlp: nn.Module = nn.Identity()
        self.logit_scale = 1.0
        turns = rope_turns(2 * run[1] + 2, d).to(facts.keys.device, facts.keys.dtype.to_complex())
        self.register_buffer("turns", turns, persistent=False)

    def mlp_input(self, tokens: Tensor) -> Tensor:
        """What the MLP gets at the last place of each sequence, (b, T) → (b, d): a key, if attention works."""
        # A score is decided by the token, its place and the last token: there are few, however large the batch.
        table = rms_norm(self.embedding) * self.attention_norm  # (n + junk + 2, d)
        last, whose = tokens[:, -1].unique(return_inverse=True)  # in the task Q alone
        scores = turned_back(table[last] @ self.query, self.turns) @ (table @ self.key).T  # (1, T, n + junk + 2)
        scores = scores[whose[:, None], torch.arange(len(self.turns), device=tokens.device), tokens]  # (b, T)
        weights = scores.masked_fill(tokens == len(table) - 1, -torch.inf).softmax(dim=1)  # none on the padding
        mixed = embedding_bag(tokens, table @ self.value @ self.output, per_sample_weights=weights, mode="sum")
        if self.residuals:
            mixed = mixed + self.embedding[tokens[:, -1]] * (mixed.shape[1] ** 0.5 / self.key_norm)
        return rms_norm(mixed) * self.mlp_norm

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores of the values at the last place of each sequence, (b, T) → (b, v)."""
        x = self.mlp_input(tokens)
        out = self.mlp(x)
        return self.logit_scale * (out + x if self.residuals else out) @ self.head.T  # type: ignore[no-any-return]


def _one_norm(facts: FactSet) -> float:
    """The norm that all keys have; ValueError for facts that this transformer cannot look up."""
    d, norms = facts.d, facts.keys.norm(dim=1)
    norm = float(norms.mean())
    if facts.e != d or d % 2:
        raise ValueError(f"keys and values need one even d (RoPE turns pairs), got d = {d} and e = {facts.e}")
    if norm**2 < 1e3 * d * torch.finfo(facts.keys.dtype).eps:
        raise ValueError(f"keys of norm {norm:.1e} drown in the rounding of RMSNorm; normalise them first")
    uneven = ((norms - norm).abs() > 1e-3 * norm).nonzero().flatten()
    if len(uneven):
        found = f"row {int(uneven[0])} has {float(norms[uneven[0]]):.4g}, the mean is {norm:.4g}"
        raise ValueError(f"keys must have one norm, as RMSNorm keeps directions only: {found}; normalise them")
    return norm


def rms_norm(x: Tensor) -> Tensor:
    """x · √d / ‖x‖ along the last axis."""
    return nn.functional.rms_norm(x, x.shape[-1:])


def rope_turns(length: int, d: int) -> Tensor:
    """What RoPE multiplies each pair of coordinates with at each place, complex (length, d/2)."""
    frequency = ROPE_BASE ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angle = torch.arange(length)[:, None] * frequency
    return torch.polar(torch.ones_like(angle), angle)


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """RoPE: each pair of coordinates of x (b, T, d), read as a complex number, times its turn (T, d/2)."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns).flatten(-2)


def turned_back(queries: Tensor, turns: Tensor) -> Tensor:
    """q_t / √d (L, T, d) of queries q (L, d) that stand last: token k scores ⟨R_t k, R_T q⟩ / √d = ⟨k, q_t⟩ / √d."""
    return rotate(queries[:, None], turns[-1:] * turns.conj()) / queries.shape[1] ** 0.5  # type: ignore[no-any-return]


def insert(model: FactTransformer, mlp: nn.Module, *, trainable: bool = False) -> FactTransformer:
    """Put a copy of ``mlp`` into ``model``, in the model's dtype and on its device, frozen unless ``trainable``.

    Logits are rescaled so that at half of the keys the best value leads by `GAP`: no answer changes, and attention
    learns through the same softmax. Returns ``model``. ValueError where the MLP does not map (…, d) to (…, d).
    """
    like, n, d = model.embedding, model.n_facts, model.embedding.shape[1]
    mlp = copy.deepcopy(mlp).to(device=like.device, dtype=like.dtype)
    with torch.no_grad():
        out = mlp(like[: min(n, 4096)])
        if out.shape[1:] != (d,):
            raise ValueError(f"the MLP must map (b, {d}) to (b, {d}), its output has shape {tuple(out.shape)}")
        best = (out @ model.head.T).topk(min(2, len(model.head)), dim=1).values
    gap = float((best[:, 0] - best[:, -1]).median())
    model.logit_scale = GAP / gap if 0 < gap < float("inf") else 1.0
    model.mlp = mlp.requires_grad_(trainable)
    return model
