"""The memorisation challenge: published figures, the trained bar run again by its description, and our networks."""

import math
import resource
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from factbook.challenge.pairs import count_right, pair_tables
from factbook.fit import power_law
from factbook.precision import precision_rows
from factcore.constructions.pairs import network_of
from factcore.data import drawn_pairs, pair_facts
from factcore.facts import FactSet
from factcore.mlp import GatedMLP

# The authors' fits, a d^b / ln d, and what their public logs say was stored (best of 11 trainings of 5,000 epochs).
FITS = {
    1.0: {"trained": (4.94, 2.10), "hybrid": (1.56, 2.07), "hand-coded": (2.17, 1.55)},
    0.9: {"trained": (9.09, 1.98), "hybrid": (2.20, 2.02), "hand-coded": (1.16, 1.93)},
}
PUBLISHED = {
    1.0: {16: 568, 32: 2176, 64: 7680, 128: 25600, 256: 88064},
    0.9: {16: 784, 32: 2560, 64: 8320, 128: 27648, 256: 93184},
}
LONGER = {16: 744, 32: 2976, 64: 10368, 128: 29696}  # an unfolded twin, 50,000 epochs
EPOCHS = 5000
RESTARTS = 3
RATES = {"trained": (0.03, 0.015, 0.06), "random": (0.1, 0.1, 0.1)}  # learning rates of the restarts
SYSTEMS = 60  # at most, of the rung that solves several
LABELS = {
    "one": "one linear system",
    "several": "several ridge systems",
    "trained": "trained, here",
    "random": "random embeddings, U trained, here",
}


# Facts as shares of d² that each rung tries, by profile.
ONE, MORE = (1.5, 1.75, 1.8125, 1.84375, 1.875, 1.90625), (2.5, 2.625, 2.75, 2.875, 3.0, 3.0625, 3.125)
SHARES: dict[str, dict[str, dict[int, tuple[float, ...]]]] = {
    "smoke": {"one": {16: (1.5, 1.75)}, "several": {16: (2.0, 2.25)}, "trained": {16: (0.5,)}, "random": {16: (0.05,)}},
    "laptop": {
        "one": {16: ONE, 32: ONE, 64: ONE, 128: (1.75, 1.8, 1.875, 1.90625), 256: (1.75, 1.86)},
        "several": {
            **{16: MORE, 32: (*MORE, 3.1875, 3.25), 64: (2.5, 2.75, 3.0, 3.0625, 3.125, 3.1875)},
            **{128: (2.5, 3.0, 3.125), 256: (2.5,)},
        },
        "random": {d: (0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4) for d in (16, 32, 64)},
        "trained": {
            **{16: (1.75, 2.0, 2.25, 2.5, 2.75, 3.0), 32: (1.5, 1.75, 2.0, 2.125, 2.25, 2.375, 2.5)},
            **{64: (1.5, 1.75, 1.875), 128: (1.25, 1.375)},
        },
    },
}
SHARES["paper"] = {
    "one": SHARES["laptop"]["one"] | {256: (1.75, 1.8, 1.86, 1.9)},
    "several": SHARES["laptop"]["several"] | {256: (2.5, 2.75, 2.875, 3.0)},
    "random": {d: (0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4) for d in PUBLISHED[1.0]},
    "trained": {16: (2.0, 2.25, 2.5), 32: (2.0, 2.125, 2.25), 64: (1.75, 1.875, 2.0), 128: (1.5, 1.625)},
}
SEEDS = {"one": 4, "several": 4, "random": 1, "trained": 1}  # of the facts, from 42 on


def fit(kind: str, d: float, recall: float = 1.0) -> float:
    """Facts that the authors' fit of ``kind`` gives at width d."""
    factor, power = FITS[recall][kind]
    return factor * d**power / math.log(d)


def jobs(profile: str, rungs: Iterable[str] = tuple(LABELS), *, first: int = 42) -> list[dict[str, Any]]:
    """A job per rung, d, facts as a share of d², and seed of the facts from ``first`` on."""
    return [
        {"rung": rung, "d": d, "share": share, "seed": seed}
        for rung in rungs
        for d, shares in SHARES[profile][rung].items()
        for share in shares
        for seed in range(first, first + (SEEDS[rung] if profile != "smoke" else 1))
    ]


def attempt(rung: str, d: int, share: float, seed: int, *, device: str = "cpu") -> dict[str, Any]:
    """share · d² facts in the network of ``rung``, the first of `RESTARTS` draws that loses none or else the best.

    Facts, recall counted in float32 and float64, draws and linear systems used, processor seconds of them all together,
    and the process's largest memory so far. What is trained is trained on ``device``; systems are solved on the CPU.
    """
    n, where = round(share * d * d), device if rung in RATES else "cpu"
    tokens, labels = (rows.to(where) for rows in drawn_pairs(n, d, seed=seed))
    begun, right, exact, systems, draw = time.process_time(), -1, 0, 0, 0
    for draw in range(RESTARTS):
        net, used = network(rung, tokens, labels, d, draw)
        systems += used
        if net is None:
            continue
        stored = count_right((table.float() for table in net), tokens, labels)
        if stored > right:
            right, exact = stored, count_right((table.double() for table in net), tokens, labels)
        if right == n:
            break
    return {
        "device": labels.device,
        "n_facts": n,
        "recall": max(right, 0) / n,
        "recall64": exact / n,
        "draws": draw + 1,
        "systems": systems,
        "cpu_seconds": round(time.process_time() - begun, 2),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def network(rung: str, tokens: Tensor, labels: Tensor, d: int, draw: int) -> tuple[tuple[Tensor, ...] | None, int]:
    """E₁, E₂ and U of one draw, None where a linear system has no room for the facts, and the systems solved."""
    if rung in RATES:
        return train(tokens, labels, d, seed=draw, rate=RATES[rung][draw], embeddings=rung == "trained"), 0
    try:
        tables = pair_tables(tokens, labels, (2 * d, 2 * d), d, d, seed=draw, systems=1 if rung == "one" else SYSTEMS)
    except ValueError:
        return None, 0
    return tables[:3], tables.systems


@torch.enable_grad()
def train(
    tokens: Tensor,
    labels: Tensor,
    d: int,
    *,
    seed: int = 0,
    rate: float = 0.03,
    embeddings: bool = True,
    epochs: int = EPOCHS,
) -> tuple[Tensor, ...]:
    """E₁, E₂ and U by full-batch Adam on cross-entropy, cosine decay from ``rate``, stopped when every fact decodes.

    ``embeddings=False`` leaves E₁ and E₂ as drawn: only U is trained.
    """
    generator, where = torch.Generator().manual_seed(seed), tokens.device
    first, second = (torch.randn(2 * d, d, generator=generator).to(where).requires_grad_(embeddings) for _ in range(2))
    readout = (torch.randn(d, d, generator=generator) / d**0.5).to(where).requires_grad_()
    free = [table for table in (first, second, readout) if table.requires_grad]
    adam = torch.optim.Adam(free, lr=rate)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, epochs)
    hidden = torch.relu(first[tokens[:, 0]] + second[tokens[:, 1]])
    for epoch in range(epochs):
        if embeddings:
            hidden = torch.relu(first[tokens[:, 0]] + second[tokens[:, 1]])
        logits = hidden @ readout
        if epoch % 25 == 0 and bool((logits.argmax(1) == labels).all()):
            break
        adam.zero_grad()
        torch.nn.functional.cross_entropy(logits, labels).backward()
        adam.step()
        decay.step()
    return first.detach(), second.detach(), readout.detach()


def largest(table: pd.DataFrame, recall: float = 1.0) -> pd.DataFrame:
    """Per rung, d and seed the row with the most facts at that recall, their number in ``n_facts``.

    A network that has r of n facts right has them right among the first r / recall, too, where that is more than n.
    """
    kept = table[table.recall >= recall]
    right = (kept.recall * kept.n_facts).round()
    kept = kept.assign(n_facts=(right / recall + 1e-9).astype(int)).sort_values("n_facts")
    return kept.groupby(["rung", "d", "seed"], as_index=False).last()


def beside_published(table: pd.DataFrame) -> pd.DataFrame:
    """Per d the published figures and, per rung, the smallest and the largest over the seeds of what was stored."""
    best = largest(table).groupby(["d", "rung"]).n_facts.agg(["min", "max"])
    rows = []
    for d, published in PUBLISHED[1.0].items():
        row = {
            "d": d,
            "published, trained": f"{published:,}",
            "ten times longer": f"{LONGER[d]:,}" if d in LONGER else "–",
        }
        for rung in LABELS:
            if (d, rung) in best.index:
                low, high = best.loc[(d, rung)]
                row[LABELS[rung]] = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        rows.append(row)
    return pd.DataFrame(rows).set_index("d").fillna("–").rename_axis(index=None, columns="d")


def laws(table: pd.DataFrame) -> pd.DataFrame:
    """Per rung the power law a d^b of the most facts, b's 95% interval over draws, and its largest network's cost."""
    best, rows = largest(table), []
    for rung, name in LABELS.items():
        some = best[best.rung == rung]
        law = power_law(some, "d", "n_facts") if some.d.nunique() > 1 else None
        interval = f" [{law.low:.2f}, {law.high:.2f}]" if law and some.seed.nunique() > 1 else ""
        top = some[some.d == some.d.max()]
        row = {"rung": name, "factor": f"{law.constant:.2f}" if law else "–"}
        row |= {"exponent in d": f"{law.exponent:.2f}{interval}" if law else "–", "largest d": top.d.max()}
        row |= {"facts there": f"{top.n_facts.min():,}", "processor [s]": f"{top.cpu_seconds.max():.0f}"}
        rows.append(row | {"systems": f"{top.systems.max()}" if top.systems.max() else "–"})
    return pd.DataFrame(rows).set_index("rung").rename_axis(None).replace({"processor [s]": {"0": "< 1"}})


def unbroken(table: pd.DataFrame) -> dict[str, list[int]]:
    """Per rung the d at which every draw stores the most facts that were tried: lower bounds."""
    tried = table.groupby(["rung", "d"]).n_facts.max()
    least = largest(table).groupby(["rung", "d"]).n_facts.min()
    return {rung: list(part.index.get_level_values("d")) for rung, part in tried[least == tried].groupby(level="rung")}


def shares(table: pd.DataFrame, rung: str, recall: float = 1.0) -> pd.Series:
    """Per d the fewest facts over the draws that a rung stores, as a share of the best published training's."""
    best = largest(table, recall)
    least = best[best.rung == rung].groupby("d").n_facts.min()
    return least / pd.Series(PUBLISHED[recall]).reindex(least.index)


def bit_jobs(profile: str) -> list[dict[str, Any]]:
    """A job per rung, d and scheme of rounding, near the most facts that each rung stores."""
    sizes = (16,) if profile == "smoke" else (16, 32, 64, 128)
    schemes = ["fp32", "fp16", *(f"int{bits}" for bits in (16, 14, 13, 12, 11, 10, 9, 8))]
    rungs = (("one", 1.5), ("several", 2.75))
    return [
        {"rung": rung, "d": d, "share": share, "seed": 42, "scheme": scheme}
        for rung, share in rungs
        for d in sizes
        for scheme in schemes
    ]


def fewest_bits(table: pd.DataFrame) -> pd.DataFrame:
    """Per rung and d the row with the fewest bits per fact that keeps every fact."""
    kept = table[table.recall == 1].sort_values("bits_per_fact")
    return kept.groupby(["rung", "d"], as_index=False).first()


def precision(rung: str, d: int, share: float, seed: int, scheme: str) -> dict[str, Any]:
    """Recall of the rung's network with its weights rounded to ``scheme``, and bits per weight and fact."""
    facts, mlp = _network_of(rung, d, share, seed)
    row = precision_rows(mlp, facts, [scheme])[0]
    del row["scheme"]
    return {"n_facts": len(facts), "device": mlp.down.device} | row


@lru_cache(maxsize=1)
def _network_of(rung: str, d: int, share: float, seed: int) -> tuple[FactSet, GatedMLP]:
    facts = pair_facts(round(share * d * d), d, seed=seed)
    tables = pair_tables(
        *drawn_pairs(len(facts), d, seed=seed), (2 * d, 2 * d), d, d, systems=1 if rung == "one" else SYSTEMS
    )
    return facts, network_of(facts, tables)
