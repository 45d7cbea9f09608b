"""What reaches a terminal cannot drive it; what cannot be written is told."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from app_samples import write

import factcore as fc
from factapp.cli import main
from factapp.memory import Memory
from factapp.terminal import as_json, message, shown

DRIVING = [*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), "\u2028", "\u2029", "\u202e", "\u2066", "\ud800"]
STORE = ["store", "facts.csv", "--key", "airport", "--value", "city", "--out", "m.safetensors"]
GIVEN = ["--embeddings", "keys.npy", "values.npy"]


def raw(text):
    return [c for c in text if c != "\n" and (ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in DRIVING)]


def run(*words, env=None, **more):
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | (env or {})
    return subprocess.run([sys.executable, "-m", "factapp", *words], capture_output=True, env=env, **more)


@pytest.mark.parametrize("character", DRIVING)
def test_what_drives_a_terminal_is_escaped(character):
    assert not raw(shown(f"a{character}b")) and shown(f"a{character}b").startswith("a\\")
    assert shown("Zürich ☂ 東京 🚀 👩‍🔬") == "Zürich ☂ 東京 🚀 👩‍🔬"
    text = as_json([{"answer": f"a{character}b\\ü"}])
    assert not raw(text) and json.loads(text) == [{"answer": f"a{character}b\\ü"}]


def test_names_of_a_strangers_memory_do_not_drive_the_terminal(files, capsys):
    facts = fc.spherical_facts(6, 8, n_values=3)
    names = tuple(f"\x1b]0;owned\x07\x9b31m{i}\x7f\u202e\nfake line" for i in range(3))
    memory = Memory.store(fc.FactSet(facts.keys, facts.values, facts.targets, None, names))
    memory.about.update(method="\x1b[2J", embeddings="\x1b[2J")
    memory.save("m.safetensors")
    os.rename("m.safetensors", "\x1b[1m.safetensors")
    np.save("q.npy", facts.keys.numpy())
    for words in (
        ["ask", "\x1b[1m.safetensors", "--embedding", "q.npy", *["\x1b[5mq\x1bc"] * 6],
        ["ask", "\x1b[1m.safetensors", "--embedding", "q.npy", "--threshold", "1"],
        ["inspect", "\x1b[1m.safetensors"],
        ["inspect", "\x1b[1m.safetensors", "--json"],
        ["export", "\x1b[1m.safetensors", "--to", "\x1b[31m.pt"],
        ["export", "\x1b[1m.safetensors", "--to", "\x1b[31m.bin"],
        ["inspect", "\x1b[31m\x9b none"],
        ["store", "\x1b[31m.csv", "--key", "\x1bk", "--value", "\x1bv", "--out", "\x1bo.safetensors"],
    ):
        main(words)
        said = capsys.readouterr()
        assert not raw(said.out) and not raw(said.err) and (said.out or said.err)
        assert "fake line\n" not in said.out.replace("\\nfake line", "")
    for words in (["ask", "m", "--\x1b[31m"], ["\x1b[31m"], ["ask", "m", "--threshold", "\x1b[31m"]):
        with pytest.raises(SystemExit):
            main(words)
        assert not raw(capsys.readouterr().err)


def test_cells_of_a_table_do_not_drive_the_terminal(files, capsys):
    for header in (("airport", "city"), ("\x1b[31mx", "\x9by")):
        write("facts.csv", [("a", "\x1b[31mb"), ("a", "\x9bc"), ("\x07d", "e", "\x1bf")], header)
        assert main([*STORE, *GIVEN]) == 1
        assert not raw(capsys.readouterr().err)


def test_long_messages_are_cut(files, capsys):
    assert main(["inspect", "x" * 100_000]) == 1
    said = capsys.readouterr().err
    assert len(said) <= 2001 and re.search(r"… \([\d,]+ characters more\)\n$", said)
    assert message("short") == "short" and len(message("y" * 2001)) <= 2000 and message("z" * 2000) == "z" * 2000


def test_a_full_device_is_told_in_one_line(files):
    assert main([*STORE, *GIVEN]) == 0
    for words in (["inspect", "m.safetensors"], ["ask", "m.safetensors", "--embedding", "keys.npy", "--json"]):
        with open("/dev/full", "w") as full:
            env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
            done = subprocess.run(
                [sys.executable, "-m", "factapp", *words], stdout=full, stderr=subprocess.PIPE, env=env, text=True
            )
        assert done.returncode == 1
        assert done.stderr == f"factcore {words[0]}: cannot write the output: [Errno 28] No space left on device\n"


def test_a_reader_who_leaves_is_no_error(files):
    assert main([*STORE, *GIVEN]) == 0
    command = '"$0" -m factapp inspect m.safetensors | true; echo "${PIPESTATUS[0]}"'
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(["bash", "-c", command, sys.executable], capture_output=True, env=env, text=True)
    assert done.stdout == "0\n" and done.stderr == ""


def test_a_terminal_that_cannot_print_the_answer_gets_it_escaped(files):
    write("facts.csv", [("東京", "日本"), ("Zürich", "Schweiz ☂")])
    np.save("keys.npy", np.eye(2, 8)), np.save("values.npy", np.eye(2, 8))
    assert run(*STORE, *GIVEN, env={"PYTHONIOENCODING": "ascii"}).returncode == 0
    ask = ["ask", "m.safetensors", "--embedding", "keys.npy"]
    done = run(*ask, env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0 and b"\\u65e5\\u672c" in done.stdout and not done.stderr
    done = run(*ask, "--json", env={"PYTHONIOENCODING": "ascii"})
    assert [a["answer"] for a in json.loads(done.stdout)] == ["日本", "Schweiz ☂"]
    done = run(*ask, "--json", env={"PYTHONIOENCODING": "utf-8"})
    assert "日本".encode() in done.stdout


@pytest.mark.parametrize(
    "more, code, message",
    [
        (["--seed", "1" + "0" * 20], 1, "seed must be an integer from 0 to"),
        (["--seed", "-1"], 1, "seed must be an integer from 0 to"),
        (["--seed", "9" * 5000], 2, "invalid int value"),
        (["--width", "99999999999"], 1, "needs"),
        (["--width", "99999999999", "--method", "max-margin"], 1, "needs"),
        (["--width", "9" * 30], 2, "a positive integer is needed"),
        (["--width", "١"], 2, "a positive integer is needed"),
        (["--width", "1_0"], 2, "a positive integer is needed"),
    ],
)
def test_numbers_out_of_range_are_told(files, capsys, more, code, message):
    try:
        assert main([*STORE, *GIVEN, *more]) == code
    except SystemExit as stop:
        assert stop.code == code
    said = capsys.readouterr().err
    assert message in said and len(said) <= 2001 * 2 and "Traceback" not in said
    assert not (files / "m.safetensors").exists()


def test_memory_that_runs_out_is_told(files, capsys, monkeypatch):
    for error in (MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")):

        def fails(*_, error=error, **__):
            raise error

        monkeypatch.setattr("factapp.memory.construct", fails)
        assert main([*STORE, *GIVEN]) == 1
        assert "factcore store: this does not fit into memory" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="a fault of ours"):
        monkeypatch.setattr("factapp.memory.construct", lambda *_, **__: torch.tensor(raises()))
        main([*STORE, *GIVEN])


def raises():
    raise RuntimeError("a fault of ours")


@pytest.mark.parametrize("order", ["m --json q1 q2 E", "--json m q1 q2 E", "m q1 --json q2 E", "E m q1 q2 --json"])
def test_options_may_stand_anywhere(files, capsys, order):
    assert main([*STORE, *GIVEN]) == 0
    np.save("q.npy", np.load("keys.npy")[:2])
    words = order.replace("m", "m.safetensors", 1).replace("E", "--embedding q.npy").split()
    capsys.readouterr()
    assert main(["ask", *words]) == 0
    assert [a["question"] for a in json.loads(capsys.readouterr().out)] == ["q1", "q2"]
