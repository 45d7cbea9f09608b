"""A fact memory: the network, its values and their names, and a sketch of the keys. What `factcore store` writes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from factapp import memory_file
from factapp.confusable import most_confusable
from factapp.encoder import judged
from factapp.sketch import similarity, sketch_of
from factcore.build import construct
from factcore.facts import FactSet
from factcore.geometry import Decodability, decodability
from factcore.mlp import GatedMLP
from factcore.scoring import normalised_margins
from factcore.support.checks import check_embeddings
from factcore.support.progress import progress_bar
from factcore.support.streams import stream

HELD_OUT = 2000  # random queries that the threshold is set by
ANSWERED = 0.05  # share of them that it lets through
UNRELATED = 0.01  # share of unrelated questions that are as similar to a key as an answer needs
MOST_SIMILAR = 0.6  # asked of a question at most: facts may be about the very things that the unrelated sentences name
# Slack for questions near a key, not at it: long codes and half-filled buckets; or a smooth network, stiff or roomy.
SLACK: dict[str, dict[str, Any]] = {
    "encoder-decoder": {"code_dim": 64, "fill": 0.5},
    "max-margin": {"gate": "identity", "ridge": 1.0, "tol": 0.1},
    "block-convex": {"solves": 3, "tol": 0.1},
}
FEW = 32  # facts: of fewer keys the covariance says little about held-out queries, so the threshold stays lower
MOST_SLACK = 20_000  # facts up to which that is the default: checking takes facts × width steps
MOST_SOLVED = 8192  # values up to which ρ is exact; beyond, it is solved for the `CLOSEST`
CLOSEST = 1024  # values that have the closest neighbours, as far as `SCANNED` products of a pair's entries find them
SCANNED = 2 * 10**11  # all pairs of 50,000 values with d = 64
LOW = "the margin is below the threshold"
TIE = "the best values tie"
PAIRS = 1000  # keys whose similarities to each other are looked at


class Answer(NamedTuple):
    """``answer`` is None, "I don't know", for the reason ``why``; ``guess`` is the winner anyway."""

    answer: str | None
    guess: str
    margin: float  # normalised, in [0, 1]; inf where there is one value only
    runner_up: str | None  # None where there is one value only
    similarity: float  # cosine to the nearest key, from the sketch: to about 0.05
    why: str | None = None


@dataclass(frozen=True, eq=False)
class Memory:
    """An MLP with its values (v, e), their names, a `sketch_of` its keys, and ``about``: what was stored, how, and what
    an answer needs. ``texts``: the `fingerprints` of the keys, where MiniLM embedded them."""

    mlp: GatedMLP
    values: Tensor
    names: tuple[str, ...]
    about: dict[str, Any] = field(default_factory=dict)
    sketch: Tensor | None = None
    texts: Tensor | None = None

    @classmethod
    def store(
        cls,
        facts: FactSet,
        method: str = "encoder-decoder",
        *,
        width: int | None = None,
        seed: int = 0,
        smallest: bool = False,
        **about: Any,
    ) -> Memory:
        """Build the memory of ``facts``, which need value names; every fact decodes, or a ValueError says which do not.

        ``width=None``: as few hidden units as the method needs. But for up to `MOST_SLACK` facts encoder-decoder, and
        max-margin and block-convex with n/3 units (n where that loses facts), take `SLACK`; ``smallest`` forgoes it:
        that memory knows its keys and nothing around them. ``about`` is as in `of`. ValueError as `construct` raises
        it, and for a width that does not fit into memory.
        """
        slack = width is None and not smallest and len(facts) <= MOST_SLACK
        options = dict(SLACK.get(method, {})) if slack else {}
        if "code_dim" in options:
            options["code_dim"] = min(facts.e, options["code_dim"])
        elif options:
            width = max(16, len(facts) // 3)
        _check_size(facts, width)
        smooth = bool(options) and method != "encoder-decoder"  # it stores some facts with n units only
        mlp = construct(facts, method, width=width, seed=seed, strict=not smooth, **options)
        if len(mlp.lost):
            mlp = construct(facts, method, width=3 * (width or 1), seed=seed, **options)
        return cls.of(mlp, facts, seed=seed, method=method, options=options, **about)

    @classmethod
    def of(
        cls,
        mlp: GatedMLP,
        facts: FactSet,
        *,
        seed: int = 0,
        texts: Tensor | None = None,
        unrelated: Tensor | None = None,
        **about: Any,
    ) -> Memory:
        """The memory that ``mlp`` is of ``facts``: verified, and what an answer needs set.

        A margin that 5% of random queries like the keys reach, and a similarity to a key that 1% of ``unrelated``
        (u, d) questions have; without them, that of two keys to each other (the median). Further ``about`` is kept in
        the file.
        """
        if facts.value_names is None:
            raise ValueError("facts have no value_names: a memory answers with names")
        memory = cls(mlp, facts.values, facts.value_names, {}, sketch_of(facts.keys), texts)
        winners, stored, _ = memory._decide(facts.keys)
        if lost := int(((winners != facts.targets) | ~(stored > 0)).sum()):
            raise ValueError(f"{lost} of {len(facts)} facts are lost at width {mlp.width}; allow more width")
        least = float(stored.min())
        held_out = _held_out(facts, seed)
        margin, similar = memory._decide(held_out)[1], memory._similarity(held_out)[0]
        threshold = 0.0
        if facts.n_values > 1:
            cap = 0.99 if len(facts) >= FEW else 0.5  # of the smallest margin, so that a key itself gets its answer
            threshold = min(float(torch.quantile(margin, 1 - ANSWERED)), least * cap)
        floor = memory._floor(facts, unrelated)
        near = (similar >= floor).to(margin.device)
        about |= {"n_facts": len(facts), "d": facts.d, "seed": seed, "n_solved": mlp.n_solved}
        about |= {"threshold": threshold, "least_similarity": floor, "smallest_margin": least}
        about["held_out_answered"] = float(((margin >= threshold) & (margin > 0) & near).double().mean())
        about["held_out_at_most"] = float(((margin >= least * 0.99) & near).double().mean())
        about["unrelated_answered"] = None
        memory = replace(memory, about=about)
        if unrelated is not None:
            answers = memory.ask(unrelated)
            about["unrelated_answered"] = sum(found.answer is not None for found in answers) / len(answers)
        return memory

    def ask(self, queries: Tensor, *, threshold: float | None = None, texts: Tensor | None = None) -> list[Answer]:
        """What each row of ``queries`` (q, d) decodes to.

        The margin is normalised: min_j ⟨g(x), v_a − v_j⟩ / (‖g(x)‖ ‖v_a − v_j‖). The answer is None where it, or the
        similarity to the nearest key, is below what was set when the facts were stored, and, with the `fingerprints`
        of the questions as ``texts``, where the encoder took a text for that of a key which it is not. A text that is a
        key always gets its answer; a tie never is one. A ``threshold`` decides by the margin alone. ValueError for
        queries of another size, that are not finite, or too large for the dtype of the memory.
        """
        winners, margin, second = self._decide(queries)
        similar, near = self._similarity(queries)
        why = [self._doubt(m, s, threshold) for m, s in zip(margin.tolist(), similar.tolist())]
        if threshold is None and texts is not None and self.texts is not None:
            why = [judged(text, self.texts, keys, no) for text, keys, no in zip(texts, near, why)]
        return [
            Answer(None if no else self.names[a], self.names[a], m, None if b == a else self.names[b], s, no)
            for a, m, b, s, no in zip(winners.tolist(), margin.tolist(), second.tolist(), similar.tolist(), why)
        ]

    def _doubt(self, margin: float, similar: float, threshold: float | None) -> str | None:
        if threshold is None and similar < self.about.get("least_similarity", -1.0):
            return "it is not similar to any key"
        if margin <= 0:  # recall counts a tie as wrong, whatever the threshold
            return TIE
        enough = margin >= (self.about["threshold"] if threshold is None else threshold)  # of NaN nothing is enough
        return None if enough else LOW

    def _decide(self, queries: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Winner (q,), normalised margin (q,) float64 and runner-up (q,) of every query."""
        d, dtype = self.mlp.gate_weight.shape[1], self.values.dtype
        if not isinstance(queries, Tensor):
            hint = " (torch.from_numpy makes one)" if hasattr(queries, "__array__") else ""
            raise ValueError(f"queries must be a torch tensor, got {type(queries).__name__}{hint}")
        if queries.ndim != 2 or queries.shape[1] != d:
            raise ValueError(f"queries must have shape (q, {d}), got {tuple(queries.shape)}")
        check_embeddings("queries", queries)
        parts = []
        with torch.no_grad():
            for at in range(0, len(queries), 1024):
                outputs = self.mlp(queries[at : at + 1024].to(self.values))
                bad = (~torch.isfinite(outputs).all(dim=1)).nonzero().flatten()
                if len(bad):
                    raise ValueError(f"queries are too large for {dtype}, the first is row {at + int(bad[0])}")
                scores = outputs.double() @ self.values.double().T
                winner = scores.argmax(dim=1)
                margin = normalised_margins(outputs, winner, self.values).clamp_min(0)
                second = scores.scatter_(1, winner[:, None], -torch.inf).argmax(dim=1)
                parts.append((winner, margin, winner if len(self.values) == 1 else second))
        winner, margin, second = (torch.cat(column) for column in zip(*parts))
        return winner, margin, second

    def _similarity(self, queries: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Cosine to the nearest key (q,), 1 where no sketch is kept, and which keys are as near."""
        if self.sketch is None:
            return torch.ones(len(queries)), [torch.empty(0, dtype=torch.int64)] * len(queries)
        return similarity(queries, self.sketch)

    def _floor(self, facts: FactSet, unrelated: Tensor | None) -> float:
        """The similarity to a key that an answer needs."""
        if unrelated is not None:
            return min(MOST_SIMILAR, float(torch.quantile(self._similarity(unrelated)[0], 1 - UNRELATED)))
        if len(facts) < 2:
            return -1.0
        keys = torch.nn.functional.normalize(facts.keys[:PAIRS].double(), dim=1)
        pairs = (keys @ keys.T)[~torch.eye(len(keys), dtype=torch.bool)]
        return min(MOST_SIMILAR, float(pairs.sort().values[len(pairs) // 2]))

    def save(self, path: str | Path) -> None:
        """Write a safetensors file. An existing file is replaced only once the new one is complete."""
        parts = memory_file.Parts(self.mlp, self.values, self.names, self.about, self.sketch, self.texts)
        memory_file.save(parts, path)

    @classmethod
    def load(cls, path: str | Path) -> Memory:
        """Read what `save` wrote. ValueError when the file is missing, damaged or something else."""
        return cls(*memory_file.load(path))

    def inspect(self, pairs: int = 5) -> dict[str, Any]:
        """Sizes, costs, margins, decodability and the ``pairs`` of values that are hardest to tell apart.

        Beyond `MOST_SOLVED` values ρ is solved for ``rho_solved`` of them only, the `CLOSEST` to a neighbour: an upper
        bound then, ``rho_exact`` false.
        """
        n, v = self.about["n_facts"], len(self.values)
        report: dict[str, Any] = {"facts": n, "values": v, "d": self.mlp.gate_weight.shape[1]}
        report |= {"e": self.values.shape[1], "width": self.mlp.width, "gate": self.mlp.gate}
        report |= {"parameters": self.mlp.n_params, "parameters_per_fact": self.mlp.n_params / n}
        bits = self.values.element_size() * 8
        report |= {"bits_per_fact": self.mlp.n_params * bits / n, "floor_bits_per_fact": float(torch.tensor(v).log2())}
        report["sketch_bits_per_fact"] = 0 if self.sketch is None else 8 * self.sketch.shape[1]
        told = ("smallest_margin", "threshold", "least_similarity", "seed", "method", "embeddings")
        report |= {name: self.about.get(name) for name in (*told, "held_out_answered", "unrelated_answered")}
        if v < 2:
            return report | {"rho": None, "rho_exact": True, "rho_solved": v, "confusable": []}
        which = _closest(self.values, v if v <= MOST_SOLVED else CLOSEST)
        solved = _hardest(self.values, which, 2 * pairs)
        found = most_confusable(self.values, pairs, result=solved, names=self.names)
        listed = [{"values": pair.names, "margin": pair.margin} for pair in found]
        exact = {"rho_exact": v <= MOST_SOLVED, "rho_solved": len(which)}
        return report | {"rho": solved.rho, **exact, "confusable": listed}


def _held_out(facts: FactSet, seed: int) -> Tensor:
    """Queries of the statistics of the keys that are none of them: their mean, covariance and mean norm, Gaussian."""
    generator, keys = stream(seed, "evaluation"), facts.keys.double().cpu()
    scale = float(keys.abs().amax().clamp_min(torch.finfo(torch.float64).tiny))
    keys = keys / scale
    mean, mix = keys.mean(dim=0), torch.zeros(HELD_OUT, facts.d, dtype=torch.float64)
    for part in keys.split(4096):
        mix += torch.randn(HELD_OUT, len(part), generator=generator, dtype=torch.float64) @ (part - mean)
    drawn = mean + mix / max(1, len(facts) - 1) ** 0.5
    drawn *= keys.norm(dim=1).mean() / drawn.norm(dim=1, keepdim=True).clamp_min(1e-30)
    return (drawn * scale).to(facts.keys)


def _check_size(facts: FactSet, width: int | None) -> None:
    """ValueError for a network that this machine cannot hold."""
    has = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    needs = (width or 0) * (2 * facts.d + facts.e + min(len(facts), 1024)) * 8
    if needs > has:
        raise ValueError(f"width {width} needs {needs / 1e9:,.0f} GB, this machine has {has / 1e9:,.0f} GB of memory")


def _hardest(values: Tensor, which: Tensor, k: int) -> Decodability:
    """Decodability of the rows ``which``: the ``k`` smallest to 1e-4, the others until they are known to be larger.

    Rows at the head of ``which`` should be hard: once k are solved, most others need a step or two to be passed over.
    Rows that are not asked for keep infinite bounds.
    """
    lower = torch.full((len(values),), torch.inf, dtype=torch.float64)
    upper, separators = lower.clone(), torch.zeros(values.shape, dtype=torch.float64)
    for rows in which.tensor_split([max(64, 4 * k), 1024]):
        if len(rows):
            enough = float(lower.kthvalue(min(k, len(lower))).values) + 1e-4
            part = decodability(values, tol=1e-4, which=rows, enough=enough)
            lower[rows], upper[rows], separators[rows] = part.lower[rows], part.upper[rows], part.separators[rows]
    return replace(part, lower=lower, upper=upper, separators=separators)


def _closest(values: Tensor, count: int) -> Tensor:
    """``count`` rows in the order of their distance to the nearest other row.

    Of as many rows as `SCANNED` allows: all of them, or a random sample.
    """
    v, d = values.shape
    values = values.double() / values.double().abs().amax().clamp_min(torch.finfo(torch.float64).tiny)
    rows = torch.randperm(v, generator=torch.Generator().manual_seed(0))[: max(count, SCANNED // (v * d))]
    square, nearest = values.square().sum(dim=1), []
    for part in progress_bar(rows.split(max(1, 2**22 // v)), "neighbours"):
        distance = torch.addmm(square, values[part], values.T, alpha=-2.0)
        distance[torch.arange(len(part)), part] = torch.inf
        nearest.append(distance.amin(dim=1) + square[part])
    return rows[torch.cat(nearest).argsort(stable=True)[:count]]
