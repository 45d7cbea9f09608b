"""Inside a transformer: what the paper claims."""

import numpy as np
import pandas as pd

from factbook import fit
from factbook.attended import PUBLISHED
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
    without_draws,
)
from factbook.usable_published import PAPERS


def as_published(table: pd.DataFrame) -> pd.DataFrame:
    """The rows behind attention trained for the published steps and batch, at whatever learning rate."""
    return table[(table.steps == PUBLISHED["steps"]) & (table.batch == PUBLISHED["batch"])]


@claim(
    "paper",
    "Transformers can use the constructed MLPs: above 99% recall on a synthetic task.",
    rule="existence of a layout, a size, a schedule and a learning rate whose mean recall over the draws lies above "
    "99%, with its interval, at the published settings",
    page="usable",
    protocol="theirs: the paper's codes, 16,000 steps of 1,280 sequences; ours: n = 256, d = 64 and 128, and the "
    "schedules and learning rates that the row names (theirs: both schedules, 0.0002)",
    needs="the paper's codes (half full, smooth gates) behind attention trained for 16,000 steps of 1,280, "
    "both schedules, 3 draws: `python -m factbook.usable_published`, three to five minutes a training",
)
def transformers_use_them(tables: Tables) -> Finding:
    table = as_published(tables("usable_published"))
    table = table[table.layout.str.startswith(PAPERS)]

    def means(rows: pd.DataFrame) -> dict[tuple, fit.Estimate]:
        groups = rows.groupby(["d", "layout", "schedule", "lr"]).recall
        found = {key: fit.mean(group) for key, group in groups if len(group) >= rules.LEAST_DRAWS}
        if not found:
            raise NoTable("no layout with two draws at the published settings")
        return found

    def judge(rows: pd.DataFrame) -> str:
        reached = [rules.at_least(mean, rules.RECALL) for mean in means(rows).values()]
        return rules.exists(reached.count("reproduced"))

    found = means(table)
    best = max(found, key=lambda key: found[key].value)
    number = listed(
        f"{mean.value:.1%} ({layout.removeprefix(PAPERS)}, {schedule}, {lr:g}, d = {d})"
        for (d, layout, schedule, lr), mean in found.items()
    )
    ends = f"best: 95% {found[best].low:.1%} to {min(1.0, found[best].high):.1%}"
    verdict = judge(table)
    variants = {name: (rows,) for name, rows in without_draws(table).items()}
    for column, unit in (("schedule", ""), ("lr", "rate "), ("d", "d = ")):
        if table[column].nunique() > 1:
            variants |= {f"{unit}{name} alone": (rows,) for name, rows in table.groupby(column)}
    return Finding(number, ends, verdict, reach(table), sensitivity(verdict, judge, variants))


@claim(
    "paper",
    "Facts per parameter inside a transformer scale comparably to language models.",
    rule="exponent of parameters in the number of facts: 1 ± 0.1",
    page="block_facts",
    protocol="theirs: 16,000 steps of 1,280 sequences at rate 0.0002; ours: n growing at d = 64, attention trained "
    "once per draw, 99% of the sequences that get through",
    needs="the paper's codes at three n behind attention trained as published: `python -m factbook.block_published`, "
    "three to five minutes a draw and n for attention, and the searches",
)
def facts_in_a_block(tables: Tables) -> Finding:
    return block_exponent(as_published(tables("block_published")), "paper-codes")


def block_exponent(table: pd.DataFrame, method: str) -> Finding:
    rows = table[table.method == method]
    if rows.empty:
        raise NoTable(f"no rows of {method} in a block")
    rows = rows[rows.d == rows.d.max()]
    if rows.n_facts.nunique() < rules.LEAST_SIZES:
        raise NoTable(f"{rows.n_facts.nunique()} n only: an exponent needs {rules.LEAST_SIZES}")

    def law(part: pd.DataFrame, column: str = "n_params", bits: bool = False) -> fit.Estimate:
        part = part[np.isfinite(part[column])]
        stored = np.log2(part.n_facts) if bits else 1.0
        return fit.line(part.assign(cost=part[column] / stored), "n_facts", "cost")

    def judge(part: pd.DataFrame, column: str = "n_params", bits: bool = False) -> str:
        return rules.equal_exponent(law(part, column, bits), 1.0)

    found, verdict = law(rows), judge(rows)
    variants: dict[str, tuple] = {name: (part,) for name, part in without_draws(rows).items()}
    variants |= {"attention solved for": (rows, "n_params_solved"), "over log₂ n": (rows, "n_params", True)}
    number = f"parameters grow with exponent {signed(found.value)}"
    if lost := int((~np.isfinite(rows.n_params)).sum()):
        number += f"; {lost} runs without a usable one left out"
    return Finding(number, interval(found), verdict, reach(rows), sensitivity(verdict, judge, variants))


@claim(
    "paper",
    "Capacity and usability trade off: whitening raises capacity and the Lipschitz constant, and hurts use in a "
    "transformer.",
    rule="on each set and layout where whitening lowers the parameters by more than 1.25 ×: the Lipschitz constant "
    "rises and the share of sequences kept falls, both ratios (whitened over raw, draw by draw) beyond 1; no test of "
    "use where nothing is lost",
    page="frontier",
    protocol="theirs: 16,000 steps of 1,280 sequences; ours: the paper's codes, clustered values, n = 256, d = 128",
    needs="values whose whitening saves at least a fifth of the parameters of the paper's codes, behind attention that "
    "is trained as published: `python -m factbook.whitened --published`, four minutes a draw; behind 1,500 steps of "
    "512 there is a row among ours",
)
def capacity_against_usability(tables: Tables) -> Finding:
    return whitening(as_published(tables("whitened_published")))


def whitening(table: pd.DataFrame) -> Finding:
    """Steepness and use of whitened memories over raw ones, on the sets and layouts where whitening saves."""
    columns, by = ["n_params", "lipschitz", "kept", "solved_kept"], ["geometry", "layout"]
    raw, white = (table[table["values"] == kind].set_index([*by, "seed"])[columns] for kind in ("raw", "whitened"))
    stored = np.isfinite(white.n_params) & np.isfinite(raw.n_params)  # what loses facts has no capacity to compare
    full = raw[["kept", "solved_kept"]].eq(1.0) & white[["kept", "solved_kept"]].eq(1.0)
    full = full.groupby(by).transform("all")  # where no draw loses anything, use cannot suffer
    ratio = (white / raw).mask(full.reindex(columns=columns, fill_value=False))[stored].reset_index()
    saved = fit.mean_ratios(ratio, by, "n_params")
    ratio = ratio[[key in saved and saved[key].value < 1 / rules.RATIO_BAND for key in zip(*(ratio[c] for c in by))]]
    if ratio.empty:
        least = min(mean.value for mean in saved.values())
        raise NoTable(f"whitening changes the parameters by {signed(least)} ×: no capacity was gained to pay for")

    def means(part: pd.DataFrame, column: str) -> list[fit.Estimate]:
        return list(fit.mean_ratios(part.dropna(subset=column), by, column).values())

    def judge(part: pd.DataFrame, column: str = "kept") -> str:
        steeper = rules.everywhere(rules.above(mean, 1.0) for mean in means(part, "lipschitz"))
        return rules.both(steeper, rules.everywhere(rules.below(mean, 1.0) for mean in means(part, column)))

    verdict, words = judge(ratio), {"n_params": "parameters", "lipschitz": "Lipschitz", "kept": "kept"}
    found = {column: means(ratio, column) for column in words}
    number = "whitened over raw: " + listed(f"{word} {ends(found[column])}" for column, word in words.items())
    number += f" over {len(found['lipschitz'])} sets and layouts, {len(found['kept'])} of which lose something"
    spread = [(min(mean.low for mean in found[c]), max(mean.high for mean in found[c])) for c in ("lipschitz", "kept")]
    shown = "95%: Lipschitz {} to {}, kept {} to {}".format(*(signed(x) for pair in spread for x in pair))
    variants: dict[str, tuple] = {name: (part,) for name, part in without_draws(ratio).items()}
    variants |= {f"{name} alone": (part,) for column in by for name, part in ratio.groupby(column)}
    variants |= {"attention solved for": (ratio, "solved_kept")}
    return Finding(number, shown, verdict, reach(table, "n"), sensitivity(verdict, judge, variants))


def ends(means: list[fit.Estimate]) -> str:
    return f"{about(min(mean.value for mean in means))} to {about(max(mean.value for mean in means))}"
