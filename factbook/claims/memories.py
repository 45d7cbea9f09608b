"""Hebbian, NTK and trained memories: what the Hebbian paper and earlier work claim."""

from __future__ import annotations

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
