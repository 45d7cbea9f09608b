"""How weights come about: a row for every method, in words that the docstrings use, too."""

import inspect
import sys
from pathlib import Path

import pytest

from factbook import origins
from factcore.methods import METHODS

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
api_pages = pytest.importorskip("api_pages")


def test_every_method_has_a_row_and_every_word_a_meaning():
    assert list(origins.ORIGINS) == sorted(METHODS, key=list(origins.ORIGINS).index)
    for name, origin in (origins.ORIGINS | origins.OPTIONS).items():
        assert origins.kinds(origin) <= set(origins.KINDS), name
        assert name.split(",")[0].split(" (")[0] in METHODS


@pytest.mark.parametrize("name", METHODS)
def test_the_docstring_says_the_same_words(name):
    text = " ".join(inspect.getdoc(METHODS[name].build).split())
    rows = [origins.ORIGINS[name], *(row for key, row in origins.OPTIONS.items() if key.startswith(f"{name}, variant"))]
    for kind in set().union(*map(origins.kinds, rows)):
        assert kind in text, kind


def test_what_is_trained_is_what_the_table_says():
    trained = {name for name in origins.ORIGINS | origins.OPTIONS if origins.trained_anywhere(name)}
    assert trained == {"trained", "encoder-decoder, projection='optimised'"}


def test_the_api_page_shows_the_table():
    assert origins.markdown() in api_pages.ROOMS["api_methods"]()
