"""What breaks a swap: an MLP too small, one too steep for the keys that attention returns, a router that misses."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

import factcore as fc
from factbook import figures
from factbook.editing.model import FactLanguageModel, fact_accuracy, fact_mlp, fact_positions, insert, perplexity
from factcore.mlp import GatedMLP

LABELS = {"hebbian": figures.LABELS["hebbian"]}
STEEP = ["paraphrases", "the MLP alone", "slope", "smallest margin", "hidden units"]  # columns, the first in sight
ROUTED = "paraphrases routed to the MLP"
RECALLS = ["the MLP alone", "training templates", "paraphrases"]
WRITTEN: dict[str, dict[str, Any]] = {  # options of `fact_mlp`; what stands before the comma is the construction
    "one-hot": {},
    "hebbian": {"width": 512},
    "block-convex": {"width": 32},
    "block-convex, 8 units": {"width": 8},
    "trained, 8 units": {"width": 8},
    "encoder-decoder, m = 24": {"code_dim": 24},
    "encoder-decoder": {},
}
SHIFTS = (-16.0, -12.0, -8.0, 0.0, 8.0, 16.0)  # of the router's bias


def right(model: FactLanguageModel, mlp: GatedMLP) -> list[float]:
    """Cities that ``mlp`` gets right alone, and in the place of the model's own: `RECALLS`."""
    with_it = copy.copy(model)
    with_it._modules = model._modules | {"facts": copy.copy(model.facts)}
    with_it.facts._modules = dict(model.facts._modules)
    insert(with_it, "city", mlp)
    return [
        fc.recall(mlp, model.fact_set("city")),
        *(float(fact_accuracy(with_it, "city", held_out=unseen).mean()) for unseen in (False, True)),
    ]


def narrow(model: FactLanguageModel, widths: Iterable[int], seed: int) -> pd.DataFrame:
    """What block-convex MLPs of few units keep of the facts."""
    facts = model.fact_set("city")
    found = {
        width: right(model, fact_mlp(facts, "block-convex", width=width, seed=seed, strict=False)) for width in widths
    }
    return pd.DataFrame(found, index=RECALLS).T


def steep(model: FactLanguageModel, written: Mapping[str, dict[str, Any]], seed: int) -> pd.DataFrame:
    """Constructions that store every fact at the keys: their slope and smallest margin there, and the model's recall.

    The slope is `factcore.lipschitz`, the largest norm of the Jacobian at a key, as a share of the mean norm of an
    output over that of a key; the margin is a share of the same output. A step gate has slope 0 between its jumps.
    """
    facts, found = model.fact_set("city"), {}
    for name, options in written.items():
        mlp = fact_mlp(facts, name.split(",")[0], seed=seed, strict=False, **options)
        margin = float(fc.margins(mlp, facts).min()) / facts.d**0.5  # outputs have norm √d on average, as keys have
        found[name] = [mlp.width, fc.lipschitz(mlp, facts), margin, *right(model, mlp)]
    return pd.DataFrame(found, index=["hidden units", "slope", "smallest margin", *RECALLS]).T


def read(table: pd.DataFrame) -> pd.DataFrame:
    """One of the tables here as it is read: shares in per cent, units whole, the rest to two places or whole."""
    forms = dict.fromkeys((*RECALLS, ROUTED, "facts right"), "{:.1%}".format) | {"hidden units": "{:.0f}".format}
    written = {name: table[name].map(forms.get(str(name), _number)) for name in table.columns}
    return pd.DataFrame(written).rename(columns={"training templates": "templates"}, index=_row)


def _number(x: float) -> str:
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:.2f}"


def _row(name: object) -> str:
    """A row's name: a number is a count of hidden units, or by how much the router's bias was moved."""
    if isinstance(name, float):
        return f"bias {name:+.0f}".replace("-", "−") if name else "as it is"
    return f"{name} units" if isinstance(name, int) else LABELS.get(str(name), str(name))


def noise(model: FactLanguageModel) -> pd.Series:
    """‖input − key‖ / ‖key‖ of the city MLP in paraphrases: median, 90th and 99th percentile, and the largest."""
    keys = model.fact_set("city").keys[:, None]
    away = (fact_positions(model, "city", held_out=True).attention_output - keys).norm(dim=-1) / keys.norm(dim=-1)
    return pd.Series(away.flatten().cpu().numpy()).quantile([0.5, 0.9, 0.99, 1.0])


def misrouted(model: FactLanguageModel, shifts: Iterable[float]) -> pd.DataFrame:
    """The router's bias towards the city MLP moved: what it then sends there, facts right, perplexity."""
    found = {}
    for shift in shifts:
        turned = copy.deepcopy(model)
        bias: Any = turned.router[-1].bias
        bias.data[1] += shift
        turned.seen.clear()  # what the router said before
        routed = float(fact_positions(turned, "city", True).routed.double().mean())
        found[shift] = [routed, float(fact_accuracy(turned, "city", held_out=True).mean()), perplexity(turned)]
    return pd.DataFrame(found, index=[ROUTED, "facts right", "perplexity"]).T
