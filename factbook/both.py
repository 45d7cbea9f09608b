"""Tables that a computer begins and a GPU goes on with: the rows of results/laptop and results/paper as one table."""

from pathlib import Path

import pandas as pd

from factbook import store

# What tells the runs of a table apart. A run's outcome does not depend on where it is run, so that one row is enough.
JOBS = {
    "scaling": ["method", "alpha", "d", "tied", "seed"],
    "usable_published": ["layout", "schedule", "lr", "n_facts", "d", "steps", "batch", "seed"],
}


def read(name: str, results: Path | None = None) -> pd.DataFrame | None:
    """All rows of one of `JOBS`, a run that has two once, as the laptop has it; None where there is no table.

    ``results`` is the folder of the profiles, by default the one in use.
    """
    paths = [
        results / profile / f"{name}.csv" if results else store.results_file(name, profile)
        for profile in ("laptop", "paper")
    ]
    found = [store.read_table(path) for path in paths if path.is_file()]
    return pd.concat(found, ignore_index=True).drop_duplicates(JOBS[name], ignore_index=True) if found else None
