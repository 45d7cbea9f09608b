"""Memory files from strangers: believed only where everything fits, told in one line where it does not."""

import json
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import factcore as fc
from factapp import memory_file
from factapp.cli import main
from factapp.memory import Memory
from factapp.memory_file import checksum
from factcore.support.files import pack_names, read_safetensors


def named(n=12, d=6, v=5, dtype=torch.float32, e=None):
    facts = fc.spherical_facts(n, d, n_values=v, dtype=dtype)
    values = facts.values if e is None else fc.spherical_facts(v, e, seed=3, dtype=dtype).keys
    return fc.FactSet(facts.keys, values, facts.targets, None, tuple(f"value {i}" for i in range(v)))


@pytest.fixture
def stored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    facts = named()
    Memory.store(facts, method="encoder-decoder", embeddings="given").save("m.safetensors")
    np.save("q.npy", facts.keys.numpy())
    return read_safetensors("m.safetensors")


def forge(tensors, metadata, path="x.safetensors"):
    """A file as a stranger might make it, with a checksum that fits."""
    metadata = {name: text for name, text in metadata.items() if name != "sha256"}
    tensors = {name: t.contiguous().clone() for name, t in tensors.items()}
    about = json.loads(metadata["about"])
    if isinstance(about, dict) and "tensors" in about:
        metadata["about"] = json.dumps(about | {"tensors": sorted(tensors)})
    save_file(tensors, path, metadata | {"sha256": checksum(tensors, metadata)})


def refused(capsys, path="x.safetensors"):
    """What all three commands say, which is the same."""
    said = []
    for words in (["ask", path, "--embedding", "q.npy"], ["inspect", path], ["export", path, "--to", "y.pt"]):
        capsys.readouterr()
        assert main(words) == 1, words
        text = capsys.readouterr()
        assert text.out == "" and text.err.count("\n") == 1
        said.append(text.err.split(": ", 1)[1])
    assert len(set(said)) == 1
    return said[0]


def test_a_forged_file_that_fits_is_read(stored, capsys):
    forge(*stored)
    assert main(["ask", "x.safetensors", "--embedding", "q.npy"]) == 0 and "value" in capsys.readouterr().out


def test_every_flipped_bit_is_told(stored, tmp_path):
    """One bit of each byte, the byte's number deciding which: none may change an answer without a word."""
    content = (tmp_path / "m.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    inside = [*range(8 + length), *range(8 + length, len(content), 7)]
    for at in inside:
        changed = bytearray(content)
        changed[at] ^= 1 << at % 8
        (tmp_path / "x.safetensors").write_bytes(changed)
        try:
            Memory.load("x.safetensors")
        except ValueError:
            continue
        assert json.loads(changed[8 : 8 + length]) == json.loads(content[8 : 8 + length]), f"byte {at}"
        assert changed[8 + length :] == content[8 + length :], f"byte {at}"


def test_every_cut_is_told(stored, tmp_path):
    content = (tmp_path / "m.safetensors").read_bytes()
    for size in [*range(0, 64), *range(64, len(content), 97), len(content) - 1]:
        (tmp_path / "x.safetensors").write_bytes(content[:size])
        with pytest.raises(ValueError, match="x.safetensors"):
            Memory.load("x.safetensors")
    for more in (b"\0", content):
        (tmp_path / "x.safetensors").write_bytes(content + more)
        with pytest.raises(ValueError, match="x.safetensors"):
            Memory.load("x.safetensors")


@pytest.mark.parametrize("name", ["gate_weight", "up", "down", "gate_bias", "values", "names", "sketch"])
def test_missing_tensors_are_told(stored, capsys, name):
    tensors, metadata = stored
    assert name in tensors
    del tensors[name]
    save_file(tensors, "x.safetensors", metadata)
    assert "checksum" in refused(capsys)
    metadata.pop("sha256")
    save_file(tensors, "x.safetensors", metadata | {"sha256": checksum(tensors, metadata)})
    assert "it lacks tensors that it names" in refused(capsys)


def bad_tensors():
    yield "gate_weight", lambda t: t["gate_weight"][0, 0]
    yield "gate_weight", lambda t: t["gate_weight"][0]
    for name in ("up", "down", "gate_bias", "values"):
        yield name, lambda t, name=name: t[name].flatten()[0]
        yield name, lambda t, name=name: torch.cat([t[name], t[name]])
        yield name, lambda t, name=name: t[name].double()
        yield name, lambda t, name=name: t[name].to(torch.int32)
        yield name, lambda t, name=name: t[name] * torch.nan
        yield name, lambda t, name=name: t[name][:0]
    yield "down", lambda t: t["down"].T
    yield "names", lambda t: torch.tensor(10**12)
    yield "names", lambda t: t["names"].float()
    yield "names", lambda t: torch.tensor([255, 254], dtype=torch.uint8)
    yield "names", lambda t: pack_names(["one"])
    yield "names", lambda t: torch.tensor(list(b"[1, 2, 3, 4, 5]"), dtype=torch.uint8)
    yield "names", lambda t: torch.tensor(list(b"[" * 100_000), dtype=torch.uint8)
    yield "sketch", lambda t: t["sketch"][:-1]
    yield "sketch", lambda t: t["sketch"][:, :-1]
    yield "sketch", lambda t: t["sketch"].float()
    yield "texts", lambda t: torch.zeros(3, 7, dtype=torch.int64)
    yield "texts", lambda t: torch.zeros(12, 7)
    yield "other", lambda t: torch.zeros(1)


@pytest.mark.parametrize("number", range(len(list(bad_tensors()))))
def test_tensors_that_do_not_fit_are_told(stored, capsys, number):
    name, change = list(bad_tensors())[number]
    tensors, metadata = stored
    forge(tensors | {name: change(tensors)}, metadata)
    assert "x.safetensors is damaged: " in refused(capsys)


def test_all_tensors_of_one_odd_dtype_are_told(stored, capsys):
    tensors, metadata = stored
    changed = {name: t.to(torch.int32) if t.is_floating_point() else t for name, t in tensors.items()}
    forge(changed, metadata)
    assert "x.safetensors is damaged: " in refused(capsys)


@pytest.mark.parametrize(
    "name, wrong",
    [
        *[("threshold", x) for x in (float("nan"), float("inf"), -0.1, 1.5, "0.1", None, True, [0.1])],
        *[("least_similarity", x) for x in (float("nan"), 2, None)],
        *[("n_facts", x) for x in (0, -1, 11, 12.0, "12", None, 10**30, float("nan"))],
        *[("seed", x) for x in (-1, 0.5, "0", None)],
        *[("n_solved", x) for x in (-1, 10**12, 0.5, None)],
        *[("smallest_margin", x) for x in (float("nan"), -1, 1.5, float("inf"), None)],
        *[("held_out_answered", x) for x in (float("nan"), 2, None)],
        *[("method", x) for x in (1, ["a"])],
        ("embeddings", {}),
    ],
)
def test_numbers_that_cannot_be_are_told(stored, capsys, name, wrong):
    tensors, metadata = stored
    about = json.loads(metadata["about"]) | {name: wrong}
    forge(tensors, metadata | {"about": json.dumps(about)})
    assert "x.safetensors is damaged: " in refused(capsys)
    missing = {key: value for key, value in about.items() if key != name}
    if name not in ("method", "embeddings"):
        forge(tensors, metadata | {"about": json.dumps(missing)})
        assert "x.safetensors is damaged: " in refused(capsys)


@pytest.mark.parametrize("about", ["", "[]", "null", "1", "{", "[" * 100_000, '{"tensors": 1}'])
def test_metadata_that_is_something_else_is_told(stored, capsys, about):
    tensors, metadata = stored
    metadata = metadata | {"about": about}
    metadata.pop("sha256")
    save_file(tensors, "x.safetensors", metadata | {"sha256": checksum(tensors, metadata)})
    assert "x.safetensors is damaged: " in refused(capsys)


def test_other_formats_are_told(stored, capsys):
    tensors, metadata = stored
    for found, message in [
        ("factcore-memory-1", "was written by an older version of factcore (factcore-memory-1), this one reads"),
        ("factcore-memory-3", "was written by a newer version of factcore"),
        ("something", "is not a memory: write one with 'factcore store'"),
    ]:
        forge(tensors, metadata | {"format": found})
        assert message in refused(capsys)
    forge(tensors, metadata | {"gate": "hermite2"})
    assert "the gate 'hermite2' is not known" in refused(capsys)
    save_file(tensors, "x.safetensors")
    assert "is not a memory" in refused(capsys)


@pytest.mark.parametrize("content", [b"", b"\0" * 8, b"\xff" * 16, b"{}", struct.pack("<Q", 2) + b"[]", b"x" * 1000])
def test_other_files_are_told(stored, tmp_path, capsys, content):
    (tmp_path / "x.safetensors").write_bytes(content)
    refused(capsys)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("e", [None, 9, 4])
def test_every_dtype_and_size_survives_the_file(tmp_path, dtype, e):
    facts = named(dtype=dtype, e=e)
    memory = Memory.store(facts)
    memory.save(tmp_path / "m.safetensors")
    read = Memory.load(tmp_path / "m.safetensors")
    assert read.values.dtype == dtype and read.about == memory.about
    for found in (memory.ask(facts.keys), read.ask(facts.keys), read.ask(facts.keys.float())):
        assert [a.answer for a in found] == [facts.value_names[t] for t in facts.targets]
        assert all(0 < a.margin <= 1 and a.similarity == 1 for a in found)
    assert all(torch.equal(t, read.mlp.state_dict()[name]) for name, t in memory.mlp.state_dict().items())


def test_the_checksum_covers_names_shapes_and_metadata():
    tensors, metadata = {"a": torch.arange(6.0)}, {"x": "1"}
    told = checksum(tensors, metadata)
    assert told == checksum({"a": torch.arange(6.0)}, {"x": "1"})
    others = [{"b": torch.arange(6.0)}, {"a": torch.arange(6.0).reshape(2, 3)}, {"a": torch.arange(6.0).int()}]
    others += [{"a": torch.arange(6.0) + 1e-6}, {**tensors, "c": torch.zeros(0)}]
    assert all(checksum(other, metadata) != told for other in others) and checksum(tensors, {"x": "2"}) != told


def test_files_of_safetensors_readers_hold_what_the_memory_holds(stored):
    assert memory_file.FORMAT == "factcore-memory-2" == stored[1]["format"]
    assert set(load_file("m.safetensors")) == {"gate_weight", "gate_bias", "up", "down", "values", "names", "sketch"}
