"""The paper's construction and its values: decodability, the length of codes, whitening, encoders."""

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
    reach,
    sensitivity,
    signed,
    span,
    without_draws,
)

SHAPES = "ours (the paper's sets of embeddings are not at hand), the paper's codes"
SHAPES_NEED = "the paper's codes on every geometry: python -m factbook.shapes"


def shapes(tables: Tables) -> pd.DataFrame:
    """The paper's construction by geometry; rows with ρ > 0."""
    table = tables("shapes")
    return table[table.rho > 0]


def rank(rows: pd.DataFrame, cost: str) -> fit.PredictivePower:
    rows = rows[np.isfinite(rows[cost]) & (rows[cost] > 0)]
    if rows.geometry.nunique() < 5:
        raise NoTable("fewer than five geometries with a cost")
    return fit.predictive_power(rows, "rho", cost, cluster="geometry", within="n")


def changed_shapes(rows: pd.DataFrame) -> dict[str, tuple]:
    spiked = rows.geometry.str.startswith("spiked")
    variants = without_draws(rows) | {"without spiked": rows[~spiked], "raw alone": rows[rows["values"] == "raw"]}
    return {name: (part,) for name, part in variants.items()}


def characterises(rows: pd.DataFrame, cost: str, others: dict[str, str]) -> Finding:
    def judge(part: pd.DataFrame, column: str = cost) -> str:
        return rules.at_most(rank(part, column).rank, -rules.STRONG_RANK)

    found, verdict = rank(rows, cost), judge(rows)
    variants = changed_shapes(rows) | {name: (rows, column) for name, column in others.items()}
    number = f"rank correlation {signed(found.rank.value)} over {rows.geometry.nunique()} geometries, "
    number += f"R² {found.r2.value:.2f}; ρ from {about(rows.rho.min())} to {about(rows.rho.max())}"
    scale = reach(rows, "n")
    return Finding(number, interval(found.rank), verdict, scale, sensitivity(verdict, judge, variants))


@claim(
    "paper",
    "The construction stores all but a measure-zero set of feasible inputs and outputs.",
    rule="of the draws with $\\rho > 0$ none fails, and the exact interval of the failing share ends below 5%",
    page="geometry",
    protocol=SHAPES,
    needs=SHAPES_NEED,
)
def stores_what_is_feasible(tables: Tables) -> Finding:
    rows = shapes(tables)

    def judge(part: pd.DataFrame, column: str = "buckets") -> str:
        return rules.almost_all(int((~np.isfinite(part[column])).sum()), len(part))

    verdict, failed = judge(rows), ~np.isfinite(rows.buckets)
    low, high = _failing(int(failed.sum()), len(rows))
    names = ", ".join(sorted(set(rows[failed].geometry))) or "none"
    number = f"{len(rows) - int(failed.sum())} of {len(rows)} draws stored (not: {names})"
    variants = changed_shapes(rows) | {"random gates": (rows, "random_gates")}
    ends = f"95%: share that fails {low:.1%} to {high:.1%}"
    return Finding(number, ends, verdict, reach(rows, "n"), sensitivity(verdict, judge, variants))


def _failing(failed: int, runs: int) -> tuple[float, float]:
    found = rules.failing_share(failed, runs)
    return found.low, found.high


@claim(
    "paper",
    "Decodability $\\rho$ characterises the cost of facts in constructed MLPs.",
    rule="rank correlation with the cost, n taken out, whole geometries drawn: beyond −0.5",
    page="geometry",
    protocol=SHAPES,
    needs=SHAPES_NEED,
)
def rho_foretells_construction(tables: Tables) -> Finding:
    return characterises(shapes(tables), "buckets", {"random gates": "random_gates"})


@claim(
    "paper",
    "… and in trained MLPs.",
    rule="the same",
    page="geometry",
    protocol="ours: d = 32, trainings of 300 steps",
    needs="trained MLPs on every geometry",
)
def rho_foretells_training(tables: Tables) -> Finding:
    table = tables("geometry")
    return characterises(table[table.rho > 0], "trained", {})


@claim(
    "paper",
    "The cost of a fact grows no faster than $\\rho^{-2}$.",
    rule="exponent of the cost in $\\rho$: no steeper than −2, band 0.1; sets whose code is not capped by d, $\\rho$ "
    "over "
    "a factor of 2 or more",
    page="geometry",
    protocol=SHAPES,
    needs=f"{SHAPES_NEED}, at a d where codes are shorter than 0.9 d",
)
def inverse_square_of_rho(tables: Tables) -> Finding:
    rows = shapes(tables)
    free = rows[(rows.code <= rules.MOST_OF_D * rows.d) & np.isfinite(rows.buckets)]

    def slope(part: pd.DataFrame) -> fit.Estimate:
        if len(part) < 3 or part.rho.max() < rules.LEAST_SPAN * part.rho.min():
            raise NoTable("ρ spans less than a factor of 2 where codes are not capped by d")
        return fit.predictive_power(part, "rho", "buckets", cluster="geometry", within="n").slope

    def judge(part: pd.DataFrame) -> str:
        return rules.at_least(slope(part), -2 - rules.EXPONENT_BAND)

    found, verdict = slope(free), judge(free)
    number = f"exponent {signed(found.value)} where ρ goes from {about(free.rho.min())} to {about(free.rho.max())}; "
    number += (
        f"as a form, not a bound, −2 {rules.equal_exponent(found, -2.0)}; {len(rows) - len(free)} draws capped by d"
    )
    changes = sensitivity(verdict, judge, changed_shapes(free))
    return Finding(number, interval(found), verdict, reach(free, "n"), changes)


@claim(
    "paper",
    "Codes of $m = O(\\rho^{-2} \\log v)$ numbers are enough.",
    rule="$m \\rho^2 / \\ln v$ of the paper's codes on the sphere: its exponent in v is no more than 0, band 0.1",
    page="code_dimension",
    protocol="ours, the paper's codes: random values on the sphere at one d",
    needs="the paper's codes for three numbers of values at one d",
)
def code_length(tables: Tables) -> Finding:
    table = tables("code_dimension")
    table = table.assign(constant=table.projected * table.rho**2 / np.log(table.v))
    table = table[table.projected <= rules.MOST_OF_D * table.d]
    sphere = table[table.geometry == "sphere"]

    def law(rows: pd.DataFrame) -> fit.Estimate:
        if rows.v.nunique() < rules.LEAST_SIZES:
            raise NoTable("fewer than three numbers of values whose codes are not capped by d")
        return fit.line(rows, "v", "constant")

    if sphere.empty:
        raise NoTable("every code is capped by d")
    most = sphere.groupby("d").v.nunique().idxmax()
    found = law(sphere[sphere.d == most])
    verdict = rules.grows_no_faster(found)
    variants = {f"d = {d}": (rows,) for d, rows in sphere.groupby("d") if d != most}
    variants |= {name: (rows,) for name, rows in without_draws(sphere[sphere.d == most]).items()}
    changes = sensitivity(verdict, lambda rows: rules.grows_no_faster(law(rows)), variants)
    number = f"at most {table.constant.max():.1f} in all sets; grows with exponent {signed(found.value)}"
    return Finding(number, interval(found), verdict, reach(sphere[sphere.d == most], "v"), changes)


@claim(
    "paper",
    "A closed-form encoder exists that meets every code.",
    rule="existence: median errors in float64 below 1e-10 of a code's length in every run",
    page="encoder",
    protocol="ours, the paper's buckets",
    needs="the errors of the buckets in float64",
)
def closed_form_encoder(tables: Tables) -> Finding:
    table = tables("encoder")
    table = table[table.dtype == "float64"]
    errors = table[["first_quarter", "last_quarter"]].stack()
    number = f"largest median error {errors.max():.0e} of a code's length"
    verdict = rules.exists(int((errors < rules.PRECISE).all()))
    return Finding(number, f"all runs: {errors.min():.0e} to {errors.max():.0e}", verdict, reach(table))


@claim(
    "paper",
    "A gradient-based encoder exists, too.",
    rule="existence: trained to the codes of the closed form, it stores every fact",
    page="encoder",
    protocol="ours: n up to 256, d up to 32",
    needs="trainings of the encoder alone",
)
def gradient_encoder(tables: Tables) -> Finding:
    table = tables("encoder_gradient")
    stored = table.dropna(subset="gradient")
    number = f"{len(stored)} of {len(table)} runs stored"
    verdict = rules.exists(len(stored))
    if stored.empty:
        return Finding(number, "", verdict, reach(table))
    ratio = stored.gradient / stored.closed
    number += f", with {ratio.median():.2f} times the parameters of the closed form"
    variants = {name: (rows,) for name, rows in without_draws(table).items()}
    changes = sensitivity(verdict, lambda rows: rules.exists(int(rows.gradient.notna().sum())), variants)
    return Finding(number, span(ratio, " times"), verdict, reach(table), changes)


@claim(
    "paper",
    "Whitening the values raises capacity.",
    rule="parameters, whitened over raw, mean of the geometries: below 1 at the largest size",
    page="geometry",
    protocol=SHAPES,
    needs=SHAPES_NEED,
)
def whitening_raises_capacity(tables: Tables) -> Finding:
    rows = shapes(tables)

    def costs(part: pd.DataFrame, column: str = "buckets") -> pd.Series:
        part = part[(part.n == part.n.max()) & np.isfinite(part[column])]
        cost = part.pivot_table(index="geometry", columns="values", values=column, aggfunc="median")
        if not {"raw", "whitened"} <= set(cost.columns) or len(cost.dropna()) < 5:
            raise NoTable("fewer than five geometries both raw and whitened")
        return (cost.whitened / cost.raw).dropna()

    def judge(part: pd.DataFrame, column: str = "buckets") -> str:
        return rules.at_most(fit.mean_ratio(costs(part, column)), 1.0)

    ratio, verdict = costs(rows), judge(rows)
    mean = fit.mean_ratio(ratio)
    number = f"{mean.value:.2f} times the cost; lower in {int((ratio < 1).sum())} of {len(ratio)} geometries"
    variants = {name: args for name, args in changed_shapes(rows).items() if name != "raw alone"}
    variants |= {"random gates": (rows, "random_gates"), "at the smaller n": (rows[rows.n < rows.n.max()],)}
    changes = sensitivity(verdict, judge, variants)
    return Finding(number, interval(mean, " times"), verdict, reach(rows[rows.n == rows.n.max()], "n"), changes)
