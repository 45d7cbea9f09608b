"""Does whitening trade capacity for use? The paper's codes on clustered values, raw and whitened, behind attention.

On these values whitening shortens the paper's codes by more than a third at this size (results/laptop/shapes.csv),
which it does not on spiked ones. ``python -m factbook.whitened`` fills results/laptop/whitened.csv, three draws behind
1,500 steps of 512 sequences; with ``--published`` whitened_published.csv, behind 16,000 of 1,280, four minutes a draw.
"""

import argparse
import math
from functools import partial
from typing import Any

import torch

import factcore as fc
from factbook import geometries, noise, store
from factbook.attended import PUBLISHED, TO_THE_END, attended
from factbook.steepness import relative_lipschitz

GEOMETRIES = ("clusters 0.1", "clusters 0.25")
VALUES = ("raw", "whitened")
SIZE = {"n": 256, "d": 128}
LAYOUTS: dict[str, dict[str, Any]] = {
    "bilinear gates, half full": {"encoder": "random-gates", "gate": "identity", "fill": 0.5},
    "bilinear gates, full": {"encoder": "random-gates", "gate": "identity"},
    "smooth buckets, half full": {"gate": "relu", "fill": 0.5},
}


def memory(
    geometry: str, values: str, layout: str, n: int, d: int, seed: int, device: str
) -> tuple[fc.GatedMLP, fc.FactSet]:
    """The network, and the facts with the values as they are, whose head it serves either way.

    With Σ the covariance of the values v, ⟨Σ^(-1/2) g, v⟩ and ⟨g, Σ^(-1/2) v⟩ order the values alike: a network g for
    the whitened values, followed by Σ^(-1/2), decodes with the values as they are. That factor is what makes it steep.
    """
    family, _, strength = geometry.partition(" ")
    chosen = geometries.value_geometry(family, n, d, seed=1000 + seed, strength=float(strength)).to(device)
    centred = chosen - chosen.mean(0)
    scaled = centred / centred.square().sum(1).mean().sqrt()
    random = fc.spherical_facts(n, d, seed=seed).to(device)
    facts = fc.FactSet(random.keys, scaled.to(random.keys), random.targets)
    stored, back = facts, None
    if values == "whitened":
        white = geometries.whiten(scaled)[0]
        stored = fc.FactSet(facts.keys, white.to(random.keys), facts.targets)
        back = torch.linalg.lstsq(scaled, white).solution.to(random.keys)  # Σ^(-1/2)
    mlp = fc.construct(stored, codes="projected", seed=seed, strict=False, **LAYOUTS[layout])
    if back is not None:
        with torch.no_grad():
            mlp.down.copy_(back @ mlp.down)
    return mlp, facts


def use(
    geometry: str, values: str, layout: str, n: int, d: int, seed: int, *, device: str, **training: Any
) -> dict[str, Any]:
    """Parameters (infinite where facts are lost), steepness, and the share kept behind attention, trained and solved.

    Attention is trained with the identity in the memory's place, with the options ``training`` of `train_recall`; its
    keys are the same for all values of a draw.
    """
    mlp, facts = memory(geometry, values, layout, n, d, seed, device)
    kinds: dict[str, dict[str, Any]] = {"trained": training, "solved": {}}
    handed = {kind: noise.arrivals(attended(kind, n, d, seed, device, **some)) for kind, some in kinds.items()}
    return {
        "device": mlp.down.device,
        "n_params": float(mlp.n_params) if fc.recall(mlp, facts) == 1.0 else math.inf,
        "lipschitz": relative_lipschitz(mlp, facts),
        "tolerance_5": float(noise.noise_tolerance(mlp, facts).quantile(0.05)),
        "through": float(handed["trained"].through.double().mean()),
        "kept": noise.kept(mlp, facts, handed["trained"]),
        "solved_kept": noise.kept(mlp, facts, handed["solved"]),
    }


def jobs(seeds: int = 3, **training: Any) -> list[dict[str, Any]]:
    """Every memory behind one attention, draw by draw; ``training`` tells how that was trained, where it varies."""
    return [
        {"geometry": geometry, "values": values, "layout": layout, **SIZE, **training, "seed": seed}
        for seed in range(seeds)
        for geometry in GEOMETRIES
        for layout in LAYOUTS
        for values in VALUES
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--published", action="store_true", help="train attention as published")
    given = parser.parse_args()
    training: dict[str, Any] = PUBLISHED if given.published else {}
    end: dict[str, Any] = TO_THE_END if given.published else {}
    path = store.results_file("whitened_published" if given.published else "whitened", "laptop")
    print(len(store.resume(path, jobs(**training), partial(use, device="cpu", **end))), "runs")


if __name__ == "__main__":
    main()
