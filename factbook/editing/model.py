"""A one-layer language model whose facts lie in MLPs of their own, one per relation.

    tokens → embedding → attention ─→ RMSNorm ─→ fact MLP of the relation  ┐
                  └──────────────→ router picks one of ─→ language expert  ┴→ RMSNorm → scores of all tokens

The block is that of `factcore.transformer`, without residuals, value and output projections the identity. A router
reads the current token and the attention output: positions that must produce a fact go to that relation's MLP, all
others to a small language expert. Embeddings and output rows of names are fixed random unit vectors; those of words are
learned. The corpus and ``targets`` stay on the CPU; whatever is computed follows the device of the model.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, scaled_dot_product_attention

from factbook.editing.text import RELATIONS, Corpus
from factcore.build import construct
from factcore.facts import FactSet
from factcore.mlp import GatedMLP
from factcore.support import check_choice, check_integer, row_blocks
from factcore.transformer import rms_norm, rope_turns, rotate

EXPERT_RANK = 32  # hidden units of the language expert
ROUTER_WIDTH = 64
NUMBERS = 2**21  # in a block of sentences on a CPU, so that it stays in the cache
PER_FACT = 24  # parameters of block-convex MLPs, unless a width is given: as in the published study
STATED = 0.5  # of the training templates: a fact that more of them produce is one that the model states


class FactLanguageModel(nn.Module):
    """The model over the tokens of ``corpus``; ``facts[relation]`` holds the MLP that knows that relation.

    ``targets[relation]`` (n,) is the value token that each airport has in the facts stored now. d must be even.
    """

    names: Tensor
    turns: Tensor

    def __init__(self, corpus: Corpus, d: int = 64, *, seed: int = 0) -> None:
        super().__init__()
        check_integer("d", d)
        if d % 2:
            raise ValueError(f"d must be even (RoPE turns pairs of coordinates), got {d}")
        generator = torch.Generator().manual_seed(seed)
        draw = lambda *shape: torch.randn(shape, generator=generator)  # noqa: E731
        n_words = len(corpus.number)
        self.corpus = corpus
        self.words_in, self.words_out = nn.Parameter(draw(n_words, d)), nn.Parameter(draw(n_words, d))
        names = normalize(draw(len(corpus.words) - n_words, d), dim=1)
        self.register_buffer("names", names, persistent=False)  # drawn again from the seed
        self.query, self.key = (nn.Parameter(draw(d, d)[:, _side_by_side(d)] / d**0.5) for _ in range(2))
        self.router = nn.Sequential(nn.Linear(2 * d, ROUTER_WIDTH), nn.GELU(), nn.Linear(ROUTER_WIDTH, 3))
        self.expert = nn.Sequential(nn.Linear(d, EXPERT_RANK), nn.GELU(), nn.Linear(EXPERT_RANK, d))
        for linear in [part for part in (*self.router, *self.expert) if isinstance(part, nn.Linear)]:
            linear.weight.data = draw(*linear.weight.shape) / linear.in_features**0.5
            linear.bias.data.zero_()
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.facts = nn.ModuleDict({relation: nn.Identity() for relation in RELATIONS})
        self.targets = dict(corpus.targets)
        self.seen: dict[
            tuple[str, bool, torch.device], FactPositions
        ] = {}  # what the fact MLPs get: no edit changes it
        turns = rope_turns(corpus.filler.shape[1], d).to(torch.complex64)
        self.register_buffer("turns", turns, persistent=False)

    @property
    def d(self) -> int:
        return self.names.shape[1]

    @property
    def device(self) -> torch.device:
        return self.names.device

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
        targets = self.targets[relation] if targets is None else targets
        return FactSet(keys, self.head().detach(), targets.to(self.device))

    def attend(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (b, T) to the attention output (b, T, d), which the MLPs get, and the router's scores (b, T, 3).

        The scores are of the language expert and of `RELATIONS`, in this order.
        """
        x = self.embedding()[tokens]
        turns = self.turns[: tokens.shape[1]]
        mixed = scaled_dot_product_attention(
            rotate(x @ self.query, turns), rotate(x @ self.key, turns), x, is_causal=True
        )
        attention_output = rms_norm(mixed)
        return attention_output, self.router(torch.cat([x, attention_output], dim=-1))

    def expert_outputs(self, attention_output: Tensor, route: Tensor) -> Tensor:
        """What the part that ``route`` names (…,) makes of the ``attention_output`` (…, d): (…, d)."""
        out = self.expert(attention_output)
        for number, relation in enumerate(RELATIONS, 1):
            here = route == number
            out[here] = self.facts[relation](attention_output[here])
        return out

    def logits(self, outputs: Tensor) -> Tensor:
        """Scores of all tokens from outputs (…, d)."""
        return self.log_scale.exp() * rms_norm(outputs) @ self.head().T

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores of the next token at every position, (b, T) → (b, T, tokens)."""
        attention_output, scores = self.attend(tokens)
        return self.logits(self.expert_outputs(attention_output, scores.argmax(dim=-1)))


def _side_by_side(d: int) -> Tensor:
    """0, d/2, 1, d/2 + 1, …: the shipped models drew the coordinates of a pair that RoPE turns d/2 apart."""
    return torch.arange(d).view(2, -1).T.flatten()


class FactPositions(NamedTuple):
    """Every airport in every template, at the word that must produce the value."""

    attention_output: Tensor  # (n, t, d), what the fact MLP gets
    routed: Tensor  # (n, t) whether the router asks that MLP


@torch.no_grad()
def fact_positions(model: FactLanguageModel, relation: str, held_out: bool) -> FactPositions:
    """The training templates, or with ``held_out`` the paraphrases; computed once per model and device, and kept."""
    kept = (relation, held_out, model.device)
    if kept not in model.seen:
        corpus, which = model.corpus, model.corpus.template_numbers(relation, held_out)
        n, t, parts = len(corpus), len(which), []
        row_size = t * model.d * corpus.templates[relation].shape[1]
        for at_once in row_blocks(n, row_size, model.device, entries=NUMBERS):
            rows = torch.arange(n)[at_once]
            tokens, at = corpus.sentences(
                relation, model.targets[relation], rows.repeat_interleave(t), which.repeat(len(rows))
            )
            attention_output, scores = model.attend(tokens.to(model.device))
            line = torch.arange(len(tokens))
            routed = scores[line, at].argmax(dim=-1) == 1 + RELATIONS.index(relation)
            parts.append((attention_output[line, at], routed))
        attention_output, routed = (torch.cat(part) for part in zip(*parts))
        model.seen[kept] = FactPositions(attention_output.view(n, t, -1), routed.view(n, t))
    return model.seen[kept]


@torch.no_grad()
def fact_accuracy(
    model: FactLanguageModel, relation: str, *, held_out: bool = False, every: int = 1, targets: Tensor | None = None
) -> Tensor:
    """Share of the templates (or ``every`` k-th) in which each airport is followed by its value, (n,) on the CPU.

    Its value, by default the one stored now, must be the best of all tokens; ``targets`` (n,) asks for others.
    """
    attention_output, routed = (part[:, ::every] for part in fact_positions(model, relation, held_out))
    best = model.logits(model.facts[relation](attention_output)).argmax(dim=-1).cpu()  # (n, t)
    wanted = model.targets[relation] if targets is None else targets
    return ((best == wanted[:, None]) & routed.cpu()).double().mean(dim=1)


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
    text = torch.cat(texts).to(model.device)
    for lines in row_blocks(len(text), text.shape[1] * len(corpus.words), model.device, entries=NUMBERS):
        before, following = text[lines, :-1], text[lines, 1:]
        words = (following > 0) & (following < len(corpus.number))
        attention_output, scores = model.attend(before)
        logits = model.logits(model.expert_outputs(attention_output[words], scores[words].argmax(dim=-1)))
        total += float(cross_entropy(logits, following[words], reduction="sum"))
        count += int(words.sum())
    return math.exp(total / count)


def insert(model: FactLanguageModel, relation: str, mlp: nn.Module) -> FactLanguageModel:
    """Put ``mlp``, (…, d) → (…, d), in the place that knows ``relation``; returns ``model``."""
    check_choice("relation", relation, RELATIONS)
    model.facts[relation] = mlp
    return model


def fact_mlp(facts: FactSet, construction: str, *, seed: int = 0, **options: Any) -> GatedMLP:
    """``construct(facts, construction, …)`` with outputs at the keys of norm √d on average.

    'block-convex' gets `PER_FACT` parameters a fact unless a ``width`` is among the options. The norm behind the MLP
    makes the model blind to the scale of outputs; editors, whose steps have a length, are not. ValueError when a fact
    is lost, unless ``strict=False``.
    """
    if construction == "block-convex":
        options = {"width": max(1, PER_FACT * len(facts) // (3 * facts.d))} | options
    mlp = construct(facts, construction, seed=seed, **options)
    mlp.down.data *= facts.d**0.5 / mlp(facts.keys).norm(dim=1).mean()
    return mlp


def write_facts(model: FactLanguageModel, method: str = "block-convex", *, seed: int = 0, **options: Any) -> None:
    """Replace both fact MLPs by ``construct(facts, method, **options)`` of the facts that ``model`` states now.

    ValueError when a fact is lost, unless ``strict=False``; the model is then as it was.
    """
    written = {relation: fact_mlp(model.fact_set(relation), method, seed=seed, **options) for relation in RELATIONS}
    for relation, mlp in written.items():
        insert(model, relation, mlp)
