"""The language of the editing study and its model: sentences, attention, training, the file that ships."""

import cmath
import tomllib

import pytest
import torch

import factcore as fc
from factbook import editing
from factbook.editing.model import FactLanguageModel, fact_accuracy, perplexity
from factbook.editing.text import COUNTRIES, HELD_OUT, RELATIONS, TEMPLATES, airport_corpus
from factbook.editing.training import load_language_model, save_language_models, train_language_model
from factcore.support.files import data_file, read_safetensors, write_safetensors


@pytest.fixture(scope="module")
def model():
    return load_language_model()


# --- sentences -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("relation", RELATIONS)
def test_there_are_many_templates_and_each_asks_with_its_last_word_alone(relation):
    lines, asks = TEMPLATES[relation], tomllib.loads(data_file("sentences.toml").read_text(encoding="utf-8"))["cues"]
    assert len({" ".join(line) for line in lines}) == len(lines) >= 32 + 4
    cues = {cue for kind in asks.values() for cue in kind}
    for line in lines:
        assert line.count("@") == 1 and line[-1] in asks[relation]
        assert not cues & set(line[line.index("@") : -1]), line
    assert set(asks["city"]).isdisjoint(asks["country"])


def test_paraphrases_are_unseen_but_their_words_are_not():
    corpus = airport_corpus(64)
    trained = {corpus.words[token] for token in corpus.filler.unique().tolist()}
    trained |= {word for relation in RELATIONS for line in TEMPLATES[relation][:-HELD_OUT] for word in line}
    for relation in RELATIONS:
        seen, unseen = TEMPLATES[relation][:-HELD_OUT], TEMPLATES[relation][-HELD_OUT:]
        assert not [line for line in unseen if line in seen]
        assert {word for line in unseen for word in line} <= trained


def test_sentences_state_the_facts_of_the_airports_data():
    corpus, facts = airport_corpus(100), fc.airport_facts(100)
    rows, which = torch.arange(100), torch.zeros(100, dtype=torch.int64)
    tokens, at = corpus.sentences("city", corpus.targets["city"], rows, which)
    for row in (0, 41, 99):
        assert corpus.text(tokens[row]) == f"{facts.key_names[row]} serves {facts.value_names[facts.targets[row]]} ."
        assert corpus.words[tokens[row, at[row]]] == "serves"
    assert len(set(corpus.airports.tolist())) == 100


def test_a_context_moves_the_fact_and_changes_nothing_else():
    corpus = airport_corpus(20)
    rows = torch.arange(20)
    which = rows % 24
    alone, at = corpus.sentences("country", corpus.targets["country"], rows, which)
    together, then_at = corpus.sentences("country", corpus.targets["country"], rows, which, corpus.contexts[:20])
    for row in range(20):
        assert corpus.text(together[row]) == f"{corpus.text(corpus.contexts[row])} {corpus.text(alone[row])}"
        assert together[row, then_at[row]] == alone[row, at[row]]
        assert together[row, then_at[row] + 1] == corpus.targets["country"][row]


def test_the_country_names_are_the_known_ones():
    babel = pytest.importorskip("babel")
    territories = babel.Locale("en").territories
    alike = [code for code, name in COUNTRIES.items() if territories.get(code, "").split(" ")[0] == name.split(" ")[0]]
    assert len(alike) > 0.85 * len(COUNTRIES)  # short names differ: "Türkiye", "Congo - Kinshasa"
    assert len(set(COUNTRIES.values())) == len(COUNTRIES)
    assert (COUNTRIES["CH"], COUNTRIES["NC"], COUNTRIES["ZW"]) == ("Switzerland", "New Caledonia", "Zimbabwe")


# --- the model -------------------------------------------------------------------------------------------------


def test_the_shipped_model_knows_its_facts(model):
    for relation in RELATIONS:
        assert float(fact_accuracy(model, relation).mean()) >= 0.99
        assert float(fact_accuracy(model, relation, held_out=True).mean()) >= 0.9
    assert perplexity(model) < 40


def test_accuracy_is_that_of_whole_sentences(model):
    """The short cut through kept MLP inputs, against running every sentence through the model."""
    corpus, which = model.corpus, model.corpus.template_numbers("city", held_out=True)
    rows = torch.arange(0, 256, 37)
    tokens, at = corpus.sentences(
        "city", model.targets["city"], rows.repeat_interleave(len(which)), which.repeat(len(rows))
    )
    with torch.no_grad():
        best = model(tokens)[torch.arange(len(tokens)), at].argmax(dim=-1)
    right = (best == model.targets["city"][rows.repeat_interleave(len(which))]).view(len(rows), -1)
    assert torch.equal(right.double().mean(dim=1), fact_accuracy(model, "city", held_out=True)[rows])


def test_no_position_sees_what_comes_after_it(model):
    tokens = model.corpus.filler[:4].clone()
    before = model(tokens)[:, :5]
    tokens[:, 5:] = 7
    torch.testing.assert_close(model(tokens)[:, :5], before)


@pytest.mark.parametrize("d", [4, 64])
def test_attention_is_that_of_the_formula(d):
    """softmax(q kᵀ / √d) over the past; RoPE turns coordinates 2j and 2j + 1 by place · 10000^(−2j/d): term by term."""
    corpus = airport_corpus(8)
    small = FactLanguageModel(corpus, d, seed=1).requires_grad_(False)
    tokens = corpus.filler[3]
    x = small.embedding()[tokens].double()

    def turned(rows):
        pairs = [[complex(row[2 * j], row[2 * j + 1]) for j in range(d // 2)] for row in rows.tolist()]
        turn = lambda place, j: cmath.exp(1j * place * 10_000 ** (-2 * j / d))  # noqa: E731
        return [[z * turn(place, j) for j, z in enumerate(row)] for place, row in enumerate(pairs)]

    queries, keys = (turned(x @ weight.double()) for weight in (small.query, small.key))
    for place, query in enumerate(queries):
        scores = [sum((a * b.conjugate()).real for a, b in zip(query, key)) / d**0.5 for key in keys[: place + 1]]
        mixed = torch.softmax(torch.tensor(scores, dtype=torch.float64), dim=0) @ x[: place + 1]
        wanted = d**0.5 * mixed / mixed.norm()
        torch.testing.assert_close(small.attend(tokens[None])[0][0, place].double(), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed, known", [(0, 24.218319), (1, 20.295171), (2, 18.266499)])
def test_the_shipped_models_read_as_they_did_when_they_were_trained(seed, known):
    """Perplexities measured before the columns of their queries and keys were put in RoPE's order."""
    assert perplexity(load_language_model(seed, method="hebbian", width=512)) == pytest.approx(known, rel=2e-6)


def test_facts_get_24_parameters_each_unless_a_width_is_given(model):
    for relation in RELATIONS:
        assert model.facts[relation].n_params == 24 * 256
    assert load_language_model(method="hebbian", width=300).facts["city"].width == 300
    assert load_language_model(width=20).facts["country"].width == 20


@pytest.mark.parametrize("d", [0, 7, 8.0])
def test_a_dimension_that_rope_cannot_turn_is_refused(d):
    with pytest.raises(ValueError, match="d must be"):
        FactLanguageModel(airport_corpus(4), d)


def test_training_learns_and_a_saved_model_comes_back(tmp_path):
    corpus = airport_corpus(12)
    start = FactLanguageModel(corpus, 16, seed=0)
    editing.write_facts(start, "hebbian", width=24)
    trained = train_language_model(corpus, 16, steps=60, batch=48, seed=0)
    assert perplexity(trained) < perplexity(start) / 2
    save_language_models([trained], tmp_path / "models.safetensors")
    loaded = load_language_model(0, path=tmp_path / "models.safetensors", method="hebbian", width=24)
    assert torch.equal(loaded(corpus.filler[:3]), trained(corpus.filler[:3]))
    with pytest.raises(ValueError, match=r"seed must be one of \[0\], got 4"):
        load_language_model(4, path=tmp_path / "models.safetensors")
    with pytest.raises(ValueError, match="batch // 3 must be a positive integer, got 0"):
        train_language_model(corpus, 16, batch=2)


def test_other_files_are_no_language_models(tmp_path):
    tensors, metadata = read_safetensors(data_file("language_models.safetensors"))
    for name, change, message in (
        ("old", {"format": "1"}, "no language models of the format 'factcore-language-models-2', but '1'"),
        ("narrow", {"d": "32"}, "(?s)narrow.safetensors is damaged: .*size mismatch"),
    ):
        write_safetensors(tmp_path / f"{name}.safetensors", tensors, metadata | change)
        with pytest.raises(ValueError, match=message):
            load_language_model(path=tmp_path / f"{name}.safetensors")
    with pytest.raises(ValueError, match="no language models of the format"):
        load_language_model(path=data_file("minilm_mlp.safetensors"))
