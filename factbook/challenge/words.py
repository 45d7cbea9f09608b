"""The sentences of the challenge's page, every number from its tables."""

import pandas as pd

from factbook.challenge.study import LONGER, fewest_bits, largest, shares
from factbook.prose import percent


def findings(table: pd.DataFrame, rounded: pd.DataFrame) -> list[str]:
    """From the tables of `attempt` and `precision`."""
    best, bits = largest(table), fewest_bits(rounded)
    one, several, trained = (shares(table, rung) for rung in ("one", "several", "trained"))
    longer = {rung: beaten(best, rung) for rung in ("one", "several")}
    squares = (best[best.rung == "several"].n_facts / best.d**2).groupby(best.d).min()
    top = best[(best.rung == "one") & (best.d == one.index[-1])]
    bits = bits[bits.rung == "several"]
    each, full = bits.bits_per_fact, (bits.n_facts / bits.d**2).median()
    return [
        f"**One linear system** stores more facts than the best published training {places(one > 1)}: {span(one)} of "
        f"its facts from d = {one.index[0]} to {one.index[-1]}, there in {top.cpu_seconds.max():.0f} processor "
        "seconds.",
        f"**Several ridge systems**, one after the other, store more {places(several > 1)}: {span(several)}, which is "
        f"{squares.min():.1f} to {squares.max():.1f} d² facts.",
        "**That training** took 5,000 epochs, the best of 11. A published twin with more weights and 50,000 epochs "
        f"still stores more than one system {places(longer['one'])}, and than several {places(longer['several'])}.",
        f"**Training here**, the best of three restarts, stores {span(trained)} of what the published one does.",
        f"**The weights of several systems** need {each.min():.0f} to {each.max():.0f} bits a fact, at {full:.2f} d² "
        f"facts, one draw, d = {bits.d.min()} to {bits.d.max()}; a label has log₂ d.",
    ]


def beaten(best: pd.DataFrame, rung: str) -> pd.Series:
    """Per d whether the longer published training stores more than the rung does in its worst draw."""
    least = best[best.rung == rung].groupby("d").n_facts.min()
    return pd.Series({d: n > least[d] for d, n in LONGER.items() if d in least.index})


def places(holds: pd.Series) -> str:
    """ "at every d", "nowhere" or "at d = 128, 256"."""
    if holds.all() or not holds.any():
        return "at every d" if holds.all() else "nowhere"
    return f"at d = {', '.join(str(d) for d in holds.index[holds])}"


def span(share: pd.Series) -> str:
    """ "83% to 138%"."""
    return f"{percent(share.min())} to {percent(share.max())}"
