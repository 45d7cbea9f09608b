"""The study of airports in a transformer: memory and attention solved for, and attention trained for comparison."""

import time
from typing import Any

import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch.nn.functional import normalize

import factcore as fc
from factbook import baselines, figures
from factbook import noise as us
from factbook.attended import sharpen
from factbook.prose import percent, power_of_ten
from factcore import transformer as tf

SIZES = {"smoke": [64], "laptop": [256, 1024, 7007], "paper": [256, 1024, 7007]}
RATES = {"smoke": [1e-2], "laptop": [1e-2, 3e-3, 1e-3, 3e-4], "paper": [1e-2, 3e-3, 1e-3, 3e-4]}
TRAINING: dict[str, dict[str, Any]] = {
    "smoke": {"steps": 20, "batch": 32},
    "laptop": {"steps": 500, "batch": 256},
    "paper": {"steps": 8000, "batch": 1280},
}
LARGER: dict[str, Any] = {"encoder": "random-gates", "gate": "identity", "fill": 0.5}  # an encoder-decoder with room


def unit_facts(n_facts: int, relation: str, device: str = "cpu") -> fc.FactSet:
    """Airports with keys of norm 1, as attention that reads only directions wants them."""
    facts = fc.airport_facts(n_facts, relation=relation).to(device)
    return fc.FactSet(normalize(facts.keys, dim=1), facts.values, facts.targets, facts.key_names, facts.value_names)


def jobs(profile: str, seed: int) -> list[dict[str, Any]]:
    seeds = range(seed, seed + 3)
    return [{"relation": "country", "n_facts": n, "seed": s} for n in SIZES[profile] for s in seeds]


def placed(relation: str, n_facts: int, seed: int, *, samples: int, device: str = "cpu") -> dict[str, Any]:
    """One transformer of airports: what it recalls, what is proved, and the seconds that its two parts took.

    ``adaptive_recall`` is recall after a swap to a memory in which every airport has the next one's value.
    """
    facts = unit_facts(n_facts, relation, device)
    other = fc.FactSet(facts.keys, facts.values, facts.targets.roll(1))
    begin = time.perf_counter()
    mlp = fc.construct(facts, seed=seed)
    built = time.perf_counter()
    model = tf.FactTransformer(facts, seed=seed)
    tf.solve_attention(model)
    solved = time.perf_counter()
    tf.insert(model, mlp)
    return {
        "device": mlp.down.device,
        "n_values": facts.n_values,
        "n_params": mlp.n_params,
        "recall": tf.transformer_recall(model, facts.targets, samples=samples),
        "adaptive_recall": tf.adaptive_recall(model, fc.construct(other, seed=seed), other.targets, samples=samples),
        "certified": tf.certified_recall(model, facts.targets),
        "noise_largest": float(tf.certified_noise(model).max()),
        "tolerance_smallest": float(tf.certified_tolerance(mlp, facts).min()),
        "seconds_mlp": built - begin,
        "seconds_attention": solved - built,
    }


def training_jobs(profile: str, seed: int) -> list[dict[str, Any]]:
    n = SIZES[profile][0]
    return [{"n_facts": n, "lr": lr, "seed": s} for lr in RATES[profile] for s in range(seed, seed + 3)]


def trained(n_facts: int, lr: float, seed: int, *, profile: str, samples: int, device: str = "cpu") -> dict[str, Any]:
    """What trained attention leaves of the keys, and what two memories of the airports' cities make of it."""
    facts = unit_facts(n_facts, "city", device)
    memories = {"recall": fc.construct(facts, seed=seed), "recall_larger": fc.construct(facts, seed=seed, **LARGER)}
    model = tf.FactTransformer(facts, seed=seed)
    tf.train_recall(model, facts.targets, lr=lr, seed=seed, target_recall=2.0, **TRAINING[profile])
    row: dict[str, Any] = {
        name: tf.transformer_recall(tf.insert(model, mlp), facts.targets, samples=samples)
        for name, mlp in memories.items()
    }
    row["through"] = float(us.arrivals(model, samples=samples).through.double().mean())
    row |= {
        "device": model.query.device,
        "n_params_larger": memories["recall_larger"].n_params,
        "noise": float(us.attention_noise(model, samples=samples).median()),
    }
    sharpen(model)
    row["sharp_recall"] = tf.transformer_recall(tf.insert(model, memories["recall"]), facts.targets, samples=samples)
    return row | {"sharp_noise": float(us.attention_noise(model, samples=samples).median())}


def best_rate(table: pd.DataFrame) -> pd.Series:
    """Medians over the draws at the learning rate, the row's name, at which the larger memory loses least."""
    shown = ["recall", "recall_larger", "noise", "through", "sharp_recall"]
    return table.groupby("lr")[shown].median().sort_values("recall_larger").iloc[-1]


def findings(table: pd.DataFrame, training: pd.DataFrame, beside: pd.DataFrame) -> list[str]:
    """The page's sentences, from the tables of `placed`, `trained` and `baselines.airports_row`."""
    n = table.n_facts.max()
    rows, best = table[table.n_facts == n], best_rate(training)
    others = beside[beside.relation == "country"].set_index("way").recall
    recall, proved = percent(rows.recall.min()), percent(rows.certified.min())
    near, linear = percent(others[baselines.NEAREST]), percent(others[baselines.LOG_LOSS])
    left, taken = rows.noise_largest.max(), rows.tolerance_smallest.min()
    return [
        f"The transformer answers {recall} of sampled sequences about {n:,} airports right, and for {proved} of the "
        f"airports it is proved that no sequence of the task misleads it (worst of {len(rows)} draws). After a swap to "
        f"a memory of another map, without any training, recall is {percent(rows.adaptive_recall.min())}.",
        f"No likeness of names does this: the country nearest to a name is right for {near} of them, the best linear "
        f"map in the memory's place for {linear}.",
        f"Attention that is solved for leaves at most {_tens(left)} degrees between its output and the key; the memory "
        f"takes at least {_tens(taken)}.",
        f"A short training to return the key leaves {best.noise:.1f} degrees at its best learning rate; the tightest "
        f"memory, here of {training.n_facts.max()} airports' cities, then recalls {percent(best.recall)} of the "
        f"sequences, and once the same attention is sharpened, {percent(best.sharp_recall)}.",
    ]


def _tens(x: float) -> str:
    """Two figures and a power of ten: 2.8 × 10⁻⁵, on one line."""
    return power_of_ten(x, figures=2).replace(" ", "\u00a0")


def proved(table: pd.DataFrame) -> pd.DataFrame:
    """Per number of airports, over the draws: the least recall and proof, the angles, median seconds of the solves."""
    by = table.groupby("n_facts")
    found = {
        "right": by.recall.min().map(percent),
        "after a swap": by.adaptive_recall.min().map(percent),
        "proved": by.certified.min().map(percent),
        "angle left [°]": by.noise_largest.max().map(_tens),
        "angle taken [°]": by.tolerance_smallest.min().map(_tens),
        "memory [s]": by.seconds_mlp.median().round(1),
        "attention [s]": by.seconds_attention.median().round(1),
    }
    return pd.DataFrame(found).rename(index="n\u00a0=\u00a0{:,}".format).rename_axis(None)


def by_rate(training: pd.DataFrame) -> pd.DataFrame:
    """Per learning rate, medians over the draws: the angle that training leaves, and what memories make of it."""
    by = training.groupby("lr")
    found = {"angle left [°]": by.noise.median().round(1)}
    names = {"shortest codes": "recall", "larger memory": "recall_larger", "shortest, sharpened": "sharp_recall"}
    found |= {name: by[column].median().map(percent) for name, column in names.items()}
    return pd.DataFrame(found).rename(index="rate\u00a0{:g}".format).rename_axis(None)


def figure(
    table: pd.DataFrame, training: pd.DataFrame, model: tf.FactTransformer, mlp: fc.GatedMLP, facts: fc.FactSet
) -> Figure:
    """Left recall against the angle that attention leaves; right, for one transformer, the angle the memory takes."""
    drawn, (left, right) = plt.subplots(1, 2, figsize=(8.8, 4.2))
    blue, orange = figures.COLOURS["encoder-decoder"], figures.COLOURS["trained"]
    green = figures.COLOURS["block-convex"]
    left.plot(table.noise_largest, table.recall, "P", color=green, label="solved for, all sizes (countries)")
    left.plot(training.noise, training.recall, "o", color=blue, label="trained, shortest codes (cities)")
    left.plot(training.noise, training.recall_larger, "^", color=orange, label="trained, larger memory (cities)")
    look = {"color": blue, "markersize": 9, "fillstyle": "none", "label": "sharpened, shortest codes (cities)"}
    left.plot(training.sharp_noise, training.sharp_recall, "s", **look)
    left.set(xscale="log", xlabel="angle between input and key [degrees]", ylabel="recall (share of sequences)")
    left.set_ylim(-0.03, 1.05)
    angles = tf.certified_tolerance(mlp, facts).sort().values.cpu()
    right.plot(angles, 1 - torch.arange(len(angles)) / len(angles), color=blue, label="the memory takes")
    right.axvline(
        float(tf.certified_noise(model).max()), color="black", linestyle=":", label="attention leaves at most"
    )
    right.set(
        xscale="log", xlabel="angle, proved [degrees]", ylabel="share of keys", title=f"{len(facts)} airports, one draw"
    )
    right.legend()
    figures.legend_below(drawn, left, 2)
    return drawn
