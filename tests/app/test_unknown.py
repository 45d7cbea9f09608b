""" "I don't know": measured on unrelated sentences and paraphrases that no threshold was set by."""

from pathlib import Path

import pytest
import torch

import factcore as fc
from factapp.encoder import unrelated_sentences
from factapp.memory import Memory
from factapp.sketch import similarity, sketch_of
from factbook import paraphrase
from factbook.paraphrase import airport_questions, airport_trial

HERE = Path(__file__).parent
PLAIN = ("question", "order", "short")  # whole names in other words; the others are told on the page own_facts


@pytest.fixture(scope="module")
def unrelated():
    return paraphrase.unrelated_sentences()


def share(answers):
    return sum(found.answer is not None for found in answers) / len(answers)


@pytest.mark.parametrize("calibrated", [True, False])
@pytest.mark.parametrize("n, method", [(12, "encoder-decoder"), (200, "encoder-decoder"), (480, "max-margin")])
def test_unrelated_sentences_are_not_answered_and_paraphrases_are(unrelated, n, method, calibrated):
    """510 sentences, and at least 500 paraphrases where there are as many facts: both not seen before."""
    trial = airport_trial(n, 240, 384, seed=3)
    memory = Memory.store(trial.facts, method, unrelated=unrelated["calibration"] if calibrated else None)
    assert len(unrelated["held_out"]) >= 500
    assert share(memory.ask(unrelated["held_out"])) <= 0.01
    assert share(memory.ask(airport_questions().off_topic)) <= 0.03, "how to boil an egg is nobody's airport"
    asked = [q for kind, q in zip(airport_questions().kinds, trial.asked) if kind in PLAIN[: 2 if n > 200 else 3]]
    right = [
        found.answer == trial.facts.value_names[target]
        for queries in asked
        for found, target in zip(memory.ask(queries), trial.facts.targets.tolist())
    ]
    assert sum(right) / len(right) >= 0.9
    assert share(memory.ask(trial.facts.keys)) == 1.0, "a key is always answered"


def test_the_two_lists_of_unrelated_sentences_have_nothing_in_common(unrelated):
    calibration, held_out = unrelated_sentences(), (HERE / "unrelated.txt").read_text().splitlines()
    assert len(calibration) == len(unrelated["calibration"]) == len(set(calibration))
    assert len(held_out) == len(unrelated["held_out"]) == len(set(held_out)) >= 500
    assert not set(calibration) & set(held_out)


def test_facts_about_the_unrelated_sentences_themselves_are_answered_in_other_words(unrelated):
    """Who stores the very things that are held to be unrelated gets answers: the similarity asked for has a limit."""
    keys = unrelated["calibration"][:100]
    values = fc.spherical_facts(100, 384).values
    facts = fc.FactSet(keys, values, torch.arange(100), None, tuple(f"v{i}" for i in range(100)))
    memory = Memory.store(facts, unrelated=unrelated["calibration"])
    noise = torch.nn.functional.normalize(torch.randn(100, 384, generator=torch.Generator().manual_seed(2)), dim=1)
    near = torch.nn.functional.normalize(keys + 0.4 * noise, dim=1)
    assert share(memory.ask(near)) > 0.9


def test_one_value_does_not_answer_everything(unrelated):
    facts = fc.airport_facts(1)
    memory = Memory.store(facts, unrelated=unrelated["calibration"])
    assert share(memory.ask(unrelated["held_out"])) <= 0.02 and share(memory.ask(facts.keys)) == 1.0


@pytest.mark.parametrize("d", [2, 8, 384])
def test_the_sketch_knows_cosines(d):
    """Against the cosine itself: 512 signs know an angle to 180°/√512/2 = 4° (one standard deviation) or better."""
    keys = fc.spherical_facts(50, d, seed=1).keys
    queries = fc.spherical_facts(400, d, seed=2).keys
    found, _ = similarity(queries * 1e-20, sketch_of(keys * 1e12))
    cosine = queries.double() @ keys.double().T
    apart = torch.rad2deg(found.clamp(-1, 1).acos() - cosine.amax(dim=1).clamp(-1, 1).acos())
    assert float(apart.abs().mean()) < 6 and float(apart.abs().amax()) < 20
    exact, at = similarity(keys * 1e-10, sketch_of(keys))
    assert (exact == 1).all() and [rows.tolist().count(i) for i, rows in enumerate(at)] == [1] * 50
