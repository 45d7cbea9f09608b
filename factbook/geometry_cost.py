"""Does decodability foretell the cost of facts? Two costs and six predictors on seventeen geometries of the values.

Keys are uniform on the sphere and the map is a random permutation; only the values change, each set raw and whitened.
"""

import math
import re
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

import factcore as fc
from factbook import fit, store
from factbook.claims import embeddings
from factbook.predictors import predictors
from factbook.shapes import GEOMETRIES, embed, facts_about

SIZES: dict[str, dict[str, Any]] = {
    "smoke": {"d": 8, "n": [16], "steps": 30},
    "laptop": {"d": 32, "n": [128, 256], "steps": 300},
    "paper": {"d": 64, "n": [512, 1024, 2048], "steps": 4000},
}
DRAWS = {"smoke": 2, "laptop": 3, "paper": 3}
SMOKE = ["sphere", "spiked 4", "low-rank 0.1"]
COSTS = {"encoder_decoder": "encoder-decoder", "trained": "trained"}
TITLES = COSTS | {"optimised": "optimised D"}
PREDICTORS = {
    "rho": "decodability ρ",
    "median_rho": "median ρᵢ",
    "distinct": "1 − coherence",
    "condition": "condition number",
    "effective_rank": "effective rank",
    "nearest": "nearest neighbour",
}
KEY = ["geometry", "values", "n", "d", "seed"]


# --- the runs ---------------------------------------------------------------------------------------------------------


def trained_cost(facts: fc.FactSet, seed: int, steps: int) -> tuple[float, torch.device]:
    """Parameters of the narrowest MLP that Adam makes store the facts, NaN if 64 n/d units are too few; its device.

    Every width gets one training of the same number of steps, so that geometries alone differ.
    """
    options: dict[str, Any] = {"seed": seed, "steps": steps, "descent": "adam"}
    start = 4 * len(facts) // facts.d
    widest = fc.construct(facts, "trained", width=16 * start, strict=False, **options)
    if len(widest.lost):
        return math.nan, widest.down.device
    found = fc.smallest_width(facts, "trained", start=start, tries=1, resolution=0.05, **options)
    return found.n_params, found.trials[-1]["device"]


def constructed_cost(facts: fc.FactSet, seed: int, projection: str) -> tuple[float, torch.device]:
    """Parameters of the encoder-decoder and its device; NaN where it cannot keep margins of 0.001."""
    try:
        mlp = fc.construct(facts, seed=seed, projection=projection)
    except ValueError:
        return math.nan, facts.keys.device
    return mlp.n_params, mlp.down.device


def measure(
    geometry: str, values: str, n: int, d: int, seed: int, *, steps: int = 300, device: str = "cpu"
) -> dict[str, Any]:
    """The predictors and both costs of one draw; a cost is NaN where nothing stores the facts."""
    chosen = embed(geometry, values, n, d, seed).to(device)
    row: dict[str, Any] = predictors(chosen) | dict.fromkeys(COSTS, math.nan) | {"device": chosen.device}
    if row["rho"] == 0:
        return row | {"outcome": "rho = 0"}
    facts = facts_about(chosen, seed).to(device)
    row["encoder_decoder"], _ = constructed_cost(facts, seed, "random")
    row["trained"], row["device"] = trained_cost(facts.to(dtype=torch.float32), seed, steps)
    if math.isnan(row["encoder_decoder"]):
        return row | {"outcome": "construction fell short"}
    return row | {"outcome": "stored" if row["trained"] > 0 else "training fell short"}


def measure_optimised(geometry: str, values: str, n: int, d: int, seed: int, *, device: str = "cpu") -> dict[str, Any]:
    """Cost of the encoder-decoder whose D is optimised for the values."""
    facts = facts_about(embed(geometry, values, n, d, seed).to(device), seed)
    cost, worked = constructed_cost(facts, seed, "optimised")
    return {"optimised": cost, "device": worked}


def table(profile: str, seed: int, device: str) -> pd.DataFrame:
    """Every geometry, raw and whitened, three draws of each; the missing runs are done first."""
    size = SIZES[profile]
    jobs = [
        {"geometry": geometry, "values": kind, "n": n, "d": size["d"], "seed": s}
        for n in size["n"]
        for geometry in (SMOKE if profile == "smoke" else GEOMETRIES)
        for kind in ("raw", "whitened")
        for s in range(seed, seed + DRAWS[profile])
    ]
    run = partial(measure, steps=size["steps"], device=device)
    return with_columns(store.resume(store.results_file("geometry", profile), jobs, run, device=device))


def optimised(rows: pd.DataFrame, profile: str, device: str) -> pd.DataFrame:
    """The raw sets of the smallest n among ``rows`` with the cost of an optimised D beside the others."""
    some = rows[(rows.outcome == "stored") & (rows["values"] == "raw") & (rows.n == rows.n.min())]
    run = partial(measure_optimised, device=device)
    path = store.results_file("geometry_optimised", profile)
    chosen = store.resume(path, some[KEY].to_dict("records"), run, device=device)
    return some.merge(chosen[[*KEY, "optimised"]], on=KEY).dropna(subset="optimised")


def with_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """The predictors as they are compared: 1 − coherence, and a condition number to two digits (1 where whitened)."""
    family = rows.geometry.str.split().str[0]
    return rows.assign(distinct=1 - rows.coherence, condition=rows.condition.round(2), family=family)


# --- what they tell ---------------------------------------------------------------------------------------------------


def powers(rows: pd.DataFrame, costs: tuple[str, ...] = tuple(COSTS)) -> pd.DataFrame:
    """Per cost and predictor (the index): rank correlation, R² and slope with 95% intervals, and R² in every resample.

    The effect of n is taken out. Resamples draw whole geometries: seeds of one are no evidence about others.
    """
    lines = []
    for cost in costs:
        for name in PREDICTORS:
            found = fit.predictive_power(rows, name, cost, cluster="geometry", within="n")
            line: dict[str, Any] = {"cost": cost, "predictor": name, "runs": found.runs, "draws": found.r2_draws}
            for part in ("rank", "r2", "slope"):
                line[part], line[f"{part}_low"], line[f"{part}_high"] = getattr(found, part)
            lines.append(line)
    return pd.DataFrame(lines).set_index(["cost", "predictor"])


def lead(power: pd.DataFrame) -> pd.DataFrame:
    """Per cost: the best of the other predictors by R², and how far ρ is ahead of it, with a 95% interval.

    In every resample the best of them is another: ρ has to beat all five (`factbook.claims.ours` judges by the same).
    """
    lines = {}
    for cost, rows in power.groupby(level="cost", sort=False):
        rho, others = rows.loc[(cost, "rho")], rows.droplevel("cost").drop("rho")
        rival, best = others.r2.idxmax(), np.stack(others.draws.map(np.nan_to_num).tolist()).max(axis=0)
        low, high = np.nanquantile(rho.draws - best, [0.025, 0.975])
        lines[cost] = {"rival": rival, "ahead": rho.r2 - others.r2[rival], "low": low, "high": high}
    return pd.DataFrame(lines).T


def form(rows: pd.DataFrame, cost: str) -> float:
    """R² of log cost per fact under the paper's form ρ⁻² log v, one constant fitted; negative: worse than the mean."""
    seen = (rows[cost] / rows.n).map(math.log)
    said = rows.n.map(math.log).map(math.log) - 2 * rows.rho.map(math.log)
    return float(1 - (seen - said).var() / seen.var())


def whitening(rows: pd.DataFrame) -> pd.DataFrame:
    """Per geometry at the largest n: whitened over raw, of the medians of ρ and of both costs."""
    rows = rows[(rows.outcome == "stored") & (rows.n == rows.n.max())]
    medians = rows.groupby(["values", "geometry"], sort=False)[["rho", *COSTS]].median()
    return medians.loc["whitened"] / medians.loc["raw"]


def own_codes() -> pd.DataFrame:
    """How ρ foretells the cost of the paper's own codes (`factbook.shapes`): all sets, raw ones, all but spiked.

    As `factbook.claims.embeddings` judges it; exponent and form where no code is capped by d.
    """
    rows = embeddings.shapes(store.committed)
    free = rows.rho > embeddings.lowest_free(rows)
    parts = {"all": rows, "raw": rows[rows["values"] == "raw"], "not spiked": rows[~rows.geometry.str.match("spiked")]}
    lines = {}
    for name, part in parts.items():
        rank, line = embeddings.rank(part, "buckets"), embeddings.straightness(part, "buckets")
        freely = part[free[part.index] & (part.buckets < math.inf)]
        lines[name] = {"rank correlation": spelled(*rank), "R²": spelled(*line.r2)}
        lines[name] |= {"exponent": spelled(*embeddings.straightness(freely, "buckets").slope)}
        lines[name] |= {"R² of the form": f"{form(freely, 'buckets'):.2f}".replace("-", "−")}
    return pd.DataFrame(lines).T.map(lambda words: words.replace(", ", ",\u00a0"))


# --- words and tables -------------------------------------------------------------------------------------------------


def spelled(value: float, low: float, high: float) -> str:
    """A number and its interval, "–" where there is none."""
    return f"{value:.2f} [{low:.2f}, {high:.2f}]".replace("-", "−") if value == value else "–"


def comparison(power: pd.DataFrame) -> pd.DataFrame:
    """R² and rank correlation of each predictor with each cost of `powers`, spelled with their intervals."""
    found = {}
    for cost in dict.fromkeys(power.index.get_level_values("cost")):
        for title, part in (("R²", "r2"), ("rank correlation", "rank")):
            ends = power.loc[cost][[part, f"{part}_low", f"{part}_high"]].to_numpy()
            found[TITLES[cost], title] = [spelled(*line) for line in ends]
    return pd.DataFrame(found, index=pd.Index(PREDICTORS.values()))


def by_decoder(rows: pd.DataFrame, profile: str, device: str) -> pd.DataFrame:
    """What the hardest and the typical value foretell where D is drawn and where it is optimised (`optimised`)."""
    found = comparison(powers(optimised(rows, profile, device), ("encoder_decoder", "optimised")))
    return found.loc[[PREDICTORS["rho"], PREDICTORS["median_rho"]]]


def moved(rows: pd.DataFrame) -> pd.DataFrame:
    """The geometries of `whitening` whose ρ moves by more than a tenth, the most lowered first."""
    ratio = whitening(rows).pipe(lambda ratio: ratio[(ratio.rho - 1).abs() > 0.1]).sort_values("rho").round(2)
    names = {"rho": "ratio of ρ"} | {cost: f"ratio of cost, {TITLES[cost]}" for cost in COSTS}
    return ratio.rename(columns=names, index=_with_strength).rename_axis("geometry (strength)")


def _with_strength(geometry: str) -> str:
    return re.sub(r" (\S+)$", r" (\1)", geometry)


def findings(rows: pd.DataFrame, paired: pd.DataFrame) -> list[str]:
    """The page's sentences, from the tables geometry and geometry_optimised."""
    rows = with_columns(rows)
    stored, ratio = rows[rows.outcome == "stored"], whitening(rows)
    power = powers(stored)
    ahead, slopes = lead(power), power[["slope", "slope_low", "slope_high"]].xs("rho", level="predictor")
    plain = powers(stored[stored.family != "spiked"], ("encoder_decoder",)).r2["encoder_decoder"]
    chosen = powers(stored.merge(paired[[*KEY, "optimised"]], on=KEY), ("optimised",)).r2["optimised"]
    told = {}
    for cost in COSTS:
        rival, *found = ahead.loc[cost]
        told[cost] = f"{power.r2[cost, 'rho']:.0%} against {power.r2[cost, rival]:.0%} for {PREDICTORS[rival]}, a "
        told[cost] += f"lead of {spelled(*found)} over the best of five plainer numbers in each resample, "
        told[cost] += "within the noise" if found[1] < 0 else "beyond the noise"
    none = int((rows.rho == 0).sum())
    whole = len(stored) == len(rows) - none
    built, trained = (spelled(*slopes.loc[cost]) for cost in COSTS)
    dearer = ratio.encoder_decoder.idxmax()
    return [
        f"**{_answer(power, ahead)}** Of the variance of the log cost ρ explains, for the encoder-decoder with a "
        f"random *D*, {told['encoder_decoder']}. Without the spiked values {PREDICTORS[plain.idxmax()]} tells most, "
        f"{plain.max():.0%} (ρ {plain['rho']:.0%}). For trained networks: {told['trained']}. "
        f"With an optimised *D* the best is {PREDICTORS[chosen.idxmax()]} ({chosen.max():.0%}, ρ {chosen['rho']:.0%}).",
        f"**The exponent is not that of the paper's form**, which says −2. With the paper's own codes costs go as ρ to "
        f"the power {own_codes().exponent['all']}, with our separator codes {built}, with training {trained}.",
        f"**Whitening does not always help.** It lowers ρ of {(ratio.rho < 0.98).sum()} of {len(ratio)} geometries, "
        f"most for *{_with_strength(ratio.rho.idxmin())}*. The construction's cost rises most for "
        f"*{_with_strength(dearer)}*, {ratio.encoder_decoder[dearer]:.1f} times.",
        f"**Values with ρ = 0 cannot be stored{', all others were' if whole else ''}.** {none} of {len(rows)} drawn "
        f"sets have it; {len(stored)} of the others were stored by both methods.",
    ]


def _answer(power: pd.DataFrame, ahead: pd.DataFrame) -> str:
    """The page's question in a line: ρ predicts a cost where it explains half of it and leads beyond the noise."""
    half = power.r2.xs("rho", level="predictor") >= 0.5
    yes = [half[cost] and ahead.loc[cost].iloc[2] >= 0 for cost in ("encoder_decoder", "trained")]
    return {
        (True, True): "Yes, for the construction and for training.",
        (True, False): "Yes for the construction; for training not clearly better than a plainer number.",
        (False, True): "Not clearly for the construction, yes for training.",
        (False, False): "Not clearly, for either: its lead is within the noise.",
    }[yes[0], yes[1]]
