"""The paper's construction on values of every geometry, and the sets of facts that `notebooks/geometry.py` measures.

``python -m factbook.shapes`` fills results/laptop/shapes.csv: cost and code length of the paper's codes (Gaussian D,
projected separators) with both encoders, beside the numbers of `factbook.predictors`.
"""

from __future__ import annotations

import math
from typing import Any

import torch

import factcore as fc
from factbook import store
from factbook.geometries import value_geometry, whiten
from factbook.predictors import predictors

GEOMETRIES = (
    ["sphere", "gaussian", "spiked 1", "spiked 2", "spiked 4", "spiked 8"]
    + ["clusters 0.5", "clusters 0.25", "clusters 0.1", "low-rank 0", "low-rank 0.1"]
    + ["norms 0.2", "norms 0.5", "power-law 2", "airports", "tokens", "mlp-outputs"]
)  # a family and, after a space, its strength
SIZES = ((128, 64), (256, 64), (256, 128), (512, 128))  # n = v and d
ENCODERS = {"buckets": "buckets", "random_gates": "random-gates"}


def embed(geometry: str, values: str, n: int, d: int, seed: int) -> torch.Tensor:
    """The values (n, d) of a geometry such as 'spiked 4', raw or whitened (a ridge of 0.1% where Σ is singular)."""
    name, _, strength = geometry.partition(" ")
    chosen = value_geometry(name, n, d, seed=1000 + seed, strength=float(strength) if strength else None)
    if values == "raw":
        return chosen
    try:
        return whiten(chosen)[0]
    except ValueError:  # a singular covariance
        return whiten(chosen, ridge=1e-3)[0]


def facts_about(values: torch.Tensor, seed: int) -> fc.FactSet:
    """Random keys and a random permutation onto the values, centred and scaled to a mean square of 1."""
    centred = values - values.mean(0)
    scaled = centred / centred.square().sum(1).mean().sqrt()
    random = fc.spherical_facts(*values.shape, seed=seed, dtype=torch.float64).to(values.device)
    return fc.FactSet(random.keys, scaled, random.targets)


def measure(geometry: str, values: str, n: int, d: int, seed: int) -> dict[str, Any]:
    """The predictors, parameters with either encoder (infinite where facts are lost) and the length of a code."""
    chosen = embed(geometry, values, n, d, seed)
    row: dict[str, Any] = predictors(chosen) | dict.fromkeys(ENCODERS, math.inf) | {"code": 0}
    if row["rho"] == 0:
        return row
    facts = facts_about(chosen, seed)
    for column, encoder in ENCODERS.items():
        try:
            mlp = fc.construct(facts, codes="projected", encoder=encoder, seed=seed)
        except ValueError:
            continue
        row[column] = float(mlp.n_params)
        row["code"] = mlp.width // math.ceil(n / d) if encoder == "random-gates" else row["code"]
    return row


def jobs(seeds: int = 3) -> list[dict[str, Any]]:
    return [
        {"geometry": geometry, "values": values, "n": n, "d": d, "seed": seed}
        for n, d in SIZES
        for seed in range(seeds)
        for geometry in GEOMETRIES
        for values in ("raw", "whitened")
    ]


if __name__ == "__main__":
    print(len(store.resume(store.results_file("shapes", "laptop"), jobs(), measure)), "runs")
