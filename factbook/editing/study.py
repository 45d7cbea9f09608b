"""What the editing pages run: editors at their best, edits in a row, seconds.

The settings of an editor are chosen on the very edit that is reported. That flatters the editors that have something to
choose; a baseline is owed no less. A swap that loses facts is recorded with the facts it lost, not refused.
"""

import itertools
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from typing import Any

import torch

from factbook.editing.edits import change, draw_edits, request
from factbook.editing.measure import EditReport, evaluate_edit
from factbook.editing.model import FactLanguageModel, fact_accuracy, write_facts
from factbook.editing.text import airport_corpus
from factbook.editing.training import load_language_model

STEPS = {"steps": (10, 25, 100), "lr": (0.5, 0.05, 0.005)}
CLIP = (None, 1.0, 0.75, 0.5)
NULL = {"tol": (1e-2, 0.1, 0.2, 0.4, 0.8, 1.01), "ridge": (1e-2, 0.1, 0.3, 1.0, 3.0, 10.0)}
OLD = (0.1, 1.0, 5.0, 15.0, 50.0, 150.0, 1500.0, 15000.0)  # λ, in facts
# Per editor, groups of options: one group's settings are all tried, then the next group's at the best so far. Steps and
# rates come twice, as the best ones depend on the clip.
GRIDS: dict[str, list[dict[str, tuple[Any, ...]]]] = {
    "finetune": [STEPS | {"lr": (0.5, 0.05, 0.005, 0.0005), "weights": ("down", "all")}],
    "finetune with replay": [STEPS | {"weights": ("down", "all")}],
    "rome": [STEPS, {"clip": CLIP, "weight_decay": (0.0, 0.00015, 0.0015), "aimed": ("once", "each")}, STEPS],
    "memit": [STEPS, {"clip": CLIP, "weight_of_old": OLD}, STEPS],
    "alphaedit": [STEPS, {"clip": (None, 0.75)} | NULL, STEPS],
}
START: dict[str, dict[str, Any]] = {  # where the first group is tried: at the defaults
    "rome": {"clip": 1.0, "aimed": "once"},
    "memit": {"clip": None, "weight_of_old": 15.0},
    "alphaedit": {"clip": None, "tol": 1.01, "ridge": 0.3},
}
REPLAY_LR = 0.05  # of fine-tuning on all facts, untuned
WEIGHT_EDITORS = ("memit", "alphaedit", "rome", "finetune")  # what they are told is the edited facts alone
EDITORS = ("swap", *WEIGHT_EDITORS, "finetune with replay")
BATCHES, BATCH = 20, 5  # edits in a row, and cities in each
LOOK = (1, 2, 5, 10, 20)  # batches after which the model is examined
MADE_BY: dict[str, dict[str, Any]] = {"trained": {"descent": "adam", "gate": "silu"}}  # the published gate, no solve
STYLE: dict[str, dict[str, Any]] = {
    "swap": {"color": "#009E73", "marker": "P", "label": "swap the MLP (block-convex)"},
    "memit": {"color": "#0072B2", "marker": "o", "label": "MEMIT"},
    "alphaedit": {"color": "#CC79A7", "marker": "D", "label": "AlphaEdit"},
    "rome": {"color": "#9933FF", "marker": "s", "label": "ROME"},
    "finetune": {"color": "#D55E00", "marker": "^", "label": "fine-tuning, edited facts"},
    "finetune with replay": {"color": "#000000", "marker": "v", "label": "fine-tuning, all facts", "linestyle": "--"},
}


def best_edit(
    model: FactLanguageModel,
    new_facts: Mapping[str, str],
    method: str,
    *,
    relation: str = "city",
    seed: int = 0,
    tune: bool = True,
    fixed: Mapping[str, Any] | None = None,
) -> tuple[EditReport, dict[str, Any], int]:
    """The report of the setting with the best score, that setting, and how many were tried.

    ``method`` as in `edit`, or 'finetune with replay'. The search looks at every fourth template, the report at all.
    ``tune=False`` takes the defaults, as do methods without a grid. ``fixed``: options that no setting changes.
    """
    name, chosen, tried, highest = method, dict(START.get(method, {})) if tune else {}, 0, -1.0
    if method == "finetune with replay":
        name, chosen = "finetune", {"replay": True, "lr": REPLAY_LR}
    chosen |= fixed or {}
    kept: dict[Any, torch.Tensor] = {}
    score = partial(evaluate_edit, model, new_facts, method=name, relation=relation, seed=seed)
    for group in GRIDS.get(method, []) if tune else []:
        at = dict(chosen)
        for values in itertools.product(*group.values()):
            setting = at | dict(zip(group, values))
            report = score(quick=True, kept=kept, **setting)
            tried += 1
            if report.score > highest:
                highest, chosen = report.score, setting
    return score(**chosen), chosen, tried


@lru_cache(maxsize=2)
def base_model(construction: str, width: int, seed: int, device: str = "cpu") -> FactLanguageModel:
    """The shipped model of that seed with its facts in MLPs of that construction and width."""
    return load_language_model(seed, method=construction, width=width, device=device, **MADE_BY.get(construction, {}))


def swapped(construction: str, width: int) -> dict[str, Any]:
    """Options of `evaluate_edit` for a swap by a network that is made as `base_model` makes it, short or not."""
    return {"construction": construction, "width": width, "strict": False} | MADE_BY.get(construction, {})


def edit_jobs(
    methods: Iterable[str], widths: Iterable[int], shares: Iterable[float], seeds: Iterable[int], construction: str
) -> list[dict[str, Any]]:
    """Jobs for `edit_row`."""
    every = itertools.product(seeds, widths, shares, methods)
    return [
        {"method": method, "construction": construction, "width": width, "share": round(share, 5), "seed": seed}
        for seed, width, share, method in every
    ]


def edit_row(
    method: str, construction: str, width: int, share: float, seed: int, *, tune: bool = True, device: str = "cpu"
) -> dict[str, Any]:
    """One edit of a share of the cities, of a model with its facts in MLPs of ``construction`` and ``width``."""
    model = base_model(construction, width, seed, device)
    new_facts = draw_edits(model, max(1, round(share * len(model.corpus))), seed=100 + seed)
    setting: dict[str, Any] = {}
    tried = 1
    if method == "swap":
        report = evaluate_edit(model, new_facts, seed=seed, **swapped(construction, width))
    else:
        report, setting, tried = best_edit(model, new_facts, method, seed=seed, tune=tune)
    rounded = {name: round(value, 5) for name, value in report._asdict().items()}
    rounded["edit_seconds"] = rounded.pop("seconds")
    how = {"setting": in_words(setting), "tried": max(1, tried), "device": model.device}
    mlp: Any = model.facts["city"]
    return {"edited": len(new_facts)} | rounded | {"solves": len(mlp.solves)} | how


def sequence_row(
    method: str, width: int, seed: int, *, batches: int = BATCHES, tune: bool = True, device: str = "cpu"
) -> dict[str, Any]:
    """`BATCH` cities, ``batches`` times in a row, at the setting that is best for the first: recall in paraphrases.

    ``after_k`` is the share of all facts, edited and not, that are right after k batches.
    """
    model, name, found = base_model("block-convex", width, seed, device), method.split(" ")[0], {}
    setting: dict[str, Any] = {"width": width, "strict": False}
    if method != "swap":
        setting = best_edit(model, draw_edits(model, BATCH, seed=1000), method, seed=seed, tune=tune)[1]
    for number in range(1, batches + 1):
        new_facts = draw_edits(model, BATCH, seed=999 + number)
        model = change(request(model, new_facts, "city", seed), name, setting)
        if number in LOOK:
            found[f"after_{number}"] = round(float(fact_accuracy(model, "city", held_out=True).mean()), 5)
    setting.pop("strict", None)
    return found | {"setting": in_words(setting), "device": model.device}


def time_row(method: str, n_facts: int, seed: int, *, device: str = "cpu") -> dict[str, Any]:
    """Cost of one edit of n/10 facts at 24 parameters a fact (h = n/8); attention is untrained.

    ``cpu_s`` are processor seconds, which hardly depend on what else the machine does.
    Editors run at steps=25; fine-tuning with replay at 100 steps on all weights, which is what it needs.
    """
    model, width = _untrained_model(n_facts, seed, device), n_facts // 8
    options: dict[str, Any] = {"steps": 25}
    if method == "swap":
        options = {"width": width}
    elif method == "finetune with replay":
        options = {"replay": True, "weights": "all", "steps": 100}
    elif method == "finetune":
        options |= {"weights": "down"}
    new_facts = draw_edits(model, n_facts // 10, seed=seed)
    name = method.split(" ")[0]
    report = evaluate_edit(model, new_facts, method=name, seed=seed, quick=True, **options)  # loads what is used once
    told = request(model, new_facts, "city", seed)
    begun = time.process_time()
    change(told, name, options)
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
    seconds = round(time.process_time() - begun, 4)
    return {"width": width, "cpu_s": seconds, "peak_mb": round(report.peak_mb, 1), "device": model.device}


@lru_cache(maxsize=1)
def _untrained_model(n_facts: int, seed: int, device: str) -> FactLanguageModel:
    model = FactLanguageModel(airport_corpus(n_facts), seed=seed).requires_grad_(False).to(device)
    write_facts(model, "block-convex", width=n_facts // 8, seed=seed)
    return model


def in_words(setting: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in setting.items())
