"""The smallest width of trained networks, found with whole grids of widths and seeds trained at once."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from factcore.checks import check_options
from factcore.facts import FactSet
from factcore.recall import recall
from factcore.search import SmallestWidth, check_search
from factcore.training import train_many

GRID = 8  # widths of one fact set trained at once
# First widths, in units of the guess. A width with room to spare trains quickly and one without takes all its steps:
# most of them lie above.
FIRST = (0.85, 0.95, 1.05, 1.2, 1.4, 1.7, 2.2, 3.0)

Trial = dict[str, Any]


def smallest_trained_widths(
    fact_sets: Sequence[FactSet],
    *,
    target_recall: float = 1.0,
    seed: int | Sequence[int] = 0,
    tries: int = 3,
    resolution: float = 0.02,
    start: int | None = None,
    **options,
) -> list[SmallestWidth]:
    """``smallest_width(facts, "trained", …)`` for several fact sets of the same n, v and d at once.

    Every round trains a grid of widths for each fact set side by side (`train_many`): first a coarse one around
    ``start``, one seed each; then the widths between the largest that failed and the smallest that reached
    ``target_recall``, with all seeds. It ends as the serial search does: a width w has reached the target, and the
    next smaller one, a unit or ``resolution`` · w below, has failed with ``tries`` seeds (seed, seed + 1, …).
    ``seed`` may be one per fact set. The ``options`` are those of `trained`. A trial's seconds are its share of its
    round. ValueError for bad arguments and when no width up to 4(n + d) suffices.
    """
    check_search(target_recall, tries, resolution)
    fact_sets = list(fact_sets)
    seeds = [seed] * len(fact_sets) if isinstance(seed, int) else list(seed)
    if not len(fact_sets) == len(seeds) > 0:
        raise ValueError(f"seed must be one integer or one per fact set, got {len(seeds)} for {len(fact_sets)} sets")
    check_options("trained", train_many, options)
    trials: list[list[Trial]] = [[] for _ in fact_sets]
    while True:
        runs = [
            (at, width, seeds[at] + attempt)
            for at, facts in enumerate(fact_sets)
            for width, attempt in _next_runs(trials[at], facts, target_recall, tries, resolution, start)
        ]
        if not runs:
            return [_smallest(found, target_recall) for found in trials]
        _train(runs, fact_sets, trials, options)


def first_guess(facts: FactSet) -> int:
    """Hidden units that random facts about need: n log2 v bits at 2.7 bits a parameter."""
    bits = math.log2(max(2, facts.n_values))
    return max(1, round(max(len(facts) * bits / 2.7 / (3 * facts.d), bits / 2)))


def _train(
    runs: list[tuple[int, int, int]], fact_sets: list[FactSet], trials: list[list[Trial]], options: dict[str, Any]
) -> None:
    """Train (fact set, width, seed) for each of ``runs`` and add what comes out to ``trials``."""
    begun = time.perf_counter()
    ats, widths, seeds = (list(column) for column in zip(*runs))
    mlps = train_many([fact_sets[at] for at in ats], widths, seeds, **options)
    shares = [recall(mlp, fact_sets[at]) for mlp, at in zip(mlps, ats)]
    seconds = (time.perf_counter() - begun) / len(runs)
    for mlp, share, at, width, seed in zip(mlps, shares, ats, widths, seeds):
        trial = {"width": width, "seed": seed, "n_params": mlp.n_params, "recall": share, "seconds": seconds}
        trials[at].append(trial)


def _next_runs(
    trials: list[Trial], facts: FactSet, target: float, tries: int, resolution: float, start: int | None
) -> list[tuple[int, int]]:
    """(width, attempt) of the next round for one fact set; empty when its search has ended."""
    most = 4 * len(facts) + 4 * facts.d
    reached = [trial["width"] for trial in trials if trial["recall"] >= target]
    failed = Counter(trial["width"] for trial in trials if trial["recall"] < target)
    if not trials:
        guess = start or first_guess(facts)
        return [(width, 0) for width in sorted({min(most, max(1, round(share * guess))) for share in FIRST})]
    if not reached:
        low = max(failed)
        if low >= most:
            raise ValueError(f"no width up to {most} reaches the target recall")
        return [(width, 0) for width in sorted({min(most, math.ceil(low * 1.3**k)) for k in range(1, GRID + 1)})]
    high = min(reached)
    below = [width for width in failed if width < high]
    sure = max((width for width in below if failed[width] >= tries), default=0)
    if high - sure <= max(1, resolution * sure):
        return []
    low = max(below, default=0)
    if not below:  # everything has reached so far
        return [(width, 0) for width in sorted({max(1, int(high * 0.8**k)) for k in range(1, GRID + 1)} - {high})]
    step = max(1, int(resolution * low), -(-(high - low) // (GRID + 1)))
    between = range(high - step, low, -step) or [low]
    return [(width, attempt) for width in between for attempt in range(failed[width], tries)]


def _smallest(trials: list[Trial], target: float) -> SmallestWidth:
    best = min((trial for trial in trials if trial["recall"] >= target), key=lambda trial: trial["width"])
    return SmallestWidth(best["width"], best["n_params"], best["recall"], trials)
