"""Hebbian, NTK and trained memories: what the Hebbian paper and earlier work claim."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from factbook import fit
from factbook.claims import rules
from factbook.claims.axis import exponent_claim, ratio_claim
from factbook.claims.judging import (
    Finding,
    NoTable,
    Tables,
    about,
    claim,
    listed,
    reach,
    sensitivity,
    span,
    without_draws,
)
from factbook.claims.paper import published_ntk
from factbook.claims.transformer import as_published
from factbook.figures import NAMES

Rule = Callable[[rules.Interval, float], str]
DIRECTIONS = ("random", "worst")  # of noise; the claim does not say which
AXIS = "theirs (n = α d², tied, a random permutation, float64, ridge 1e-6), up to d = 256"
PUBLISHED_D = 512  # the smallest dimension of the published figure of memories in a block
VARIANT = "which variant is not said: data-dependent, the one that needs least"


@claim(
    "hebbian",
    "A Hebbian memory stores $n$ isotropic facts with $\\Theta(n \\log n)$ parameters.",
    rule="exponent of parameters over $n \\log_2 n$: 0 ± 0.1 at every α",
    page="scaling",
    protocol=f"{AXIS}; whitened",
    needs="Hebbian memories at three d or more",
)
def hebbian_growth(tables: Tables) -> Finding:
    return exponent_claim(
        tables, "hebbian", None, rules.equal_exponent, others={"data-dependent": ("data-dependent", None)}
    )


@claim(
    "hebbian",
    "10 to 10,000 times fewer parameters than NTK at equal facts.",
    rule="ratio of parameters, NTK over the data-dependent memory: 10 to 10,000, band 1.25 ×, at every size",
    page="scaling",
    protocol=f"{AXIS}; NTK with the published ReLU gate where the table has it; {VARIANT}",
    needs="both memories with two draws",
)
def hebbian_against_ntk(tables: Tables) -> Finding:
    published, other = published_ntk(tables)
    others = {"whitened": (published, "hebbian")} | (
        {NAMES[other]: (other, "data-dependent")} if other != published else {}
    )
    return ratio_claim(
        tables, published, "data-dependent", partial(rules.equal_ratio, low=10, high=10_000), others=others
    )


@claim(
    "hebbian",
    "Within 3 to 10 times the parameters of trained MLPs.",
    rule="ratio of parameters, data-dependent memory over trained: 3 to 10, band 1.25 ×, at every size",
    page="scaling",
    protocol=f"{AXIS}; {VARIANT}",
    needs="trained MLPs on the papers' axis with two draws",
)
def hebbian_against_trained(tables: Tables) -> Finding:
    rule = partial(rules.equal_ratio, low=3, high=10)
    return ratio_claim(tables, "data-dependent", "trained", rule, others={"whitened": ("hebbian", "trained")})


@claim(
    "hebbian",
    "Hebbian memories store the inputs and outputs of a language model's MLP.",
    rule="existence: the data-dependent memory stores every sample of a layer, at its full dimension",
    page="real",
    protocol="ours: MiniLM's middle layer (d = 384) for Qwen3-0.6B's layer 14 (d = 1,024)",
    needs="a layer at its full dimension",
)
def real_layers(tables: Tables) -> Finding:
    table = tables("real_full")
    rows = table[(table.data == "MLP layer") & (table["values"] == "raw") & (table.method == "data-dependent")]
    if not len(rows) or rows.d.max() < 384:
        raise NoTable("no runs of the data-dependent memory on a layer that is not cut to a few of its dimensions")
    rows = rows[rows.d == rows.d.max()]

    def judge(part: pd.DataFrame) -> str:
        return rules.exists(int(np.isfinite(part.per_fact).all()))

    kept, lost = rows.per_fact[np.isfinite(rows.per_fact)], rows[~np.isfinite(rows.per_fact)]
    number = f"{len(kept)} of {len(rows)} samples stored"
    number += f", {about(kept.median())} parameters a fact (one-hot: {2 * rows.d.max() + 1})" if len(kept) else ""
    if len(lost):
        number += (
            f"; the others lose {listed(str(n) for n in sorted((lost.n * (1 - lost.recall)).round().astype(int)))}"
        )
        number += f" of {lost.n.max():,} facts"
    verdict = judge(rows)
    changes = sensitivity(verdict, judge, {name: (part,) for name, part in without_draws(rows).items()})
    return Finding(number, span(kept) if len(kept) else "", verdict, reach(rows, "n"), changes)


@claim(
    "hebbian",
    "Recall in a block survives while the attention noise stays below about $\\sqrt{d / (n \\log n)}$.",
    rule="a bound with an about: the noise at which recall falls below 99%, over $\\sqrt{d / (n \\ln n)}$, at least 1, "
    "band 1.25 ×, at every size and width, in random directions and in the worst",
    page="noise_floor",
    protocol="ours: noise added to the query, whitened memory of 16 d units and of 4 times the smallest width; the "
    "natural logarithm, which asks for more noise than the binary one",
    needs="the noise floor of whitened memories with two draws",
)
def noise_floor(tables: Tables) -> Finding:
    table = tables("noise_floor")
    table = table[table.memory == "hebbian"]
    bound = np.sqrt(table.d / (table.n_facts * np.log(table.n_facts)))
    table = table.assign(**{way: table[way] / bound for way in DIRECTIONS})
    rows = table[table.width.isin(["4 ×", "16 d"])]

    def means(part: pd.DataFrame, way: str) -> list[fit.Estimate]:
        return list(fit.mean_ratios(part, ["width", "d", "n_facts"], way).values())

    def judge(part: pd.DataFrame, ways: tuple[str, ...] = DIRECTIONS, rule: Rule = rules.at_least_about) -> str:
        return rules.everywhere(rule(mean, 1.0) for way in ways for mean in means(part, way))

    number, spread = [], []
    for way in DIRECTIONS:
        found = means(rows, way)
        above = sum(rules.at_least(mean, 1.0) == "reproduced" for mean in found)
        values = [mean.value for mean in found]
        number.append(f"{way} directions: {about(min(values))} to {about(max(values))} times the bound, ")
        number[-1] += f"above it at {above} of {len(found)} sizes and widths"
        spread.append(f"{way} {about(min(m.low for m in found))} to {about(max(m.high for m in found))}")
    variants: dict[str, tuple] = {f"{way} directions alone": (rows, (way,)) for way in DIRECTIONS}
    variants |= {"random directions without the band": (rows, ("random",), rules.at_least)}
    variants |= {f"{width} alone": (part,) for width, part in rows.groupby("width")}
    variants |= {f"at {width}": (table[table.width == width],) for width in ("1 ×", "8 ×")}
    variants |= {name: (part,) for name, part in without_draws(rows).items()}
    verdict = judge(rows)
    changes = sensitivity(verdict, judge, variants)
    return Finding("; ".join(number), f"95%: {listed(spread)}", verdict, reach(rows), changes)


def side_by_side(table: pd.DataFrame, over: str, under: str) -> pd.DataFrame:
    """Ratios of parameters behind attention, trained and solved for, at the largest d, a row for each draw.

    What is not usable at any width allowed (NaN) is infinitely dear; where both are, nothing is known.
    """
    if missing := {over, under} - set(table.method):
        raise NoTable(f"no rows of {', '.join(sorted(missing))} in a block")
    table = table[table.d == table.d.max()]
    costs = table[["n_params", "n_params_solved"]].fillna(np.inf)
    parts = [table.assign(**costs)[table.method == name] for name in (over, under)]
    both = parts[0].merge(parts[1], on=["n_facts", "d", "seed"], suffixes=("", "_under"))
    return both.assign(
        ratio=both.n_params / both.n_params_under, solved=both.n_params_solved / both.n_params_solved_under
    )


def in_a_block(tables: Tables, over: str, under: str, rule: Callable[[rules.Interval], str]) -> Finding:
    """A claim about ratios of parameters behind attention trained as published, at every number of facts.

    `NoTable`, with our ratio in its words, below the dimension that the claim is about: the ratio moves with the size.
    """
    both = side_by_side(as_published(tables("block_published")), over, under)

    def means(rows: pd.DataFrame, column: str = "ratio") -> dict[int, fit.Estimate]:
        return fit.mean_ratios(rows.dropna(subset=column), "n_facts", column)

    def judge(rows: pd.DataFrame, column: str = "ratio") -> str:
        return rules.everywhere(rule(mean) for mean in means(rows, column).values())

    if both.dropna(subset="ratio").groupby("n_facts").ratio.count().max() < rules.LEAST_DRAWS:
        raise NoTable(f"{over} and {under} are nowhere usable together in two draws")
    found, verdict = means(both), judge(both)
    lost = {over: int(np.isinf(both.n_params).sum()), under: int(np.isinf(both.n_params_under).sum())}
    number = listed(f"{about(mean.value)} times at n = {n:,}" for n, mean in found.items())
    number += "".join(f"; {name} not usable in {count} runs" for name, count in lost.items() if count)
    ends = listed(f"{about(mean.low)} to {about(mean.high)}" for mean in found.values())
    if (d := both.d.max()) < PUBLISHED_D:
        raise NoTable(f"at d = {d} {number} (95%: {ends}); the claim is about d = {PUBLISHED_D} and more")
    variants = {name: (rows,) for name, rows in without_draws(both).items()} | {
        "attention solved for": (both, "solved")
    }
    if len(found) > 1:
        variants |= {"the largest n alone": (both[both.n_facts == max(found)],)}
    return Finding(number, f"95%: {ends}", verdict, reach(both), sensitivity(verdict, judge, variants))


BLOCK = "theirs: 16,000 steps of 1,280 sequences at rate 0.0002, d = 512 and more"
BLOCK_NEEDS = "both memories behind attention trained as published (`python -m factbook.block_published`) at d = 512"


@claim(
    "hebbian",
    "In a transformer the data-dependent memory is within 3 times of trained …",
    rule="ratio of parameters behind trained attention: at most 3 at every number of facts",
    page="block_facts",
    protocol=BLOCK,
    needs=BLOCK_NEEDS,
)
def hebbian_in_a_block(tables: Tables) -> Finding:
    return in_a_block(tables, "data-dependent", "trained", partial(rules.at_most, bound=3.0))


@claim(
    "hebbian",
    "… and 63 times below the encoder-decoder.",
    rule="ratio of parameters behind trained attention, the paper's codes over the data-dependent memory: 63, band "
    "1.25 ×, at "
    "every number of facts",
    page="block_facts",
    protocol=BLOCK,
    needs=BLOCK_NEEDS,
)
def hebbian_below_the_construction(tables: Tables) -> Finding:
    return in_a_block(tables, "paper-codes", "data-dependent", partial(rules.equal_ratio, low=63.0))


@claim(
    "related",
    "NTK memories store facts in proportion to their parameters, up to logarithms.",
    rule="exponent of parameters over $n \\log_2 n$: 0 ± 0.1 at every α",
    page="scaling",
    protocol="the papers' axis; the Hermite polynomial of degree 1; one logarithm: the claim leaves their number open",
    needs="NTK memories at three d or more",
)
def ntk_growth(tables: Tables) -> Finding:
    return exponent_claim(tables, "ntk", None, rules.equal_exponent, others={"ReLU gate": ("ntk-relu", None)})


@claim(
    "related",
    "Trained language models hold about 2 bits a parameter.",
    rule="bits a parameter: 2, band 1.25 ×, at every size",
    page="capacity",
    needs="language models trained on facts of several sizes; what trained MLPs hold has a row among ours",
)
def bits_of_language_models(tables: Tables) -> Finding:
    raise NoTable("no language model is trained to its capacity here")
