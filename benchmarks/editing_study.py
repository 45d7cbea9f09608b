"""The tables behind the editing pages: python benchmarks/editing_study.py shares|width|sequential|time.

Rows go to results/laptop/editing*.csv as they finish. All of it takes about an hour on one core.
"""

import sys
from functools import lru_cache

import torch

from factcore import editing, store
from factcore.editing_grid import GRIDS, best_edit
from factcore.editing_model import FactLanguageModel, fact_accuracy

SHARES = (1 / 256, 0.01, 0.05, 0.1, 0.25, 0.5)
EDITORS = ("swap", "memit", "alphaedit", "rome", "finetune", "finetune with replay")
BATCHES, BATCH = 50, 5  # one edit after another
LOOK = (1, 2, 5, 10, 20, 35, 50)  # batches after which the model is examined


@lru_cache(maxsize=2)
def base(construction: str, width: int, seed: int) -> FactLanguageModel:
    """The shipped model of that seed with its facts in MLPs of that construction and width."""
    return editing.load_language_model(seed, method=construction, width=width)


def run_edit(method: str, construction: str, width: int, share: float, seed: int) -> dict:
    """One edit of a share of the cities; editors with settings try all of them and report the best."""
    model = base(construction, width, seed)
    new_facts = editing.draw_edits(model, max(1, round(share * len(model.corpus))), seed=100 + seed)
    setting, tried = "", 1
    if method in GRIDS:
        report, setting, tried = best_edit(model, new_facts, method, seed=seed)
    elif method == "swap":
        report = editing.evaluate_edit(model, new_facts, construction=construction, width=width, seed=seed)
    else:
        report = editing.evaluate_edit(model, new_facts, method=method, seed=seed)
    rounded = {name: round(value, 5) for name, value in report._asdict().items()}
    rounded["edit_seconds"] = rounded.pop("seconds")
    return {"edited": len(new_facts)} | rounded | {"setting": setting, "tried": tried}


def jobs(methods, widths, shares, seeds, construction="block-convex") -> list[dict]:
    return [
        {"method": m, "construction": construction, "width": w, "share": round(share, 5), "seed": s}
        for s in seeds
        for w in widths
        for share in shares
        for m in methods
    ]


def run_sequence(method: str, width: int, seed: int) -> dict:
    """`BATCHES` edits of `BATCH` cities in a row, at the setting that is best for the first: recall of all facts."""
    model, setting, name = base("block-convex", width, seed), {}, method
    first = editing.draw_edits(model, BATCH, seed=1000)
    if method in GRIDS:
        words = best_edit(model, first, method, seed=seed)[1]
        setting = {k: _value(v) for k, v in (word.split("=") for word in words.split())}
    if method == "finetune with replay":
        name, setting = "finetune", setting | {"replay": True}
    if method == "swap":
        setting = {"width": width}
    found = {}
    for number in range(1, BATCHES + 1):
        new_facts = editing.draw_edits(model, BATCH, seed=999 + number)
        model = editing.edit(model, new_facts, method=name, seed=seed, **setting)
        if number in LOOK:
            found[f"after_{number}"] = round(float(fact_accuracy(model, "city", held_out=True).mean()), 5)
    return found | {"setting": str(setting).replace(",", ";")}


def _value(text: str):
    if text in ("None", "down", "all"):
        return None if text == "None" else text
    return float(text) if set(text) & set(".e") else int(text)


def run_time(method: str, n_facts: int, seed: int) -> dict:
    """Seconds and memory of one edit of n/10 facts at 24 parameters a fact (h = n/8); attention is untrained."""
    model = FactLanguageModel(editing.airport_corpus(n_facts), seed=seed)
    model.requires_grad_(False)
    width = n_facts // 8
    editing.write_facts(model, "block-convex", width=width, seed=seed)
    new_facts, options = editing.draw_edits(model, n_facts // 10, seed=seed), {}
    if method == "swap":
        options = {"width": width}
    elif method == "finetune with replay":
        options = {"replay": True, "weights": "all", "steps": 100}
    name = method.split(" ")[0]
    report = editing.evaluate_edit(model, new_facts, method=name, seed=seed, quick=True, **options)
    return {"width": width, "edit_seconds": round(report.seconds, 4), "peak_mb": round(report.peak_mb, 1)}


def study(which: str) -> None:
    table = lambda name: store.results_file(name, "laptop")  # noqa: E731
    seeds = (0, 1, 2)
    if which == "shares":
        store.resume(table("editing"), jobs((*EDITORS, "no_op", "chance"), [32], [0.1], seeds), run_edit)
        store.resume(table("editing"), jobs(EDITORS, [32], SHARES, seeds), run_edit)
    elif which == "width":
        store.resume(table("editing_width"), jobs(EDITORS, [512, 128], [0.1], seeds), run_edit)
        store.resume(table("editing_width"), jobs(EDITORS, [32], [0.1], seeds, "trained"), run_edit)
    elif which == "sequential":
        todo = [{"method": m, "width": w, "seed": s} for w in (32, 128) for s in seeds for m in EDITORS]
        store.resume(table("editing_sequential"), todo, run_sequence)
    elif which == "time":
        todo = [{"method": m, "n_facts": n, "seed": s} for n in (64, 128, 256, 512) for s in seeds for m in EDITORS]
        store.resume(table("editing_time"), todo, run_time)
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    torch.set_num_threads(1)
    study(sys.argv[1] if len(sys.argv) > 1 else "")
