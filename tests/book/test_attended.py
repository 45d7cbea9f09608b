"""Attention as the pages on transformers compare it: trained, sharpened, solved for."""

import copy

import pytest
import torch

import factcore as fc
from factbook.attended import attended, sharpen
from factbook.noise import arrivals, attention_noise
from factcore.transformer import FactTransformer, rms_norm, rotate


def scores(model):
    """Of a query in the first place with a key in every other, of every pair of tokens, before the softmax."""
    table = rms_norm(model.embedding) * model.attention_norm
    query = rotate((table @ model.query)[:, None], model.turns[:1])  # (tokens, 1, d)
    keys = rotate((table @ model.key)[:, None].expand(-1, len(model.turns), -1), model.turns)
    return torch.einsum("qod,kpd->qkp", query, keys)


@pytest.mark.parametrize("factor", [1.0, 16.0])
def test_sharpening_multiplies_every_score_and_mixes_plain_rows(factor):
    model = FactTransformer(fc.spherical_facts(6, 8, dtype=torch.float64))
    with torch.no_grad():
        model.attention_norm.copy_(torch.linspace(0.5, 2, 8))
    before, weights = scores(model), copy.deepcopy(model.state_dict())
    assert sharpen(model, factor=factor) is model
    torch.testing.assert_close(scores(model), factor * before)
    assert torch.equal(model.attention_norm, torch.ones(8).double())
    assert torch.equal(model.embedding, weights["embedding"]) and torch.equal(model.value, weights["value"])


def test_what_cannot_be_sharpened_is_refused():
    facts = fc.spherical_facts(6, 8)
    with pytest.raises(ValueError, match="factor must be positive, got 0"):
        sharpen(FactTransformer(facts), factor=0)
    with pytest.raises(ValueError, match="residuals"):
        sharpen(FactTransformer(facts, residuals=True))


def test_solved_attention_returns_keys_cleaner_than_trained_attention():
    options = {"steps": 60, "batch": 64}
    noise = {
        kind: float(attention_noise(attended(kind, 12, 16, 0, **options), samples=200).median())
        for kind in ("trained", "sharpened", "solved")
    }
    assert noise["solved"] < 10 < noise["trained"]
    trained = attended("trained", 12, 16, 0, **options)
    assert trained is attended("trained", 12, 16, 0, **options)  # and sharpening has left it alone
    assert not torch.equal(trained.key, attended("sharpened", 12, 16, 0, **options).key)


def test_arrivals_are_the_keys_that_the_sequences_ask_for():
    arrived = arrivals(attended("solved", 12, 16, 0), samples=600)
    assert arrived.inputs.shape == (600, 16) and set(arrived.keys.tolist()) == set(range(12))
    assert arrived.through.all()
    with pytest.raises(ValueError, match="samples must be a positive integer, got 0"):
        arrivals(attended("solved", 12, 16, 0), samples=0)
