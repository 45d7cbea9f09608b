"""A one-layer language model whose facts lie in MLPs of their own, one per relation.

    tokens → embedding → attention ─→ RMSNorm ─→ fact MLP of the relation  ┐
                  └──────────────→ router picks one of ─→ language expert  ┴→ RMSNorm → scores of all tokens

The block is that of `factcore.transformer`, without residuals, value and output projections the identity. A router
reads the current token and what attention brought: positions that must produce a fact go to that relation's MLP, all
others to a small language expert. Embeddings and output rows of names are fixed random unit vectors; those of words are
learned.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, scaled_dot_product_attention

from factbook.editing.text import RELATIONS, Corpus
from factcore.build import construct
from factcore.facts import FactSet
from factcore.mlp import GatedMLP
from factcore.support.checks import check_choice
from factcore.transformer import ROPE_BASE, rms_norm

EXPERT_RANK = 32  # hidden units of the language expert
ROUTER_WIDTH = 64


class FactLanguageModel(nn.Module):
    """The model over the tokens of ``corpus``; ``facts[relation]`` holds the MLP that knows that relation.

    ``targets[relation]`` (n,) is the value token that each airport has in the facts stored now. d must be even.
    """

    names: Tensor
    cos: Tensor
    sin: Tensor

    def __init__(self, corpus: Corpus, d: int = 64, *, seed: int = 0) -> None:
        super().__init__()
        if not isinstance(d, int) or d < 2 or d % 2:
            raise ValueError(f"d must be a positive even integer (RoPE turns pairs), got {d!r}")
        generator = torch.Generator().manual_seed(seed)
        draw = lambda *shape: torch.randn(shape, generator=generator)  # noqa: E731
        n_words = len(corpus.number)
        self.corpus = corpus
        self.words_in, self.words_out = nn.Parameter(draw(n_words, d)), nn.Parameter(draw(n_words, d))
        self.register_buffer("names", normalize(draw(len(corpus.words) - n_words, d), dim=1))
        self.query, self.key = nn.Parameter(draw(d, d) / d**0.5), nn.Parameter(draw(d, d) / d**0.5)
        self.router = nn.Sequential(nn.Linear(2 * d, ROUTER_WIDTH), nn.GELU(), nn.Linear(ROUTER_WIDTH, 3))
        self.expert = nn.Sequential(nn.Linear(d, EXPERT_RANK), nn.GELU(), nn.Linear(EXPERT_RANK, d))
        for linear in [part for part in (*self.router, *self.expert) if isinstance(part, nn.Linear)]:
            linear.weight.data = draw(*linear.weight.shape) / linear.in_features**0.5
            linear.bias.data.zero_()
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.facts = nn.ModuleDict({relation: nn.Identity() for relation in RELATIONS})
        self.targets = dict(corpus.targets)
        self.seen: dict[tuple[str, bool], FactPositions] = {}  # what the fact MLPs get: no edit changes it
        length = corpus.filler.shape[1]
        angle = torch.arange(length)[:, None] * ROPE_BASE ** (-torch.arange(0, d, 2) / d)  # (T, d/2)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    @property
    def d(self) -> int:
        return self.names.shape[1]

    def embedding(self) -> Tensor:
        """Rows (tokens, d) of norm √d."""
        return self.d**0.5 * torch.cat([normalize(self.words_in, dim=1), self.names])

    def head(self) -> Tensor:
        """Output rows (tokens, d) of norm 1."""
        return torch.cat([normalize(self.words_out, dim=1), self.names])

    def fact_set(self, relation: str, targets: Tensor | None = None) -> FactSet:
        """The facts of ``relation``: keys are airports as the MLP should get them, values are the rows of all tokens.

        ``targets`` (n,) are value tokens, by default those stored now.
        """
        keys = self.embedding()[self.corpus.airports].detach()
        return FactSet(keys, self.head().detach(), self.targets[relation] if targets is None else targets)

    def attend(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (b, T) to what the MLPs get (b, T, d), and the router's scores (b, T, 3): language, city, country."""
        x = self.embedding()[tokens]
        length = tokens.shape[1]
        cos, sin = self.cos[:length], self.sin[:length]
        mixed = scaled_dot_product_attention(
            rotate(x @ self.query, cos, sin), rotate(x @ self.key, cos, sin), x, is_causal=True
        )
        brought = rms_norm(mixed)
        return brought, self.router(torch.cat([x, brought], dim=-1))

    def expert_outputs(self, brought: Tensor, route: Tensor) -> Tensor:
        """What the part that ``route`` names (…,) makes of ``brought`` (…, d): (…, d)."""
        out = self.expert(brought)
        for number, relation in enumerate(RELATIONS, 1):
            here = route == number
            out[here] = self.facts[relation](brought[here])
        return out

    def logits(self, outputs: Tensor) -> Tensor:
        """Scores of all tokens from outputs (…, d)."""
        return self.log_scale.exp() * rms_norm(outputs) @ self.head().T

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores of the next token at every position, (b, T) → (b, T, tokens)."""
        brought, scores = self.attend(tokens)
        return self.logits(self.expert_outputs(brought, scores.argmax(dim=-1)))


class FactPositions(NamedTuple):
    """Every airport in every template, at the word that must produce the value."""

    brought: Tensor  # (n, t, d) what the fact MLP gets
    routed: Tensor  # (n, t) whether the router asks that MLP


@torch.no_grad()
def fact_positions(model: FactLanguageModel, relation: str, held_out: bool) -> FactPositions:
    """The training templates, or with ``held_out`` the paraphrases; computed once per model and kept."""
    if (relation, held_out) not in model.seen:
        corpus, which = model.corpus, model.corpus.template_numbers(relation, held_out)
        n, t, parts = len(corpus), len(which), []
        for rows in torch.arange(n).split(64):
            tokens, at = corpus.sentences(
                relation, model.targets[relation], rows.repeat_interleave(t), which.repeat(len(rows))
            )
            brought, scores = model.attend(tokens.to(model.names.device))
            line = torch.arange(len(tokens))
            parts.append((brought[line, at], scores[line, at].argmax(dim=-1) == 1 + RELATIONS.index(relation)))
        brought, routed = (torch.cat(part) for part in zip(*parts))
        model.seen[relation, held_out] = FactPositions(brought.view(n, t, -1), routed.view(n, t))
    return model.seen[relation, held_out]


@torch.no_grad()
def fact_accuracy(model: FactLanguageModel, relation: str, *, held_out: bool = False, every: int = 1) -> Tensor:
    """Share of the templates (or ``every`` k-th) in which each airport is followed by its value, (n,).

    Its value must be the best of all tokens.
    """
    brought, routed = (part[:, ::every] for part in fact_positions(model, relation, held_out))
    best = model.logits(model.facts[relation](brought)).argmax(dim=-1)  # (n, t)
    return ((best == model.targets[relation].to(best.device)[:, None]) & routed).double().mean(dim=1)


@torch.no_grad()
def perplexity(model: FactLanguageModel) -> float:
    """exp of the mean cross-entropy of the next word, where that is no name, in text that was not trained on.

    Held-out filler, and every airport once in a paraphrase of each relation, with the facts of the corpus: the text
    is the same before and after an edit.
    """
    corpus, total, count = model.corpus, 0.0, 0
    texts = [corpus.held_out_filler]
    for relation in RELATIONS:
        which, rows = corpus.template_numbers(relation, held_out=True), torch.arange(len(corpus))
        texts.append(corpus.sentences(relation, corpus.targets[relation], rows, which[rows % len(which)])[0])
    for tokens in torch.cat(texts).to(model.names.device).split(64):
        following = tokens[:, 1:]
        words = (following > 0) & (following < len(corpus.number))
        brought, scores = model.attend(tokens[:, :-1])
        logits = model.logits(model.expert_outputs(brought[words], scores[words].argmax(dim=-1)))
        total += float(cross_entropy(logits, following[words], reduction="sum"))
        count += int(words.sum())
    return math.exp(total / count)


def insert(model: FactLanguageModel, relation: str, mlp: nn.Module) -> FactLanguageModel:
    """Put ``mlp``, (…, d) → (…, d), in the place that knows ``relation``; returns ``model``."""
    check_choice("relation", relation, RELATIONS)
    model.facts[relation] = mlp
    return model


def fact_mlp(facts: FactSet, construction: str, *, seed: int = 0, **options) -> GatedMLP:
    """``construct(facts, construction, …)`` with outputs at the keys of norm √d on average.

    The norm behind the MLP makes the model blind to that scale; editors, whose steps have a length, are not.
    """
    mlp = construct(facts, construction, seed=seed, **options)
    mlp.down.data *= facts.d**0.5 / mlp(facts.keys).norm(dim=1).mean()
    return mlp


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE: coordinates j and j + d/2 of x (b, T, d) turned by the angle whose cos and sin (T, d/2) are given."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def write_facts(model: FactLanguageModel, method: str = "block-convex", *, seed: int = 0, **options) -> None:
    """Replace both fact MLPs by ``construct(facts, method, **options)`` of the facts that ``model`` states now."""
    for relation in RELATIONS:
        insert(model, relation, fact_mlp(model.fact_set(relation), method, seed=seed, **options))
