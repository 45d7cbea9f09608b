"""The command on a page: what it prints, and whether what it exports answers without it."""

import contextlib
import io
import json
import os
import re
import shlex
import tempfile
import textwrap
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import factcore as fc


def command(main: Callable[[list[str]], Any]) -> Callable[[str], None]:
    """What runs ``factcore LINE`` by its ``main``, in a new folder; what it says is folded to a page's width."""
    os.chdir(tempfile.mkdtemp())

    def run(line: str) -> None:
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                main(shlex.split(line))
        finally:
            for row in said.getvalue().splitlines():
                name = re.match(r"[a-z ]+?  +", row)  # of a row of two columns, whose second goes on under itself
                print(textwrap.fill(row, 80, subsequent_indent=" " * (name.end() if name else 2)))

    return run


def onnx_recall(factcore: Callable[[str], None], facts: fc.FactSet) -> str:
    """Export memory.safetensors; how many keys onnxruntime alone answers as stored, or what to install."""
    if not find_spec("onnx") or not find_spec("onnxruntime"):
        return "pip install onnx onnxruntime to see the same in ONNX"
    factcore("export memory.safetensors --to memory.onnx")
    session = import_module("onnxruntime").InferenceSession("memory.onnx", providers=["CPUExecutionProvider"])
    (winner,) = session.run(["winner"], {"query": facts.keys.numpy()})
    names = json.loads(session.get_modelmeta().custom_metadata_map["names"])
    assert facts.value_names
    right = [names[w] == facts.value_names[t] for w, t in zip(winner, facts.targets)]
    return f"ONNX answers {sum(right)} of {len(right)} keys as stored"
