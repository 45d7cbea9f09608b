"""What the paper's construction costs as facts grow, next to training and to earlier constructions."""

import pandas as pd

from factbook.claims import rules
from factbook.claims.axis import exponent_claim, ratio_claim, ratios, sizes, untied
from factbook.claims.judging import Finding, NoTable, Tables, claim, reach, sensitivity, without_draws
from factbook.figures import NAMES
from factbook.scaling import paired

AXIS = "theirs (n = α d², tied, a random permutation), the paper's codes in closed-form buckets, at smaller d"
TRAINED = "trained MLPs on the papers' axis, at least three d and two draws at each α"
OTHER_GATES = {"random gates": "paper-random-gates"}


def other_gates(over: str | None) -> dict[str, tuple[str, str | None]]:
    return {name: (method, over) for name, method in OTHER_GATES.items()}


def published_ntk(tables: Tables) -> tuple[str, str]:
    """The NTK memory of the published code (ReLU gate) where the table has it, and the other one."""
    present = set(tables("scaling").method)
    order = [name for name in ("ntk-relu", "ntk") if name in present]
    if not order:
        raise NoTable("no runs of NTK on the papers' axis yet")
    return order[0], order[-1]


@claim(
    "paper",
    "Asymptotically optimal: for some embeddings parameters grow as the information-theoretic bound, $n \\log v$.",
    rule="existence: on the sphere, exponent of parameters over $n \\log_2 n$ no more than 0, band 0.1, at every α",
    page="scaling",
    protocol=AXIS,
    needs="the paper's codes at three d or more",
)
def grows_as_the_bound(tables: Tables) -> Finding:
    def somewhere(estimate: rules.Interval) -> str:
        return rules.for_some(rules.grows_no_faster(estimate))

    return exponent_claim(tables, "paper-codes", None, somewhere, others=other_gates(None))


@claim(
    "paper",
    "Facts per parameter scale as in trained MLPs.",
    rule="exponent of parameters over those of trained MLPs: 0 ± 0.1 at every α",
    page="scaling",
    protocol=AXIS,
    needs=TRAINED,
)
def scales_as_training(tables: Tables) -> Finding:
    return exponent_claim(tables, "paper-codes", "trained", rules.equal_exponent, others=other_gates("trained"))


@claim(
    "paper",
    "It scales better than earlier explicit constructions.",
    rule="exponent of parameters over those of the NTK memory: below 0 at every α",
    page="scaling",
    protocol=f"{AXIS}; NTK with the published ReLU gate where the table has it",
    needs="NTK memories at three d or more",
)
def scales_better_than_ntk(tables: Tables) -> Finding:
    published, other = published_ntk(tables)
    others = other_gates(published) | ({f"over {NAMES[other]}": ("paper-codes", other)} if other != published else {})

    def below(estimate: rules.Interval) -> str:
        return rules.below(estimate, 0.0)

    return exponent_claim(tables, "paper-codes", published, below, others=others)


@claim(
    "paper",
    "Figure, facts against parameters: trained lowest, then the construction, then earlier constructions.",
    rule="both ratios of parameters, construction over trained and NTK over construction, above 1 at every size",
    page="scaling",
    protocol=AXIS,
    needs=TRAINED,
)
def order_of_the_three_curves(tables: Tables) -> Finding:
    table = tables("scaling")
    ntk, other = published_ntk(tables)

    def judge(rows, earlier: str = ntk, tied: bool = True) -> str:
        pairs = (("paper-codes", "trained"), (earlier, "paper-codes"))
        found = [ratios(rows, *pair, tied) for pair in pairs]
        return rules.both(*(rules.everywhere(rules.above(r, 1.0) for r in part.itertuples()) for part in found))

    above, below = ratios(table, "paper-codes", "trained"), ratios(table, ntk, "paper-codes")
    wrong = [part[[rules.above(r, 1.0) != "reproduced" for r in part.itertuples()]] for part in (above, below)]
    number = f"above trained at {len(above) - len(wrong[0])} of {len(above)} sizes, "
    number += f"below NTK at {len(below) - len(wrong[1])} of {len(below)}"
    where = pd.concat(wrong)
    verdict = judge(table)
    draws = without_draws(table) if table.seed.nunique() > rules.LEAST_DRAWS else {}
    variants: dict[str, tuple] = {name: (rows,) for name, rows in draws.items()}
    variants |= {"from d = 64 on": (table[table.d >= 64],)}
    variants |= {f"with {NAMES[other]}": (table, other)} if other != ntk else {}
    shown = f"not clear at {sizes(where)}" if len(where) else ""
    scale = f"{reach(paired(table, 'paper-codes', 'trained'))}; with NTK {reach(paired(table, ntk, 'paper-codes'))}"
    return Finding(number, shown, verdict, scale, sensitivity(verdict, judge, variants) + untied(table, judge))


@claim(
    "paper",
    "Trained MLPs keep a significantly lower absolute cost than the construction.",
    rule="ratio of parameters, construction over trained: above 1.25 at every size",
    page="scaling",
    protocol=AXIS,
    needs=TRAINED,
)
def trained_is_cheaper(tables: Tables) -> Finding:
    def beyond_the_band(estimate: rules.Interval) -> str:
        return rules.at_least(estimate, rules.RATIO_BAND)

    others = {"random gates": ("paper-random-gates", "trained")}
    return ratio_claim(tables, "paper-codes", "trained", beyond_the_band, others=others)
