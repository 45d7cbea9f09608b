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
    listed,
    reach,
    sensitivity,
    signed,
    span,
    without_draws,
)
from factbook.prose import power_of_ten

SHAPES = "ours (the paper's sets of embeddings are not at hand; keys on the sphere), the paper's codes"
LEAST_GEOMETRIES = 5
ISOTROPIC = ("sphere", "gaussian")  # whitening changes little there
SHAPES_NEED = "the paper's codes on every geometry: `python -m factbook.shapes`"


def shapes(tables: Tables) -> pd.DataFrame:
    """The paper's construction by geometry; rows with ρ > 0."""
    return feasible(tables("shapes"))


def feasible(table: pd.DataFrame) -> pd.DataFrame:
    """Rows with ρ > 0, and their size in words: n and d together, as both move ρ and the cost."""
    rows = table[table.rho > 0]
    return rows.assign(size="n = " + rows.n.astype(str) + ", d = " + rows.d.astype(str))


def rank(rows: pd.DataFrame, cost: str) -> fit.Estimate:
    """Rank correlation of ρ with a cost, size by size; a run that stores nothing (∞, NaN) is dearer than all others."""
    if rows.geometry.nunique() < LEAST_GEOMETRIES or not np.isfinite(rows[cost]).any():
        raise NoTable("fewer than five geometries with a cost")
    dearest = 2 * rows[cost][np.isfinite(rows[cost])].max()
    ranked = rows.assign(**{cost: rows[cost].fillna(np.inf).clip(upper=dearest)})
    return fit.predictive_power(ranked, "rho", cost, cluster="geometry", within="size").rank


def straightness(rows: pd.DataFrame, cost: str) -> fit.PredictivePower:
    """The line through the logarithms, on which a run that stores nothing has no place."""
    rows = rows[np.isfinite(rows[cost])]
    return fit.predictive_power(rows, "rho", cost, cluster="geometry", within="size")


def changed_shapes(rows: pd.DataFrame) -> dict[str, tuple]:
    spiked = rows.geometry.str.startswith("spiked")
    variants = without_draws(rows) | {"without spiked": rows[~spiked], "raw alone": rows[rows["values"] == "raw"]}
    return {name: (part,) for name, part in variants.items()}


def characterises(rows: pd.DataFrame, cost: str, others: dict[str, str]) -> Finding:
    def judge(part: pd.DataFrame, column: str = cost) -> str:
        return rules.at_most(rank(part, column), -rules.STRONG_RANK)

    found, verdict = rank(rows, cost), judge(rows)
    variants = changed_shapes(rows) | {name: (rows, column) for name, column in others.items()}
    number = f"rank correlation {signed(found.value)} over {rows.geometry.nunique()} geometries, "
    number += f"R² {straightness(rows, cost).r2.value:.2f}; ρ from {about(rows.rho.min())} to {about(rows.rho.max())}"
    if lost := int((~np.isfinite(rows[cost])).sum()):
        number += f"; {lost} runs that store nothing rank as the dearest, R² is without them"
    return Finding(number, interval(found), verdict, reach(rows, "n"), sensitivity(verdict, judge, variants))


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
    rule="rank correlation with the cost, n and d taken out, whole geometries drawn: beyond −0.5",
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
    return characterises(feasible(tables("geometry")), "trained", {})


@claim(
    "paper",
    "The cost of a fact grows no faster than $\\rho^{-2}$.",
    rule="exponent of the cost in $\\rho$: no steeper than −2, band 0.1; sets with a $\\rho$ above all those of "
    "their size whose code is capped by d, $\\rho$ over a factor of 2 or more",
    page="geometry",
    protocol=SHAPES,
    needs=f"{SHAPES_NEED}, at a d where codes are shorter than 0.9 d",
)
def inverse_square_of_rho(tables: Tables) -> Finding:
    rows = shapes(tables)
    free = rows[(rows.rho > lowest_free(rows)) & np.isfinite(rows.buckets)]

    def slope(part: pd.DataFrame) -> fit.Estimate:
        if len(part) < 3 or part.rho.max() < rules.LEAST_SPAN * part.rho.min():
            raise NoTable("ρ spans less than a factor of 2 where codes are not capped by d")
        return straightness(part, "buckets").slope

    def judge(part: pd.DataFrame) -> str:
        return rules.at_least(slope(part), -2 - rules.EXPONENT_BAND)

    found, verdict = slope(free), judge(free)
    number = f"exponent {signed(found.value)} where ρ goes from {about(free.rho.min())} to {about(free.rho.max())}; "
    number += f"as a form, not a bound, −2 {rules.equal_exponent(found, -2.0)}; "
    number += f"{len(rows) - len(free)} draws left out, at a ρ where codes are capped by d or facts are lost"
    variants = changed_shapes(free) | {"all draws, capped or not": (rows[np.isfinite(rows.buckets)],)}
    changes = sensitivity(verdict, judge, variants)
    return Finding(number, interval(found), verdict, reach(free, "n"), changes)


def lowest_free(rows: pd.DataFrame) -> pd.Series:
    """Per row the largest ρ of its size at which a code is capped by d, or of unknown length.

    What is capped is dear: to leave out these draws alone would cut off the steep end of the law, so all go that have
    a ρ as small.
    """
    capped = (rows.code > rules.MOST_OF_D * rows.d) | (rows.code == 0)
    return rows["size"].map(rows[capped].groupby("size").rho.max()).fillna(0.0)


@claim(
    "paper",
    "Codes of $m = O(\\rho^{-2} \\log v)$ numbers are enough.",
    rule="$m \\rho^2 / \\ln v$ of the paper's codes on the sphere: its exponent in v is no more than 0, band 0.1, "
    "at every d",
    page="code_dimension",
    protocol="ours, the paper's codes: random values on the sphere, v growing at fixed d",
    needs="the paper's codes for three numbers of values at one d",
)
def code_length(tables: Tables) -> Finding:
    table = tables("code_dimension")
    table = table.assign(constant=table.projected * table.rho**2 / np.log(table.v))
    free = table.projected <= rules.MOST_OF_D * table.d  # a size with one capped code goes as a whole
    table = table[free.groupby([table.geometry, table.v, table.d]).transform("all")]
    sphere = table[table.geometry == "sphere"]
    sphere = sphere[sphere.groupby("d").v.transform("nunique") >= rules.LEAST_SIZES]
    if sphere.empty:
        raise NoTable("at no d three numbers of values whose codes are not capped by d")

    def judge(rows: pd.DataFrame) -> str:
        return rules.everywhere(rules.grows_no_faster(fit.line(part, "v", "constant")) for _, part in rows.groupby("d"))

    laws = {d: fit.line(part, "v", "constant") for d, part in sphere.groupby("d")}
    verdict = judge(sphere)
    variants = {f"d = {d} alone": (rows,) for d, rows in sphere.groupby("d")} | {
        name: (rows,) for name, rows in without_draws(sphere).items()
    }
    number = f"at most {table.constant.max():.1f} in all sets; grows with exponent "
    number += listed(f"{signed(law.value)} at d = {d}" for d, law in laws.items())
    ends = "95%: " + listed(f"{signed(law.low)} to {signed(law.high)}" for law in laws.values())
    return Finding(number, ends, verdict, reach(sphere, "v"), sensitivity(verdict, judge, variants))


@claim(
    "paper",
    "A closed-form encoder exists.",
    rule="existence: a size at which in every draw the median error in float64, over the first and over the last "
    "quarter of the buckets, is below 1e-10 of a code's length",
    page="encoder",
    protocol="ours, the paper's buckets, random codes of 8 numbers",
    needs="the errors of the buckets in float64",
)
def closed_form_encoder(tables: Tables) -> Finding:
    table = tables("encoder")
    table = table[table.dtype == "float64"]
    if table.empty:
        raise NoTable("no errors in float64")
    errors = table[["first_quarter", "last_quarter"]].max(axis=1, skipna=False)
    precise = errors < rules.PRECISE
    met = int(precise.groupby([table.n_facts, table.d]).all().sum())
    number = (
        f"{precise.sum()} of {len(table)} runs; largest median error {power_of_ten(errors.max())} of a code's length"
    )
    return Finding(
        number,
        f"all runs: {power_of_ten(errors.min())} to {power_of_ten(errors.max())}",
        rules.exists(met),
        reach(table),
    )


@claim(
    "paper",
    "A gradient-based encoder exists, too.",
    rule="existence: a size at which, trained to the codes of the closed form, it stores every fact in every draw",
    page="encoder",
    protocol="ours: n up to 256, d up to 32",
    needs="trainings of the encoder alone",
)
def gradient_encoder(tables: Tables) -> Finding:
    table = tables("encoder_gradient")
    stored = table.dropna(subset="gradient")
    number = f"{len(stored)} of {len(table)} runs stored"

    def judge(rows: pd.DataFrame) -> str:
        return rules.exists(int(rows.gradient.notna().groupby([rows.n_facts, rows.d]).all().sum()))

    verdict = judge(table)
    if stored.empty:
        return Finding(number, "", verdict, reach(table))
    ratio = stored.gradient / stored.closed
    number += f", with {ratio.median():.2f} times the parameters of the closed form"
    variants = {name: (rows,) for name, rows in without_draws(table).items()}
    changes = sensitivity(verdict, judge, variants)
    return Finding(number, span(ratio, " times"), verdict, reach(table), changes)


@claim(
    "paper",
    "Whitening the values raises capacity.",
    rule="parameters, whitened over raw, mean of the geometries: below 1 at every size",
    page="geometry",
    protocol=SHAPES,
    needs=SHAPES_NEED,
)
def whitening_raises_capacity(tables: Tables) -> Finding:
    rows = shapes(tables)

    def ratios(part: pd.DataFrame, column: str = "buckets") -> pd.DataFrame:
        """Whitened over raw by geometry and size, medians of the draws; infinite or 0 where one of them loses facts."""
        part = part.assign(cost=part[column].fillna(np.inf))
        cost = part.pivot_table(index=["geometry", "size"], columns="values", values="cost", aggfunc="median")
        if not {"raw", "whitened"} <= set(cost.columns):
            raise NoTable("no geometry both raw and whitened")
        ratio = (cost.whitened / cost.raw).dropna().rename("ratio").reset_index()  # both lost: nothing is known
        ratio = ratio[ratio.groupby("size").geometry.transform("count") >= LEAST_GEOMETRIES]
        if ratio.empty:
            raise NoTable("fewer than five geometries both raw and whitened")
        return ratio

    def means(part: pd.DataFrame, column: str = "buckets") -> dict[str, fit.Estimate]:
        return {size: fit.mean_ratio(group.ratio) for size, group in ratios(part, column).groupby("size")}

    def judge(part: pd.DataFrame, column: str = "buckets") -> str:
        return rules.everywhere(rules.below(mean, 1.0) for mean in means(part, column).values())

    found, every, verdict = means(rows), ratios(rows), judge(rows)
    number = listed(f"{mean.value:.2f} times the cost at {size}" for size, mean in found.items())
    number += f"; lower in {(every.ratio < 1).sum()} of {len(every)} geometries and sizes"
    variants = {name: args for name, args in changed_shapes(rows).items() if name != "raw alone"}
    variants |= {"without isotropic": (rows[~rows.geometry.isin(ISOTROPIC)],), "random gates": (rows, "random_gates")}
    variants |= {f"{size} alone": (part,) for size, part in rows.groupby("size")}
    ends = "95%: " + listed(f"{signed(mean.low)} to {signed(mean.high)}" for mean in found.values())
    return Finding(number, ends, verdict, reach(rows, "n"), sensitivity(verdict, judge, variants))
