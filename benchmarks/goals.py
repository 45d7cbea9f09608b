"""What was aimed at and what is reached, from the stored tables: python benchmarks/goals.py

Each line names its table; ratios are of processor seconds within one run of that table. A goal whose rows are not there
yet says so.
"""

from collections.abc import Callable

import pandas as pd

from factbook import store

N, D = 1024, 64


def rows(name: str, **cells: object) -> pd.DataFrame:
    """The rows of a stored laptop table with these cells; ValueError where there are none."""
    table = store.stored(name, "laptop")
    if table is None:
        raise ValueError("not run yet")
    for column, cell in cells.items():
        table = table[table[column] == cell]
    if table.empty:
        raise ValueError("not run yet")
    return table


def kept(n: int) -> pd.DataFrame:
    """Settings of the speed table that lost nothing in any draw: per rung and share the units and median seconds."""
    table = rows("speed", n=n).groupby(["rung", "share"])
    found = table.agg(
        width=("width", "max"), per_fact=("parameters", "median"), cpu_s=("cpu_s", "median"), lost=("lost", "max")
    )
    found["per_fact"] /= n
    return found[found.lost == 0].reset_index()


def cheapest(n: int, rung: str) -> pd.Series:
    """The setting of ``rung`` with the fewest parameters that keeps every fact of each draw."""
    found = kept(n)
    if (found := found[found.rung.str.startswith(rung)]).empty:
        raise ValueError("no setting keeps every fact")
    return found.loc[found.per_fact.idxmin()]


def airports(relation: str, per_fact: float, seconds: float) -> tuple[str, bool]:
    row = rows("baselines", relation=relation, way="encoder-decoder").iloc[-1]
    cost = row.n_params / row.n_facts
    words = f"{cost:.2f} parameters a fact, {row.cpu_s:.1f} s, recall {row.recall:.4f}"
    return words, cost <= per_fact and row.cpu_s <= seconds and row.recall == 1


def default_codes() -> tuple[str, bool]:
    best = cheapest(N, "encoder-decoder")
    return f"{best.per_fact:.1f} parameters a fact in {best.cpu_s:.2f} s", best.per_fact <= 32 and best.cpu_s <= 0.5


def solved(solves: int, units: int, peer: str | None = None) -> tuple[str, bool]:
    best = cheapest(N, f"block-convex, {solves} solves")
    words = f"{best.width:.0f} units in {best.cpu_s:.1f} s"
    if peer is None:
        return words, best.width <= units
    found = kept(N)
    same = found[(found.rung == peer) & (found.share == best.share)].cpu_s
    others = f"{peer} {same.iloc[0]:.1f} s" if len(same) else f"{peer} loses facts of some draw"
    return f"{words}, {others}", best.width <= units and (same.empty or best.cpu_s < same.iloc[0])


def quickest(times: float) -> tuple[str, bool]:
    found = kept(N)
    training = found.rung.str.startswith("trained")
    other, own = found[training].cpu_s.min(), found[~training].loc[found[~training].cpu_s.idxmin()]
    return f"{own.rung} in {own.cpu_s:.2f} s, {other / own.cpu_s:.0f} times faster", other / own.cpu_s >= times


def at_own_size(peer: str, times: float) -> tuple[str, bool]:
    own, found = cheapest(N, "block-convex, 5 solves"), kept(N)
    same = found[(found.rung == peer) & (found.share == own.share)]
    if same.empty:
        raise ValueError(f"{peer} was not run at {own.width:.0f} units")
    ratio = same.cpu_s.iloc[0] / own.cpu_s
    return f"{ratio:.1f} times faster at {own.width:.0f} units", ratio >= times


def large(n: int, minutes: float, gigabytes: float) -> tuple[str, bool]:
    row = rows("build_cost_large", n=n).iloc[-1]
    took, peak = (row.build_s + row.verify_s) / 60, row.peak_mb / 1024
    words = f"{took:.1f} minutes, {peak:.1f} GiB, {row.parameters / n:.0f} parameters a fact, recall {row.recall:.4f}"
    return words, took <= minutes and peak <= gigabytes and row.recall == 1


def decodability(v: int) -> tuple[str, bool]:
    table = rows("decodability_benchmark", v=v, part="peers").set_index("solver").cpu_s
    own, other = table["factcore tol=1e-06"], table["admm"]
    return f"{own:.2f} s, ADMM {other:.0f} s: {other / own:.0f} times faster", bool(own < other)


GOALS: list[tuple[str, Callable[[], tuple[str, bool]]]] = [
    ("airports → countries in at most 7 parameters a fact (baselines)", lambda: airports("country", 7, 8)),
    ("airports → cities in at most 45 parameters a fact and 8 s (baselines)", lambda: airports("city", 45, 8)),
    ("n = v = 1,024, d = 64: codes in at most 32 a fact and 0.5 s (speed)", default_codes),
    ("5 solves: at most 26 units (speed)", lambda: solved(5, 26)),
    ("12 solves: at most 21 units (speed)", lambda: solved(12, 21)),
    (
        "40 solves: at most 21 units, in less time than Adam takes there (speed)",
        lambda: solved(40, 21, "trained, Adam"),
    ),
    ("the quickest 20 times faster than any training (speed)", lambda: quickest(20)),
    ("block-convex 3 times faster than L-BFGS at its own size (speed)", lambda: at_own_size("trained, L-BFGS", 3)),
    ("block-convex 3 times faster than Adam at its own size (speed)", lambda: at_own_size("trained, Adam", 3)),
    ("10⁵ values: at most 8 GiB (build_cost_large)", lambda: large(100_000, 60, 8)),
    ("10⁶ facts: at most 30 minutes and 12 GiB (build_cost_large)", lambda: large(1_000_000, 30, 12)),
    ("decodability faster than ADMM, v = 1,024 (decodability_benchmark)", lambda: decodability(1024)),
]


def main() -> None:
    print("| Goal (table) | Reached | |\n|---|---|---|")
    for goal, measure in GOALS:
        try:
            words, met = measure()
        except ValueError as error:
            words, met = str(error), None
        print(f"| {goal} | {words} | {'' if met is None else 'yes' if met else 'no'} |")


if __name__ == "__main__":
    main()
