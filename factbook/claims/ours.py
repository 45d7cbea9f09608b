"""What this book adds, by the same rules; no claim of a paper is judged here, nothing of ours elsewhere."""

from functools import partial

import numpy as np
import pandas as pd

from factbook import fit
from factbook.claims import rules
from factbook.claims.axis import exponent_claim, ratio_claim
from factbook.claims.embeddings import characterises, feasible
from factbook.claims.judging import (
    Finding,
    NoTable,
    Tables,
    about,
    claim,
    holds,
    interval,
    reach,
    sensitivity,
    share,
    signed,
    without_draws,
)
from factbook.claims.transformer import block_exponent, whitening
from factbook.predictors import PLAINER

TRAINED = "trained MLPs and block-convex networks on the papers' axis"


@claim(
    "ours",
    "Our shorter codes halve the parameters of the paper's.",
    rule="ratio of parameters, encoder-decoder by default over the paper's codes: at most 0.5 at every size",
    page="scaling",
)
def shorter_codes(tables: Tables) -> Finding:
    return ratio_claim(tables, "encoder-decoder", "paper-codes", partial(rules.at_most, bound=0.5))


@claim(
    "ours",
    "With shorter codes the encoder-decoder scales as trained MLPs.",
    rule="exponent of parameters over those of trained MLPs: 0 ± 0.1 at every α",
    page="scaling",
    needs=TRAINED,
)
def shorter_codes_scale(tables: Tables) -> Finding:
    return exponent_claim(tables, "encoder-decoder", "trained", rules.equal_exponent)


@claim(
    "ours",
    "Block-convex networks need at most 3 times the parameters of trained MLPs.",
    rule="ratio of parameters: at most 3 at every size",
    page="scaling",
    needs=TRAINED,
)
def closest_to_trained(tables: Tables) -> Finding:
    return ratio_claim(tables, "block-convex", "trained", partial(rules.at_most, bound=3.0))


@claim(
    "ours",
    "Block-convex networks scale as trained MLPs.",
    rule="exponent of parameters over those of trained MLPs: 0 ± 0.1 at every α",
    page="scaling",
    needs=TRAINED,
)
def block_convex_scales(tables: Tables) -> Finding:
    return exponent_claim(tables, "block-convex", "trained", rules.equal_exponent)


@claim(
    "ours",
    "Trained MLPs hold about 2 bits a parameter, whatever their size.",
    rule="bits a parameter: 2, band 1.25 ×, at every size",
    page="scaling",
    needs=TRAINED,
)
def bits_per_parameter(tables: Tables) -> Finding:
    table = tables("scaling")
    rows = table[(table.method == "trained") & table.tied.astype(bool)]
    rows = rows.assign(bits=rows.n_facts * np.log2(rows.n_facts) / rows.n_params)  # what stores nothing holds no bit
    found = fit.mean_ratios(rows, ["alpha", "d"], "bits")
    if len(found) < rules.LEAST_SIZES:
        raise NoTable("fewer than three sizes of trained MLPs on the papers' axis")

    def judge(part: dict[tuple, fit.Estimate]) -> str:
        return rules.everywhere(rules.equal_ratio(mean, 2.0) for mean in part.values())

    verdict = judge(found)
    ends = [min(found, key=lambda key: found[key].value), max(found, key=lambda key: found[key].value)]
    number = " to ".join(f"{found[key].value:.2f} bits at α = {share(key[0])}, d = {key[1]}" for key in ends)
    variants = {f"α = {share(alpha)}": ({k: v for k, v in found.items() if k[0] == alpha},) for alpha, _ in found}
    changes = sensitivity(verdict, judge, variants)
    spread = "95%: " + " and ".join(f"{signed(found[key].low)} to {signed(found[key].high)}" for key in ends)
    return Finding(f"from {number}", spread, verdict, reach(rows), changes)


@claim(
    "ours",
    "Decodability $\\rho$ characterises the cost of our shorter codes, too …",
    rule="rank correlation with the cost, n and d taken out, whole geometries drawn: beyond −0.5",
    page="geometry",
)
def rho_foretells_ours(tables: Tables) -> Finding:
    return characterises(feasible(tables("geometry")), "encoder_decoder", {})


@claim(
    "ours",
    "… and better than five plainer numbers of the values do.",
    rule="R² of $\\rho$ minus the largest of the five, the same geometries drawn for all: above 0",
    page="geometry",
)
def rho_before_plainer_numbers(tables: Tables) -> Finding:
    table = tables("geometry")
    rows = table[table.outcome == "stored"]
    rows = rows.assign(distinct=1 - rows.coherence, condition=rows.condition.round(2))

    def lead(part: pd.DataFrame, cost: str = "encoder_decoder") -> fit.Estimate:
        part = part[np.isfinite(part[cost])]
        power = {
            name: fit.predictive_power(part, name, cost, cluster="geometry", within="n") for name in ("rho", *PLAINER)
        }
        draws = np.stack([np.nan_to_num(power[name].r2_draws) for name in PLAINER]).max(axis=0)
        value = power["rho"].r2.value - max(np.nan_to_num(power[name].r2.value) for name in PLAINER)
        return fit.Estimate(value, *map(float, np.nanquantile(power["rho"].r2_draws - draws, [0.025, 0.975])))

    def judge(part: pd.DataFrame, cost: str = "encoder_decoder") -> str:
        return rules.above(lead(part, cost), 0.0)

    found, verdict = lead(rows), judge(rows)
    variants: dict[str, tuple] = {name: (part,) for name, part in without_draws(rows).items()}
    variants |= {
        "without spiked": (rows[~rows.geometry.str.startswith("spiked")],),
        "for trained MLPs": (rows, "trained"),
    }
    changes = sensitivity(verdict, judge, variants)
    return Finding(f"R² larger by {signed(found.value)}", interval(found), verdict, reach(rows, "n"), changes)


SOLVED = (
    "ours: n = 256, d = 64, junk runs of 8 to 16; the task's junk vocabulary of 16 and keys on the sphere, so that "
    "attention leaves next to no noise"
)


@claim(
    "ours",
    "With attention solved for, a transformer recalls every fact of every constructed MLP.",
    rule="exact: the certificate covers every key of every memory and draw",
    page="usable",
    protocol=SOLVED,
)
def solved_attention(tables: Tables) -> Finding:
    table = tables("usable")

    def judge(rows: pd.DataFrame) -> str:
        return holds(bool((rows.solved_certified == 1.0).all()))  # one without a certificate (NaN) is not covered

    number = f"recall at least {table.solved_recall.min():.1%}, every key proved in "
    number += f"{(table.solved_certified == 1.0).sum()} of {len(table)} runs; "
    number += f"attention's noise at most {about(table.solved_noise.max())}°"
    variants = {name: (rows,) for name, rows in without_draws(table).items()}
    verdict = judge(table)
    return Finding(number, "", verdict, reach(table), sensitivity(verdict, judge, variants))


@claim(
    "ours",
    "With attention solved for, the trade-off of capacity and use is gone: tight memories keep what roomy ones keep.",
    rule="ratio of shares kept, tight memory over roomy: 1, band 1.25 ×, at every junk vocabulary (16, 64, 256) and "
    "kind of keys",
    page="frontier",
    protocol="ours: n = 256, d = 64, junk runs of 8 to 16, keys on the sphere and of airports; values on the sphere",
    needs="`python -m factbook.junk`",
)
def no_trade_off_behind_solved_attention(tables: Tables) -> Finding:
    table, by = tables("solved_junk"), ["keys", "junk"]
    tight, roomy = (table[table.memory == name].set_index([*by, "seed"]) for name in ("tight", "roomy"))
    ratio = (tight.kept / roomy.kept).rename("ratio").dropna().reset_index()  # NaN: nothing got through, or both 0
    found = fit.mean_ratios(ratio, by, "ratio")

    def judge(part: pd.DataFrame) -> str:
        return rules.everywhere(rules.equal_ratio(mean, 1.0) for mean in fit.mean_ratios(part, by, "ratio").values())

    verdict, through, kept = judge(ratio), table.groupby(by).through.mean(), tight.groupby(by).kept.mean()
    number = "; ".join(
        f"{keys}, {junk} junk tokens: {about(mean.value)} times, kept {kept[keys, junk]:.1%}, "
        f"{through[keys, junk]:.1%} get through"
        for (keys, junk), mean in found.items()
    )
    variants: dict[str, tuple] = {name: (part,) for name, part in without_draws(ratio).items()}
    variants |= {f"{junk} junk tokens alone": (part,) for junk, part in ratio.groupby("junk")}
    variants |= {f"{keys} alone": (part,) for keys, part in ratio.groupby("keys")}
    spread = "95%: " + ", ".join(f"{signed(mean.low)} to {signed(mean.high)}" for mean in found.values())
    return Finding(number, spread, verdict, reach(table, "n"), sensitivity(verdict, judge, variants))


@claim(
    "ours",
    "Whitening raises capacity and steepness, and hurts use, behind attention that is trained for 1,500 steps.",
    rule="as for the paper's claim: where whitening saves a fifth of the parameters, the Lipschitz constant rises and "
    "the share of sequences kept falls, on each set and layout",
    page="frontier",
    protocol="ours: the paper's codes, clustered values, n = 256, d = 128, 1,500 steps of 512 sequences",
)
def whitening_behind_short_training(tables: Tables) -> Finding:
    return whitening(tables("whitened"))


@claim(
    "ours",
    "Facts cost in proportion behind trained attention: our cheapest usable encoder-decoder.",
    rule="exponent of parameters in the number of facts: 1 ± 0.1",
    page="block_facts",
)
def our_facts_in_a_block(tables: Tables) -> Finding:
    return block_exponent(tables("block_facts"), "encoder-decoder")
