"""What the editing pages found, in Markdown: every number is read from the laptop's tables."""

from collections.abc import Sequence

import pandas as pd

from factbook import fit, store
from factbook.editing.study import STYLE, WEIGHT_EDITORS

PUBLISHED = ("memit", "alphaedit", "rome")  # the weight updates of the published comparison
NAMES = {name: str(look["label"]) for name, look in STYLE.items()} | {"swap": "the swap"}


def ratios(packed: pd.DataFrame) -> pd.DataFrame:
    """Swap over the best weight update by protocol and crowd, geometric means with their intervals."""
    found = {}
    for key, rows in packed.groupby(["values_of", "told", "per_unit"]):
        score = rows.pivot_table(index="seed", columns="method", values="score")
        for title, against in (("over the published three", PUBLISHED), ("over all four", WEIGHT_EDITORS)):
            if {"swap", *against} <= set(score) and len(score) > 1:
                each = score.swap / score[list(against)].max(axis=1)
                found.setdefault(key, {})[title] = _times(fit.mean_ratio(each))
    table = pd.DataFrame(found).T
    table.index.names = ["new values", "sentences told", "facts per unit"]
    return table


def editing() -> str:
    """The findings of the page on editors."""
    packed, table, wide = _laptop("editing_crowded"), _laptop("editing"), _laptop("editing_width")
    theirs = packed[(packed.values_of == "permuted") & (packed.told == "one")]
    roomy = packed[(packed.values_of == "table") & (packed.told == "all")]
    most, least = int(theirs.per_unit.max()), int(theirs.per_unit.min())
    full = theirs[theirs.per_unit == most]
    easy = theirs[theirs.per_unit == least]
    tenth, one = table[table.share == 0.1], table[table.edited == 1]
    lines = [
        f"**The gap is a matter of crowding.** At the published {most} facts per hidden unit and by the published protocol a swap "
        f"scores {_median(full, 'swap'):.2f}, the best weight update, {_best(full)}: {_ratio(full)} times as much, where the "
        f"paper has about two. At {least} facts a unit, in the same model, the best is {_best(easy)}: {_ratio(easy)} times.",
        f"**With all sentences told and values of the whole table** the picture is the same: {_ratio(roomy[roomy.per_unit == most])} "
        f"times at {most} facts a unit, {_ratio(roomy[roomy.per_unit == least])} times at {least}.",
        f"**One fact** is edited by every editor: the lowest median score is {_lowest(one):.2f}. Single edits do not tell "
        "editors apart.",
        f"**Who knows the table wins.** At {least} facts a unit a swap scores {_median(tenth, 'swap'):.3f}; fine-tuning that is told "
        f"all facts, too, {_median(tenth, 'finetune with replay'):.3f}. The swap has no settings to tune.",
    ]
    if len(wide):
        width = int(wide.width.max())
        lines.append(
            f"**Room helps all**: in {width} units ({256 // width} facts a unit) the lowest median is {_lowest(wide):.2f}, "
            f"by {NAMES[_worst(wide)]}."
        )
    move = 100 * (table[~table.method.isin(["no_op", "chance"])].perplexity_ratio - 1).abs().max()
    lines.append(
        f"**Perplexity** moves by at most {move:.2f}% in all {len(table)} edits: the router sends ordinary words elsewhere."
    )
    return "\n".join(f"- {line}" for line in lines)


def _laptop(name: str) -> pd.DataFrame:
    table = store.stored(name, "laptop")
    if table is None:
        raise ValueError(f"no table results/laptop/{name}.csv: python -m factbook.editing.tables")
    return table


def time() -> str:
    """The findings of the page on time and many edits."""
    timed, sequence = _laptop("editing_time"), _laptop("editing_sequential")
    seconds = timed[timed.n_facts == timed.n_facts.max()].groupby("method").cpu_s.median()
    last = [name for name in sequence.columns if name.startswith("after_")][-1]
    kept = sequence.groupby("method")[last].median()
    first = sequence.groupby("method").after_1.median()
    told = kept[list(WEIGHT_EDITORS)]
    lines = [
        f"A swap of {timed.n_facts.max()} facts takes {seconds.swap:.1f} processor seconds, "
        f"{seconds.swap / seconds[list(WEIGHT_EDITORS)].median():.0f} times as many as a weight update and "
        f"{seconds.swap / seconds['finetune with replay']:.1f} times as many as fine-tuning on all facts: it solves for the whole "
        "table, whatever the number of edited facts.",
        f"After {last.removeprefix('after_')} batches in a row a swap has {kept.swap:.0%} of all facts right in paraphrases "
        f"({first.swap:.0%} after one), fine-tuning on all facts {kept['finetune with replay']:.0%}; the editors that are told the "
        f"edited facts alone end between {told.min():.0%} and {told.max():.0%}: each edit adds an error to the last one's.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def crowds() -> str:
    """Caption: how the scores fall with the crowd, and which settings were best where it is greatest."""
    packed = _laptop("editing_crowded")
    theirs = packed[(packed.values_of == "permuted") & (packed.told == "one")]
    by_crowd = [f"{_ratio(rows)} at {int(crowd)}" for crowd, rows in theirs.groupby("per_unit")]
    lowest = theirs[theirs.method == "swap"].score.min()
    return (
        f"**The more facts a unit holds, the worse every weight update does; a swap never scores less than {lowest:.2f}.** The swap's "
        f"score over the best of all four updates, by facts per unit: {', '.join(by_crowd)}. Lines are medians over three models and "
        f"draws of edits, bars reach from the smallest to the largest. {_projected(theirs)}"
    )


def _projected(theirs: pd.DataFrame) -> str:
    """How often AlphaEdit did best with no null space at all."""
    best = theirs[theirs.method == "alphaedit"].setting
    whole = int(best.str.contains("tol=1.01").sum())
    return (
        f"AlphaEdit did best in {whole} of {len(best)} edits at a tolerance of 1.01, at which every direction counts as null and "
        "nothing is projected away: its ridge alone spares the other facts. It is then MEMIT with another norm."
    )


def shares() -> str:
    """Caption: what happens as more is edited."""
    table = _laptop("editing")
    half, tenth = table[table.share == 0.5], table[table.share == 0.1]
    return (
        f"**At 8 facts a unit updates lag little at a tenth and much at half.** The best of the four scores {_best(tenth)} with a tenth "
        f"edited and {_best(half)} with half of the facts edited, a swap {_median(tenth, 'swap'):.2f} and {_median(half, 'swap'):.2f}. "
        "Medians over three models and draws, bars from the smallest to the largest."
    )


def _scores(rows: pd.DataFrame, methods: Sequence[str] = WEIGHT_EDITORS) -> pd.Series:
    return rows[rows.method.isin(methods)].groupby("method").score.median()


def _median(rows: pd.DataFrame, method: str) -> float:
    return float(rows[rows.method == method].score.median())


def _best(rows: pd.DataFrame) -> str:
    score = _scores(rows)
    return f"{NAMES[str(score.idxmax())]} with {score.max():.2f}"


def _lowest(rows: pd.DataFrame) -> float:
    return float(_scores(rows).min())


def _worst(rows: pd.DataFrame) -> str:
    return str(_scores(rows).idxmin())


def _ratio(rows: pd.DataFrame) -> str:
    """Swap over the best weight update of the same draw, geometric mean."""
    score = rows.pivot_table(index="seed", columns="method", values="score")
    return f"{fit.mean_ratio(score.swap / score[list(WEIGHT_EDITORS)].max(axis=1)).value:.1f}"


def _times(found: fit.Estimate) -> str:
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"
