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


def power_of_ten(number: float) -> str:
    """A positive number as it is written by hand, to one figure: 2 × 10⁻⁵, or 10⁻⁶ alone."""
    figure, exponent = f"{number:.0e}".split("e")
    power = f"10{str(int(exponent)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"
    return power if figure == "1" else f"{figure} × {power}"


def percent(share: float) -> str:
    """A share in whole per cents; 0.1% and 99.9% where it is not quite nothing or all."""
    nearly = 0 < share < 1 and round(100 * share) in (0, 100)
    return f"{min(max(share, 0.001), 0.999):.1%}" if nearly else f"{share:.0%}"
