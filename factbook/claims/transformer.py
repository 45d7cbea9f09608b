"""Inside a transformer, and editing: what both papers claim."""

import numpy as np
import pandas as pd

from factbook import fit
from factbook.claims import rules
from factbook.claims.judging import (
    Finding,
    NoTable,
    Tables,
    about,
    claim,
    interval,
    listed,
    reach,
    sensitivity,
    signed,
    span,
    without_draws,
)
from factbook.usable_published import PAPERS

PUBLISHED_STEPS, PUBLISHED_BATCH = 16000, 1280


@claim(
    "paper",
    "Transformers can use the constructed MLPs: above 99% recall on a synthetic task.",
    rule="existence of a layout and a schedule whose mean recall over the draws lies above 99%, trained at the "
    "published "
    "settings; it differs where every one of them lies below",
    page="usable",
    protocol="theirs: the paper's codes, both schedules, up to 16,000 steps of 1,280 sequences",
    needs="the paper's codes (buckets half full, smooth gates) behind attention trained for 16,000 steps of 1,280, "
    "both schedules, 3 draws: about 13 minutes a run",
)
def transformers_use_them(tables: Tables) -> Finding:
    table = tables("usable_published")
    table = table[(table.steps == PUBLISHED_STEPS) & (table.batch == PUBLISHED_BATCH)]
    table = table[table.layout.str.startswith(PAPERS)]

    def means(rows: pd.DataFrame) -> dict[tuple, fit.Estimate]:
        groups = rows.groupby(["layout", "schedule", "lr"]).recall
        found = {key: fit.mean(group) for key, group in groups if len(group) >= rules.LEAST_DRAWS}
        if not found:
            raise NoTable("no layout with two draws at the published settings")
        return found

    def judge(rows: pd.DataFrame) -> str:
        verdicts = [rules.at_least(mean, rules.RECALL) for mean in means(rows).values()]
        return "reproduced" if "reproduced" in verdicts else rules.everywhere(verdicts)

    found = means(table)
    best = max(found, key=lambda key: found[key].value)
    number = listed(
        f"{mean.value:.1%} ({', '.join(map(str, key)).removeprefix(PAPERS)})" for key, mean in found.items()
    )
    ends = f"best: 95% {found[best].low:.1%} to {min(1.0, found[best].high):.1%}"
    verdict = judge(table)
    variants = {name: (rows,) for name, rows in without_draws(table).items()}
    variants |= {f"{schedule} alone": (rows,) for schedule, rows in table.groupby("schedule")}
    return Finding(number, ends, verdict, reach(table), sensitivity(verdict, judge, variants))


@claim(
    "paper",
    "Facts per parameter inside a transformer scale comparably to language models.",
    rule="exponent of parameters in the number of facts: 1 ± 0.1",
    page="block_facts",
    protocol="ours: attention trained once per draw, 99% of the sequences that get through",
    needs="rows of the paper's codes in block_facts.csv; those there are take the cheapest of several layouts of ours",
)
def facts_in_a_block(tables: Tables) -> Finding:
    return block_exponent(tables, "paper-codes")


def block_exponent(tables: Tables, method: str) -> Finding:
    table = tables("block_facts")
    rows = table[(table.method == method) & np.isfinite(table.n_params)]
    if rows.empty:
        raise NoTable(f"no rows of {method} in a block")
    rows = rows[rows.d == rows.d.max()]

    def judge(part: pd.DataFrame, column: str = "n_params") -> str:
        return rules.equal_exponent(law(part, column), 1.0)

    def law(part: pd.DataFrame, column: str = "n_params") -> fit.Estimate:
        if part.n_facts.nunique() < rules.LEAST_SIZES:
            raise NoTable(f"{method}: fewer than three numbers of facts")
        return fit.line(part, "n_facts", column)

    found, verdict = law(rows), judge(rows)
    variants: dict[str, tuple] = {name: (part,) for name, part in without_draws(rows).items()}
    variants |= {"attention solved for": (rows, "n_params_solved")}
    number = f"parameters grow with exponent {signed(found.value)}"
    return Finding(number, interval(found), verdict, reach(rows), sensitivity(verdict, judge, variants))


@claim(
    "paper",
    "Capacity and usability trade off: whitening raises capacity and the Lipschitz constant, and hurts use in a "
    "transformer.",
    rule="where whitening lowers the parameters by more than 1.25 ×: the Lipschitz constant rises and the share of "
    "sequences kept falls, both ratios (whitened over raw, draw by draw) beyond 1",
    page="frontier",
    protocol="ours: n = 256, d = 64, attention trained for 1,500 steps of 512",
    needs="values whose whitening saves at least a fifth of the parameters of the paper's codes (clusters, spikes) "
    "behind "
    "attention trained at the published settings",
)
def capacity_against_usability(tables: Tables) -> Finding:
    table = tables("frontier")
    rows = table[table.setting.astype(str).str.startswith("t = ")]
    rows = rows.assign(t=rows.setting.str[4:].astype(float)) if len(rows) else rows
    if rows.empty or rows.t.nunique() < 2:
        raise NoTable("fewer than two degrees of whitening")
    ends = [rows[rows.t == t].set_index("seed") for t in (rows.t.min(), rows.t.max())]
    changes = {name: (ends[1][name] / ends[0][name]).dropna() for name in ("n_params", "lipschitz", "kept")}
    saved = fit.mean_ratio(changes["n_params"])
    if saved.value > 1 / rules.RATIO_BAND:
        raise NoTable(
            f"whitening changes the parameters by {signed(saved.value)} ×: no capacity was gained that use could pay "
            "for"
        )

    def judge(draws: pd.Index) -> str:
        lipschitz, kept = (fit.mean_ratio(changes[name].loc[draws]) for name in ("lipschitz", "kept"))
        return rules.both(rules.at_least(lipschitz, 1.0), rules.at_most(kept, 1.0))

    draws = changes["kept"].index
    verdict = judge(draws)
    lipschitz, kept = (fit.mean_ratio(changes[name]) for name in ("lipschitz", "kept"))
    number = f"whitened over raw: parameters {about(saved.value)}, Lipschitz {about(lipschitz.value)}, kept "
    number += f"{about(kept.value)}"
    variants = {f"without draw {draw}": (draws.drop(draw),) for draw in draws}
    return Finding(number, f"kept, {interval(kept)}", verdict, reach(rows), sensitivity(verdict, judge, variants))


# --- editing -----------------------------------------------------------------------------------------------------

EDITED = 0.1  # of the facts
CROWD = 32  # facts per hidden unit of the published figure
EDITORS = ("rome", "memit", "alphaedit")
OURS = (
    "ours: 256 airports; judged as published at 32 facts per hidden unit, values permuted, one sentence per fact; "
    "6 parameters per fact there, published 24"
)
EDIT_NEEDS = (
    "the same edit at 8, 12, 16, 24 and 32 facts per hidden unit, values permuted among the edited facts, 3 draws: "
    "python -m factbook.editing.tables crowded"
)


def scores(tables: Tables, crowd: float | None = None) -> pd.DataFrame:
    """Best score of every method by draw (rows) and facts per unit, a tenth edited; the published crowd must be "
    "there."""
    table = tables("editing_crowded")
    table = table[(table.share == EDITED) & (table.score.notna())]
    if CROWD not in set(table.per_unit):
        raise NoTable(f"no edits at {CROWD} facts per hidden unit")
    rows = table if crowd is None else table[table.per_unit == crowd]
    wide = rows.pivot_table(
        index=["values_of", "told", "per_unit", "seed"], columns="method", values="score", aggfunc="max"
    )
    if not {"swap", *EDITORS} <= set(wide.columns):
        raise NoTable("not every editor has been run")
    return wide.dropna(subset=["swap", *EDITORS]).reset_index()


def edit_variants(table: pd.DataFrame) -> dict[str, tuple]:
    variants = {f"at {int(crowd)} a unit": (rows,) for crowd, rows in table.groupby("per_unit")}
    variants |= {f"values {kind}": (rows,) for kind, rows in table.groupby("values_of")}
    return variants | {f"told {kind}": (rows,) for kind, rows in table.groupby("told")}


def published(table: pd.DataFrame) -> pd.DataFrame:
    """The published protocol's rows: 32 facts a unit, values permuted among the edited facts, one sentence a fact."""
    rows = table[(table.per_unit == CROWD) & (table.values_of == "permuted") & (table.told == "one")]
    if len(rows) < rules.LEAST_DRAWS:
        raise NoTable("fewer than two draws by the published protocol")
    return rows


@claim(
    "paper",
    "Facts are edited by swapping the whole MLP, about twice as well as by the best weight update at 10% edited.",
    rule="ratio of scores, swap over the best of ROME, MEMIT and AlphaEdit, each at its best: 2, band 1.25 ×",
    page="editing",
    protocol=OURS,
    needs=EDIT_NEEDS,
)
def editing_by_swap(tables: Tables) -> Finding:
    table = scores(tables)

    def ratio(rows: pd.DataFrame) -> fit.Estimate:
        return fit.mean_ratio(rows.swap / rows[list(EDITORS)].max(axis=1))

    def judge(rows: pd.DataFrame) -> str:
        return rules.equal_ratio(ratio(rows), 2.0)

    rows = published(table)
    found, verdict = ratio(rows), judge(rows)
    changes = sensitivity(verdict, judge, edit_variants(table))
    number = f"{about(found.value)} times the best of ROME, MEMIT and AlphaEdit at {CROWD} facts a unit"
    return Finding(number, interval(found, " times"), verdict, f"256 facts, {rows.seed.nunique()} draws", changes)


@claim(
    "hebbian",
    "Swapping scores 0.999 at 10% edits, AlphaEdit 0.550.",
    rule="both scores within 1.25 × of those published",
    page="editing",
    protocol=OURS,
    needs=EDIT_NEEDS,
)
def score_of_the_swap(tables: Tables) -> Finding:
    table = scores(tables)

    def judge(rows: pd.DataFrame) -> str:
        each = (("swap", 0.999), ("alphaedit", 0.550))
        return rules.both(*(rules.equal_ratio(fit.mean_ratio(rows[name]), value) for name, value in each))

    rows = published(table)
    verdict, changes = judge(rows), ""
    changes = sensitivity(verdict, judge, edit_variants(table))
    number = f"swap {rows.swap.median():.3f}, AlphaEdit {rows.alphaedit.median():.3f}"
    return Finding(number, span(rows.alphaedit), verdict, f"256 facts, {rows.seed.nunique()} draws", changes)
