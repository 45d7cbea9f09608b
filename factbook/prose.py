"""What a page found, in sentences whose every number comes from the committed tables."""

from collections.abc import Callable

from IPython.display import Markdown

from factbook.store import stored


def findings(write: Callable[..., list[str]], *tables: str) -> Markdown:
    """The sentences of ``write(*tables)`` as a list, from the laptop tables of these names, whatever the profile.

    Where a table is missing, a line says which.
    """
    return _written(write, tables, "- ", "\n")


def caption(write: Callable[..., list[str]], *tables: str) -> Markdown:
    """The same sentences as one paragraph, under a figure or a table."""
    return _written(write, tables, "", " ")


def _written(write: Callable[..., list[str]], tables: tuple[str, ...], before: str, between: str) -> Markdown:
    found = {name: stored(name, "laptop") for name in tables}
    if missing := [name for name, table in found.items() if table is None]:
        return Markdown(f"The findings come from results/laptop/{missing[0]}.csv, which is not here.")
    return Markdown(between.join(before + sentence for sentence in write(*found.values())))


def power_of_ten(number: float, figures: int = 1) -> str:
    """A positive number as it is written by hand, to so many figures: 2 × 10⁻⁵, or 10⁻⁶ alone."""
    factor, exponent = f"{number:.{figures - 1}e}".split("e")
    return raised(exponent) if factor == "1" else f"{factor} × {raised(exponent)}"


def raised(exponent: str) -> str:
    """Ten to this power: "-05" as 10⁻⁵."""
    return f"10{str(int(exponent)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def span(low: str, high: str) -> str:
    """ "2 to 3", and once what is the same."""
    return low if low == high else f"{low} to {high}"


def with_ends(value: float, low: float, high: float) -> str:
    """A number with the ends of its interval or range, to two places: "−0.05 (−0.08 to 0.00)"."""
    return f"{value:z.2f} ({low:z.2f} to {high:z.2f})".replace("-", "−")


def percent(share: float) -> str:
    """A share in whole per cents; 0.1% and 99.9% where it is not quite nothing or all."""
    nearly = 0 < share < 1 and round(100 * share) in (0, 100)
    return f"{min(max(share, 0.001), 0.999):.1%}" if nearly else f"{share:.0%}"
