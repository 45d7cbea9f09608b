"""The fact-storage cost of a construction: the smallest width at which it stores everything. One search for all."""

import math
import time
from collections import Counter
from typing import Any, NamedTuple

import torch

from factcore.build import build_verified, check_storable, checked_method
from factcore.facts import FactSet
from factcore.methods import Method

GRID = 8  # widths tried at once where the method builds networks side by side
# The first ones, in units of the guess: most lie above, as a width with slack is trained quickly.
FIRST = (0.85, 0.95, 1.05, 1.2, 1.4, 1.7, 2.2, 3.0)


class SmallestWidth(NamedTuple):
    """A width that reached the target, and how it was found."""

    width: int
    n_params: int
    recall: float
    trials: list[dict[str, Any]]  # in order: width, seed, n_params, recall and seconds of each


def smallest_width(
    facts: FactSet,
    method: str = "encoder-decoder",
    *,
    target_recall: float = 1.0,
    seed: int = 0,
    tries: int = 3,
    resolution: float = 0.02,
    start: int | None = None,
    **options: Any,
) -> SmallestWidth:
    """Fewest hidden units with which ``construct(facts, method, …)`` reaches ``target_recall``.

    From ``start`` (by default the method's guess) widths grow or shrink until they straddle the target; then the
    interval is cut to one unit or to ``resolution`` (relative), whichever is coarser. Just below the width returned,
    ``tries`` seeds (seed, seed + 1, …) have failed. Widths count in the steps of the method; one that builds networks
    side by side tries a grid at a time. Recall is the share of facts that `construct` verifies. ValueError for bad
    arguments, for values that no network can store, and when the widest network of use to the method falls short.
    """
    record = checked_method(facts, method, None, seed, options)
    if not 0 < target_recall <= 1 or tries < 1 or resolution < 0:
        given = f"{target_recall}, {tries} and {resolution}"
        raise ValueError(f"target_recall must lie in (0, 1], tries be ≥ 1 and resolution ≥ 0, got {given}")
    step = 1 if record.fixed_width else record.step(facts, **options)
    grid = 1 if record.build_many is None else GRID
    begin = max(1, (start or record.guess(facts)) // step)
    most = max(1, record.most(facts) // step)
    trials: list[dict[str, Any]] = []
    tried: list[tuple[int, bool]] = []  # width in steps, and whether it reached the target
    with torch.inference_mode(False), torch.enable_grad():
        if record.fixed_width:
            trials = _run([(None, seed)], record, facts, target_recall, options)
        while not record.fixed_width and (runs := _next_runs(tried, begin, most, grid, tries, resolution)):
            asked = [(count * step, seed + attempt) for count, attempt in runs]
            trials += _run(asked, record, facts, target_recall, options)
            tried = [(trial["width"] // step, trial["recall"] >= target_recall) for trial in trials]
    best = min((t for t in trials if t["recall"] >= target_recall), key=lambda trial: trial["width"])
    return SmallestWidth(best["width"], best["n_params"], best["recall"], trials)


def _run(
    asked: list[tuple[Any, int]], record: Method, facts: FactSet, target: float, options: dict[str, Any]
) -> list[dict[str, Any]]:
    """Build a network for each (width, seed) of ``asked``; a trial's seconds are its share."""
    begun, trials = time.perf_counter(), []
    widths, seeds = (list(column) for column in zip(*asked))
    mlps = build_verified(record, facts, widths, seeds, options)
    seconds = (time.perf_counter() - begun) / len(mlps)
    for mlp, width, seed in zip(mlps, widths, seeds):
        share = 1 - len(mlp.lost) / len(facts)
        trial = {"width": width or mlp.width, "seed": seed, "n_params": mlp.n_params, "recall": share}
        trials.append(trial | {"seconds": seconds})
    if target == 1.0 and all(t["recall"] < 1 for t in trials):
        check_storable(facts, mlps[-1])
    return trials


def _next_runs(
    tried: list[tuple[int, bool]], begin: int, most: int, grid: int, tries: int, resolution: float
) -> list[tuple[int, int]]:
    """The (width, attempt) of the next round, widths in steps, from (width, reached) so far; empty at the end."""
    reached, failed = [w for w, stored in tried if stored], Counter(w for w, stored in tried if not stored)
    if not tried:
        shares = FIRST if grid > 1 else (1.0,)
        return [(w, 0) for w in sorted({min(most, max(1, round(share * begin))) for share in shares})]
    if not reached:
        low = max(failed)
        if low >= most:
            raise ValueError(f"no width up to {most} (in the method's steps) reaches the target recall")
        grown = [math.ceil(low * 1.3**k) for k in range(1, grid + 1)] if grid > 1 else [2 * low]
        return [(width, 0) for width in sorted({min(most, width) for width in grown})]
    high = min(reached)
    below = [width for width in failed if width < high]
    sure = max((width for width in below if failed[width] >= tries), default=0)
    if high - sure <= max(1, resolution * sure):
        return []
    if not below:  # everything has reached so far
        smaller = [0.8**k for k in range(1, grid + 1)] if grid > 1 else [0.5]
        return [(width, 0) for width in sorted({max(1, int(high * share)) for share in smaller} - {high})]
    low = max(below)
    step = max(1, int(resolution * low), -(-(high - low) // (grid + 1)))
    between = list(range(high - step, low, -step)) or [low]
    runs = [(width, attempt) for width in between for attempt in range(failed[width], tries)]
    return runs if grid > 1 else runs[:1]
