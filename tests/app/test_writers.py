"""Every file that is written: through links, with its mode, never over what was read, whole or not at all."""

import os
import resource
import shutil
import stat
import subprocess
import sys

import numpy as np
import pytest
import torch

import factcore as fc
from factapp.cli import main
from factapp.export import export
from factapp.memory import Memory

STORE = ["store", "facts.csv", "--key", "airport", "--value", "city", "--embeddings", "keys.npy", "values.npy"]
WRITERS = ["FactSet.save", "store", ".pt", ".safetensors", ".onnx"]


def target(writer):
    return {"FactSet.save": "out.safetensors", "store": "out.safetensors"}.get(writer, f"out{writer}")


def run(writer, path):
    """Write by the command where there is one: its exit code; else 1 for a ValueError."""
    if writer == "store":
        return main([*STORE, "--out", str(path)])
    if writer == "FactSet.save":
        try:
            fc.spherical_facts(4, 3).save(path)
        except ValueError:
            return 1
        return 0
    return main(["export", "m.safetensors", "--to", str(path)])


@pytest.fixture(params=WRITERS)
def writer(request, files):
    if request.param == ".onnx":
        pytest.importorskip("onnx")
    main([*STORE, "--out", "m.safetensors"])
    return request.param


def test_a_symbolic_link_is_written_through(writer, files):
    (files / "elsewhere").mkdir()
    real, link = files / "elsewhere" / target(writer), files / target(writer)
    real.write_bytes(b"stale"), link.symlink_to(real)
    assert run(writer, link.name) == 0
    assert link.is_symlink() and len(real.read_bytes()) > 100
    dangling = files / f"new{target(writer)}"
    dangling.symlink_to(files / "elsewhere" / f"new{target(writer)}")
    assert run(writer, dangling.name) == 0 and dangling.is_symlink() and dangling.stat().st_size > 100


def test_a_hard_link_sees_what_is_written(writer, files):
    first, second = files / target(writer), files / "second"
    first.write_bytes(b"stale" * 100_000)
    os.link(first, second)
    assert run(writer, first.name) == 0
    assert first.samefile(second) and second.read_bytes()[:5] != b"stale" and second.stat().st_size < 100_000


def test_the_mode_of_a_file_is_kept(writer, files):
    path = files / target(writer)
    for mode in (0o600, 0o640, 0o664):
        path.write_bytes(b"stale"), path.chmod(mode)
        assert run(writer, path.name) == 0 and stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_file_has_the_mode_that_the_umask_leaves(writer, files):
    before = os.umask(0o027)
    try:
        assert run(writer, target(writer)) == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((files / target(writer)).stat().st_mode) == 0o640


def test_a_read_only_file_is_left_alone(writer, files):
    path = files / target(writer)
    path.write_bytes(b"keep"), path.chmod(0o444)
    assert run(writer, path.name) == 1 and path.read_bytes() == b"keep"


@pytest.mark.parametrize("where", ["/dev/full", "/dev/null", ".", "none/x", "x" * 300])
def test_places_that_take_no_file_are_told(writer, files, where, capsys):
    if where.startswith("/dev") and writer != "FactSet.save":
        (files / target(writer)).symlink_to(where)  # the command looks at the ending of a name
        where = target(writer)
    elif writer != "FactSet.save":
        where += target(writer)[3:] if where != "." else ""
        if where == ".":
            (files / "folder").mkdir(), (files / "folder").rename(files / target(writer))
            where = target(writer)
    capsys.readouterr()
    before = sorted(os.listdir())
    assert run(writer, where) == 1
    said = capsys.readouterr()
    assert said.out == "" and sorted(os.listdir()) == before
    assert writer == "FactSet.save" or ("cannot write" in said.err and said.err.count("\n") == 1)


def test_a_name_of_247_bytes_is_written(writer, files):
    ending = target(writer)[3:]
    name = "ö" * ((247 - len(ending)) // 2) + ending
    assert run(writer, name) == 0 and (files / name).stat().st_size > 100
    assert not [entry for entry in os.listdir() if entry.endswith(".partial")]


def test_a_full_disk_leaves_the_old_file_and_is_told(writer, files):
    """A limit on the size of files stands in for the disk: writing beyond it fails as on a full one."""
    path = files / target(writer)
    path.write_bytes(b"as it was")
    if writer == "FactSet.save":
        code = "import factcore as fc\ntry: fc.spherical_facts(40, 30).save('out.safetensors')\n"
        code += "except ValueError as error: print(error); raise SystemExit(1)"
        words = [sys.executable, "-c", code]
    elif writer == "store":
        words = [sys.executable, "-m", "factapp", *STORE, "--out", path.name]
    else:
        words = [sys.executable, "-m", "factapp", "export", "m.safetensors", "--to", path.name]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300)),
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1 and "Traceback" not in said and f"cannot write {path.name}: " in said
    assert path.read_bytes() == b"as it was" and not [e for e in os.listdir() if e.endswith(".partial")]


@pytest.mark.parametrize("how", ["itself", "symlink", "hard link"])
@pytest.mark.parametrize("name", ["facts.csv", "keys.npy", "values.npy"])
def test_store_does_not_overwrite_what_it_reads(files, capsys, name, how):
    out = "x.safetensors"
    words = STORE
    if how == "itself":
        shutil.copy(name, out)
        words = [out if word == name else word for word in STORE]
    elif how == "symlink":
        os.symlink(name, out)
    else:
        os.link(name, out)
    before = (files / out).read_bytes()
    assert main([*words, "--out", f"./{out}"]) == 1
    assert "which would be lost: choose another file" in capsys.readouterr().err
    assert (files / out).read_bytes() == before


@pytest.mark.parametrize("how", [os.symlink, os.link])
def test_export_does_not_overwrite_the_memory_by_a_link(files, capsys, how):
    main([*STORE, "--out", "m.safetensors"])
    how("m.safetensors", "x.pt")
    before = (files / "m.safetensors").read_bytes()
    assert main(["export", "m.safetensors", "--to", "x.pt"]) == 1
    assert "is the memory itself, which would be lost" in capsys.readouterr().err
    assert (files / "m.safetensors").read_bytes() == before


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".onnx"])
def test_exports_of_values_of_another_size_than_the_keys(files, suffix):
    if suffix == ".onnx":
        pytest.importorskip("onnxruntime"), pytest.importorskip("onnx")
    np.save("values.npy", np.eye(3))
    assert main([*STORE, "--out", "m.safetensors"]) == 0
    memory, keys = Memory.load("m.safetensors"), torch.from_numpy(np.load("keys.npy")).float()
    export(memory, f"x{suffix}")
    scores = memory.mlp(keys) @ memory.values.T
    if suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(f"x{suffix}", providers=["CPUExecutionProvider"])
        np.testing.assert_allclose(session.run(["scores"], {"query": keys.numpy()})[0], scores, atol=1e-5)
        return
    from safetensors.torch import load_file

    found = torch.load("x.pt", weights_only=True) if suffix == ".pt" else load_file(f"x{suffix}")
    z = keys @ found["gate_weight"].T + found["gate_bias"]
    torch.testing.assert_close(((z > 0) * (keys @ found["up"].T)) @ found["down"].T @ found["values"].T, scores)
