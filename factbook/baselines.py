"""What facts cost without a network: the commonest value, the nearest embedding, the best linear maps."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

import factcore as fc
from factbook.prose import percent
from factcore.data import RELATIONS

COMMONEST, NEAREST, SQUARES, LOG_LOSS, NETWORK = (
    "always the commonest value",
    "nearest embedding",
    "linear, least squares",
    "linear, log loss",
    "encoder-decoder",
)
WAYS = (COMMONEST, NEAREST, SQUARES, LOG_LOSS, NETWORK)
RIDGE = 1e-6  # of the mean square of the keys: numerically singular keys (three coordinates of MiniLM's are zero) pass


def commonest(facts: fc.FactSet) -> float:
    """Share of keys that have the value which most keys have: what one answer to every question gets."""
    return float(facts.targets.bincount().max()) / len(facts)


def nearest(facts: fc.FactSet) -> float:
    """Share of keys to whose embedding the right value's is nearest (largest cosine): what a name gives away.

    ValueError where keys and values lie in different spaces.
    """
    if facts.d != facts.e:
        raise ValueError(f"keys have {facts.d} numbers and values {facts.e}: no distance between them")
    at_unit_norm = fc.FactSet(normalize(facts.keys, dim=1), normalize(facts.values, dim=1), facts.targets)
    return fc.recall(lambda keys: keys, at_unit_norm)


def least_squares(facts: fc.FactSet, *, ridge: float = RIDGE) -> Tensor:
    """The map W (d, e) whose scores k W Vᵀ are nearest to one-hot targets: ridge regression, closed form.

    It minimises Σ_i ‖V_c Wᵀ k_i − (e_f(i) − 1/v)‖² + ridge·tr(KᵀK)/d·‖V_c Wᵀ‖² with V_c the centred values (a constant
    added to all scores of a key decides nothing): W = (KᵀK + ridge·tr(KᵀK)/d)⁻¹ Σ_i k_i v_c,f(i)ᵀ (V_cᵀV_c)⁺.
    """
    keys, values = facts.keys.double(), facts.values.double() - facts.values.double().mean(dim=0)
    gram = keys.T @ keys
    gram.diagonal().add_(ridge * gram.trace() / len(gram))
    targets = values @ torch.linalg.pinv(values.T @ values, rtol=1e-12, hermitian=True)
    return torch.linalg.solve(gram, keys.T @ targets[facts.targets]).to(facts.keys.dtype)


@torch.enable_grad()
def log_loss(facts: fc.FactSet, *, steps: int = 50) -> Tensor:
    """The map W (d, e) of smallest mean log loss of softmax(k W Vᵀ): convex, without a closed form, by L-BFGS.

    It starts from 0 in coordinates in which keys and centred values are white, so that few steps do, and ends after
    ``steps`` or, asked every 10 steps, where every fact is stored: from there on the loss falls for ever.
    """
    values = facts.values.double() - facts.values.double().mean(dim=0)
    (keys, of_keys), (rows, of_values) = _whitened(facts.keys.double()), _whitened(values)
    weight = torch.zeros(keys.shape[1], rows.shape[1], device=keys.device, requires_grad=True)

    def in_place() -> Tensor:
        return (of_keys @ weight.detach().double() @ of_values.T).to(facts.keys.dtype)

    def loss() -> Tensor:
        value = cross_entropy(keys @ weight @ rows.T, facts.targets)
        (weight.grad,) = torch.autograd.grad(value, weight)
        return value

    descent = torch.optim.LBFGS([weight], max_iter=10, history_size=20, line_search_fn="strong_wolfe")
    for _ in range(-(-steps // 10)):
        descent.step(loss)
        if fc.recall(lambda asked: asked @ in_place(), facts) == 1:
            break
    return in_place()


def _whitened(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (n, k) float32 with second moments 1 and the matrix (d, k) that makes them; empty directions drop out."""
    _, sizes, axes = torch.linalg.svd(rows, full_matrices=False)
    kept = sizes > 1e-6 * sizes[0]
    to_white = axes[kept].T * (len(rows) ** 0.5 / sizes[kept])
    return (rows @ to_white).float(), to_white


MAPS: dict[str, Callable[[fc.FactSet], Tensor]] = {SQUARES: least_squares, LOG_LOSS: log_loss}


def beside(facts: fc.FactSet, **networks: fc.GatedMLP) -> pd.DataFrame:
    """Recall, parameters and parameters per fact of the linear maps, of the named networks and, where keys and values
    lie in one space, of the nearest embedding.
    """
    ways = [*([NEAREST] if facts.d == facts.e else []), *MAPS]
    found = {way: measure(facts, way) for way in ways}
    found |= {name: {"recall": fc.recall(mlp, facts), "n_params": mlp.n_params} for name, mlp in networks.items()}
    rows = pd.DataFrame.from_dict(found, orient="index")[["recall", "n_params"]]
    return rows.assign(per_fact=rows.n_params / len(facts)).rename_axis("way")


def measure(facts: fc.FactSet, way: str, *, seed: int = 0) -> dict[str, Any]:
    """Recall, parameters and device of one of `WAYS` to answer."""
    if way == COMMONEST:
        return {"recall": commonest(facts), "n_params": 0, "device": facts.targets.device}
    if way == NEAREST:
        return {"recall": nearest(facts), "n_params": 0, "device": facts.keys.device}
    if way == NETWORK:
        mlp = fc.construct(facts, seed=seed)
        return {"recall": fc.recall(mlp, facts), "n_params": mlp.n_params, "device": mlp.down.device}
    weight = MAPS[way](facts)
    recall = fc.recall(lambda keys: keys @ weight, facts)
    return {"recall": recall, "n_params": weight.numel(), "device": weight.device}


def airports_row(relation: str, way: str, n_facts: int, seed: int, *, device: str = "cpu") -> dict[str, Any]:
    """A row of the tour's table: `measure` for ``n_facts`` airports and one relation."""
    facts = fc.airport_facts(n_facts, relation=relation).to(device)
    return {"n_values": facts.n_values} | measure(facts, way, seed=seed)


def airports_jobs(n_facts: int, seed: int = 0) -> list[dict[str, Any]]:
    """Every relation and every way."""
    return [
        {"relation": relation, "way": way, "n_facts": n_facts, "seed": seed} for relation in RELATIONS for way in WAYS
    ]


def by_relation(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """One column of the tour's table: a row per way to answer, a column per relation."""
    shown = table.pivot(index="way", columns="relation", values=column).loc[list(WAYS)]
    return shown.rename(columns={"iata": "IATA code"}).rename_axis(index=None, columns=None)


def findings(table: pd.DataFrame) -> list[str]:
    """The tour's sentences, from the table of `airports_row`."""
    n, rows = table.n_facts.max(), table.set_index(["relation", "way"])
    share, cost = rows.recall.map(percent), rows.n_params / n
    linear = cost["country", LOG_LOSS]
    found = [
        f"An MLP written down by linear systems stores the country of each of {n:,} airports, recall "
        f"{share['country', NETWORK]}, in {cost['country', NETWORK]:.2f} parameters a fact.",
        f"Nothing simpler does: always the commonest country is right for {share['country', COMMONEST]} of them, the "
        f"country whose embedding is nearest to that of the airport's name for {share['country', NEAREST]}, a linear "
        f"map for {share['country', LOG_LOSS]} when trained by log loss and "
        f"{share['country', SQUARES]} in closed form, with {linear:.0f} parameters a fact.",
        f"Cities would show less, as many a name gives its city away: the nearest city is right for "
        f"{share['city', NEAREST]}, the nearest IATA code (JFK) for {share['iata', NEAREST]}.",
    ]
    names = {"city": "cities", "iata": "IATA codes"}
    if stored := [relation for relation in names if rows.recall[relation, LOG_LOSS] == 1]:
        every = " and all ".join(names[relation] for relation in stored)
        takes = " and ".join(f"{cost[relation, NETWORK]:.0f} for the {names[relation]}" for relation in stored)
        found.append(
            f"With nearly as many values as keys a linear map may do: trained by log loss it stores all {every} in "
            f"{linear:.0f} parameters a fact; the construction takes {takes}."
        )
    return found
