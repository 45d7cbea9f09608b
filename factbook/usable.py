"""The page on constructed MLPs inside a transformer: its memories and runs; what it shows is in usable_shown."""

from functools import partial
from typing import Any

import pandas as pd
import torch
from torch.nn.functional import normalize

import factcore as fc
from factbook import noise as us
from factbook import store
from factbook.attended import attended
from factbook.steepness import relative_lipschitz
from factcore import transformer as tf
from factcore.support.streams import stream

SIZES = {"smoke": (32, 32), "laptop": (256, 64), "paper": (4096, 512)}  # facts, dimensions
TRAINING: dict[str, dict[str, Any]] = {
    "smoke": {"steps": 100, "batch": 64},
    "laptop": {},
    "paper": {"steps": 8000, "batch": 1280, "lr": 3e-3},
}
LEARNING: dict[str, dict[str, Any]] = {
    "smoke": {"batch": 64},
    "laptop": {"batch": 256},
    "paper": {"batch": 1280, "lr": 3e-3},
}
STEPS = {"smoke": 50, "laptop": 1000, "paper": 8000}
SETTINGS: dict[str, dict[str, Any]] = {  # other ways to train attention
    "as above": {},
    "4,000 steps": {"steps": 4000},
    "lr 0.003": {"lr": 3e-3},
    "lr 0.03": {"lr": 3e-2},
    "no weight decay": {"weight_decay": 0.0},
    "lr 0.0002 (the paper's), 4,000 steps": {"lr": 2e-4, "steps": 4000},
}
VARIANTS = {  # the recipe's parts put back: what learns, too
    "the recipe": [],
    "with residuals": [],
    "MLP norm learns": ["mlp_norm"],
    "value and output projections learn": ["value", "output"],
    "untied embeddings and head": ["embedding", "head"],
}
READ = ["buckets, fill 1", "bilinear gates, fill 0.5", "block-convex, 12 a fact", "trained alone, 12 a fact"]
IN_PLACE = "trained in place, 12 a fact"
Memory = tuple[str, dict[str, Any], float]  # method, options, noise of the copies it is built with [degrees]


def memories(profile: str) -> dict[str, Memory]:
    """The memories by their labels; the smoke profile has those that the text reads."""
    n, d = SIZES[profile]
    m = max(6, d * 5 // 32)  # code length that leaves room: twice what recall alone needs
    gated = {"encoder": "random-gates", "code_dim": m}
    bilinear = gated | {"gate": "identity"}

    def wide(per_fact: float) -> dict[str, int]:
        return {"width": -(-int(per_fact * n) // (3 * d))}

    every: dict[str, Memory] = {
        "buckets, fill 1": ("encoder-decoder", {}, 0),
        "buckets, fill 0.8, longer codes": ("encoder-decoder", {"fill": 0.8, "code_dim": m}, 0),
        "buckets, fill 0.5, longer codes": ("encoder-decoder", {"fill": 0.5, "code_dim": m}, 0),
        "SiLU gates, fill 1": ("encoder-decoder", gated, 0),
        "SiLU gates, fill 0.5": ("encoder-decoder", gated | {"fill": 0.5}, 0),
        "bilinear gates, fill 1": ("encoder-decoder", bilinear, 0),
        "bilinear gates, fill 0.5": ("encoder-decoder", bilinear | {"fill": 0.5}, 0),
        "Hebbian, whitened": ("hebbian", wide(96), 0),
        "max-margin, 30 a fact": ("max-margin", wide(30), 0),
        "max-margin, 48 a fact": ("max-margin", wide(48), 0),
        "block-convex, 8 a fact": ("block-convex", wide(8), 0),
        "block-convex, 12 a fact": ("block-convex", wide(12), 0),
        "block-convex, 12 a fact, noisy copies": ("block-convex", wide(12), 15),
        "block-convex, 18 a fact, noisy copies": ("block-convex", wide(18), 15),
        "trained alone, 12 a fact": ("trained", wide(12) | {"steps": 200 if profile == "smoke" else 1000}, 0),
    }
    return {name: every[name] for name in READ} if profile == "smoke" else every


def _size(profile: str) -> dict[str, int]:
    return dict(zip(("n_facts", "d"), SIZES[profile]))


def maps(n_facts: int, d: int, seed: int, device: str) -> tuple[fc.FactSet, fc.FactSet]:
    """The facts, and another map over the same keys and values."""
    facts = fc.spherical_facts(n_facts, d, seed=seed).to(device)
    return facts, fc.FactSet(facts.keys, facts.values, facts.targets.roll(1))


def _build(memory: Memory, facts: fc.FactSet, seed: int) -> fc.GatedMLP:
    method, options, degrees = memory
    stored = us.noisy_copies(facts, degrees, 8, seed=seed) if degrees else facts
    return fc.construct(stored, method, seed=seed, strict=False, **options)


# --- the runs, one row each -------------------------------------------------------------------------------------------


def inserted(memory: str, n_facts: int, d: int, seed: int, *, profile: str, device: str) -> dict[str, Any]:
    """Recall in the transformer before and after a swap to another map, and the angles that explain it."""
    facts, other = maps(n_facts, d, seed, device)
    mlp, swapped = (_build(memories(profile)[memory], f, seed) for f in (facts, other))
    kinds = (
        attended(kind, n_facts, d, seed, device, **TRAINING[profile]) for kind in ("trained", "sharpened", "solved")
    )
    model, sharp, solved = (tf.insert(kind, mlp) for kind in kinds)
    tolerance, noise = us.noise_tolerance(mlp, facts), us.attention_noise(model)
    return {
        "device": mlp.down.device,
        "n_params": mlp.n_params,
        "recall_alone": fc.recall(mlp, facts),
        "recall": tf.transformer_recall(model, facts.targets),
        "adaptive_recall": tf.adaptive_recall(model, swapped, other.targets),
        "sharp_recall": tf.transformer_recall(sharp, facts.targets),
        "solved_recall": tf.transformer_recall(solved, facts.targets),
        "solved_adaptive": tf.adaptive_recall(solved, swapped, other.targets),
        "solved_certified": tf.certified_recall(solved, facts.targets),
        "swap_certified": tf.certified_recall(tf.insert(solved, swapped), other.targets),
        "solved_noise": float(tf.certified_noise(solved).max()),
        "lipschitz": relative_lipschitz(mlp, facts),
        "tolerance_5": float(tolerance.quantile(0.05)),
        "tolerance_50": float(tolerance.median()),
        "certified_50": float(tf.certified_tolerance(mlp, facts).median()),
        "noise_50": float(noise.median()),
        "noise_95": float(noise.quantile(0.95)),
        "sharp_noise_95": float(us.attention_noise(sharp).quantile(0.95)),
        "reached": float((noise < 45).double().mean()),
    }


def table(profile: str, seed: int, device: str) -> pd.DataFrame:
    """Every memory in the transformer, three draws of facts."""
    jobs = [{"memory": m, **_size(profile), "seed": s} for s in store.draws(profile, seed) for m in memories(profile)]
    run = partial(inserted, profile=profile, device=device)
    return store.resume(store.results_file("usable", profile), jobs, run, device=device)


def left_of_keys(
    setting: str, sharpened: bool, n_facts: int, d: int, seed: int, *, profile: str, device: str
) -> dict[str, Any]:
    """What gets through attention, and the angles."""
    kind = "solved" if setting == "solved for" else "sharpened" if sharpened else "trained"
    plain = {"target_recall": 2.0, "steps": 1500, "batch": 512, "lr": 1e-2, **TRAINING[profile]}
    options = {} if kind == "solved" else plain | SETTINGS[setting]
    model = attended(kind, n_facts, d, seed, device, **options)
    noise = us.attention_noise(model, samples=4096)
    through = float(us.arrivals(model).through.double().mean())
    angles = {"noise_50": float(noise.median()), "noise_95": float(noise.quantile(0.95))}
    return {"through": through, **angles, "device": noise.device}


def fairness(profile: str, seed: int, device: str) -> pd.DataFrame:
    """What gets through attention, for every setting of its training and solved for; no MLP takes part."""
    settings = list(SETTINGS)[:1] if profile == "smoke" else list(SETTINGS)
    ways = [(name, sharper) for name in settings for sharper in (False, True)] + [("solved for", False)]
    jobs = [
        {"setting": name, "sharpened": sharper, **_size(profile), "seed": s}
        for s in store.draws(profile, seed)
        for name, sharper in ways
    ]
    run = partial(left_of_keys, profile=profile, device=device)
    return store.resume(store.results_file("usable_training", profile), jobs, run, device=device)


def moments(profile: str) -> list[int]:
    return [STEPS[profile] // 5 * k for k in range(1, 6)]


def learned(
    memory: str, schedule: str, n_facts: int, d: int, seed: int, *, profile: str, device: str
) -> dict[str, Any]:
    """Recall, as inserted and after a swap, at the look nearest to each of five moments of training."""
    facts, other = maps(n_facts, d, seed, device)
    made = memories(profile)["trained alone, 12 a fact" if memory == IN_PLACE else memory]
    swapped = _build(made, other, seed)
    model = tf.FactTransformer(facts, seed=seed)
    tf.insert(model, _build(made, facts, seed), trainable=memory == IN_PLACE)
    options = {"schedule": schedule, "steps": STEPS[profile], "seed": seed, **LEARNING[profile]}
    swap = partial(tf.adaptive_recall, model, swapped, other.targets)
    options["measure"] = lambda: {"adaptive": swap()}
    history = tf.train_recall(model, facts.targets, target_recall=2.0, **options).history
    looks = {at: min(history, key=lambda row: abs(row["step"] - at)) for at in moments(profile)}
    found = {f"{key}_{at}": row[key] for at, row in looks.items() for key in ("recall", "adaptive")}
    return found | {"device": model.query.device}


def curves(profile: str, seed: int, device: str) -> pd.DataFrame:
    """Recall as attention learns, under both schedules, and with a memory that learns in place."""
    watched = (
        ["block-convex, 12 a fact"] if profile == "smoke" else ["bilinear gates, fill 0.5", "block-convex, 12 a fact"]
    )
    runs = [(name, schedule) for name in watched for schedule in ("attention-first", "insert-first")]
    jobs = [
        {"memory": name, "schedule": schedule, **_size(profile), "seed": s}
        for s in store.draws(profile, seed)
        for name, schedule in [*runs, (IN_PLACE, "insert-first")]
    ]
    run = partial(learned, profile=profile, device=device)
    return store.resume(store.results_file("usable_steps", profile), jobs, run, device=device)


def ablated(variant: str, schedule: str, n_facts: int, d: int, seed: int, *, steps: int, device: str) -> dict[str, Any]:
    """Recall with one part of the recipe put back."""
    facts, other = maps(n_facts, d, seed, device)
    memory: Memory = ("block-convex", {"width": -(-4 * n_facts // d)}, 0)
    model, generator = (
        tf.FactTransformer(facts, seed=seed, residuals=variant == "with residuals"),
        stream(seed, "noise"),
    )
    for name in VARIANTS[variant]:
        weight = getattr(model, name).requires_grad_()
        if name in ("embedding", "head"):  # untied: at random, of the norms they had
            drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64).to(weight)
            weight.data = normalize(drawn, dim=1) * weight.detach().norm(dim=1, keepdim=True)
    tf.insert(model, _build(memory, facts, seed))
    result = tf.train_recall(model, facts.targets, schedule=schedule, seed=seed, steps=steps, batch=256)
    adaptive = tf.adaptive_recall(model, _build(memory, other, seed), other.targets)
    return {"recall": result.recall, "adaptive_recall": adaptive, "device": model.query.device}


def ablation(profile: str, seed: int, device: str) -> pd.DataFrame:
    """Each part of the recipe put back alone, with a block-convex memory at a small size."""
    smoke = profile == "smoke"
    n, d = (16, 16) if smoke else (64, 32)
    jobs = [
        {"variant": name, "schedule": schedule, "n_facts": n, "d": d, "seed": s}
        for name in (["the recipe", "untied embeddings and head"] if smoke else VARIANTS)
        for schedule in ("attention-first", "insert-first")
        for s in store.draws(profile, seed)
    ]
    run = partial(ablated, steps=20 if smoke else 500, device=device)
    return store.resume(store.results_file("usable_ablation", profile), jobs, run, device=device)
