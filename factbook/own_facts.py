"""The page on your own facts: how far a question may be from its key, and whether a memory says that it does not know.

The class of memories, `factapp.memory.Memory`, is handed in by the page: book and app do not import each other.
"""

import csv
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import normalize

import factcore as fc
from factbook import figures, store
from factbook.paraphrase import Trial, airport_questions, airport_trial, angles, auc, roc, unrelated_sentences

SMALLEST, SLACK = "encoder-decoder, smallest", "encoder-decoder, slack"
METHODS = ("nearest key", SMALLEST, SLACK, "max-margin", "block-convex")
KINDS = ("question", "sentence", "typo", "typos", "order", "short", "short question", "code")
BINS = range(0, 80, 10)  # degrees
ANGLE = "median angle [°]"
SHARES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75)
SIZES = {
    "smoke": [{"n": 24, "unknown": 24, "d": 16}],
    "laptop": [{"n": n, "unknown": 240, "d": 384} for n in (160, 480)],
    "paper": [{"n": n, "unknown": 240, "d": 384} for n in (120, 160, 240, 480)],
}
REFUSED = {"smoke": [(24, 24)], "laptop": [(48, 240), (160, 240), (480, 240)], "paper": [(480, 240)]}
LOOKS: dict[str, dict[str, Any]] = {
    "nearest key": {"color": "#000000", "marker": "s", "fillstyle": "none", "markersize": 9},  # around what it covers
    SMALLEST: {"color": "#332288", "marker": "p"},
    SLACK: {"color": figures.COLOURS["encoder-decoder"], "marker": "o"},
}
Answers = Callable[[Tensor], tuple[Tensor, Tensor]]


def jobs(profile: str, seed: int) -> list[dict[str, Any]]:
    """Every way to answer at every size, three samples of airports."""
    draws = store.draws(profile, seed)
    return [{"method": m, **size, "seed": s} for m in METHODS for size in SIZES[profile] for s in draws]


def refusal_jobs(profile: str, seed: int) -> list[dict[str, Any]]:
    """The memories with a threshold that `factcore store` sets, at their sizes, three samples."""
    of = [(method, n, unknown) for method in METHODS[1:] for n, unknown in REFUSED[profile]]
    return [{"method": m, "n": n, "unknown": u, "seed": s} for m, n, u in of for s in store.draws(profile, seed)]


def tables(memories: Any, profile: str, seed: int, device: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs of both studies."""
    run, runs = (partial(study, memories, device=device) for study in (trial, refusals))
    table, refused = store.results_file("own_facts", profile), store.results_file("own_facts_refusals", profile)
    refused = store.resume(refused, refusal_jobs(profile, seed), runs, device=device)
    return store.resume(table, jobs(profile, seed), run, device=device), refused


def write_example(folder: Path = Path()) -> fc.FactSet:
    """airports.csv (48 airports that travellers know), keys.npy, values.npy and query.npy; the facts.

    A row of keys.npy per row of the file, a row of values.npy per distinct value in the order of first appearance.
    """
    questions = airport_questions()
    facts = fc.airport_facts().subset(questions.said_airports.sort().values)
    assert facts.key_names and facts.value_names
    with open(folder / "airports.csv", "w", encoding="utf-8", newline="") as file:
        rows = zip(facts.key_names, (facts.value_names[target] for target in facts.targets.tolist()))
        csv.writer(file).writerows([("airport", "city"), *rows])
    np.save(folder / "keys.npy", facts.keys.numpy())
    np.save(folder / "values.npy", facts.values[list(dict.fromkeys(facts.targets.tolist()))].numpy())
    asked = [questions.said_texts.index(text) for text in ("Where is Schiphol?", "JFK", "fiumicino")]
    np.save(folder / "query.npy", torch.cat([questions.said[asked], questions.off_topic[:1]]).numpy())
    return facts


def kinds() -> pd.DataFrame:
    """A row per kind of rewording: the angles between question and key, in degrees, how it is made, an example."""
    questions, rows = airport_questions(), {}
    keys = fc.airport_facts().keys[questions.airports]
    for number, (kind, how) in enumerate(questions.kinds.items()):
        angle = angles(questions.queries[number], keys)
        low, middle, high = torch.quantile(angle, torch.tensor([0.05, 0.5, 0.95]).double()).tolist()
        for field, words in (("{name}", "NAME"), ("{short}", "SHORT NAME"), ("{iata}", "CODE")):
            how = how.replace(field, words)
        rows[kind] = {ANGLE: round(middle), "5 to 95% [°]": f"{low:.0f}\u00a0to\u00a0{high:.0f}"}
        rows[kind] |= {"how it is made": how, "example": questions.texts[number][3]}
    return pd.DataFrame(rows).T


# --- one run -------------------------------------------------------------------------------------------------------


def build(memories: Any, method: str, facts: fc.FactSet, seed: int) -> Any:
    """As `factcore store` does it."""
    return memories.store(facts, constructed_by(method), seed=seed, smallest=method == SMALLEST)


def constructed_by(method: str) -> str:
    return "encoder-decoder" if method in (SMALLEST, SLACK) else method


def answers_of(memory: Any, facts: fc.FactSet) -> Answers:
    """From queries to the values decided on and the scores that must be large; without a memory by the nearest key."""
    assert facts.value_names
    place = {name: i for i, name in enumerate(facts.value_names)}

    def nearest(queries: Tensor) -> tuple[Tensor, Tensor]:
        cosine = normalize(queries.to(facts.keys), dim=1) @ normalize(facts.keys, dim=1).T
        return facts.targets[cosine.argmax(dim=1)].cpu(), cosine.amax(dim=1).cpu()

    def asked(queries: Tensor) -> tuple[Tensor, Tensor]:
        found = memory.ask(queries, threshold=0)
        return torch.tensor([place[one.guess] for one in found]), torch.tensor([one.margin for one in found])

    return nearest if memory is None else asked


def trial(memories: Any, method: str, n: int, unknown: int, d: int, seed: int, device: str = "cpu") -> dict[str, Any]:
    """Recall by kind and by angle, and how well margins tell stored airports from others and from other topics."""
    given = airport_trial(n, unknown, d, seed)
    facts = given.facts.to(device)
    memory = None if method == "nearest key" else build(memories, method, facts, seed)
    answer = answers_of(memory, facts)
    row = {"per_fact": d if memory is None else memory.mlp.n_params / n}
    row["recall_key"] = float((answer(facts.keys)[0] == given.facts.targets).double().mean())
    row["device"] = facts.keys.device if memory is None else memory.mlp.down.device
    asked, others = ({k: answer(rows) for k, rows in zip(KINDS, part)} for part in (given.asked, given.held_out))
    hits = {kind: value == given.facts.targets for kind, (value, _) in asked.items()}
    for kind in KINDS:
        row[f"recall {kind}"] = float(hits[kind].double().mean())
        row[f"auc {kind}"] = auc(asked[kind][1], others[kind][1])
    row |= by_angle(given, torch.stack([*hits.values()]).flatten())
    margin, strange, off = asked[KINDS[0]][1], others[KINDS[0]][1], answer(given.off_topic)[1]
    row["auc off-topic"] = auc(margin, off)
    for name, unknowns in (("roc", strange), ("roc off-topic", off)):
        row |= {f"{name} {share}": x for share, x in zip(SHARES, roc(margin, unknowns, torch.tensor(SHARES)).tolist())}
    return row | answered(memory, margin, strange, off, hits[KINDS[0]])


def by_angle(given: Trial, hit: Tensor) -> dict[str, float]:
    """Recall of all kinds together in bins of 10 degrees; nan for fewer than five questions."""
    angle = angles(given.asked, given.facts.keys).flatten()
    inside = {low: hit[(angle >= low) & (angle < low + 10)].double() for low in BINS}
    return {f"recall at {low}": float(x.mean()) if len(x) >= 5 else math.nan for low, x in inside.items()}


def answered(memory: Any, margin: Tensor, strange: Tensor, off: Tensor, right: Tensor) -> dict[str, float]:
    """Shares of plain questions above the memory's threshold, and recall among them; nan for the nearest key."""
    named = {"answered": margin, "strangers answered": strange, "off-topic answered": off}
    limit = math.nan if memory is None else memory.about["threshold"]
    row = {name: float((some >= limit).double().mean()) if memory else math.nan for name, some in named.items()}
    told = margin >= limit
    return row | {"right when answered": float(right[told].double().mean()) if told.any() else math.nan}


def refusals(memories: Any, method: str, n: int, unknown: int, seed: int, device: str = "cpu") -> dict[str, Any]:
    """Shares of questions that get an answer: of unrelated ones, of other airports, right and wrong ones of stored."""
    given, sentences = airport_trial(n, unknown, 384, seed), unrelated_sentences()
    about = {"smallest": method == SMALLEST, "unrelated": sentences["calibration"]}
    memory = memories.store(given.facts.to(device), constructed_by(method), seed=seed, **about)

    def told(queries: Tensor) -> float:
        return float(np.mean([found.answer is not None for found in memory.ask(queries)]))

    row: dict[str, Any] = {"unrelated": told(sentences["held_out"]), "off-topic": told(given.off_topic)}
    row |= {"device": memory.mlp.down.device, f"other airports, {KINDS[0]}": told(given.held_out[0])}
    assert given.facts.value_names
    right = [given.facts.value_names[target] for target in given.facts.targets.tolist()]
    for kind, queries in zip(KINDS, given.asked):
        found = [one.answer for one in memory.ask(queries)]
        row[f"right, {kind}"] = float(np.mean([one == want for one, want in zip(found, right)]))
        row[f"wrong, {kind}"] = float(np.mean([one not in (None, want) for one, want in zip(found, right)]))
    return row


# --- what the page shows ---------------------------------------------------------------------------------------------


def findings(table: pd.DataFrame, refused: pd.DataFrame) -> str:
    """The page's findings, in Markdown, every number from the tables: medians over the samples."""
    few, many = table.n.min(), table.n.max()
    median = table.groupby(["n", "method"]).median(numeric_only=True)
    percent = lambda n, method, column: f"{median.loc[(n, method), column]:.0%}"  # noqa: E731
    plain = {method: [percent(n, method, "recall question") for n in (few, many)] for method in METHODS}
    far = {method: percent(many, method, "recall at 40") for method in METHODS}
    roomy = refused[refused.method != SMALLEST]
    others = roomy[f"other airports, {KINDS[0]}"]
    worst = others.groupby([roomy.n, roomy.method]).median().max()
    worst_at = lambda share: "{0.method}, {0.n} facts".format(roomy.loc[share.idxmax()])  # noqa: E731
    kept, angle = table[table.n == many].d.iloc[0], kinds()[ANGLE]
    cost = f"{median.loc[(many, SLACK), 'per_fact']:.0f} parameters a fact, where a key has {kept} numbers"
    return f"""\
How far a question is from its key is the angle between their embeddings: in the median {angle["question"]} degrees for
"Where is NAME?", {angle["short"]} for a name without "Airport" and the like.

- **Far from the keys, look them up.** Of questions between 40 and 50 degrees from their key the nearest of the
  {many} stored embeddings answers {far["nearest key"]} right, the memories that the command makes {far[SLACK]} (the
  default, an encoder-decoder with slack), {far["max-margin"]} (`--method max-margin`) and {far["block-convex"]}
  (`--method block-convex`, with as many parameters as the keys have numbers). The default takes {cost}: no space is
  saved over a table of the keys.
- **Storing a key says nothing about what lies around it.** All memories answer every key. Asked "Where is NAME?", with
  {few} and with {many} facts, the smallest is right in {" and ".join(plain[SMALLEST])} of the cases, the default in
  {" and ".join(plain[SLACK])}, max-margin in {" and ".join(plain["max-margin"])}, block-convex in
  {" and ".join(plain["block-convex"])}. With thousands of facts the default has far less (below).
- **"I don't know" takes a margin and a similarity.** In the worst sample these three answer
  {roomy.unrelated.max():.1%} of unrelated sentences ({worst_at(roomy.unrelated)}) and {others.max():.0%} of questions
  about airports that are not stored ({worst_at(others)}); of the latter {worst:.0%} at most in the median."""


def refusal_table(refused: pd.DataFrame) -> pd.DataFrame:
    """Percent of questions answered: medians over the samples, a column per memory; rows by facts, then questions."""
    shown = {"unrelated": "unrelated", f"other airports, {KINDS[0]}": "not stored"}
    shown |= {
        f"{how}, {kind}": f"{kind}, {how}" for kind in ("question", "short", "typo") for how in ("right", "wrong")
    }
    medians = refused.groupby(["n", "method"])[list(shown)].median().rename(columns=shown)
    return _by_memory((100 * medians).round(1), list(shown.values()))


def recall_table(table: pd.DataFrame) -> pd.DataFrame:
    """Percent right: medians over the samples, a column per memory; rows by number of facts, then kind of question."""
    medians = table.groupby(["n", "method"])[[f"recall {kind}" for kind in KINDS]].median()
    shown = medians.rename(columns=lambda name: name.removeprefix("recall "))
    return _by_memory((100 * shown).round().astype(int), list(KINDS))


def _by_memory(medians: pd.DataFrame, rows: list[str]) -> pd.DataFrame:
    """Columns become rows, the memories columns, with names that fit a narrow screen."""
    shown = medians.stack().unstack("method")
    shown = shown.reindex(columns=[method for method in METHODS if method in shown]).reindex(rows, level=1)
    shown = shown.rename(index=lambda n: f"{n} facts", level=0)
    return (
        shown.rename(columns=lambda name: name.removeprefix("encoder-decoder, "))
        .rename_axis([None] * 2)
        .rename_axis(columns=None)
    )


def panels(table: pd.DataFrame) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]]]:
    """A panel and its rows for each number of facts."""
    sizes = [part for _, part in table.groupby("n")]
    figure, axes = plt.subplots(1, len(sizes), figsize=(4.6 * len(sizes), 4.2), sharey=True, squeeze=False)
    for ax, part in zip(axes[0], sizes):
        ax.set(title=f"{part.n.iloc[0]} facts, d = {part.d.iloc[0]}")
    return figure, list(zip(axes[0], sizes))


def drawn(ax: Axes, part: pd.DataFrame, columns: list[str], at: list[Any]) -> None:
    """Each method's medians of ``columns`` at ``at``, smallest to largest as bars."""
    for method in METHODS:
        some = part[part.method == method][columns].astype(float)
        middle = some.median().to_numpy()
        bars = [middle - some.min().to_numpy(), some.max().to_numpy() - middle]
        look: dict[str, Any] = LOOKS.get(method) or {
            "color": figures.COLOURS[method],
            "marker": figures.MARKERS[method],
        }
        ax.errorbar(at, middle, yerr=bars, capsize=3, label=method, **look)


def angle_figure(table: pd.DataFrame) -> Figure:
    """Recall against the angle between question and key."""
    figure, parts = panels(table)
    for ax, part in parts:
        drawn(ax, part, [f"recall at {low}" for low in BINS], [low + 5 for low in BINS])
        ax.set(xlabel="angle between question and key (degrees)", ylim=(-0.03, 1.03))
    parts[0][0].set(ylabel="recall")
    figures.legend_below(figure, parts[0][0])
    return figure


def roc_figure(table: pd.DataFrame) -> Figure:
    """Stored airports' questions answered against others', for every threshold; guessing is the dashed line."""
    figure, parts = panels(table)
    for ax, part in parts:
        drawn(ax, part, [f"roc {share}" for share in SHARES], list(SHARES))
        ax.plot(SHARES, SHARES, "--", color="#7F7F7F", zorder=0)
        ax.set(xlabel="share of other airports answered", xscale="log", ylim=(-0.03, 1.03))
    parts[0][0].set(ylabel="share of stored airports answered")
    figures.legend_below(figure, parts[0][0])
    return figure
