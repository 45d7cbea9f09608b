"""Questions in other words: the shipped file against the rules that made it, and the ROC against its definition."""

import random
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

import factcore as fc
from factbook.paraphrase import airport_questions, airport_trial, angles, auc, roc

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def questions():
    return airport_questions()


def test_the_file_holds_what_its_description_says(questions):
    names = fc.airport_facts().key_names
    assert questions.queries.shape == (8, 720, 384) and len(questions.kinds) == len(questions.texts) == 8
    assert questions.said.shape == (48, 384) and questions.off_topic.shape == (40, 384)
    assert questions.airports.diff().min() > 0
    assert set(questions.said_airports.tolist()) <= set(questions.airports.tolist())
    for queries in (questions.queries, questions.said, questions.off_topic):
        torch.testing.assert_close(queries.norm(dim=-1), torch.ones(queries.shape[:-1]))
    texts = dict(zip(questions.kinds, questions.texts))
    for place, row in enumerate(questions.airports.tolist()):
        name = names[row]
        assert texts["question"][place] == f"Where is {name}?"
        assert texts["sentence"][place].startswith(f"I land at {name} ")
        assert texts["order"][place].split() == name.split()[::-1]
        assert texts["short question"][place] == f"Where is {texts['short'][place]}?"
        words = re.sub("[/()]", " ", name).split()
        assert len(texts["short"][place].split()) <= len(words) and set(texts["short"][place].split()) <= set(words)
        typo = texts["typo"][place]
        assert sorted(typo) == sorted(name) and sum(a != b for a, b in zip(typo, name)) == 2
        assert texts["code"][place].endswith(" airport") and len(texts["code"][place]) == 11


def test_the_rules_make_these_texts_again(questions, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import make_queries as make

    stored = load_file(SCRIPTS.parent / "data" / "airports.safetensors")
    names, codes = (stored[field].tobytes().decode().split("\n") for field in ("key_names", "iata"))
    rng = random.Random(0)
    known, rows = make.choose(names, stored["targets"], rng)
    assert known == questions.said_airports.tolist() and rows == questions.airports.tolist()
    texts = [make.paraphrases(names[row], codes[row], rng) for row in rows]
    assert [list(column) for column in zip(*texts)] == questions.texts
    assert list(make.SAID.values()) == questions.said_texts and make.OFF_TOPIC == questions.off_topic_texts


def test_embeddings_lie_where_their_texts_say(questions):
    keys = fc.airport_facts().keys
    near = (questions.queries[0] @ keys.T).argmax(dim=1)  # among all 7,007 names
    assert (near == questions.airports).double().mean() > 0.97
    assert angles(questions.off_topic[:, None], keys[None, :50]).min() > 45


def test_a_trial_separates_stored_airports_from_others():
    given_ = airport_trial(30, 20, 384, seed=1)
    everything = fc.airport_facts()
    names = {tuple(key): name for key, name in zip(everything.keys.tolist(), everything.key_names)}
    stored = {names[tuple(key)] for key in given_.facts.keys.tolist()}
    others = {names[tuple(key)] for key in given_.held_out_keys.tolist()}
    assert len(stored) == 30 and len(others) == 20 and not stored & others
    assert stored == set(given_.facts.key_names)
    assert given_.asked.shape == (8, 30, 384) and given_.held_out.shape == (8, 20, 384)
    again, small = airport_trial(30, 20, 384, seed=1), airport_trial(30, 20, 16, seed=1)
    assert torch.equal(again.asked, given_.asked) and small.facts.d == small.asked.shape[2] == 16
    wide = torch.linalg.svdvals(given_.facts.keys)[:16]  # the leading directions keep the largest singular values
    torch.testing.assert_close(torch.linalg.svdvals(small.facts.keys), wide, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="720 airports have questions, 700 . 21 were asked for"):
        airport_trial(700, 21, 384, seed=0)


scores = st.lists(st.integers(-3, 3), min_size=1, max_size=12).map(lambda numbers: torch.tensor(numbers) / 2)


@settings(deadline=None)
@given(known=scores, unknown=scores)
def test_auc_is_the_chance_to_rank_right(known, unknown):
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in known for b in unknown]
    assert auc(known, unknown) == pytest.approx(sum(pairs) / len(pairs))
    with pytest.raises(ValueError, match="scores of both kinds"):
        auc(known, unknown[:0])


@settings(deadline=None)
@given(known=scores, unknown=scores, share=st.floats(0.01, 0.99))
def test_roc_lets_no_more_held_out_queries_through_than_asked(known, unknown, share):
    found = float(roc(known, unknown, torch.tensor([share]))[0])
    allowed = [t for t in unknown.tolist() if float((unknown > t).double().mean()) <= share + 1e-6]
    assert found <= max(float((known > t).double().mean()) for t in allowed) + 1e-9


def test_angles_are_in_degrees():
    x = torch.tensor([[1.0, 0.0], [1.0, 1.0], [-2.0, 0.0]])
    torch.testing.assert_close(angles(x, torch.tensor([3.0, 0.0])), torch.tensor([0.0, 45.0, 180.0]).double())
