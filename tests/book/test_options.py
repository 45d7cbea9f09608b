"""Every network that a study of the book builds, at any profile, is one that `construct` knows."""

import pytest

from factbook import (
    block_facts,
    build_times,
    frontier,
    ladder,
    margins,
    noise_floor,
    precision,
    real_facts,
    scaling,
    usable,
    usable_published,
)
from factbook.store import PROFILES
from factcore.methods import METHODS
from factcore.support.checks import check_options


def networks(profile: str) -> dict[str, tuple]:
    """Where it stands → method, options (and what the study adds)."""
    found: dict[str, tuple] = {
        f"frontier {k}, {s}": v for k, of in frontier.series(profile).items() for s, v in of.items()
    }
    for module in (usable.memories, ladder.methods, precision.methods):
        found |= {f"{module.__module__} {name}": entry for name, entry in module(profile).items()}
    for of in (block_facts.BUILT, build_times.METHODS, margins.LADDER, noise_floor.MEMORIES, real_facts.METHODS):
        found |= {f"{name}, {entry}": entry for name, entry in of.items()}
    for of in (scaling.METHODS_HERE, usable_published.LAYOUTS):
        found |= {f"{name}, {entry}": entry for name, entry in of.items()}
    return found


@pytest.mark.parametrize("profile", PROFILES)
def test_studies_name_options_that_there_are(profile):
    for where, (method, options, *_) in networks(profile).items():
        try:
            check_options(method, METHODS[method].build, [name for name in options if name not in ("tries", "width")])
        except ValueError as error:
            pytest.fail(f"{where}: {error}")
