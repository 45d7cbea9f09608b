"""A fact memory as one file: the network, its values and their names; no keys. What `factcore store` writes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from factcore.build import construct
from factcore.facts import FactSet
from factcore.geometry import Decodability, decodability, most_confusable
from factcore.mlp import GatedMLP
from factcore.scoring import decode, margins
from factcore.support.files import pack_names, read_safetensors, unpack_names, write_safetensors
from factcore.support.progress import progress_bar

FORMAT = "factcore-memory-1"
STRANGERS = 2000  # random queries that the threshold is set by
ANSWERED = 0.05  # share of them that it lets through
# Room for questions that are near a key, not at it: long codes and half-filled buckets; or a smooth, stiff network.
ROOM: dict[str, dict[str, Any]] = {
    "encoder-decoder": {"code_dim": 64, "fill": 0.5},
    "max-margin": {"gate": "identity", "ridge": 1.0, "tol": 0.1},
}
FEW = 32  # facts: of fewer keys the covariance says little about strangers, so the threshold stays lower
MOST_ROOMY = 20_000  # facts up to which that is the default: checking takes facts × width steps
MOST_SOLVED = 8192  # values up to which ρ is exact; beyond, it is solved for the `CLOSEST`
CLOSEST = 1024  # values that have the closest neighbours, as far as `SCANNED` products of a pair's entries find them
SCANNED = 2 * 10**11  # all pairs of 50,000 values with d = 64


class Answer(NamedTuple):
    """``answer`` is None, "I don't know", where the margin is below the threshold; ``guess`` is the winner anyway."""

    answer: str | None
    guess: str
    margin: float  # normalised, in [0, 1]
    runner_up: str | None  # None where there is one value only


@dataclass(frozen=True, eq=False)
class Memory:
    """An MLP with its values (v, d), their names and ``about``: what was stored, how, and the threshold."""

    mlp: GatedMLP
    values: Tensor
    names: tuple[str, ...]
    about: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def store(
        cls,
        facts: FactSet,
        method: str = "encoder-decoder",
        *,
        width: int | None = None,
        seed: int = 0,
        smallest: bool = False,
        **about,
    ) -> Memory:
        """Build the memory of ``facts``, which need value names, and verify that every fact decodes.

        ``width=None``: as few hidden units as the method needs. But for up to `MOST_ROOMY` facts encoder-decoder, and
        max-margin with n/3 units, take `ROOM`; ``smallest`` forgoes it: that memory knows its keys and nothing around
        them. ``about`` is kept in the file. ValueError when a fact is lost, when two values coincide, and as
        `construct` raises it.
        """
        roomy = width is None and not smallest and len(facts) <= MOST_ROOMY
        options = dict(ROOM.get(method, {})) if roomy else {}
        if "code_dim" in options:
            options["code_dim"] = min(facts.d, options["code_dim"])
        elif options:
            width = max(16, len(facts) // 3)
        mlp = construct(facts, method, width=width, seed=seed, **options)
        return cls.of(mlp, facts, seed=seed, method=method, options=options, **about)

    @classmethod
    def of(cls, mlp: GatedMLP, facts: FactSet, *, seed: int = 0, **about) -> Memory:
        """The memory that ``mlp`` is of ``facts``: verified, and its threshold set by random queries."""
        if facts.value_names is None:
            raise ValueError("facts have no value_names: a memory answers with names")
        stored = margins(mlp, facts, normalised=True)
        if lost := int((stored <= 0).sum()):
            raise ValueError(f"{lost} of {len(facts)} facts are lost at width {mlp.width}: allow more")
        about |= {"n_facts": len(facts), "seed": seed, "n_solved": mlp.n_solved, "threshold": 0.0}
        about |= {"smallest_margin": float(stored.min()), "strangers_answered": 1.0, "strangers_at_most": 1.0}
        memory = cls(mlp, facts.values, facts.value_names, about)
        if facts.n_values > 1:
            margin = memory._decide(_strangers(facts, seed))[1]
            cap = 0.99 if len(facts) >= FEW else 0.5  # of the smallest margin, so that a key itself gets its answer
            threshold = torch.minimum(torch.quantile(margin, 1 - ANSWERED), stored.min() * cap)
            about["threshold"] = float(threshold)
            about["strangers_answered"] = float((margin >= threshold).double().mean())
            about["strangers_at_most"] = float((margin >= stored.min() * 0.99).double().mean())
        return memory

    def ask(self, queries: Tensor, *, threshold: float | None = None) -> list[Answer]:
        """What each row of ``queries`` (q, d) decodes to.

        The margin is normalised: min_j ⟨g(x), v_a − v_j⟩ / (‖g(x)‖ ‖v_a − v_j‖). Below ``threshold`` (by default the
        one set when the facts were stored) the answer is None. ValueError for queries of another size or not finite.
        """
        limit = self.about["threshold"] if threshold is None else threshold
        winners, margin, second = self._decide(queries.to(self.values.dtype))
        return [
            Answer(self.names[a] if m >= limit else None, self.names[a], m, None if b == a else self.names[b])
            for a, m, b in zip(winners.tolist(), margin.tolist(), second.tolist())
        ]

    def _decide(self, queries: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Winner (q,), normalised margin (q,) and runner-up (q,) of every query."""
        if queries.ndim != 2 or queries.shape[1] != self.values.shape[1]:
            raise ValueError(f"queries must have shape (q, {self.values.shape[1]}), got {tuple(queries.shape)}")
        parts = []
        for block in queries.split(1024):
            winner = decode(self.mlp, block, self.values)
            scores = (self.mlp(block) @ self.values.T).scatter_(1, winner[:, None], -torch.inf)
            margin = margins(self.mlp, FactSet(block, self.values, winner), normalised=True)
            parts.append((winner, margin, winner if len(self.values) == 1 else scores.argmax(dim=1)))
        winner, margin, second = (torch.cat(column) for column in zip(*parts))
        return winner, margin, second

    def save(self, path: str | Path) -> None:
        """Write a safetensors file. An existing file is replaced only once the new one is complete."""
        tensors = {**self.mlp.state_dict(), "values": self.values, "names": pack_names(self.names)}
        metadata = {"format": FORMAT, "gate": self.mlp.gate, "about": json.dumps(self.about)}
        write_safetensors(path, tensors, metadata)

    @classmethod
    def load(cls, path: str | Path) -> Memory:
        """Read what `save` wrote. ValueError when the file is missing, damaged or something else."""
        tensors, metadata = read_safetensors(path)
        if metadata.get("format") != FORMAT:
            raise ValueError(f"{path} is not a memory: it was not written by 'factcore store'")
        try:
            about, names = json.loads(metadata["about"]), unpack_names(tensors["names"], path)
            weights = {name: tensors.get(name) for name in ("gate_weight", "up", "down", "gate_bias")}
            mlp = GatedMLP(**weights, gate=metadata["gate"], n_solved=about["n_solved"])  # type: ignore[arg-type]
            values = tensors["values"]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{path} is damaged: {error}") from error
        if len(names) != len(values) or mlp.down.shape[0] != values.shape[1]:
            raise ValueError(f"{path} is damaged: names, values and weights do not fit together")
        return cls(mlp, values, names, about)

    def inspect(self, pairs: int = 5, *, progress: bool = True) -> dict[str, Any]:
        """Sizes, costs, margins, decodability and the ``pairs`` of values that are hardest to tell apart.

        Beyond `MOST_SOLVED` values ρ is solved for ``rho_solved`` of them only, the `CLOSEST` to a neighbour: an upper
        bound then, ``rho_exact`` false.
        """
        n, v = self.about["n_facts"], len(self.values)
        report: dict[str, Any] = {"facts": n, "values": v, "d": self.values.shape[1], "width": self.mlp.width}
        report |= {"parameters": self.mlp.n_params, "parameters_per_fact": self.mlp.n_params / n}
        bits = self.values.element_size() * 8
        report |= {"bits_per_fact": self.mlp.n_params * bits / n, "floor_bits_per_fact": float(torch.tensor(v).log2())}
        report |= {name: self.about[name] for name in ("smallest_margin", "threshold", "seed")}
        report |= {name: self.about.get(name) for name in ("method", "embeddings", "strangers_answered")}
        report["gate"] = self.mlp.gate
        if v < 2:
            return report | {"rho": None, "rho_exact": True, "rho_solved": v, "confusable": []}
        which = _closest(self.values, v if v <= MOST_SOLVED else CLOSEST, progress)
        solved = _hardest(self.values, which, 2 * pairs, progress)
        found = most_confusable(self.values, pairs, result=solved, names=self.names)
        listed = [{"values": pair.names, "margin": pair.margin} for pair in found]
        exact = {"rho_exact": v <= MOST_SOLVED, "rho_solved": len(which)}
        return report | {"rho": solved.rho, **exact, "confusable": listed}


def _strangers(facts: FactSet, seed: int) -> Tensor:
    """Queries of the statistics of the keys that are none of them: their mean, covariance and mean norm, Gaussian."""
    generator = torch.Generator().manual_seed(seed)
    mean = facts.keys.mean(dim=0)
    mix = torch.zeros(STRANGERS, facts.d, dtype=facts.keys.dtype)
    for keys in facts.keys.split(4096):
        mix += torch.randn(STRANGERS, len(keys), generator=generator, dtype=keys.dtype) @ (keys - mean)
    drawn = mean + mix / max(1, len(facts) - 1) ** 0.5
    return drawn * (facts.keys.norm(dim=1).mean() / drawn.norm(dim=1, keepdim=True).clamp_min(1e-30))


def _hardest(values: Tensor, which: Tensor, k: int, progress: bool) -> Decodability:
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


def _closest(values: Tensor, count: int, progress: bool) -> Tensor:
    """``count`` rows in the order of their distance to the nearest other row.

    Of as many rows as `SCANNED` allows: all of them, or a random sample.
    """
    v, d = values.shape
    rows = torch.randperm(v, generator=torch.Generator().manual_seed(0))[: max(count, SCANNED // (v * d))]
    square, nearest = values.square().sum(dim=1), []
    for part in progress_bar(rows.split(max(1, 2**22 // v)), "neighbours", show=progress):
        distance = torch.addmm(square, values[part], values.T, alpha=-2.0)
        distance[torch.arange(len(part)), part] = torch.inf
        nearest.append(distance.amin(dim=1) + square[part])
    return rows[torch.cat(nearest).argsort(stable=True)[:count]]
