"""What the editing pages found, in sentences for `factbook.prose` and in tables for readers."""

from collections.abc import Sequence

import pandas as pd

from factbook import fit
from factbook.editing import crowded
from factbook.editing.measure import EditReport
from factbook.editing.model import FactLanguageModel, fact_accuracy
from factbook.editing.study import STYLE, WEIGHT_EDITORS
from factbook.prose import percent, with_ends

PUBLISHED = ("memit", "alphaedit", "rome")  # the weight updates of the published comparison
SHORT = {"swap": "swap", "memit": "MEMIT", "alphaedit": "AlphaEdit", "rome": "ROME", "finetune": "fine-tuning"}
SHORT |= {"finetune with replay": "fine-tuning, all facts"}
PROTOCOL = ["construction", "values_of", "told", "per_unit"]
NAMES = {name: str(look["label"]) for name, look in STYLE.items()} | {"swap": "the swap"}


def known(model: FactLanguageModel) -> pd.DataFrame:
    """Facts of either relation that the model states, in the training templates and in paraphrases."""
    seen = {"in training templates": False, "in paraphrases": True}
    return pd.DataFrame(
        {
            title: {
                f"{relation} right [%]": round(100 * float(fact_accuracy(model, relation, held_out=unseen).mean()), 1)
                for relation in ("city", "country")
            }
            for title, unseen in seen.items()
        }
    ).T


def reported(report: EditReport) -> pd.DataFrame:
    """How one edit went, a row a measure."""
    said = {
        "edited facts right in training templates": percent(report.efficacy),
        "edited facts right in paraphrases": percent(report.paraphrase),
        "other facts right": percent(report.specificity),
        "score, the harmonic mean": f"{report.score:.3f}",
        "perplexity of other words, after over before": f"{report.perplexity_ratio:.3f}",
        "seconds": f"{report.seconds:.1f}",
    }
    return pd.Series(said).to_frame("swap")


def costs(timed: pd.DataFrame) -> pd.DataFrame:
    """Median processor seconds of an edit by the number of facts, and the memory it adds at the most facts."""
    found = timed.pivot_table(index="method", columns="n_facts", values="cpu_s", aggfunc="median")
    largest = timed.n_facts.max()
    found.columns = [f"s, n = {n}" for n in found.columns]
    memory = timed[timed.n_facts == largest].groupby("method").peak_mb.median()
    return _by_editor(found.round(2).assign(**{f"MB, n = {largest}": memory.round(0).astype(int)}))


def kept(sequence: pd.DataFrame) -> pd.DataFrame:
    """Median share of all facts that paraphrases get right after so many batches in a row."""
    looks = {name: name.removeprefix("after_") for name in sequence.columns if name.startswith("after_")}
    found = sequence.groupby("method")[list(looks)].median().map("{:.1%}".format)
    titles = {name: f"after {count} batch{'es' * (count != '1')}" for name, count in looks.items()}
    return _by_editor(found.rename(columns=titles))


def _by_editor(table: pd.DataFrame) -> pd.DataFrame:
    """Rows in the order of the editors, by the names that readers know."""
    return table.loc[[method for method in SHORT if method in table.index]].rename(index=SHORT).rename_axis(None)


def steepness(steep: pd.DataFrame, away: pd.Series) -> str:
    """What steepness costs in paraphrases, from the tables of `failures.steep` and `failures.noise`."""
    slopes = steep.slope[steep.slope > 0]  # between the jumps of step gates the slope is 0, and says nothing
    rank = {"slope": slopes.corr(steep.paraphrases, method="spearman")}
    rank["smallest margin"] = steep["smallest margin"].corr(steep.paraphrases, method="spearman")
    lost = steep.paraphrases[slopes.idxmin()] - steep.paraphrases[slopes.idxmax()]
    found = "Steeper memories get fewer paraphrases right" if rank["slope"] < -0.5 else "Steepness does not order them"
    return (
        f"**{found}.** Rank correlation of what paraphrases get right with the slope, where it is not 0: "
        f"{rank['slope']:.2f}, with the smallest margin: {rank['smallest margin']:.2f}. "
        f"A slope {slopes.max() / slopes.min():.0f} times as large "
        f"costs {100 * lost:.1f} points of a hundred. In nine of ten paraphrases the MLP's input is off its key by at "
        f"most {away[0.9]:.1%} of the key; the furthest is off by {away[1.0]:.0%}."
    ).replace("-", "−")


def scores(packed: pd.DataFrame, edits: pd.DataFrame) -> pd.DataFrame:
    """Median scores of a tenth edited, a row a protocol and crowd, a column an editor."""
    both = crowded.beside(packed, edits)
    found = both.pivot_table(index=PROTOCOL, columns="method", values="score", aggfunc="median").round(2)
    columns = {method: SHORT[method] for method in SHORT if method in found}
    return _named(found[list(columns)].rename(columns=columns).rename_axis(columns=None))


def measures(edits: pd.DataFrame) -> pd.DataFrame:
    """Medians of what makes up the score, a tenth edited, a row an editor."""
    tenth = edits[(edits.share == crowded.SHARE) & edits.method.isin(list(SHORT))]
    found = tenth.groupby("method")[["efficacy", "paraphrase", "specificity", "score"]].median().round(3)
    return _by_editor(found)


def ratios(packed: pd.DataFrame, edits: pd.DataFrame) -> pd.DataFrame:
    """Swap over the best weight update by protocol and crowd, geometric means with their intervals."""
    found: dict[tuple, dict[str, str]] = {}
    packed = crowded.beside(packed, edits)
    for key, rows in packed.groupby(PROTOCOL):
        score = rows.pivot_table(index="seed", columns="method", values="score")
        for title, against in (("over these three", PUBLISHED), ("and fine-tuning", WEIGHT_EDITORS)):
            if {"swap", *against} <= set(score) and len(score) > 1:
                each = score.swap / score[list(against)].max(axis=1)
                found.setdefault(key, {})[title] = with_ends(*fit.mean_ratio(each))
    return _named(pd.DataFrame(found).T) if found else pd.DataFrame()


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """A row's protocol, crowd and network in words: "their protocol, 8 facts a unit", "…, trained"."""
    by = {("permuted", "one"): "their protocol", ("table", "all"): "our protocol"}
    network = {crowded.OURS: "", crowded.THEIRS: ", trained"}
    return table.set_axis(
        [f"{by[values, told]}, {crowd} facts a unit{network[made]}" for made, values, told, crowd in table.index]
    )


def editing(packed: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    """The findings of the page on editors, from the tables editing_crowded and editing."""
    theirs = crowded.published(packed)
    most, least = int(theirs.per_unit.max()), int(theirs.per_unit.min())
    full, easy = theirs[theirs.per_unit == most], theirs[theirs.per_unit == least]
    ours = packed[(packed.told == "all") & (packed.per_unit == most) & (packed.construction == crowded.OURS)]
    tenth, one = table[table.share == 0.1], table[table.edited == 1]
    edited = pd.concat([packed, table[~table.method.isin(["no_op", "chance"])]])
    move = 100 * (edited.perplexity_ratio - 1).abs().max()
    return [
        f"**The gap grows with crowding.** Of block-convex MLPs, run as the paper describes, at its {most} facts per "
        f"hidden unit, a swap scores {_median(full, 'swap'):.2f}, the best of the paper's three editors {_best(full)}: "
        f"{_ratio(full)} times, where the paper has about two. At {least} facts a unit the best is {_best(easy)}: "
        f"{_ratio(easy)} times.",
        *_of_trained(packed),
        f"**Twice is no constant.** The published memory has {most} facts a unit and 24 parameters a fact. At *d* = 64 "
        f"ours can have one or the other: block-convex {_ratio(full)} times at as many facts a unit, {_ratio(easy)} "
        "times at as many parameters a fact.",
        "**By our own protocol**, block-convex MLPs, all sentences of an edited fact told and values from the whole "
        f"table, the picture is the same: {_ratio(ours)} times at {most} facts a unit; at {least} the best of the "
        f"three is {_best(tenth)}, a swap {_median(tenth, 'swap'):.2f}.",
        f"**One fact** is edited by every editor: the lowest median score is {_scores(one, WEIGHT_EDITORS).min():.2f}. "
        "Single edits do not tell editors apart.",
        "**Who knows the table wins.** Fine-tuning that is told all facts scores "
        f"{_median(tenth, 'finetune with replay'):.3f} there, a swap {_median(tenth, 'swap'):.3f}; a swap that is "
        "solved for has no settings to tune.",
        f"**Perplexity** moves by at most {move:.2f}% in {len(edited)} edits: the router sends ordinary words "
        "elsewhere.",
    ]


def _of_trained(packed: pd.DataFrame) -> list[str]:
    """The same edits of a network that is trained, as the published one; nothing without such rows."""
    rows = crowded.published(packed, crowded.THEIRS)
    each = [
        f"at {crowd} facts a unit {_ratio(part)} times (a swap {_median(part, 'swap'):.2f}, {_best(part)})"
        for crowd, part in rows.groupby("per_unit")
    ]
    said = (
        "**It depends on the network, too.** A SwiGLU trained by Adam until every fact decodes, swapped for another "
        f"training: {'; '.join(each)}."
    )
    return [said] if each else []


def time(timed: pd.DataFrame, sequence: pd.DataFrame) -> list[str]:
    """The findings of the page on time and many edits, from the tables editing_time and editing_sequential."""
    n = timed.n_facts.max()
    seconds = timed[timed.n_facts == n].groupby("method").cpu_s.median()
    update, replay = seconds[list(WEIGHT_EDITORS)].median(), seconds["finetune with replay"]
    last = [name for name in sequence.columns if name.startswith("after_")][-1]
    kept, first = (sequence.groupby("method")[name].median() for name in (last, "after_1"))
    told = kept[list(WEIGHT_EDITORS)]
    return [
        f"A swap of {n} facts takes {seconds.swap:.1f} processor seconds, {seconds.swap / update:.0f} times as many as "
        f"a weight update and {seconds.swap / replay:.1f} times as many as fine-tuning on all facts: it solves for the "
        "whole table, whatever the number of edited facts.",
        f"After {last.removeprefix('after_')} batches in a row a swap has {kept.swap:.0%} of all facts right in "
        f"paraphrases ({first.swap:.0%} after one), fine-tuning on all facts {kept['finetune with replay']:.0%}; the "
        f"editors that are told the edited facts alone end between {told.min():.0%} and {told.max():.0%}: each edit "
        "adds an error to the last one's.",
    ]


def crowds(packed: pd.DataFrame) -> list[str]:
    """Caption: how the scores fall with the crowd, and how often AlphaEdit did best without a null space."""
    theirs = crowded.published(packed)
    ratio = ", ".join(f"{_ratio(rows)} at {int(crowd)}" for crowd, rows in theirs.groupby("per_unit"))
    lowest = theirs[theirs.method == "swap"].score.min()
    alpha = theirs[theirs.method == "alphaedit"].setting
    whole = int(alpha.str.contains("tol=1.01").sum())
    return [
        "**The more facts a unit holds, the lower every weight update scores; a swap never scores less than "
        f"{lowest:.2f}.**",
        f"Its score over the best of MEMIT, AlphaEdit and ROME, by facts per unit: {ratio}. Lines are medians over "
        "three block-convex models and draws of edits, bars reach from the smallest to the largest.",
        f"AlphaEdit did best in {whole} of {len(alpha)} edits at a tolerance of 1.01, where every direction counts as "
        "null and nothing is projected away: it is then MEMIT with the identity in the place of C.",
    ]


def _scores(rows: pd.DataFrame, methods: Sequence[str] = PUBLISHED) -> pd.Series:
    return rows[rows.method.isin(methods)].groupby("method").score.median()


def _median(rows: pd.DataFrame, method: str) -> float:
    return float(rows[rows.method == method].score.median())


def _best(rows: pd.DataFrame) -> str:
    score = _scores(rows)
    return f"{NAMES[str(score.idxmax())]} with {score.max():.2f}"


def _ratio(rows: pd.DataFrame) -> str:
    """Swap over the best of the paper's three editors of the same draw, geometric mean."""
    score = rows.pivot_table(index="seed", columns="method", values="score")
    return f"{fit.mean_ratio(score.swap / score[list(PUBLISHED)].max(axis=1)).value:.1f}"
