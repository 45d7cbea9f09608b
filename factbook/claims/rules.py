"""The rules of every verdict, in one place; a change after `DATE` is named on the page of the rules (book/rules.md).

An estimate comes with its two-sided 95% interval. What a claim says decides the shape of its test, and no claim has a
test of its own: `equal_exponent` and `equal_ratio` for "as", "about" and "between", `at_most` and `at_least` for bounds
and orders, `almost_all` for "every", `exists` and `for_some` for "there is" and "for some". Each returns one of the
first three of `VERDICTS`.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from scipy import stats

DATE = "2026-11-26"
VERDICTS = ("reproduced", "differs", "undecided", "not testable here")
EXPONENT_BAND = 0.1  # exponents this close are equal
RATIO_BAND = 1.25  # ratios within this factor are equal
CONFIDENCE = 0.95  # of every interval, two-sided; a one-sided test therefore errs in 2.5 of 100
FAILING_SHARE = 0.05  # "almost all": a larger share that fails refutes it
STRONG_RANK = 0.5  # a number characterises a cost where their rank correlation is stronger than this
PRECISE = 1e-10  # relative error at which a closed form counts as met in float64
RECALL = 0.99  # "usable in a transformer", as published
LEAST_SIZES, LEAST_DRAWS = 3, 2  # below which there is no test
LEAST_SHARES = 3  # values of α on the papers' axis for a claim on exponents
LEAST_SPAN = 2.0  # a quantity must vary by this factor where an exponent in it is claimed
MOST_OF_D = 0.9  # a code length above this share of d is capped by d: no test of its law


class Interval(Protocol):
    """Anything with an interval: `factbook.fit.Estimate`, `factbook.fit.PowerLaw`."""

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...


def within(estimate: Interval, low: float, high: float) -> str:
    """Reproduced: the interval lies in [low, high]. Differs: it lies outside. Undecided: neither."""
    if low <= estimate.low and estimate.high <= high:
        return "reproduced"
    return "differs" if estimate.high < low or high < estimate.low else "undecided"


def equal_exponent(estimate: Interval, claimed: float = 0.0) -> str:
    """For "scales as": within `EXPONENT_BAND` of the exponent claimed."""
    return within(estimate, claimed - EXPONENT_BAND, claimed + EXPONENT_BAND)


def equal_ratio(estimate: Interval, low: float, high: float | None = None) -> str:
    """For "about" and "3 to 10 times": the number or range claimed, widened by `RATIO_BAND` on both sides.

    Undecided for an infinite ratio, and for one of 0: what stores nothing at the widths tried has an unknown cost, not
    an unlimited one, on whichever side it stands.
    """
    if math.isinf(estimate.low) or estimate.high == 0:
        return "undecided"
    return within(estimate, low / RATIO_BAND, (low if high is None else high) * RATIO_BAND)


def at_most(estimate: Interval, bound: float) -> str:
    """For "at most" and "within": one-sided, without a band."""
    return within(estimate, -float("inf"), bound)


def at_least(estimate: Interval, bound: float) -> str:
    """For "at least": one-sided, without a band."""
    return within(estimate, bound, float("inf"))


def below(estimate: Interval, bound: float) -> str:
    """For "falls", "lower" and "better": as `at_most`, but what lies on the bound alone has not fallen."""
    return "differs" if estimate.low == estimate.high == bound else at_most(estimate, bound)


def above(estimate: Interval, bound: float) -> str:
    """For "rises", "higher" and "more": as `at_least`, but what lies on the bound alone has not risen."""
    return "differs" if estimate.low == estimate.high == bound else at_least(estimate, bound)


def at_least_about(estimate: Interval, bound: float) -> str:
    """For "below about" and "above about": one-sided, the band of ratios granted."""
    return at_least(estimate, bound / RATIO_BAND)


def bracketed(estimates: Iterable[Interval], low: float, high: float) -> str:
    """For a published setting between two of ours: equality at both ends; differs where both lie on the same side."""
    found = list(estimates)
    verdict = everywhere(equal_ratio(estimate, low, high) for estimate in found)
    below = {estimate.high < low / RATIO_BAND for estimate in found}
    return "undecided" if verdict == "differs" and len(below) > 1 else verdict


def grows_no_faster(estimate: Interval, claimed: float = 0.0) -> str:
    """An O(...) of a law: one-sided, and the band of equality is granted, as a law's exponent is what is compared."""
    return at_most(estimate, claimed + EXPONENT_BAND)


class Share(NamedTuple):
    low: float
    high: float


def failing_share(failed: int, runs: int) -> Share:
    """Clopper and Pearson's exact interval of the share that fails."""
    return Share(*stats.binomtest(failed, runs).proportion_ci(CONFIDENCE, method="exact"))


def almost_all(failed: int, runs: int) -> str:
    """For "every" and "all but a measure-zero set": the interval of the failing share against its limit."""
    share = failing_share(failed, runs)
    if failed == 0 and share.high < FAILING_SHARE:
        return "reproduced"
    return "differs" if share.low > FAILING_SHARE else "undecided"


def exists(succeeded: int) -> str:
    """For "there is" and "can": one setting in which it holds shows it; its absence among ours refutes nothing.

    In every draw of the setting; where the claim names a number, in the mean of its draws. A lucky draw is no setting.
    """
    return "reproduced" if succeeded else "undecided"


def for_some(verdict: str) -> str:
    """For "for some embeddings", tested on one kind of them: what fails there may hold for others."""
    return verdict if verdict == "reproduced" else "undecided"


def everywhere(verdicts: Iterable[str]) -> str:
    """One claim at several sizes, α or settings: the verdict where they agree, undecided where they do not."""
    given = set(verdicts)
    if not given:
        raise ValueError("no verdict to put together")
    return given.pop() if len(given) == 1 else "undecided"


def both(*verdicts: str) -> str:
    """A claim of several parts: reproduced where all are, differs where one does, undecided otherwise."""
    if "differs" in verdicts:
        return "differs"
    return "reproduced" if set(verdicts) == {"reproduced"} else "undecided"
