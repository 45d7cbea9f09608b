"""CSV files and arrays as strangers write them: what a row is, what stands between cells, what a header may claim."""

import csv
import io
import json
import os
import struct
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest
from app_samples import ROWS, write
from hypothesis import given, settings
from hypothesis import strategies as st

from factapp.arrays import load_rows
from factapp.cli import main
from factapp.reading import own_facts, read_facts

NO_ROW_ENDS = "\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029"


def store(*more, table="facts.csv"):
    columns = ["--key", "airport", "--value", "city", "--out", "m.safetensors"]
    return main(["store", table, *columns, "--embeddings", "keys.npy", "values.npy", *more])


def pairs(path, **reading):
    table = read_facts(path, "airport", "city", **reading)
    return list(zip(table.keys, table.values))


@pytest.mark.parametrize("character", NO_ROW_ENDS)
def test_rows_end_at_line_breaks_alone(tmp_path, character):
    text = f"airport,city\r\nSchip{character}hol,Amsterdam\rOrly,Pa{character}ris\nGatwick,London"
    (tmp_path / "t.csv").write_bytes(text.encode())
    table = read_facts(tmp_path / "t.csv", "airport", "city")
    assert len(table.keys) == 3 and table.lines == [2, 3, 4]
    assert table.values == ["Amsterdam", "Pa ris", "London"]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)] * 2),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_a_table_is_read_as_pandas_reads_it(tmp_path_factory, rows, end):
    path = tmp_path_factory.mktemp("t") / "t.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL)
        writer.writerows([("airport", "city"), *rows])
    read = pd.read_csv(path, dtype=str, keep_default_na=False, quoting=csv.QUOTE_ALL, lineterminator=None)
    tidy = [tuple(" ".join(cell.split()) for cell in row) for row in read.itertuples(index=False)]
    full = [row for row in tidy if all(row)]
    if not full or len(dict(full)) < len(set(full)):
        return  # nothing to store, or contradictions: refused, as other tests tell
    assert pairs(path, skip_empty=True) == full


def test_a_question_is_a_line_whatever_characters_it_holds(files, capsys, monkeypatch, stand_in):
    columns = ["--key", "airport", "--value", "city", "--out", "m.safetensors"]
    assert main(["store", "facts.csv", *columns]) == 0
    capsys.readouterr()
    line = "schiphol\x0b\x0c\x1c\x85\u2028here"
    monkeypatch.setattr("sys.stdin", io_of(f"{line}\r\norly\rgatwick\n".encode()))
    assert main(["ask", "m.safetensors", "-", "--json"]) == 0
    assert [a["question"] for a in json.loads(capsys.readouterr().out)] == [line, "orly", "gatwick"]


def io_of(content: bytes):
    return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8")


@pytest.mark.parametrize(
    "text, expected",
    [
        ('airport, city\n"Orly", "Paris"\n', [("Orly", "Paris")]),
        ('"airport","city"\n"Or, ly", "Pa; ris"\n', [("Or, ly", "Pa; ris")]),
        ('"note, with, many, commas";airport;city\nx;Orly;Paris\n', [("Orly", "Paris")]),
        ('airport;"city"\n"a, b";"c, d, e"\n', [("a, b", "c, d, e")]),
        ('"a note\nof two lines";airport;city\nx;Orly;Paris\n', [("Orly", "Paris")]),
        ("\n\n  \nairport;city\nOrly;Paris\n", [("Orly", "Paris")]),
        ("a,b;airport;city\nx,y;Orly;Paris\n", [("Orly", "Paris")]),  # a tie of characters in the header
        ("airport|city\nOrly, the old one|Paris\n", [("Orly, the old one", "Paris")]),
        ("airport\tcity\nOrly, the old one\tParis\n", [("Orly, the old one", "Paris")]),
        ("sep=;\nairport;city\nOrly;Paris\n", [("Orly", "Paris")]),
        ("\ufeffsep=;\r\nairport;city\r\nOrly;Paris\r\n", [("Orly", "Paris")]),
        ('"sep=~"\nairport~city\nOrly~Paris\n', [("Orly", "Paris")]),
        ("AIRPORT,airport,city\nx,Orly,Paris\n", [("Orly", "Paris")]),
        ('airport,city\nOrly,"P""aris"\n', [("Orly", 'P"aris')]),
        ("airport,city\nOrly,Paris\n\n,\n  ,  \nGatwick,London", [("Orly", "Paris"), ("Gatwick", "London")]),
    ],
)
def test_separators_and_quotes_are_found_out(tmp_path, text, expected):
    (tmp_path / "t.csv").write_bytes(text.encode())
    assert pairs(tmp_path / "t.csv") == expected


def test_line_numbers_count_the_mark_of_the_separator(tmp_path):
    (tmp_path / "t.csv").write_text("sep=;\nairport;city\nOrly;Paris\n")
    assert read_facts(tmp_path / "t.csv", "airport", "city").lines == [3]


def test_separator_and_encoding_can_be_named(files, capsys):
    (files / "facts.csv").write_bytes("airport~city\nOrly~Zürich\n".encode("windows-1252"))
    assert pairs("facts.csv", separator="~", encoding="windows-1252") == [("Orly", "Zürich")]
    assert store() == 1 and "name its encoding: --encoding windows-1252" in capsys.readouterr().err
    assert store("--encoding", "windows-1252") == 1 and "--sep" in capsys.readouterr().err
    for name in ("klingon", "base64", "rot13"):
        assert store("--encoding", name) == 1
        assert f"'{name}' is no encoding of text" in capsys.readouterr().err
    for sep in ("", "ab", '"', "\n"):
        assert store("--sep", sep, "--encoding", "latin-1") == 1
        assert "the separator must be one character" in capsys.readouterr().err
    (files / "facts.csv").write_bytes("airport\tcity\na\tb\n".encode("utf-16-le"))
    assert store() == 1 and "--encoding utf-16-le" in capsys.readouterr().err
    assert pairs("facts.csv", separator="tab", encoding="utf-16-le") == [("a", "b")]


def test_rows_with_empty_cells_can_be_left_out_and_are_counted(files, capsys):
    write("facts.csv", [ROWS[0], ("", "Nowhere"), ROWS[1], ("Lost", " "), *ROWS[2:]])
    given = np.load("keys.npy")
    np.save("keys.npy", np.insert(given, [1, 2], 7.0, axis=0)[[0, 1, 2, 3, 4, 5]])
    assert store() == 1 and "empty cells (--skip-empty leaves such rows out):\n  line 3\n  line 5\n" in (
        capsys.readouterr().err
    )
    own = own_facts("facts.csv", "airport", "city", embeddings=("keys.npy", "values.npy"), skip_empty=True)
    assert own.facts.key_names == tuple(key for key, _ in ROWS) and own.facts.n_values == 3
    np.testing.assert_array_equal(own.facts.keys, np.load("keys.npy")[[0, 2, 4, 5]].astype("float32"))
    assert store("--skip-empty") == 0
    assert "note: left out 2 row(s) with empty cells" in capsys.readouterr().err
    write("facts.csv", [("", "x")])
    assert store("--skip-empty") == 1 and "a header and no rows without an empty cell" in capsys.readouterr().err


def test_facts_of_keys_and_values_of_different_size(files, capsys):
    np.save("values.npy", np.eye(3))
    assert store() == 0
    assert "d = 8, values of 3" in capsys.readouterr().err
    assert main(["ask", "m.safetensors", "--embedding", "keys.npy", "--json"]) == 0
    assert [a["answer"] for a in json.loads(capsys.readouterr().out)] == [city for _, city in ROWS]
    assert main(["inspect", "m.safetensors"]) == 0 and "d = 8, values of 3" in capsys.readouterr().out
    assert main(["ask", "m.safetensors", "--embedding", "values.npy"]) == 1
    assert "values.npy has rows of 3 numbers, the keys of m.safetensors have 8" in capsys.readouterr().err


def npy(shape: str, content: bytes = b"", descr: str = "'<f4'", version: int = 1) -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    size = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + size + header.encode() + content


@pytest.mark.parametrize(
    "content, message",
    [
        (npy("(40000000000, 8)", b"\0" * 64), "is damaged: float32 (40000000000, 8) takes 1,280,000,000,000 bytes"),
        (npy("(100000000000000000000, 8)", b"\0" * 64), "it holds 64"),
        (npy("(True, 16)", b"\0" * 64), "array of numbers of shape (rows, d), it holds float32 (True, 16)"),
        (npy("(-4, -8)", b"\0" * 128), "must hold one array"),
        (npy("(4, 8)", b"\0" * 127), "it holds 127"),
        (npy("(4, 8)", b"\0" * 256), "takes 128 bytes, it holds 256"),
        (npy("(0, 8)"), "must hold one array"),
        (npy("(4, 8.0)", b"\0" * 128), "is not a .npy file of numbers"),
        (npy("(4, 8)", b"\0" * 256, "'<c8'"), "must hold one array of numbers"),
        (npy("(4, 8)", b"\0" * 256, "'|O'"), "must hold one array of numbers"),
        (npy("(4, 8)", b"\0" * 128, "[('a', '<f4')]"), "must hold one array of numbers"),
        (npy("(4, 8)", b"\0" * 128, "'nonsense'"), "is not a .npy file of numbers"),
        (npy("(" * 3000), "is not a .npy file of numbers"),
        (npy("'''"), "is not a .npy file of numbers"),
        (npy("(4, 8)", b"\0" * 128, version=9), "is not a .npy file of numbers"),
        (b"\x93NUMPY", "is not a .npy file of numbers"),
        (b"\x93NUMPY\x01\x00\xff", "is not a .npy file of numbers"),
    ],
)
def test_a_header_is_believed_only_where_its_bytes_are_there(files, capsys, content, message):
    (files / "keys.npy").write_bytes(content)
    assert store() == 1
    said = capsys.readouterr()
    assert "factcore store: keys.npy " in said.err and message in said.err and not said.out


@pytest.mark.parametrize("kind", ["<f2", ">f4", "<f8", ">f8", "<i4", "|u1", ">i8"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_arrays_are_read_as_numpy_reads_them(tmp_path, kind, order, version):
    array = np.asarray(np.random.default_rng(0).integers(0, 100, (5, 3)), dtype=kind, order=order)
    with open(tmp_path / "a.npy", "wb") as file:
        np.lib.format.write_array(file, array, version)
    np.testing.assert_array_equal(load_rows(tmp_path / "a.npy"), np.load(tmp_path / "a.npy").astype("float32"))


def test_numbers_too_small_for_float32_are_named(files, capsys):
    np.save("keys.npy", np.load("keys.npy") * 1e-60)
    assert store() == 1 and "4 rows too small for float32, the first is row 0" in capsys.readouterr().err


@pytest.mark.parametrize("keys, values", [(1e-30, 1.0), (1e19, 1.0), (1.0, 1e-30), (1e-12, 1e12)])
def test_scale_changes_no_answer_and_no_margin_leaves_its_range(files, capsys, keys, values):
    np.save("keys.npy", np.load("keys.npy") * keys), np.save("values.npy", np.load("values.npy") * values)
    assert store() == 0
    capsys.readouterr()
    assert main(["ask", "m.safetensors", "--embedding", "keys.npy", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [a["answer"] for a in found] == [city for _, city in ROWS] and all(0 <= a["margin"] <= 1 for a in found)
    for factor in (1e-25, 1e-10, 1e10):
        if 1e-37 < keys * factor < 1e37:
            np.save("q.npy", np.load("keys.npy") * factor)
            code = main(["ask", "m.safetensors", "--embedding", "q.npy", "--json", "--threshold", "0"])
            said = capsys.readouterr()
            assert code == 1 and "too large" in said.err or all(0 <= a["margin"] <= 1 for a in json.loads(said.out))


def test_pipes_are_read_as_files(files):
    """Process substitution, `store <(…) --embeddings <(…) <(…)`, hands over pipes."""
    streams = {name: (files / name).read_bytes() for name in ("facts.csv", "keys.npy", "values.npy")}
    command = 'exec "$0" -m factapp store <(cat facts.csv) --key airport --value city --out m.safetensors'
    command += " --embeddings <(cat keys.npy) <(cat values.npy)"
    done = subprocess.run(["bash", "-c", command, sys.executable], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ask = 'exec "$0" -m factapp ask <(cat m.safetensors) --embedding <(cat keys.npy)'
    done = subprocess.run(["bash", "-c", ask, sys.executable], capture_output=True, text=True)
    assert done.returncode == 0 and "Amsterdam" in done.stdout
    os.mkfifo("pipe")
    writer = threading.Thread(target=lambda: (files / "pipe").write_bytes(streams["facts.csv"]))
    writer.start()
    assert pairs("pipe") == ROWS
    writer.join()


def test_devices_folders_and_what_cannot_be_read_are_told(files, capsys):
    for table, message in [
        ("/dev/zero", "/dev/zero is a device, not a file"),
        (".", ". is a folder"),
        ("none.csv", "no such file: none.csv"),
        ("x" * 300, "cannot read xxx"),
        ("facts.csv/inside", "cannot read facts.csv/inside"),
    ]:
        assert store(table=table) == 1
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1
