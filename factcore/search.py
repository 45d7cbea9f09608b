"""The fact-storage cost of a construction: the smallest width at which it stores everything."""

from __future__ import annotations

import functools
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
    are counted in the steps in which the method can use them (⌈n/d⌉ units for the bucket encoder). Trained networks
    are searched a grid of widths at a time (see `smallest_trained_widths`).
    ValueError when no width up to 2^18 suffices (for 'hebbian' 8d(d + 1)).
    """
    from factcore.batched_search import smallest_trained_widths
    from factcore.construct import construct, units_per_coordinate  # construct's methods use this module
    from factcore.hebbian import largest_useful_width

    check_search(target_recall, tries, resolution)
    if method == "trained":
        searched = smallest_trained_widths(
            [facts], target_recall=target_recall, seed=seed, tries=tries, resolution=resolution, start=start, **options
        )
        return searched[0]
    trials: list[dict[str, Any]] = []
    best: dict[int, dict[str, Any]] = {}  # per number of steps, the trial that reached the target

    def run(width: int | None, seed: int) -> dict[str, Any]:
        begun = time.perf_counter()
        mlp = construct(facts, method, width=width, seed=seed, **options)
        share, seconds = recall(mlp, facts), time.perf_counter() - begun
        trial = {"width": mlp.width, "seed": seed, "n_params": mlp.n_params, "recall": share, "seconds": seconds}
        trials.append(trial)
        return trial

    def reaches(count: int) -> bool:
        for attempt in range(tries):
            trial = run(count * step + shared, seed + attempt)
            if trial["recall"] >= target_recall:
                best[count] = trial
                return True
        return False

    step, shared = 1, 0
    if method == "encoder-decoder":
        options = {"strict": False} | options
        layout = {k: options[k] for k in ("encoder", "gate", "fill", "form") if k in options}
        step = units_per_coordinate(facts, **layout)
        shared = step if options.get("form") == "relu" else 0
    if method == "one-hot":  # the keys alone decide its width, and it stores everything
        found = run(None, seed)
    else:
        begin = max(1, (start or _first_guess(facts, options.get("variant", method), step)) // step)
        most = largest_useful_width(facts) if method == "hebbian" else LARGEST_WIDTH
        found = best[_bisect(reaches, begin, most // step, resolution)]
    return SmallestWidth(found["width"], found["n_params"], found["recall"], trials)


def check_search(target_recall: float, tries: int, resolution: float) -> None:
    """ValueError for what no search can be asked."""
    if not 0 < target_recall <= 1:
        raise ValueError(f"target_recall must lie in (0, 1], got {target_recall}")
    if tries < 1 or resolution < 0:
        raise ValueError(f"tries must be at least 1 and resolution at least 0, got {tries} and {resolution}")


def doubles_width(most: Callable[[FactSet], int] = lambda facts: LARGEST_WIDTH):
    """Decorates a construction ``name(facts, width, seed, *, …)``: at ``width=None`` h doubles until all is stored.

    From ⌈n/d⌉ on: quick, at most twice too wide. ValueError when no h up to ``most(facts)`` stores every fact.
    """

    def decorate(build: Callable[..., GatedMLP]) -> Callable[..., GatedMLP]:
        @functools.wraps(build)
        def built(facts: FactSet, width: int | None, seed: int, **options) -> GatedMLP:
            if width is not None:
                return build(facts, width, seed, **options)
            width = max(1, -(-len(facts) // facts.d))
            while width <= most(facts):
                mlp = build(facts, width, seed, **options)
                if recall(mlp, facts) == 1.0:
                    return mlp
                width *= 2
            raise ValueError(f"no width up to {most(facts)} stores all {len(facts)} facts")

        return built

    return decorate


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
                raise ValueError(f"no width up to {most} (in the method's steps) reaches the target recall")
    while high - low > max(1, resolution * low):
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def _first_guess(facts: FactSet, method: str, step: int) -> int:
    """About what a method needs on random facts, so that the search starts near its end."""
    per_fact = {
        "ntk": 600,
        "hebbian": 90,
        "whitened": 90,
        "data-dependent": 35,
        "raw": 430,
        "max-margin": 25,
        "block-convex": 6,
    }.get(method, 30)
    return max(step, per_fact * len(facts) // (3 * facts.d))
