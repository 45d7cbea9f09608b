"""What a GPU would go on with: the papers' sizes in pieces of at most eight minutes, the most valuable first.

A chunk is a few jobs of one table in results/paper/; `work` starts those that are certain to end within a budget.
"""

import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import factcore as fc
from factbook import both, store, usable_published
from factbook.attended import PUBLISHED
from factbook.cost import build_cost
from factbook.editing.edits import permute_edits
from factbook.editing.measure import evaluate_edit
from factbook.editing.model import FactLanguageModel, fact_mlp, insert
from factbook.editing.text import airport_corpus
from factbook.editing.training import train_language_model
from factbook.scaling import cost, facts_at
from factbook.solver_time import solve_time

LONGEST = 8  # minutes of a chunk
SEEDS = (0, 1)


class Chunk(NamedTuple):
    """Some jobs of one table, and the minutes after which they are given up: what has a row by then stays."""

    name: str
    table: str
    jobs: Sequence[dict[str, Any]]
    run: Callable[..., dict[str, Any]]  # run(device=…, **job)
    minutes: float = LONGEST

    def left(self) -> list[dict[str, Any]]:
        """The jobs that have no row yet, in a table of `both.JOBS` on the laptop neither."""
        left = store.missing(self.path(), self.jobs)
        if left and self.table in both.JOBS:
            left = store.missing(store.results_file(self.table, "laptop"), left)
        return left

    def path(self) -> Path:
        return store.results_file(self.table, "paper")


class OutOfTime(Exception):
    """A chunk has used up its minutes."""


def work(
    chunks: Iterable[Chunk], budget: float, *, device: str, say: Callable[[str], None] = print
) -> list[tuple[str, str]]:
    """Run what fits into ``budget`` seconds, in order; returns the names of the chunks that are left, and why.

    A chunk begins only where its minutes are still there, and ends when they are over (once the call into torch that is
    under way returns), so the budget is kept. One that fails (a GPU too small) is told and does not stop the others.
    One that was given up is named in results/paper/given_up.txt, and comes after all others from then on.
    """
    end, left, note = time.monotonic() + budget, [], store.results_file("given_up", "paper").with_suffix(".txt")
    before = note.read_text().splitlines() if note.is_file() else []
    for chunk in sorted(chunks, key=lambda chunk: before.count(chunk.name)):
        if not (jobs := chunk.left()):
            say(f"{chunk.name}: done before")
            continue
        if time.monotonic() + 60 * chunk.minutes > end:
            left.append((chunk.name, f"may take {chunk.minutes:g} minutes, more than is left"))
            continue
        begun = time.monotonic()
        try:
            with limited(60 * chunk.minutes):
                store.resume(chunk.path(), jobs, partial(chunk.run, device=device), device=device)
        except OutOfTime:
            note.parent.mkdir(parents=True, exist_ok=True)
            with note.open("a") as file:
                file.write(f"{chunk.name}\n")
            left.append((chunk.name, f"{len(chunk.left())} runs did not end within {chunk.minutes:g} minutes"))
        except (RuntimeError, ValueError, MemoryError) as error:  # torch's out of memory is a RuntimeError
            left.append((chunk.name, f"failed: {str(error).splitlines()[0]}"))
        say(f"{chunk.name}: {len(jobs) - len(chunk.left())} runs in {time.monotonic() - begun:.0f} s")
    return left


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """`OutOfTime` in the block when it takes longer."""

    def over(number: int, frame: object) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# --- the studies: one row each ----------------------------------------------------------------------------------------


def stored(method: str, per_fact: float, alpha: float, d: int, seed: int, *, device: str) -> dict[str, Any]:
    """Recall of one network with ``per_fact`` parameters a fact: where a whole search takes too long."""
    facts = facts_at(alpha, d, seed).to(device)
    width = math.ceil(per_fact * len(facts) / (3 * d))
    mlp = fc.construct(facts, method, width=width, seed=seed, strict=False)
    row = {"n_facts": len(facts), "width": width, "n_params": mlp.n_params, "recall": 1 - len(mlp.lost) / len(facts)}
    return row | {"device": mlp.down.device}


def built(method: str, n: int, n_values: int, d: int, seed: int, *, device: str) -> dict[str, Any]:
    """Seconds and memory of one build, as benchmarks/build_large.py measures them."""
    return build_cost(method, n, d, seed, device, n_values=n_values)


@lru_cache(maxsize=1)
def language_model(n_facts: int, d: int, seed: int, steps: int, device: str) -> FactLanguageModel:
    """A language model of that many facts, the cities in 24 parameters each."""
    model = train_language_model(airport_corpus(n_facts), d, steps=steps, seed=seed, device=device)
    cities = fact_mlp(model.fact_set("city"), "block-convex", width=_units(n_facts, d), seed=seed, strict=False)
    return insert(model, "city", cities)


def edited(method: str, n_facts: int, d: int, steps: int, seed: int, *, device: str) -> dict[str, Any]:
    """A tenth of the cities permuted and one sentence told, as published, at the editor's defaults (the best settings
    for 256 facts); every fourth template looked at.
    """
    model = language_model(n_facts, d, seed, steps, device)
    new_facts = permute_edits(model, max(2, n_facts // 10), seed=100 + seed)
    told = {"swap": {"width": _units(n_facts, d), "strict": False}, "no_op": {}}
    options: dict[str, Any] = told.get(method, {"sentences": 1})
    report = evaluate_edit(model, new_facts, method=method, seed=seed, quick=True, **options)._asdict()
    report["edit_seconds"] = report.pop("seconds")
    del report["perplexity_ratio"]
    return {"width": _units(n_facts, d)} | report | {"device": model.device}


def _units(n_facts: int, d: int) -> int:
    return max(1, 8 * n_facts // d)  # 24 parameters a fact, as published


# --- the list ---------------------------------------------------------------------------------------------------------


def _chunk(name: str, table: str, run: Callable[..., dict[str, Any]], minutes: float, **job: Any) -> Chunk:
    """A chunk of one job per draw of `SEEDS`, or of the seed given."""
    seeds = [job.pop("seed")] if "seed" in job else SEEDS
    return Chunk(name, table, [{**job, "seed": seed} for seed in seeds], run, minutes)


def chunks() -> list[Chunk]:
    """The whole list, most valuable first."""
    found = [
        _chunk(f"trained, n = {d * d // 4:,}", "scaling", cost, 6, method="trained", alpha=0.25, d=d, tied=True)
        for d in (32, 64, 90, 128)
    ]
    for per_fact in (4.5, 4.25, 4.0, 3.75):
        size = {"method": "trained", "per_fact": per_fact, "alpha": 0.25}
        for d in (181, 256):
            name = f"trained, n = {d * d // 4:,}, {per_fact:g} a fact"
            found.append(_chunk(name, "scaling_widths", stored, LONGEST, **size, d=d, seed=0))
    for d in (128, 181, 256):
        for per_fact in (8.0, 6.0):
            size = {"method": "block-convex", "per_fact": per_fact, "alpha": 0.25, "d": d}
            name = f"block-convex, n = {d * d // 4:,}, {per_fact:g} a fact"
            found.append(_chunk(name, "scaling_widths", stored, LONGEST, **size, seed=0))
    for n in (100_000, 1_000_000):
        size = {"method": "encoder-decoder", "n": n, "n_values": min(n, 10**5), "d": 128, "seed": 0}
        found.append(_chunk(f"{n:,} facts", "build_cost_large", built, LONGEST, **size))
    runs = usable_published.jobs(lrs=(PUBLISHED["lr"],))
    for schedule, seed in product(("attention-first", "insert-first"), range(3)):
        some = [job for job in runs if (job["schedule"], job["seed"]) == (schedule, seed)]
        name = f"transformer, 16,000 steps, {schedule}, draw {seed}"
        found.append(Chunk(name, "usable_published", some, usable_published.taught))
    size = {"n_facts": 16_384, "d": 256, "steps": 1200}
    for method in ("no_op", "swap", "rome", "memit", "alphaedit", "finetune"):
        name = f"editing 16,384 facts, {method}"
        found.append(_chunk(name, "editing_large", edited, LONGEST, method=method, **size, seed=0))
    for v in (16_384, 65_536):
        found.append(_chunk(f"decodability, v = {v:,}", "solver", solve_time, LONGEST, v=v, d=128, seed=0))
    return found
