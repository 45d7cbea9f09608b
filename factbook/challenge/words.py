"""The sentences of the challenge's page, every number from its tables."""

import pandas as pd

from factbook.challenge.study import fewest_bits, largest, shares
from factbook.prose import percent


def findings(table: pd.DataFrame, rounded: pd.DataFrame) -> list[str]:
    """From the tables of `attempt` and `precision`."""
    best, bits = largest(table), fewest_bits(rounded)
    one, several, trained = (shares(table, rung) for rung in ("one", "several", "trained"))
    squares = (best[best.rung == "several"].n_facts / best.d**2).groupby(best.d).min()
    top = best[(best.rung == "one") & (best.d == one.index[-1])]
    bits = bits[bits.rung == "several"].bits_per_fact
    return [
        f"*One linear system* stores, in every draw of the facts, at least {listed(one)} of what the best published "
        f"training does, in {top.cpu_seconds.max():.0f} processor seconds at d = {one.index[-1]}.",
        f"*Several ridge systems* store at least {listed(several)}: {squares.min():.1f} to {squares.max():.1f} d² "
        "facts.",
        f"*Training here*, the best of three restarts, stores {listed(trained)}.",
        f"The weights of several systems need {bits.min():.0f} to {bits.max():.0f} bits a fact; a label has log₂ d.",
    ]


def listed(share: pd.Series) -> str:
    """ "83% (d = 16), 88% (32)"."""
    first, *rest = share.items()
    return ", ".join([f"{percent(first[1])} (d = {first[0]})", *(f"{percent(value)} ({d})" for d, value in rest)])
