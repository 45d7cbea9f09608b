"""The fact-storage cost of a construction: the smallest width at which it stores everything. One search for all."""

import math
import time
from collections import Counter
from typing import Any, NamedTuple

import torch

from factcore.build import build_verified, check_storable, checked_method
from factcore.facts import FactSet
from factcore.methods import Method

STRIDE = 0.2  # relative, of the first step from the guess; later ones grow
NEIGHBOURS = 2  # widths below the last that are tried where a wider network may store less


class SmallestWidth(NamedTuple):
    """A width that reached the target, and how it was found."""

    width: int
    n_params: int
    recall: float
    trials: list[dict[str, Any]]  # in order: width, seed, n_params, device, recall and seconds of each


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
    ``tries`` seeds (seed, seed + 1, …) have failed, and where recall is uneven in the width, as of random features,
    at `NEIGHBOURS` smaller widths, too. Widths count in the steps of the method. Recall is the share of facts that
    `construct` verifies. ValueError for bad arguments, for values that no network can store, and when the widest
    network of use to the method falls short.
    """
    record = checked_method(facts, method, None, seed, options)
    if not 0 < target_recall <= 1 or tries < 1 or resolution < 0:
        given = f"{target_recall}, {tries} and {resolution}"
        raise ValueError(f"target_recall must lie in (0, 1], tries be ≥ 1 and resolution ≥ 0, got {given}")
    step = 1 if record.fixed_width else record.step(facts, **options)
    begin = max(1, (start or record.guess(facts)) // step)
    most = max(1, record.most(facts) // step)
    trials: list[dict[str, Any]] = []
    tried: list[tuple[int, bool]] = []  # width in steps, and whether it reached the target
    with torch.inference_mode(False), torch.enable_grad():
        if record.fixed_width:
            trials.append(_run(None, seed, record, facts, target_recall, options))
        while not record.fixed_width and (run := _next_run(tried, begin, most, tries, resolution, record.uneven)):
            trials.append(_run(run[0] * step, seed + run[1], record, facts, target_recall, options))
            tried.append((run[0], trials[-1]["recall"] >= target_recall))
    best = min((t for t in trials if t["recall"] >= target_recall), key=lambda trial: trial["width"])
    return SmallestWidth(best["width"], best["n_params"], best["recall"], trials)


def _run(
    width: int | None, seed: int, record: Method, facts: FactSet, target: float, options: dict[str, Any]
) -> dict[str, Any]:
    begun = time.perf_counter()
    mlp = build_verified(record, facts, width, seed, options)
    if target == 1.0 and len(mlp.lost):
        check_storable(facts, mlp)
    trial = {"width": width or mlp.width, "seed": seed, "n_params": mlp.n_params, "device": mlp.down.device}
    return trial | {"recall": 1 - len(mlp.lost) / len(facts), "seconds": time.perf_counter() - begun}


def _next_run(
    tried: list[tuple[int, bool]], begin: int, most: int, tries: int, resolution: float, uneven: bool
) -> tuple[int, int] | None:
    """The (width, attempt) to run next, widths in steps, from (width, reached) so far; None at the end."""
    reached, failed = [w for w, stored in tried if stored], Counter(w for w, stored in tried if not stored)
    if not tried:
        return min(most, begin), 0
    if not reached:
        low = max(failed)
        if low >= most:
            raise ValueError(f"no width up to {most} (in the method's steps) reaches the target recall")
        return min(most, math.ceil(low * (1 + STRIDE) ** len(tried))), 0
    high = min(reached)
    below = [width for width in failed if width < high]
    sure = max((width for width in below if failed[width] >= tries), default=0)
    step = max(1, int(resolution * sure))
    if high - sure <= step:
        beside = [sure - k * step for k in range(1, NEIGHBOURS + 1) if uneven and sure > k * step]
        return next(((width, failed[width]) for width in beside if failed[width] < tries), None)
    if not below:  # everything has reached so far
        return max(1, int(high * (1 - STRIDE) ** len(tried))), 0
    low = max(below)
    width = (low + high + 1) // 2 if high - low > max(1, int(resolution * low)) else low
    return width, failed[width]
