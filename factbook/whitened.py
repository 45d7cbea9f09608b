"""Does whitening trade capacity for use? The paper's codes on clustered values, raw and whitened, behind attention.

On these values whitening shortens the paper's codes by more than a quarter (results/laptop/shapes.csv), which it does
not on spiked ones. ``python -m factbook.whitened`` fills results/laptop/whitened.csv, three draws.
"""

import math
from functools import partial
from typing import Any

import factcore as fc
from factbook import noise, store
from factbook.attended import attended
from factbook.shapes import embed
from factbook.steepness import relative_lipschitz

GEOMETRIES = ("clusters 0.1", "clusters 0.25")
VALUES = ("raw", "whitened")
SIZE = {"n": 256, "d": 128}
LAYOUT: dict[str, Any] = {"codes": "projected", "encoder": "random-gates", "gate": "identity", "fill": 0.5}


def use(geometry: str, values: str, n: int, d: int, seed: int, *, device: str) -> dict[str, Any]:
    """Parameters (infinite where facts are lost), steepness, and the share kept behind attention, trained and solved.

    Attention is trained with the identity in the memory's place, at the defaults of `train_recall`; its keys are the
    same for all values of a draw.
    """
    random, chosen = fc.spherical_facts(n, d, seed=seed).to(device), embed(geometry, values, n, d, seed)
    centred = chosen - chosen.mean(0)
    scaled = centred / centred.square().sum(1).mean().sqrt()
    facts = fc.FactSet(random.keys, scaled.to(random.keys), random.targets)
    mlp = fc.construct(facts, seed=seed, strict=False, **LAYOUT)
    handed = {kind: noise.arrivals(attended(kind, n, d, seed, device)) for kind in ("trained", "solved")}
    return {
        "device": mlp.down.device,
        "n_params": math.inf if len(mlp.lost) else float(mlp.n_params),
        "lipschitz": relative_lipschitz(mlp, facts),
        "tolerance_5": float(noise.noise_tolerance(mlp, facts).quantile(0.05)),
        "through": float(handed["trained"].through.double().mean()),
        "kept": noise.kept(mlp, facts, handed["trained"]),
        "solved_kept": noise.kept(mlp, facts, handed["solved"]),
    }


def jobs(seeds: int = 3) -> list[dict[str, Any]]:
    return [
        {"geometry": geometry, "values": values, **SIZE, "seed": seed}
        for seed in range(seeds)
        for geometry in GEOMETRIES
        for values in VALUES
    ]


if __name__ == "__main__":
    print(len(store.resume(store.results_file("whitened", "laptop"), jobs(), partial(use, device="cpu"))), "runs")
