"""The fact-storage cost of a construction: the smallest width at which it stores everything (spec section 1)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from factcore.facts import FactSet
from factcore.mlp import GatedMLP
from factcore.recall import recall

LARGEST_WIDTH = 2**18


class SmallestWidth(NamedTuple):
    """A width that reached the target, its parameters and recall, and every trial: dicts of width, seed, n_params,
    recall and seconds, in the order in which they were run."""

    width: int
    n_params: int
    recall: float
    trials: list[dict[str, Any]]


def smallest_width(
    facts: FactSet,
    method: str = "encoder-decoder",
    *,
    target_recall: float = 1.0,
    seed: int = 0,
    tries: int = 3,
    resolution: float = 0.02,
    start: int | None = None,
    **options,
) -> SmallestWidth:
    """Fewest hidden units with which ``construct(facts, method, …)`` reaches ``target_recall``.

    Doubling (or halving) from ``start``, then bisection down to one unit or to ``resolution`` (relative), whichever
    is coarser. A width counts as too small only after ``tries`` seeds (seed, seed + 1, …) have failed at it. Widths
    are counted in the steps in which the method can use them (⌈n/d⌉ units for the bucket encoder).
    ValueError when no width up to 2^18 suffices.
    """
    from factcore.construct import construct, units_per_coordinate  # construct's methods use this module

    if not 0 < target_recall <= 1:
        raise ValueError(f"target_recall must lie in (0, 1], got {target_recall}")
    if tries < 1 or resolution < 0:
        raise ValueError(f"tries must be at least 1 and resolution at least 0, got {tries} and {resolution}")
    trials: list[dict[str, Any]] = []
    best: dict[int, dict[str, Any]] = {}  # per number of steps, the trial that reached the target

    def reaches(count: int) -> bool:
        for attempt in range(tries):
            begun = time.perf_counter()
            mlp = construct(facts, method, width=count * step, seed=seed + attempt, **options)
            share = recall(mlp, facts)
            trials.append(
                {
                    "width": mlp.width,
                    "seed": seed + attempt,
                    "n_params": mlp.n_params,
                    "recall": share,
                    "seconds": time.perf_counter() - begun,
                }
            )
            if share >= target_recall:
                best[count] = trials[-1]
                return True
        return False

    step = 1
    if method == "encoder-decoder":
        options = {"strict": False} | options
        step = units_per_coordinate(facts, **{k: options[k] for k in ("encoder", "gate", "fill") if k in options})
    begin = max(1, (start or _first_guess(facts, method, step)) // step)
    found = best[_bisect(reaches, begin, LARGEST_WIDTH // step, resolution)]
    return SmallestWidth(found["width"], found["n_params"], found["recall"], trials)


def first_width_that_stores(build: Callable[[int], GatedMLP], facts: FactSet) -> GatedMLP:
    """Double the width from ⌈n/d⌉ until the network stores every fact: quick, at most twice too wide."""
    width = max(1, -(-len(facts) // facts.d))
    while width <= LARGEST_WIDTH:
        mlp = build(width)
        if recall(mlp, facts) == 1.0:
            return mlp
        width *= 2
    raise ValueError(f"no width up to {LARGEST_WIDTH} stores all {len(facts)} facts")


def _bisect(reaches: Callable[[int], bool], begin: int, most: int, resolution: float) -> int:
    """Smallest count ≥ 1 at which ``reaches`` holds, taken to be monotone, to a relative ``resolution``."""
    low, high = 0, begin
    if reaches(begin):
        while high > 1 and reaches(high // 2):
            high //= 2
        low = high // 2
    else:
        low, high = begin, 2 * begin
        while not reaches(high):
            low, high = high, 2 * high
            if high > most:
                raise ValueError(f"no width up to {LARGEST_WIDTH} reaches the target recall")
    while high - low > max(1, resolution * low):
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def _first_guess(facts: FactSet, method: str, step: int) -> int:
    """About what a method needs on random facts, so that the search starts near its end."""
    per_fact = {"encoder-decoder": 60, "ntk": 600, "trained": 5}.get(method, 30)
    return max(step, per_fact * len(facts) // (3 * facts.d))
