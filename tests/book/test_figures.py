"""The book's colours and markers: whatever is drawn in one figure can be told apart, in every kind of colour vision."""

import re
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from factbook.figures import CODE_LOOKS, COLOURS, GEOMETRY_COLOURS, GEOMETRY_MARKERS, LOOKS, MARKERS
from factcore.methods import METHODS

# Full dichromacy, on linear RGB: Machado, Oliveira and Fernandes 2009, table 1, severity 1.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = TO_XYZ.sum(axis=1)
APART = 15  # in CIELAB; neighbours of Okabe and Ito's own palette come as close as 16 in tritanopia

GROUPS = {
    "methods": ({name: COLOURS[name] for name in LOOKS}, MARKERS),
    "codes": ({name: COLOURS[name] for name in CODE_LOOKS}, MARKERS),
    "geometries": (GEOMETRY_COLOURS, GEOMETRY_MARKERS),
}


def linear(colour: str) -> np.ndarray:
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(colour: str, vision: str) -> np.ndarray:
    x = TO_XYZ @ np.clip(np.array(VISIONS[vision]) @ linear(colour), 0, 1) / WHITE
    f = np.where(x > (6 / 29) ** 3, np.cbrt(x), x * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def shows_on_white(colour: str) -> bool:
    return 1.05 / (TO_XYZ[1] @ linear(colour) + 0.05) >= 2


SHADES = ["#{:02X}{:02X}{:02X}".format(*shade) for shade in product(range(0, 256, 51), repeat=3)]


def free_colours(taken: list[str], count: int = 3) -> list[str]:
    """Shades that stay furthest from the ``taken`` ones in the vision that tells them apart least."""
    places = {vision: np.array([lab(colour, vision) for colour in taken]) for vision in VISIONS}
    apart = {
        shade: min(np.linalg.norm(places[v] - lab(shade, v), axis=1).min() for v in VISIONS)
        for shade in filter(shows_on_white, SHADES)
    }
    return sorted((shade for shade in apart if apart[shade] >= APART), key=lambda shade: -apart[shade])[:count]


@pytest.mark.parametrize("group", GROUPS)
def test_colours_of_one_figure_are_apart(group):
    colours, _ = GROUPS[group]
    for a, b in combinations(colours, 2):
        for vision in VISIONS:
            if np.linalg.norm(lab(colours[a], vision) - lab(colours[b], vision)) < APART:
                free = free_colours([colours[name] for name in colours if name != b])
                pytest.fail(f"{a} and {b} look alike ({vision}); free colours for {b}: {free}")


def test_free_colours_are_free():
    taken = [COLOURS[name] for name in LOOKS]
    (free,) = free_colours(taken, 1)
    assert all(np.linalg.norm(lab(free, v) - lab(other, v)) >= APART for other in taken for v in VISIONS)
    assert free_colours(SHADES) == []


@pytest.mark.parametrize("group", GROUPS)
def test_markers_of_one_figure_differ(group):
    colours, markers = GROUPS[group]
    used = {marker: [name for name in colours if markers[name] == marker] for marker in markers.values()}
    assert all(len(names) <= 1 for names in used.values()), used


def test_every_colour_shows_on_white():
    for name, colour in (COLOURS | GEOMETRY_COLOURS).items():
        assert shows_on_white(colour), name


def test_every_method_has_a_look():
    assert not [name for name in METHODS if name not in LOOKS], "give them a line in factbook.figures.LOOKS"


def test_reference_values_of_the_colour_space():
    assert lab("#FFFFFF", "normal") == pytest.approx([100, 0, 0], abs=0.05)
    assert lab("#FF0000", "normal") == pytest.approx([53.24, 80.09, 67.20], abs=0.05)
    for vision in VISIONS:  # greys look alike to everyone
        assert lab("#808080", vision) == pytest.approx(lab("#808080", "normal"), abs=0.01)


def dark(colour: str) -> np.ndarray:
    """What a dark page makes of it: the filter of book.css, by the definitions of invert() and hue-rotate(180deg)."""
    style = (Path(__file__).resolve().parents[2] / "book" / "_static" / "book.css").read_text()
    amount = float(re.search(r"filter: invert\(([\d.]+)\) hue-rotate\(180deg\) !important", style).group(1))
    weights = np.tile([0.213, 0.715, 0.072], (3, 1))  # of red, green and blue in lightness
    turned = np.clip((2 * weights - np.eye(3)) @ (amount + (1 - 2 * amount) * np.array(to_rgb(colour))), 0, 1)
    return np.where(turned <= 0.04045, turned / 12.92, ((turned + 0.055) / 1.055) ** 2.4)


def test_colours_stay_apart_and_show_on_dark_pages():
    light = np.array([0.2126, 0.7152, 0.0722])
    ground = dark("#FFFFFF") @ light
    colours = sorted({str(colour) for colour in COLOURS.values()})
    assert all((dark(colour) @ light + 0.05) / (ground + 0.05) >= 3 for colour in colours)
    assert min(np.abs(dark(a) - dark(b)).max() for a in colours for b in colours if a < b) > 0.02
    assert dark("#0072B2").argmax() == 2 and dark("#009E73").argmax() == 1  # blue stays blue, green green
