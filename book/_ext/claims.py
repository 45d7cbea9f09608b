"""The table "paper against ours": one function per claim, which reads the committed tables of results/.

To add a row, write a function below under ``@claim``. It gets ``tables``, so that ``tables("capacity")`` is
results/PROFILE/capacity.csv, and returns a `Finding`; its rule stands in the table beside the verdict. The paper
profile is used where its tables are there, the laptop profile otherwise. Where a table is missing, or has too few
rows (raise `NoTable`), the verdict is "not tested". Nothing is typed in: a number comes from a table or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from factbook import fit
from factbook.store import read_table

ROOT = Path(__file__).resolve().parents[2]
VERDICTS = ("reproduced", "stronger", "differs", "not tested")
SOURCES = {
    "paper": "Constructing Efficient Fact-Storing MLPs for Transformers",
    "hebbian": "MLPs are Hebbians",
    "related": "Earlier and related work",
}
CITATIONS = {
    "paper": "{cite:p}`dugan2025constructing`",
    "hebbian": "{cite:p}`garcia2026hebbians`",
    "related": "{cite:p}`nichani2024understanding,allenzhu2024physics`",
}


class NoTable(Exception):
    """The table that a row needs is not there, or holds too little."""


class Finding(NamedTuple):
    """What the tables say about one claim: our number, its interval (or range), and the verdict by the row's rule."""

    number: str
    interval: str
    verdict: str


Tables = Callable[[str], pd.DataFrame]


class Claim(NamedTuple):
    source: str
    says: str
    rule: str
    page: str
    find: Callable[[Tables], Finding]


CLAIMS: list[Claim] = []


def claim(source: str, says: str, *, rule: str, page: str):
    """Make the function below it a row: whose claim, what it says, when it holds, and the notebook that shows it."""

    def add(find: Callable[[Tables], Finding]):
        CLAIMS.append(Claim(source, says, rule, page, find))
        return find

    return add


# --- verdicts and numbers ------------------------------------------------------------------------------------------


def holds(truth: bool, *, stronger: bool = False) -> str:
    """The verdict: "stronger" or "reproduced" where the claim holds, "differs" where it does not."""
    return ("stronger" if stronger else "reproduced") if truth else "differs"


def interval(estimate) -> str:
    """The 95% bootstrap interval of anything with ``low`` and ``high``, in words."""
    return f"95%: {signed(estimate.low)} to {signed(estimate.high)}"


def signed(x: float) -> str:
    return f"{x:.2f}".replace("-", "−")


def about(x: float) -> str:
    """Three figures, without an exponent: 21.4, 0.00123, 12,300."""
    if x == 0 or not np.isfinite(x):
        return f"{x:g}"
    return f"{x:,.{max(0, 2 - int(np.floor(np.log10(abs(x)))))}f}"


def span(values: pd.Series, unit: str = "") -> str:
    return f"all runs: {about(values.min())} to {about(values.max())}{unit}"


def reach(rows: pd.DataFrame, n: str = "n_facts") -> str:
    """Over which sizes: "n = 64 to 1,024, d = 64"."""
    return f"n = {rows[n].min():,} to {rows[n].max():,}, d = {rows.d.iloc[0]}"


def ladder(tables: Tables, *rungs: str) -> list[pd.DataFrame]:
    """The rows of these rungs in the capacity table at the d with most sizes; no failed runs."""
    table = tables("capacity").dropna(subset="n_params")
    table = table[table.d == table.groupby("d").n_facts.nunique().idxmax()]
    parts = [table[table.rung == rung] for rung in rungs]
    if any(part.n_facts.nunique() < 3 for part in parts):
        raise NoTable(f"fewer than three sizes of {rungs}")
    return [part.assign(floor=part.n_facts * np.log2(part.n_facts)) for part in parts]


def ratios(over: pd.DataFrame, under: pd.DataFrame) -> pd.DataFrame:
    """n_params of ``over`` for one of ``under``, matched by size and seed; the last rows have the largest n."""
    both = over.merge(under, on=["n_facts", "d", "seed"], suffixes=("", "_under")).sort_values("n_facts")
    return both.assign(ratio=both.n_params / both.n_params_under)


def at_largest(both: pd.DataFrame) -> float:
    return both[both.n_facts == both.n_facts.max()].ratio.median()


def beyond_the_floor(rows: pd.DataFrame) -> fit.PowerLaw:
    """How parameters over n log n grow with n: exponent 0 is the order of the information-theoretic bound."""
    return fit.power_law(rows.assign(excess=rows.n_params / rows.floor), "n_facts", "excess")


# --- the paper ---------------------------------------------------------------------------------------------------


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
    "paper",
    "A closed-form encoder meets every code.",
    rule="median errors in float64 are below 1e-10",
    page="encoder",
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


# --- the Hebbian paper -------------------------------------------------------------------------------------------


@claim(
    "hebbian",
    "A Hebbian memory stores $n$ isotropic facts with $\\Theta(n \\log n)$ parameters.",
    rule="the exponent in $n$ of parameters over $n \\log_2 n$ has an interval that covers 0",
    page="capacity",
)
def hebbian_growth(tables: Tables) -> Finding:
    (rows,) = ladder(tables, "hebbian")
    law = beyond_the_floor(rows)
    return Finding(f"exponent {signed(law.exponent)}; {reach(rows)}", interval(law), holds(law.low <= 0 <= law.high))


@claim(
    "hebbian",
    "10 to 10,000 times fewer parameters than NTK at equal facts.",
    rule="the data-dependent memory needs at most a tenth at the largest size",
    page="capacity",
)
def hebbian_against_ntk(tables: Tables) -> Finding:
    both = ratios(*ladder(tables, "ntk", "data-dependent"))
    times = at_largest(both)
    number = f"{about(times)} times fewer at n = {both.n_facts.max():,}"
    return Finding(number, span(both.ratio, " times"), holds(times >= 10))


@claim(
    "hebbian",
    "Within 3 to 10 times the parameters of trained MLPs.",
    rule="the data-dependent memory needs at most 10 times as many at the largest size",
    page="capacity",
)
def hebbian_against_trained(tables: Tables) -> Finding:
    both = ratios(*ladder(tables, "data-dependent", "trained"))
    times = at_largest(both)
    number = f"{about(times)} times trained at n = {both.n_facts.max():,}"
    return Finding(number, span(both.ratio, " times"), holds(times <= 10, stronger=times < 3))


@claim(
    "hebbian",
    "The best constructions need 3 to 10 times the parameters of trained MLPs.",
    rule="at most 10 times for ours with five convex solves, at every size and seed; stronger if below 3 times",
    page="capacity",
)
def closest_to_trained(tables: Tables) -> Finding:
    both = ratios(*ladder(tables, "block-convex", "trained"))
    number = f"{about(at_largest(both))} times trained at n = {both.n_facts.max():,}"
    return Finding(number, span(both.ratio, " times"), holds(both.ratio.max() <= 10, stronger=both.ratio.max() < 3))


@claim(
    "hebbian",
    "Hebbian memories store the inputs and outputs of a language model's MLP.",
    rule="the data-dependent memory stores every sample as it is",
    page="real",
)
def real_layers(tables: Tables) -> Finding:
    table = tables("real")
    rows = table[(table.data == "MLP layer") & (table["values"] == "raw")]
    stored = rows[rows.method == "data-dependent"].per_fact
    if not len(stored):
        raise NoTable("no data-dependent memory")
    kept = stored.dropna()
    number = f"{len(kept)} of {len(stored)} samples stored"
    number += f", {about(kept.median())} parameters a fact" if len(kept) else ""
    return Finding(number, span(kept) if len(kept) else "", holds(len(kept) == len(stored)))


# --- earlier and related -----------------------------------------------------------------------------------------


@claim(
    "related",
    "NTK memories store facts in proportion to their parameters, up to logarithms.",
    rule="the exponent in $n$ of parameters over $n \\log_2 n$ has an interval that covers 0",
    page="capacity",
)
def ntk_growth(tables: Tables) -> Finding:
    (rows,) = ladder(tables, "ntk")
    law = beyond_the_floor(rows)
    return Finding(f"exponent {signed(law.exponent)}; {reach(rows)}", interval(law), holds(law.low <= 0 <= law.high))


@claim(
    "related",
    "Trained language models hold about 2 bits a parameter.",
    rule="trained MLPs hold between 1 and 4 bits a parameter at the largest size",
    page="capacity",
)
def bits_per_parameter(tables: Tables) -> Finding:
    (rows,) = ladder(tables, "trained")
    bits = (rows.floor / rows.n_params)[rows.n_facts == rows.n_facts.max()]
    number = f"{bits.median():.2f} bits at n = {rows.n_facts.max():,}"
    return Finding(number, span(bits), holds(1 <= bits.median() <= 4))


# --- inside a transformer, and editing --------------------------------------------------------------------------------
# A row that raises NoTable at once is not tested yet. To write it, read its table and return a Finding, as above.


@claim(
    "paper",
    "Transformers can use the constructed MLPs: above 99% recall on a synthetic task.",
    rule="with trained attention the best constructed MLP has a recall of at least 99% for every seed",
    page="usable",
)
def transformers_use_them(tables: Tables) -> Finding:
    table = tables("usable")
    built = table[~table.memory.str.startswith("trained")]
    best = built[built.memory == built.groupby("memory").recall.min().idxmax()]
    number = f"our shorter training: at most {best.recall.min():.1%} ({best.memory.iloc[0]}), as attention itself lets "
    number += f"only {best.reached.min():.1%} to {best.reached.max():.1%} of sequences through; solved for: at least "
    worst = built.groupby("memory")[["solved_recall", "solved_certified"]].min().min()
    number += f"{worst.solved_recall:.1%} for every memory, proved for {worst.solved_certified:.1%} of the keys"
    spread = f"trained, all draws: {best.recall.min():.1%} to {best.recall.max():.1%}"
    return Finding(number, spread, holds(best.recall.min() >= 0.99))


@claim(
    "paper",
    "Facts per parameter inside a transformer scale comparably to language models.",
    rule="the exponent in the number of facts has an interval that reaches 1",
    page="block_facts",
)
def facts_in_a_block(tables: Tables) -> Finding:
    table = tables("block_facts").dropna(subset="n_params")
    rows = table[(table.method == "encoder-decoder") & (table.d == table.d.max())]
    if rows.n_facts.nunique() < 3:
        raise NoTable("fewer than three numbers of facts")
    law = fit.power_law(rows, "n_facts", "n_params")
    number = f"parameters of the encoder-decoder grow with exponent {signed(law.exponent)}, {reach(rows)}"
    return Finding(number, interval(law), holds(law.low <= 1 <= law.high))


@claim(
    "paper",
    "Capacity and usability trade off: whitening raises the Lipschitz constant and hurts use in a transformer.",
    rule="whitened values give a larger median Lipschitz constant and a smaller share of sequences kept than raw ones",
    page="frontier",
)
def capacity_against_usability(tables: Tables) -> Finding:
    table = tables("frontier")
    rows = table[table.setting.astype(str).str.startswith("t = ")]
    ends = rows.assign(t=rows.setting.str[4:].astype(float)).groupby("t")[["lipschitz", "kept"]].median()
    if len(ends) < 2:
        raise NoTable("fewer than two degrees of whitening")
    raw, white = ends.iloc[0], ends.iloc[-1]
    number = f"raw to whitened: Lipschitz {about(raw.lipschitz)} to {about(white.lipschitz)}, "
    number += f"kept in the transformer {raw.kept:.1%} to {white.kept:.1%}"
    truth = white.lipschitz > raw.lipschitz and white.kept < raw.kept
    return Finding(number, f"kept, {span(rows.kept)}", holds(truth))


@claim(
    "hebbian",
    "Recall in a block survives while the attention noise stays below about $\\sqrt{d / (n \\log n)}$.",
    rule="whitened, 4 times the smallest width, worst directions: the noise at which recall falls below 99% has an "
    "exponent in $d / (n \\ln n)$ whose interval covers 0.5",
    page="noise_floor",
)
def noise_floor(tables: Tables) -> Finding:
    table = tables("noise_floor")
    table = table[table.memory == "hebbian"].assign(share=table.d / (table.n_facts * np.log(table.n_facts)))
    rows, fixed = table[(table.width == "4 ×") & (table.worst > 0)], table[table.width == "16 d"]
    if rows.share.nunique() < 3:
        raise NoTable("fewer than three sizes")
    law, apart = (fit.power_law(rows, "share", column) for column in ("worst", "random"))
    at_width = fit.power_law(fixed, "share", "worst").exponent
    bound = [f"{int((part.worst >= part.share**0.5).sum())} of {len(part)}" for part in (rows, fixed)]
    number = (
        f"exponent {signed(law.exponent)} (random directions {signed(apart.exponent)}; worst ones at a fixed width of "
    )
    number += f"16 d {signed(at_width)}); as a bound it holds in {bound[0]} runs, at 16 d in {bound[1]}"
    return Finding(number, interval(law), holds(law.low <= 0.5 <= law.high))


def in_a_block(tables: Tables, over: str, under: str) -> tuple[pd.DataFrame, pd.Series, str]:
    """Ratios of parameters of two methods behind trained attention, their medians by number of facts, and in words."""
    table = tables("block_facts")
    table = table[table.d == table.d.max()]
    parts = [table[table.method == name] for name in (over, under)]
    both = parts[0].merge(parts[1], on=["n_facts", "d", "seed"], suffixes=("", "_under"))
    solved = (both.n_params_solved / both.n_params_solved_under).median()
    both = both.assign(ratio=both.n_params / both.n_params_under).dropna(subset="ratio")
    if both.empty:
        raise NoTable(f"{over} and {under} are nowhere usable together")
    medians = both.groupby("n_facts").ratio.median()
    words = ", ".join(f"{about(times)} times as many at n = {n:,}" for n, times in medians.items())
    return both, medians, f"{words}; with attention solved for {about(solved)} times"


@claim(
    "hebbian",
    "In a transformer the data-dependent memory is within 3 times of trained …",
    rule="behind trained attention the median of the draws is at most 3 times trained at the largest number of facts",
    page="block_facts",
)
def hebbian_in_a_block(tables: Tables) -> Finding:
    both, medians, number = in_a_block(tables, "data-dependent", "trained")
    return Finding(number, span(both.ratio, " times"), holds(medians.iloc[-1] <= 3))


@claim(
    "hebbian",
    "… and 63 times below the encoder-decoder.",
    rule="behind trained attention the median of the draws is at least 63 at the largest number of facts",
    page="block_facts",
)
def hebbian_below_the_construction(tables: Tables) -> Finding:
    both, medians, number = in_a_block(tables, "encoder-decoder", "data-dependent")
    number = f"the encoder-decoder, at its cheapest usable layout, needs {number}"
    return Finding(number, span(both.ratio, " times"), holds(medians.iloc[-1] >= 63))


@claim(
    "paper",
    "Facts are edited by swapping the whole MLP, about twice as well as by the best weight update at 10% edited.",
    rule="the ratio of scores reaches 2 in one of the runs",
    page="editing",
)
def editing_by_swap(tables: Tables) -> Finding:
    table = tables("editing")
    tenth = table[(table.share == 0.1) & (table.width == table.width.min())]
    scores = tenth.pivot_table(index="seed", columns="method", values="score", aggfunc="max")
    editors = [name for name in ("rome", "memit", "alphaedit") if name in scores]
    if len(editors) < 3 or scores[["swap", *editors]].isna().any().any():
        raise NoTable("fewer than three editors")
    ratio = scores.swap / scores[editors].max(axis=1)
    number = f"{ratio.median():.2f} times the best of ROME, MEMIT and AlphaEdit"
    return Finding(number, span(ratio, " times"), holds(ratio.max() >= 2))


@claim(
    "hebbian",
    "Swapping scores 0.999 at 10% edits, AlphaEdit 0.550.",
    rule="swapping scores at least 0.99 in every run",
    page="editing",
)
def score_of_the_swap(tables: Tables) -> Finding:
    table = tables("editing")
    tenth = table[(table.share == 0.1) & (table.width == table.width.min())]
    swap, alpha = (tenth[tenth.method == name].groupby("seed").score.max() for name in ("swap", "alphaedit"))
    if swap.empty or alpha.empty:
        raise NoTable("no swap or no AlphaEdit")
    number = f"swap {swap.median():.3f}, AlphaEdit {alpha.median():.3f}"
    return Finding(number, span(swap), holds(swap.min() >= 0.99))


# --- the page ----------------------------------------------------------------------------------------------------


def evaluate(row: Claim, results: Path = ROOT / "results") -> tuple[Finding, str]:
    """The finding of a row and the profile whose tables it rests on ('' where there are none)."""
    for profile in ("paper", "laptop"):

        def tables(name: str, folder: Path = results / profile) -> pd.DataFrame:
            path = folder / f"{name}.csv"
            if not path.is_file():
                raise NoTable(name)
            return read_table(path)

        try:
            return row.find(tables), profile
        except NoTable:
            continue
    return Finding("no result table yet", "", "not tested"), ""


def page_link(name: str) -> str:
    """A link to a notebook's page, which takes its title; just the name where there is no such notebook yet."""
    return f"[](../notebooks/{name}.ipynb)" if (ROOT / "notebooks" / f"{name}.py").is_file() else f"`{name}`, to come"


def small(text: str) -> str:
    return f"<br><small>{text}</small>" if text else ""


def markdown(results: Path = ROOT / "results") -> str:
    """The summary line and one table per source, in MyST."""
    found = [(row, *evaluate(row, results)) for row in CLAIMS]
    counts = {verdict: sum(finding.verdict == verdict for _, finding, _ in found) for verdict in VERDICTS}
    lines = [
        f"Of {len(found)} claims: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + ".",
        "",
    ]
    for source, title in SOURCES.items():
        lines += [f"## {title}", "", f"{CITATIONS[source]}", ""]
        lines += ["| Claim | Ours | Verdict | Page |", "|---|---|---|---|"]
        for row, finding, profile in found:
            if row.source == source:
                says = f"{row.says} {small(f'Rule: {row.rule}.')}"
                ours = " ".join(filter(None, [finding.number, small(finding.interval)]))
                by = f"{page_link(row.page)} {small(f'{profile} profile' if profile else '')}"
                lines.append(f"| {says} | {ours} | **{finding.verdict}** | {by} |")
        lines.append("")
    return "\n".join(lines)
