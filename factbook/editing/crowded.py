"""How crowded a memory is, and what edits of it then do: every editor against facts per hidden unit.

The published study edits 32 facts per hidden unit (16,384 facts, 512 units, d = 256); ours had 8 (256 facts, 32 units).
The same facts in fewer units close that gap at the price of fewer parameters a fact, as our d is 64. Beside our
block-convex networks a trained SwiGLU is edited at both ends. ``python -m factbook.editing.tables crowded`` fills
results/laptop/editing_crowded.csv, the published crowd and protocol first.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from factbook.editing.edits import draw_edits, permute_edits
from factbook.editing.measure import evaluate_edit
from factbook.editing.study import base_model, best_edit, in_words, swapped

PER_UNIT = (8, 12, 16, 24, 32)  # facts per hidden unit
SHARE = 0.1  # of the facts, edited
OURS, THEIRS = "block-convex", "trained"  # the network that editors change and a swap writes anew (`study.MADE_BY`)
METHODS = ("swap", "finetune", "memit", "rome", "alphaedit")
# network, new values, sentences a fact that editors are told: facts per hidden unit (ours at 8 a unit: editing.csv)
PROTOCOLS = {(OURS, "permuted", "one"): PER_UNIT, (OURS, "table", "all"): (32,), (THEIRS, "permuted", "one"): (8, 32)}


def jobs(seeds: int = 3, protocols: Mapping[tuple[str, str, str], tuple[int, ...]] = PROTOCOLS) -> list[dict[str, Any]]:
    """One edit a job: the published crowd and protocol first, our network before the trained one."""
    return [
        {"method": method, "construction": construction, "per_unit": crowd, "values_of": values, "told": told}
        | {"share": SHARE, "seed": seed}
        for (construction, values, told), crowds in protocols.items()
        for crowd in sorted(crowds, reverse=True)
        for seed in range(seeds)
        for method in METHODS
    ]


def published(table: pd.DataFrame, construction: str = OURS) -> pd.DataFrame:
    """The rows by the published protocol, of networks made in one way."""
    theirs = (table.values_of == "permuted") & (table.told == "one")
    return table[theirs & (table.construction == construction)]


def edit_row(
    method: str,
    construction: str,
    per_unit: int,
    values_of: str,
    told: str,
    share: float,
    seed: int,
    *,
    tune: bool = True,
    device: str = "cpu",
) -> dict[str, Any]:
    """One edit at its editor's best. ``stored``: share of the other facts that the crowded MLP stated before it.

    ``solves``: convex problems that wrote the MLP; 0 where the least squares that they start from store every fact,
    and for a trained MLP.
    """
    facts = len(base_model(OURS, 32, seed, device).corpus)
    width = max(1, round(facts / per_unit))
    model = base_model(construction, width, seed, device)
    draw = {"permuted": permute_edits, "table": draw_edits}[values_of]
    new_facts = draw(model, max(2, round(share * facts)), seed=100 + seed)
    setting: dict[str, Any] = {}
    tried = 1
    if method == "swap":
        report = evaluate_edit(model, new_facts, seed=seed, **swapped(construction, width))
    else:
        fixed = {"sentences": 1} if told == "one" else {}
        report, setting, tried = best_edit(model, new_facts, method, seed=seed, tune=tune, fixed=fixed)
    kept = {name: round(value, 5) for name, value in report._asdict().items() if name not in ("seconds", "peak_mb")}
    no_edit = evaluate_edit(model, new_facts, method="no_op", seed=seed, quick=True)
    mlp: Any = model.facts["city"]
    before = {"stored": round(no_edit.specificity, 5), "solves": len(mlp.solves)}
    how = {"setting": in_words(setting), "tried": tried, "device": model.device}
    return {"width": width, "edited": len(new_facts)} | kept | before | how


def beside(packed: pd.DataFrame, edits: pd.DataFrame) -> pd.DataFrame:
    """``packed`` and, of the ``edits`` by our own protocol, a tenth at 8 facts a unit."""
    ours = edits[(edits.share == SHARE) & edits.method.isin(METHODS)]
    return pd.concat([packed, ours.assign(per_unit=8, values_of="table", told="all")])
