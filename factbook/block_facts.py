"""The page on the facts that a block can store: its searches; what it shows is in block_facts_shown."""

from functools import lru_cache, partial
from typing import Any

import pandas as pd

import factcore as fc
from factbook import noise as us
from factbook import store
from factbook.attended import attended
from factcore.constructions.encoder_decoder import units_per_coordinate

SIZES = {  # n, d
    "smoke": [(8, 32), (16, 32)],
    "laptop": [(64, 64), (128, 64), (256, 64), (512, 64), (32, 32), (64, 32), (128, 32)],
    "paper": [(256, 128), (512, 128), (1024, 128), (2048, 128)],
}
TRAINING: dict[str, dict[str, Any]] = {
    "smoke": {"steps": 60, "batch": 64},
    "laptop": {"batch": 256},
    "paper": {"steps": 8000, "batch": 1280, "lr": 3e-3},
}
METHODS = ["encoder-decoder", "max-margin", "block-convex", "data-dependent", "trained"]
CODES = {"encoder-decoder": "separators", "paper-codes": "projected"}
USABLE = 0.99  # of the sequences that get through attention
SLOW = 256  # facts beyond which max-margin and training are left out
DEARER = ("data-dependent", "trained")  # of these, the larger dimension only
BUILT: dict[str, tuple[str, dict[str, Any], int]] = {
    # method: construct's name for it, its options, and parameters per fact at which the search begins (0: alone)
    "max-margin": ("max-margin", {"ridge": 1.0}, 12),
    "block-convex": ("block-convex", {}, 5),
    "data-dependent": ("hebbian", {"variant": "data-dependent"}, 12),
    "trained": ("trained", {}, 0),
}


# --- the searches, one row each ---------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def _handed(
    kind: str, n_facts: int, d: int, seed: int, device: str, training: tuple[tuple[str, Any], ...]
) -> us.Arrivals:
    """What attention, trained or solved for, hands to the MLP."""
    return us.arrivals(attended(kind, n_facts, d, seed, device, **dict(training)))


def _largest(method: str, profile: str) -> int:
    """Parameters per fact where a search gives up; the data-dependent memory gains beyond the number of facts."""
    return (30 if profile == "smoke" else 200) * (3 if method == "data-dependent" else 1)


def smallest_encoder_decoder(facts: fc.FactSet, codes: str, arrived: us.Arrivals, seed: int, largest: int) -> float:
    """Fewest parameters of a usable one, over layouts and, for each, code lengths from short to long."""
    alone = fc.construct(facts, codes=codes, seed=seed)  # as it is stored alone: buckets, the shortest codes
    shortest = 3
    if codes == "projected":  # shorter than what decodes alone is no use, and there are many lengths to d
        full = fc.construct(facts, codes=codes, fill=1.0, strict=False, seed=seed)
        shortest = full.width // units_per_coordinate(facts)
    least = alone.n_params if us.kept(alone, facts, arrived) >= USABLE else float("inf")
    layouts: list[dict[str, Any]] = [{"fill": 1.0}]  # full buckets, then bilinear gates with more and more room
    layouts += [{"encoder": "random-gates", "gate": "identity", "fill": fill} for fill in (1.0, 0.7, 0.5, 0.35)]
    for layout in layouts:
        for m in range(shortest, facts.d + 1):
            width = m * units_per_coordinate(facts, **layout)
            if 3 * facts.d * width >= min(least, largest * len(facts)):
                break
            mlp = fc.construct(facts, codes=codes, code_dim=m, strict=False, seed=seed, **layout)
            if us.kept(mlp, facts, arrived) >= USABLE:
                least = min(least, mlp.n_params)  # the builder may have made more room than asked for
                break
    return least if least < float("inf") else float("nan")


@lru_cache(maxsize=64)
def _of_width(method: str, width: int, n_facts: int, d: int, seed: int, device: str) -> fc.GatedMLP:
    """The same network for either attention."""
    name, options, _ = BUILT[method]
    facts = fc.spherical_facts(n_facts, d, seed=seed).to(device)
    return fc.construct(facts, name, width=width, seed=seed, strict=False, **options)


def smallest_built(
    facts: fc.FactSet, method: str, arrived: us.Arrivals, least: int, seed: int, largest: int, device: str
) -> float:
    """Fewest parameters of a usable one, the width grown by tenths from far too small, or from ``least`` parameters."""
    n_facts, d = len(facts), facts.d
    width = -(-BUILT[method][2] * n_facts // (3 * d)) or least // (3 * d)
    while 3 * d * width <= largest * n_facts:
        mlp = _of_width(method, width, n_facts, d, seed, device)
        if us.kept(mlp, facts, arrived) >= USABLE:
            return mlp.n_params
        width = max(width + 1, round(1.1 * width))
    return float("nan")


def alone(facts: fc.FactSet, method: str, seed: int) -> int:
    """Fewest parameters that store the facts, as a search by bisection finds them."""
    begin = {"max-margin": 11, "block-convex": 5}.get(method)
    start = max(1, begin * len(facts) // (3 * facts.d)) if begin else None
    name, options, _ = BUILT.get(method, ("encoder-decoder", {"codes": CODES.get(method)}, 0))
    options = {} if method == "max-margin" else options  # its ridge of 1 is for noise
    return fc.smallest_width(facts, name, seed=seed, tries=1, start=start, **options).n_params


def cost(
    method: str, n_facts: int, d: int, seed: int, *, profile: str, device: str, training: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Parameters that n facts cost behind either attention (NaN: more than the limit a fact) and alone."""
    training = TRAINING[profile] if training is None else training
    facts, largest = fc.spherical_facts(n_facts, d, seed=seed).to(device), _largest(method, profile)
    row: dict[str, Any] = {}
    least = alone(facts, method, seed)
    for kind, end in (("trained", ""), ("solved", "_solved")):
        arrived = _handed(kind, n_facts, d, seed, device, tuple(sorted(training.items())))
        row["device"] = arrived.inputs.device  # the searches take networks and these together
        row[f"through{end}"] = float(arrived.through.double().mean())
        if method in CODES:
            row[f"n_params{end}"] = smallest_encoder_decoder(facts, CODES[method], arrived, seed, largest)
        else:
            row[f"n_params{end}"] = smallest_built(facts, method, arrived, least, seed, largest, device)
    return row | {"n_params_alone": least}


def table(profile: str, seed: int, device: str) -> pd.DataFrame:
    """All searches, three draws of facts each."""
    sizes = SIZES[profile]
    methods = ["encoder-decoder", "data-dependent"] if profile == "smoke" else [*METHODS, "paper-codes"]
    widest = max(d for _, d in sizes)
    jobs = [
        {"method": method, "n_facts": n, "d": d, "seed": s}
        for n, d in sizes
        for s in store.draws(profile, seed)
        for method in methods
        if (method not in ("max-margin", "trained") or n <= SLOW) and (method not in DEARER or d == widest)
    ]
    run = partial(cost, profile=profile, device=device)
    return store.resume(store.results_file("block_facts", profile), jobs, run, device=device)
