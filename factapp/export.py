"""A memory for other programs: a torch state dict, safetensors, or an ONNX graph that runs alone."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from factapp.memory import Memory
from factcore.mlp import GatedMLP
from factcore.support.files import replacing, write_safetensors

SUFFIXES = (".pt", ".safetensors", ".onnx")
_GATED = {  # as the reader of an export would write it in torch
    "step": "({z} > 0)",
    "relu": "relu({z})",
    "gelu": "gelu({z})",
    "silu": "silu({z})",
    "identity": "{z}",
}


def formula(mlp: GatedMLP) -> str:
    """The scores of one query x (d,) from the exported tensors, as a line of torch."""
    z = "(gate_weight @ x)" if mlp.gate_bias is None else "(gate_weight @ x + gate_bias)"
    return f"scores = values @ down @ ({_GATED[mlp.gate].format(z=z)} * {'1.0' if mlp.up is None else '(up @ x)'})"


def export(memory: Memory, path: str | Path) -> None:
    """Write the weights and values to a .pt, .safetensors or .onnx file, as its name ends.

    .pt and .safetensors: the tensors of `formula`; .safetensors holds it and the names of the values in its metadata.
    .onnx: see `onnx_graph`. An existing file is replaced only once the new one is complete. ValueError for
    another ending, a folder that cannot be written to, and an .onnx file where the package onnx is not installed.
    """
    suffix = Path(path).suffix
    tensors = {**memory.mlp.state_dict(), "values": memory.values}
    if suffix == ".pt":
        content = io.BytesIO()  # torch hides the reason when a file cannot be written
        torch.save({name: tensor.clone() for name, tensor in tensors.items()}, content)
        with replacing(path) as partial:
            partial.write_bytes(content.getbuffer())
    elif suffix == ".safetensors":
        names = json.dumps(memory.names, ensure_ascii=False)
        write_safetensors(path, tensors, {"gate": memory.mlp.gate, "formula": formula(memory.mlp), "names": names})
    elif suffix == ".onnx":
        graph = onnx_graph(memory).SerializeToString()
        with replacing(path) as partial:
            partial.write_bytes(graph)
    else:
        raise ValueError(f"the export must end in one of {', '.join(SUFFIXES)}, got {Path(path).name!r}")


def onnx_graph(memory: Memory) -> Any:
    """An ONNX model: ``query`` (q, d) in, ``scores`` (q, v) and ``winner`` (q,) int64 out; names in its metadata."""
    try:
        from onnx import TensorProto, checker, helper, numpy_helper
    except ImportError:
        raise ValueError("ONNX export needs the package onnx: pip install onnx") from None
    mlp, nodes = memory.mlp, []
    kind = {torch.float32: TensorProto.FLOAT, torch.float64: TensorProto.DOUBLE}.get(memory.values.dtype)
    if kind is None:
        raise ValueError(f"ONNX export takes float32 or float64 weights, these are {memory.values.dtype}")
    constants: dict[str, Tensor] = {"gates": mlp.gate_weight.T, "down": mlp.down.T, "values": memory.values.T}

    def node(op: str, *inputs: str, out: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, list(inputs), [out], **attributes))
        return out

    def number(name: str, value: float) -> str:
        constants[name] = torch.tensor(value, dtype=memory.values.dtype)
        return name

    z = node("MatMul", "query", "gates", out="z")
    if mlp.gate_bias is not None:
        constants["bias"] = mlp.gate_bias
        z = node("Add", z, "bias", out="z_b")
    hidden = z
    if mlp.gate == "step":
        hidden = node("Cast", node("Greater", z, number("zero", 0.0), out="open"), out="gate", to=kind)
    elif mlp.gate == "relu":
        hidden = node("Relu", z, out="gate")
    elif mlp.gate == "silu":
        hidden = node("Mul", z, node("Sigmoid", z, out="sigmoid"), out="gate")
    elif mlp.gate == "gelu":  # z (1 + erf(z / √2)) / 2, erf in float32: runtimes have no other
        single = node("Cast", node("Mul", z, number("root", 0.5**0.5), out="z_r"), out="z_32", to=TensorProto.FLOAT)
        bent = node("Cast", node("Erf", single, out="erf_32"), out="erf", to=kind)
        share = node("Mul", node("Add", bent, number("one", 1.0), out="lifted_erf"), number("half", 0.5), out="normal")
        hidden = node("Mul", z, share, out="gate")
    if mlp.up is not None:
        constants["up"] = mlp.up.T
        hidden = node("Mul", hidden, node("MatMul", "query", "up", out="lifted"), out="hidden")
    node("MatMul", node("MatMul", hidden, "down", out="output"), "values", out="scores")
    node("ArgMax", "scores", out="winner", axis=1, keepdims=0)
    v, d = len(memory.values), mlp.gate_weight.shape[1]
    graph = helper.make_graph(
        nodes,
        "factcore",
        [helper.make_tensor_value_info("query", kind, ["q", d])],
        [
            helper.make_tensor_value_info("scores", kind, ["q", v]),
            helper.make_tensor_value_info("winner", TensorProto.INT64, ["q"]),
        ],
        [numpy_helper.from_array(t.detach().contiguous().numpy(), name) for name, t in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"names": json.dumps(memory.names, ensure_ascii=False)})
    checker.check_model(model)
    return model
