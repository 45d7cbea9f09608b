"""Editing facts: the sentences, the model that ships, what each editor changes and what it leaves alone."""

import copy
import tomllib

import pytest
import torch

import factcore as fc
from factbook import editing
from factbook.editing.model import FactLanguageModel, fact_accuracy, fact_positions, perplexity
from factbook.editing.text import COUNTRIES, HELD_OUT, RELATIONS, TEMPLATES, airport_corpus
from factbook.editing.training import load_language_model, save_language_models, train_language_model
from factcore.support.files import data_file


@pytest.fixture(scope="module")
def model():
    return load_language_model(0, method="block-convex", width=32)


@pytest.fixture(scope="module")
def new_facts(model):
    return editing.draw_edits(model, 26, seed=7)


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


def test_training_learns_and_a_saved_model_comes_back(tmp_path):
    corpus = airport_corpus(12)
    start = FactLanguageModel(corpus, 16, seed=0)
    editing.write_facts(start, "hebbian", width=24)
    trained = train_language_model(corpus, 16, steps=60, batch=48, seed=0)
    assert perplexity(trained) < perplexity(start) / 2
    save_language_models([trained], tmp_path / "models.safetensors")
    loaded = load_language_model(0, path=tmp_path / "models.safetensors", method="hebbian", width=24)
    assert torch.equal(loaded(corpus.filler[:3]), trained(corpus.filler[:3]))
    with pytest.raises(ValueError, match=r"seed must be one of \['0'\], got 4"):
        load_language_model(4, path=tmp_path / "models.safetensors")


# --- edits -----------------------------------------------------------------------------------------------------


def test_swap_edits_a_tenth_of_the_facts(model, new_facts):
    report = editing.evaluate_edit(model, new_facts, width=32)
    assert report.score >= 0.97 and abs(report.perplexity_ratio - 1) <= 0.02
    nothing = editing.evaluate_edit(model, new_facts, method="no_op")
    assert nothing.efficacy <= 0.01 and nothing.score == 0 and nothing.perplexity_ratio == 1
    assert editing.evaluate_edit(model, new_facts, method="chance").score <= 0.1


@pytest.mark.parametrize("method", ["swap", "finetune", "rome", "memit", "alphaedit"])
def test_an_edit_leaves_the_model_alone_and_undoes_bit_for_bit(model, new_facts, method):
    tokens = torch.cat([model.corpus.held_out_filler[:20], sentences(model, 20)])
    before, weights = model(tokens), copy.deepcopy(model.state_dict())
    options = {"swap": {"width": 32}, "alphaedit": {"tol": 0.5}}.get(method, {"steps": 5})
    edited = editing.edit(model, new_facts, method=method, **options)
    assert not torch.equal(edited(tokens), before)
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(editing.insert(edited, "city", model.facts["city"])(tokens), before)


def test_swapping_the_old_facts_back_restores_the_logits_bit_for_bit(model, new_facts):
    corpus, tokens = model.corpus, sentences(model, 64)
    row_of = {corpus.words[token]: row for row, token in enumerate(corpus.airports.tolist())}
    old = {airport: corpus.words[model.targets["city"][row_of[airport]]] for airport in new_facts}
    edited = editing.edit(model, new_facts, width=32)
    assert torch.equal(editing.edit(edited, old, width=32)(tokens), model(tokens))


def test_countries_are_edited_and_cities_stay(model):
    new = editing.draw_edits(model, 5, relation="country", seed=1)
    edited = editing.edit(model, new, relation="country", width=32)
    assert edited.facts["city"] is model.facts["city"]
    assert editing.evaluate_edit(model, new, relation="country", width=32).score >= 0.97


def test_rome_reaches_the_output_it_wanted_and_changes_the_down_matrix_by_rank_one(model):
    new = editing.draw_edits(model, 1, seed=3)
    edited = editing.edit(model, new, method="rome")
    old_mlp, mlp = model.facts["city"], edited.facts["city"]
    assert torch.equal(mlp.up, old_mlp.up) and torch.equal(mlp.gate_weight, old_mlp.gate_weight)
    assert int(torch.linalg.matrix_rank((mlp.down - old_mlp.down).double(), rtol=1e-4)) == 1
    assert editing.evaluate_edit(model, new, method="rome").efficacy == 1


def test_alphaedit_moves_no_preserved_output():
    wide = load_language_model(0, method="hebbian", width=1024)
    new = editing.draw_edits(wide, 3, seed=3)
    edited = editing.edit(wide, new, method="alphaedit", tol=1e-8)
    at = fact_positions(wide, "city", held_out=False).attention_output
    rows = [row for row, token in enumerate(wide.corpus.airports.tolist()) if wide.corpus.words[token] not in new]
    before, after = (m.facts["city"](at[rows]) for m in (wide, edited))
    assert float((after - before).norm(dim=-1).max()) < 0.02 * float(before.norm(dim=-1).mean())
    assert wide.facts["city"].hidden(at).shape[-1] == 1024


@pytest.mark.parametrize(
    "change, message",
    [
        ({"new_facts": {"Nowhere Field": "Oslo"}}, "knows no airport 'Nowhere Field'"),
        ({"value": "Atlantis"}, "knows no city 'Atlantis'"),
        ({"new_facts": {}}, "new_facts is empty"),
        ({"relation": "river"}, "relation must be one of"),
        ({"method": "magic"}, "method must be one of"),
        ({"method": "rome", "width": 3}, "'rome' has no option 'width'"),
        ({"method": "finetune", "weights": "up"}, "weights must be one of .*'down', 'all'.* got 'up'"),
    ],
)
def test_bad_requests_are_named(model, new_facts, change, message):
    airport, city = next(iter(new_facts.items()))
    facts = change.pop("new_facts", {airport: change.pop("value", city)})
    with pytest.raises(ValueError, match=message):
        editing.edit(model, facts, **change)


def test_a_misspelt_city_is_answered_with_near_ones(model, new_facts):
    airport, city = next(iter(new_facts.items()))
    with pytest.raises(ValueError, match=f"did you mean one of .*{city}"):
        editing.edit(model, {airport: city + "x"})


def test_weight_editors_need_something_to_preserve(model):
    with pytest.raises(ValueError, match="every fact is edited"):
        editing.edit(model, editing.draw_edits(model, 256), method="memit")
    with pytest.raises(ValueError, match="count must be an integer from 1 to 256"):
        editing.draw_edits(model, 257)


def test_drawn_edits_change_every_fact_they_name(model):
    new = editing.draw_edits(model, 128, seed=2)
    corpus = model.corpus
    row_of = {corpus.words[token]: row for row, token in enumerate(corpus.airports.tolist())}
    assert len(new) == 128
    assert all(corpus.words[model.targets["city"][row_of[airport]]] != city for airport, city in new.items())


def sentences(model, count):
    rows = torch.arange(count)
    return model.corpus.sentences("city", model.targets["city"], rows, rows % 24)[0]
