"""Use in a transformer at the published settings: 16,000 steps of 1,280 sequences, both schedules, three draws.

python -m factbook.usable_published      # results/laptop/usable_published.csv: three minutes a training

Rule, fixed before the table (book/rules.md): the claim "above 99%" is judged on the paper's codes alone, layout by
layout and schedule by schedule. Attention that learns first has not seen a memory, so one training serves every layout.
"""

import argparse
from typing import Any

import pandas as pd
import torch
from IPython.display import Markdown

import factcore as fc
from factbook import both, noise, store
from factbook.attended import PUBLISHED, TO_THE_END, attended
from factcore import transformer as tf

PAPERS = "the paper's codes, "  # how its layouts begin; the others are ours
SIZES = ((256, 64), (256, 128))  # facts and d; attention learns through a memory at the first alone
LENGTH = {"steps": PUBLISHED["steps"], "batch": PUBLISHED["batch"]}
LAYOUTS: dict[str, tuple[str, dict[str, Any]]] = {
    PAPERS + "bilinear gates": (
        "encoder-decoder",
        {"codes": "projected", "encoder": "random-gates", "gate": "identity", "fill": 0.5},
    ),
    PAPERS + "SiLU gates": ("encoder-decoder", {"codes": "projected", "encoder": "random-gates", "fill": 0.5}),
    PAPERS + "buckets": ("encoder-decoder", {"codes": "projected", "fill": 0.5}),
    "shortest codes, full buckets": ("encoder-decoder", {}),
    "block-convex, 12 a fact": ("block-convex", {}),  # 4 n / d units
}
INSERTED = PAPERS + "bilinear gates"  # learns through the memory as well: its gates pass a gradient


def taught(
    layout: str, schedule: str, n_facts: int, d: int, seed: int, *, device: str = "cpu", **training: Any
) -> dict[str, Any]:
    """Recall behind attention trained in one way, as inserted and after a swap to another map of the same keys."""
    facts = fc.spherical_facts(n_facts, d, seed=seed).to(device)
    other = fc.FactSet(facts.keys, facts.values, facts.targets.roll(1))
    method, options = LAYOUTS[layout]
    if method == "block-convex":
        options = {"width": -(-4 * n_facts // d)}
    mlp, swapped = (fc.construct(f, method, seed=seed, strict=False, **options) for f in (facts, other))
    training |= TO_THE_END
    if schedule == "attention-first":
        model = tf.insert(attended("trained", n_facts, d, seed, device, **training), mlp)
    else:
        model = tf.insert(tf.FactTransformer(facts, seed=seed), mlp)
        tf.train_recall(model, facts.targets, schedule=schedule, seed=seed, **training)
    return {
        "n_params": mlp.n_params,
        "recall_alone": fc.recall(mlp, facts),
        "recall": tf.transformer_recall(model, facts.targets),
        "adaptive_recall": tf.adaptive_recall(model, swapped, other.targets),
        "through": float(noise.arrivals(model).through.double().mean()),
        "noise_95": float(noise.attention_noise(model, samples=4096).quantile(0.95)),
        "device": model.query.device,
    }


def jobs(seeds: int = 3, lrs: tuple[float, ...] = (PUBLISHED["lr"],)) -> list[dict[str, Any]]:
    """Attention first with every layout, size by size and draw by draw, then the trainings through a memory."""
    first = [(layout, "attention-first") for layout in LAYOUTS]
    return [
        {"layout": layout, "schedule": schedule, "lr": lr, "n_facts": n, "d": d, **LENGTH, "seed": seed}
        for (n, d), ways in [*((size, first) for size in SIZES), (SIZES[0], [(INSERTED, "insert-first")])]
        for lr in lrs
        for seed in range(seeds)
        for layout, schedule in ways
    ]


def table() -> pd.DataFrame | None:
    """What is stored of it, on the CPU and by ``make paper``; None where neither is there."""
    return both.read("usable_published")


def said() -> Markdown:
    """How the trainings of the table were run: what would be the same in all its rows."""
    if (rows := table()) is None:
        return Markdown("")
    size, rates, ways = rows.iloc[0], sorted(set(rows.lr)), sorted(set(rows.schedule))
    return Markdown(
        f"Trained as long as published: {size.steps:,} steps of {size.batch:,} sequences, {' or '.join(ways)}, "
        f"learning rate {' or '.join(f'{rate:g}' for rate in rates)}, means of {rows.seed.nunique()} draws."
    )


def shown() -> pd.DataFrame | Markdown:
    """Per layout the recall [%]: mean, worst draw, after a swap; d, schedule, rate and draws where they vary."""
    if (rows := table()) is None:
        return Markdown("As published, 16,000 steps of 1,280 sequences: not run yet (`make paper DEVICE=cuda`).")
    texts = {"d": rows.d.map(str), "rate": rows.lr.map("{:g}".format), "layout": rows.layout.str.replace("'", "’")}
    rows = rows.assign(**texts).rename(columns={"layout": "recall [%]"})
    levels = [name for name in ("d", "schedule", "rate") if rows[name].nunique() > 1]
    by = rows.groupby([*levels, "recall [%]"], sort=False)
    columns = {
        "through": by.through.mean(),
        "recall": by.recall.mean(),
        "worst draw": by.recall.min(),
        "swapped": by.adaptive_recall.mean(),
    }
    found = (100 * pd.DataFrame(columns)).round(1)
    if (draws := by.seed.nunique()).nunique() > 1:
        found["draws"] = draws
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--lrs", nargs="+", type=float, default=[PUBLISHED["lr"]])
    given = parser.parse_args()
    torch.set_num_threads(1)
    store.resume(store.results_file("usable_published", "laptop"), jobs(given.seeds, tuple(given.lrs)), taught)
    print(shown())


if __name__ == "__main__":
    main()
