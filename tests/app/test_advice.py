"""What a practitioner ran into: ties as answers, facts lost without a word, messages without advice."""

import json

import numpy as np
import pytest
import torch
from app_samples import ROWS, write

import factcore
import factcore as fc
from factapp.cli import main
from factapp.help import STORE
from factapp.memory import TIE, Memory

KEYS = np.eye(50)[:40]  # beside them stands what is like none of them: no gate of the one-hot memory opens for it
GIVEN = ["--embeddings", "keys.npy", "values.npy"]


@pytest.fixture
def apart(files):
    """Forty products in three towns."""
    write("facts.csv", [(f"product {i}", ("Hull", "York", "Bath")[i % 3]) for i in range(40)], ("name", "town"))
    np.save("keys.npy", KEYS), np.save("values.npy", np.eye(3, 5)), np.save("beside.npy", np.eye(50)[40:])
    return files


def store(*more, key="airport", value="city", given=GIVEN):
    return main(["store", "facts.csv", "--key", key, "--value", value, "--out", "m.safetensors", *given, *more])


def told(capsys, *more, **columns):
    """What a store that must fail says, in one line; nothing is written."""
    capsys.readouterr()
    assert store(*more, **columns) == 1
    said = capsys.readouterr()
    assert said.out == ""
    return said.err.splitlines()[-1]


def answers(capsys, *words):
    capsys.readouterr()
    assert main(["ask", "m.safetensors", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_tie_is_never_an_answer(apart, capsys):
    assert store("--method", "one-hot", key="name", value="town") == 0
    assert "of random questions get an answer too" not in capsys.readouterr().err
    for limit in ([], ["--threshold", "0"]):
        found = answers(capsys, "--embedding", "beside.npy", *limit)
        assert [(a["answer"], a["margin"]) for a in found] == [(None, 0)] * 10
    assert {a["why"] for a in found} == {TIE}
    for limit in ([], ["--threshold", "0"]):
        found = answers(capsys, "--embedding", "keys.npy", *limit)
        assert [a["answer"] for a in found] == (["Hull", "York", "Bath"] * 14)[:40]
    assert Memory.load("m.safetensors").about["held_out_answered"] <= 0.05
    assert main(["inspect", "m.safetensors"]) == 0 and "margin above 0, similarity" in capsys.readouterr().out


def test_a_repeated_key_needs_its_embedding_repeated(files, capsys):
    write("facts.csv", [*ROWS, ROWS[1], ROWS[0]])
    keys = np.load("keys.npy")
    np.save("keys.npy", np.vstack([keys, keys[2:3], keys[:1]]))
    assert store() == 1
    assert capsys.readouterr().err == (
        "factcore store: facts.csv has keys repeated with another embedding (keep one row, or make the names differ):\n"
        "  lines 3 and 6: 'Heathrow'\n"
    )
    assert not (files / "m.safetensors").exists()
    np.save("keys.npy", np.vstack([keys, keys[1:2], keys[:1]]))
    assert store() == 0 and "4 facts, 3 values" in capsys.readouterr().err


def test_lost_facts_are_named_as_the_file_names_them(apart, capsys):
    said = told(capsys, "--width", "1", key="name", value="town")
    assert said.endswith(
        "facts are lost at width 1, the first is 'product 1' (line 3); give a larger --width, or leave it out"
    )
    np.save("keys.npy", np.where(np.arange(40)[:, None] == 4, 0, KEYS))
    said = told(capsys, "--method", "max-margin", "--width", "40", key="name", value="town")
    assert "'product 4' (line 6) is a row of zeros" in said and "keys[" not in said
    np.save("keys.npy", np.vstack([KEYS[:4], KEYS[:1] * 2, KEYS[5:]]))
    said = told(capsys, "--method", "ntk", key="name", value="town")
    assert "'product 0' (line 2) and 'product 4' (line 6) nearly coincide" in said and "float64" not in said


def test_rows_of_arrays_are_counted_from_0_and_named_with_their_line(apart, capsys):
    (apart / "facts.csv").write_text("name,town\n\na,Hull\n,York\nb,York\nc,Hull\n")
    for number, name in [(2, "'b' (line 5)"), (3, "'c' (line 6)")]:
        keys = np.eye(4, 8)
        keys[number, 3] = np.nan
        np.save("keys.npy", keys)
        said = told(capsys, "--skip-empty", key="name", value="town")
        assert said.endswith(f"in 1 row, the first is row {number} (counted from 0), {name}")
    np.save("keys.npy", np.eye(4, 8) * 1e-60)
    said = told(capsys, "--skip-empty", key="name", value="town")
    assert "4 rows too small for float32, the first is row 0 (counted from 0), 'a' (line 3): scale it up" in said
    np.save("keys.npy", np.eye(4, 8)), np.save("values.npy", np.array([[1.0, 0], [0, np.inf]]))
    assert told(capsys, "--skip-empty", key="name", value="town").endswith("is row 1 (counted from 0), 'York'")


def test_smallest_is_refused_where_it_changes_nothing(files, capsys):
    for method in ("ntk", "one-hot", "hebbian", "trained"):
        assert f"--smallest changes nothing with --method {method}: leave it out" in told(
            capsys, "--smallest", "--method", method
        )
    with pytest.raises(SystemExit) as stop:
        store("--smallest", "--width", "20")
    assert stop.value.code == 2 and "not allowed with argument" in capsys.readouterr().err


def test_a_file_that_is_no_memory_and_one_that_is_cut_are_told_apart(files, capsys):
    assert store() == 0
    (files / "cut.safetensors").write_bytes((files / "m.safetensors").read_bytes()[:-10])
    capsys.readouterr()
    assert main(["inspect", "facts.csv"]) == 1
    assert capsys.readouterr().err == ("factcore inspect: facts.csv is not a memory: write one with 'factcore store'\n")
    assert main(["inspect", "cut.safetensors"]) == 1
    said = capsys.readouterr().err
    assert "cut.safetensors is damaged: " in said and "store the facts again, or copy the file again" in said


def test_queries_that_do_not_fit_are_told_with_both_files(files, capsys):
    assert store() == 0
    np.save("q.npy", np.ones((2, 5)))
    capsys.readouterr()
    assert main(["ask", "m.safetensors", "--embedding", "q.npy"]) == 1
    assert capsys.readouterr().err == (
        "factcore ask: q.npy has rows of 5 numbers, the keys of m.safetensors have 8: embed the questions as the keys\n"
    )
    assert main(["ask", "m.safetensors", "Where?", "--embedding", "keys.npy"]) == 1
    assert capsys.readouterr().err == "factcore ask: keys.npy has 4 rows, but 1 question: give 4 questions or none\n"


@pytest.mark.parametrize(
    "header, key, hint",
    [
        ("airport,city", "Airport", "did you mean 'airport'?"),
        ("Airport,city", "AIRPORT", "did you mean 'Airport'?"),
        ("airport,city", "airprot", "did you mean 'airport'?"),
        ("airport,city", "town", "its first line names 'airport', 'city' (the first line must be the header)"),
        ("airport~city", "airport", "(is it separated otherwise? --sep)"),
    ],
)
def test_a_missing_column_is_told_with_what_to_do(files, capsys, header, key, hint):
    (files / "facts.csv").write_text(f"{header}\nOrly{header[7]}Paris\n")
    said = told(capsys, key=key)
    assert "has no column" in said and hint in said and said.count("(") <= 1


def test_contradictions_are_told_with_what_to_do(files, capsys):
    write("facts.csv", [("a", "b"), ("a", "c")])
    assert store() == 1
    assert (
        "contradictory rows (a key has one value: keep one row, or make the names differ):" in capsys.readouterr().err
    )


@pytest.mark.parametrize("encoding", ["utf-16", "UTF-16-BE", "utf_32", "ascii"])
@pytest.mark.parametrize("end", ["", "\n"])  # of an even number of bytes any is UTF-16
def test_an_encoding_named_for_a_file_in_utf_8_is_told(files, capsys, encoding, end):
    (files / "facts.csv").write_text(f"airport,city\nOrly,Zürich{end}", encoding="utf-8")
    said = told(capsys, "--encoding", encoding)
    assert f"facts.csv is not {encoding.upper()}: " in said
    assert said.endswith("it reads as UTF-8: leave --encoding out")
    (files / "facts.csv").write_bytes(f"airport,city\nOrly,Zürich{end}".encode("latin-1"))
    assert told(capsys, "--encoding", encoding).endswith("or name its encoding: --encoding windows-1252")


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0 and capsys.readouterr().out == f"factcore {factcore.__version__}\n"


@pytest.mark.parametrize("limit", ["2", "1.01", "inf", "-0.1"])
def test_a_threshold_that_no_margin_can_have_is_refused(capsys, limit):
    with pytest.raises(SystemExit) as stop:
        main(["ask", "m", "q", f"--threshold={limit}"])
    assert stop.value.code == 2 and f"a margin lies between 0 and 1, got '{limit}'" in capsys.readouterr().err


def test_an_array_for_a_tensor_is_told():
    facts = fc.spherical_facts(12, 8, n_values=4)
    memory = Memory.store(fc.FactSet(facts.keys, facts.values, facts.targets, None, tuple("abcd")))
    with pytest.raises(ValueError, match=r"must be a torch tensor, got ndarray \(torch.from_numpy makes one\)"):
        memory.ask(facts.keys.numpy())
    assert memory.ask(torch.from_numpy(facts.keys.numpy()))[0].answer == "abcd"[int(facts.targets[0])]


def test_the_help_tells_that_values_follow_the_first_mention(files):
    """Of what it says: with the first two rows exchanged the same array gives Amsterdam the embedding of London."""
    assert "write VALUES again" in STORE
    before = np.load("values.npy")
    write("facts.csv", [ROWS[1], ROWS[0], *ROWS[2:]])
    assert store() == 0
    memory = Memory.load("m.safetensors")
    assert memory.names == ("London", "Amsterdam", "Paris")
    np.testing.assert_array_equal(memory.values, before)
