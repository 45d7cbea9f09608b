"""The box "Ask it here": a memory of every airport's country as a script for the browser, and the text around it."""

from __future__ import annotations

import base64
import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import factcore as fc
from factbook.paraphrase import airport_questions
from factcore.constructions.decoder import choose_codes

SCRIPT = "ask_data.js"
SEED = 0


@cache
def memory() -> dict[str, Any]:
    """What the box needs, arrays as base64 in little-endian order; `ask_maths.js` says how they are read.

    The network is the one that `fc.construct` verifies, taken apart: its gates share one direction and its down
    projection repeats D, so each is written once. Keys and values are the int8 directions of data/, whose unit vectors
    are the very keys that it was built on.
    """
    facts = fc.airport_facts(relation="country")
    assert facts.key_names and facts.value_names
    mlp, chosen = fc.construct(facts, seed=SEED), choose_codes(facts, "separators", None, SEED)
    assert mlp.gate_bias is not None and mlp.up is not None
    m = chosen.codes.shape[1]
    questions = airport_questions()
    asked = torch.cat([questions.said, questions.off_topic])
    return {
        "n": len(facts),
        "v": facts.n_values,
        "d": facts.d,
        "m": m,
        "parameters": mlp.n_params,
        "names": list(facts.key_names),
        "valueNames": list(facts.value_names),
        "questions": questions.said_texts + questions.off_topic_texts,
        "keys": packed(directions(facts.keys), torch.int8),
        "values": packed(directions(facts.values), torch.int8),
        "asked": packed(directions(asked), torch.int8),
        "targets": packed(facts.targets, torch.uint8 if facts.n_values <= 256 else torch.int32),
        "direction": packed(mlp.gate_weight[m], torch.float32),
        "thresholds": packed(-mlp.gate_bias[m::m], torch.float32),
        "up": packed(mlp.up, torch.float32),
        "down": packed(mlp.down[:, :m], torch.float32),
        "codes": packed(chosen.codes, torch.float32),
    }


def directions(rows: Tensor) -> Tensor:
    """The int8 rows whose unit vectors ``rows`` are: their largest entry is ±127."""
    return (127 * rows / rows.abs().amax(dim=1, keepdim=True)).round()


def packed(rows: Tensor, dtype: torch.dtype) -> str:
    return base64.b64encode(rows.to(dtype).contiguous().numpy().tobytes()).decode()


def write(folder: Path) -> None:
    """The memory as a script: pages opened from the disk may load scripts, and nothing else."""
    folder.joinpath(SCRIPT).write_text(f"askData({json.dumps(memory(), ensure_ascii=False)});\n", encoding="utf-8")


def markdown() -> str:
    """The box, with what it is and what it loads."""
    held = memory()
    megabytes = len(json.dumps(held, ensure_ascii=False).encode()) / 1e6
    n, v, parameters = held["n"], held["v"], held["parameters"]
    return f"""\
## Ask it here, and change a fact

This box is such a memory at work, in your browser: the country of each of {n:,} airports, in {parameters:,} weights
({parameters / n:.2f} a fact), with {{term}}`codes <code>` of {held["m"]} numbers. Type an airport's name; beside the
memory's answer stands the country whose embedding is nearest to the name's. A question that is no stored key (some
are listed: type *where*) gets "I don't know": its code is none of the {v} that the countries have. Then change a
fact: the linear system of one {{term}}`bucket` is solved again, and all {n:,} airports are asked whether their
answers have stayed. So tight a memory knows its keys and nothing around them; [your own facts](own_facts.ipynb) get
one with room.

```{{raw}} html
<link rel="stylesheet" href="../_static/ask.css">
<div class="ask" data-ask="../_static/{SCRIPT}" data-size="{megabytes:.1f}"></div>
<noscript><p>The box answers only with JavaScript; the code on this page asks the same memory.</p></noscript>
<script src="../_static/ask_maths.js"></script>
<script src="../_static/ask.js"></script>
```
"""
