"""The construction itself: what the paper claims of its cost, its parts and decodability."""

from __future__ import annotations

import numpy as np

from factbook import fit
from factbook.claims.judging import (
    Finding,
    NoTable,
    Tables,
    about,
    at_largest,
    beyond_the_floor,
    claim,
    holds,
    interval,
    ladder,
    ratios,
    reach,
    signed,
    span,
)


@claim(
    "paper",
    "The construction stores all but a measure-zero set of feasible inputs and outputs.",
    rule="every draw whose values have $\\rho > 0$ is stored",
    page="geometry",
)
def stores_what_is_feasible(tables: Tables) -> Finding:
    table = tables("geometry")
    feasible = table[table.rho > 0]
    stored = int(feasible.encoder_decoder.notna().sum())
    low = 0.05 ** (1 / len(feasible))  # one-sided 95% bound of the share when all succeed
    sure = f"95%: share above {low:.3f}" if stored == len(feasible) else ""
    number = f"{stored} of {len(feasible)} draws stored; {len(table) - len(feasible)} more had ρ = 0"
    return Finding(number, sure, holds(stored == len(feasible)))


@claim(
    "paper",
    "Parameters grow as the information-theoretic bound, $n \\log v$.",
    rule="the exponent in $n$ of parameters over $n \\log_2 n$ has an interval that reaches 0",
    page="capacity",
)
def grows_as_the_bound(tables: Tables) -> Finding:
    (rows,) = ladder(tables, "paper-codes")
    law = beyond_the_floor(rows)
    return Finding(f"exponent {signed(law.exponent)}; {reach(rows)}", interval(law), holds(law.low <= 0))


@claim(
    "paper",
    "Facts per parameter scale as in trained MLPs.",
    rule="the exponent in $n$ minus that of trained MLPs has an interval that reaches 0",
    page="capacity",
)
def scales_as_training(tables: Tables) -> Finding:
    ours, trained = ladder(tables, "paper-codes", "trained")
    apart = fit.exponent_difference(ours, trained, "n_facts", "n_params")
    return Finding(f"difference {signed(apart.value)}; {reach(ours)}", interval(apart), holds(apart.low <= 0))


@claim(
    "paper",
    "It scales better than earlier explicit constructions.",
    rule="the exponent minus that of the NTK memory has an interval below 0",
    page="capacity",
)
def scales_better_than_ntk(tables: Tables) -> Finding:
    ours, ntk = ladder(tables, "paper-codes", "ntk")
    apart = fit.exponent_difference(ours, ntk, "n_facts", "n_params")
    return Finding(f"difference {signed(apart.value)}; {reach(ours)}", interval(apart), holds(apart.high < 0))


@claim(
    "paper",
    "Figure, facts against parameters: trained lowest, then the construction, then earlier constructions.",
    rule="the order holds for every size and seed",
    page="capacity",
)
def order_of_the_three_curves(tables: Tables) -> Finding:
    ours, trained, ntk = ladder(tables, "paper-codes", "trained", "ntk")
    above, below = ratios(ours, trained), ratios(ntk, ours)
    key = ["n_facts", "seed"]
    ordered = (above.set_index(key).ratio > 1) & (below.set_index(key).ratio > 1)
    number = f"{int(ordered.sum())} of {len(ordered)} runs in this order"
    failing = sorted({n for n, _ in ordered[~ordered].index})
    where = f"not at n = {', '.join(f'{n:,}' for n in failing)}" if failing else reach(ours)
    return Finding(number, where, holds(bool(ordered.all())))


@claim(
    "paper",
    "Trained MLPs keep a significantly lower absolute cost than the construction.",
    rule="the construction needs at least twice the parameters at every size and seed",
    page="capacity",
)
def trained_is_cheaper(tables: Tables) -> Finding:
    both = ratios(*ladder(tables, "paper-codes", "trained"))
    number = f"{about(at_largest(both))} times trained at n = {both.n_facts.max():,}"
    return Finding(number, span(both.ratio, " times"), holds(both.ratio.min() >= 2))


PREDICTORS = ("rho", "median_rho", "distinct", "condition", "effective_rank", "nearest")


def foretelling(tables: Tables, cost: str) -> tuple[fit.PredictivePower, bool]:
    """How well ρ foretells the cost over all geometries, n taken out, and whether it has the largest R² of six."""
    table = tables("geometry")
    rows = table[table.outcome == "stored"].assign(
        distinct=lambda t: 1 - t.coherence, condition=lambda t: t.condition.round(2)
    )
    power = {name: fit.predictive_power(rows, name, cost, cluster="geometry", within="n") for name in PREDICTORS}
    explained = {name: found.r2.value for name, found in power.items() if np.isfinite(found.r2.value)}
    return power["rho"], max(explained, key=explained.__getitem__) == "rho"


def characterises(tables: Tables, cost: str) -> Finding:
    rho, first = foretelling(tables, cost)
    number = f"rank correlation {signed(rho.rank.value)}, R² {rho.r2.value:.2f}{', the best of six' if first else ''}"
    return Finding(number, interval(rho.rank), holds(rho.rank.high < 0 and first))


@claim(
    "paper",
    "Decodability $\\rho$ characterises the cost of facts in constructed MLPs.",
    rule="the rank correlation with the cost has an interval below 0, and $\\rho$ has the largest $R^2$ of six numbers",
    page="geometry",
)
def rho_foretells_construction(tables: Tables) -> Finding:
    return characterises(tables, "encoder_decoder")


@claim("paper", "… and in trained MLPs.", rule="the same", page="geometry")
def rho_foretells_training(tables: Tables) -> Finding:
    return characterises(tables, "trained")


@claim(
    "paper",
    "The cost of a fact grows as $\\rho^{-2}$.",
    rule="the exponent of the construction's cost in $\\rho$ has an interval that covers −2",
    page="geometry",
)
def inverse_square_of_rho(tables: Tables) -> Finding:
    slope = foretelling(tables, "encoder_decoder")[0].slope
    return Finding(f"exponent {signed(slope.value)}", interval(slope), holds(slope.low <= -2 <= slope.high))


@claim(
    "paper",
    "Codes of $m = O(\\rho^{-2} \\log v)$ numbers are enough.",
    rule="$m \\rho^2 / \\ln v$ of the paper's codes does not grow with $v$ on the sphere: its exponent reaches 0",
    page="code_dimension",
)
def code_length(tables: Tables) -> Finding:
    table = tables("code_dimension")
    table = table.assign(constant=table.projected * table.rho**2 / np.log(table.v))
    sphere = table[table.geometry == "sphere"]
    sphere = sphere[sphere.d == sphere.groupby("d").v.nunique().idxmax()]
    if sphere.v.nunique() < 3:
        raise NoTable("fewer than three numbers of values")
    law = fit.power_law(sphere, "v", "constant")
    number = f"at most {table.constant.max():.1f} in all sets; grows with exponent {signed(law.exponent)}"
    return Finding(number, interval(law), holds(law.low <= 0))


@claim(
    "paper", "A closed-form encoder meets every code.", rule="median errors in float64 are below 1e-10", page="encoder"
)
def closed_form_encoder(tables: Tables) -> Finding:
    table = tables("encoder")
    errors = table[table.dtype == "float64"][["first_quarter", "last_quarter"]].stack()
    number = f"largest median error {errors.max():.0e} of a code's length"
    return Finding(number, f"all runs: {errors.min():.0e} to {errors.max():.0e}", holds(errors.max() < 1e-10))


@claim(
    "paper",
    "A gradient-based encoder exists, too.",
    rule="trained to the codes of the closed form, it stores every fact in every run",
    page="encoder",
)
def gradient_encoder(tables: Tables) -> Finding:
    table = tables("encoder_gradient")
    stored = table.dropna(subset="gradient")
    number = f"{len(stored)} of {len(table)} runs stored"
    if stored.empty:
        return Finding(number, "", "differs")
    ratio = stored.gradient / stored.closed
    number += f", with {ratio.median():.2f} times the parameters of the closed form"
    return Finding(number, span(ratio, " times"), holds(len(stored) == len(table)))


@claim(
    "paper",
    "Whitening the values raises capacity.",
    rule="the construction's cost, whitened over raw, geometric mean of the geometries, has an interval below 1",
    page="geometry",
)
def whitening_raises_capacity(tables: Tables) -> Finding:
    table = tables("geometry")
    cost = table[(table.outcome == "stored") & (table.n == table.n.max())].pivot_table(
        index="geometry", columns="values", values="encoder_decoder", aggfunc="median"
    )
    logs = np.log(cost.whitened / cost.raw).dropna().to_numpy()
    drawn = logs[np.random.default_rng(0).integers(len(logs), size=(fit.RESAMPLES, len(logs)))].mean(axis=1)
    mean = fit.Estimate(*np.exp([logs.mean(), *np.quantile(drawn, [0.025, 0.975])]))
    number = f"{mean.value:.2f} times the cost; lower in {(logs < 0).sum()} of {len(logs)} geometries"
    return Finding(number, interval(mean), holds(mean.high < 1))
