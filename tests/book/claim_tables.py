"""Tables written for the tests of the claims, and what a claim says of them."""

import numpy as np
import pandas as pd

from factbook import claims

ROWS = {row.find.__name__: row for row in claims.CLAIMS}
PROVENANCE = {"device": "cpu x1", "torch": "2", "commit": "abc1234", "seconds": 1.0}


def write(folder, name, rows, profile="laptop"):
    (folder / profile).mkdir(exist_ok=True)
    pd.DataFrame(rows).assign(**PROVENANCE).to_csv(folder / profile / f"{name}.csv", index=False, na_rep="nan")


def axis(
    folder, *, noise=0.01, seeds=3, alphas=(1 / 16, 1 / 8, 1 / 4), sizes=(32, 64, 128, 256), profile="laptop", **laws
):
    """A table on the papers' axis in which every method follows n_params = law(n), but for noise."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "method": method.replace("_", "-"),
            "alpha": alpha,
            "d": d,
            "tied": True,
            "seed": s,
            "n_facts": int(alpha * d * d),
        }
        | {"width": 1, "n_params": law(int(alpha * d * d)) * np.exp(noise * rng.standard_normal()), "recall": 1.0}
        for method, law in laws.items()
        for alpha in alphas
        for d in sizes
        for s in range(seeds)
    ]
    write(folder, "scaling", rows, profile)
    return pd.DataFrame(rows)


def judged(name, folder):
    return claims.evaluate(ROWS[name], folder)


def verdict(name, folder):
    return judged(name, folder).finding.verdict
