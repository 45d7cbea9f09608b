"""What each profile runs of the editing study. ``python -m factbook.editing.tables`` fills the laptop's tables."""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd

from factbook import store
from factbook.editing import crowded, study

WIDTH = 32  # 24 parameters a fact, as in the published study (16,384 facts, d = 256, h = 512); 8 facts a unit, not 32
SHARES = (1 / 256, 0.1)  # of the facts
SIZES = (64, 128, 256, 512)  # facts
CONTROLS = ("no_op", "chance")
FIRST = ("swap", "memit")  # the editors of the smoke profile, where all of them take too long


def edits(profile: str, seed: int = 0, device: str = "cpu") -> pd.DataFrame:
    """Edits of every share in `SHARES`, at every editor's best, and the controls at a tenth."""
    shares, draws = (0.1,) if profile == "smoke" else SHARES, store.draws(profile, seed)
    jobs = study.edit_jobs(study.EDITORS, [WIDTH], [0.1], draws, "block-convex")
    jobs += study.edit_jobs(CONTROLS, [WIDTH], [0.1], draws, "block-convex")
    rest = [share for share in shares if share != 0.1]
    jobs += study.edit_jobs(study.EDITORS, [WIDTH], rest, draws, "block-convex") if rest else []
    return _resumed("editing", jobs, study.edit_row, profile, device, tune=profile != "smoke")


def crowds(profile: str, seed: int = 0, device: str = "cpu") -> pd.DataFrame:
    """A tenth edited in ever fewer hidden units, by the published protocol and by ours."""
    if profile == "smoke":
        few = [job for job in crowded.jobs(1, {(crowded.OURS, "permuted", "one"): (32,)}) if job["method"] in FIRST]
        return _resumed("editing_crowded", few, crowded.edit_row, profile, device, tune=False)
    return _resumed("editing_crowded", crowded.jobs(len(store.draws(profile, seed))), crowded.edit_row, profile, device)


def sequences(profile: str, seed: int = 0, device: str = "cpu") -> pd.DataFrame:
    """Edits of five cities, one after another."""
    smoke = profile == "smoke"
    jobs = [
        {"method": method, "width": WIDTH, "seed": s}
        for s in store.draws(profile, seed)
        for method in (FIRST if smoke else study.EDITORS)
    ]
    batches = 2 if smoke else study.BATCHES
    return _resumed("editing_sequential", jobs, study.sequence_row, profile, device, batches=batches, tune=not smoke)


def times(profile: str, seed: int = 0, device: str = "cpu") -> pd.DataFrame:
    """Processor seconds and memory of an edit of n / 10 facts."""
    sizes, editors = ((32,), FIRST) if profile == "smoke" else (SIZES, study.EDITORS)
    jobs = [
        {"method": method, "n_facts": n, "seed": s}
        for n in sizes
        for s in store.draws(profile, seed)
        for method in editors
    ]
    return _resumed("editing_time", jobs, study.time_row, profile, device)


def _resumed(
    name: str, jobs: list[dict[str, Any]], row: Callable[..., dict[str, Any]], profile: str, device: str, **options: Any
) -> pd.DataFrame:
    run = partial(row, device=device, **options)
    return store.resume(store.results_file(name, profile), jobs, run, device=device)


TABLES = {"time": times, "crowded": crowds, "shares": edits, "sequential": sequences}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", nargs="?", choices=[*TABLES, "all"], default="all")
    asked = parser.parse_args().table
    for name in TABLES if asked == "all" else (asked,):
        print(f"{name}: {len(TABLES[name]('laptop'))} rows", flush=True)


if __name__ == "__main__":
    main()
