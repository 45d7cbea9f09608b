"""Streams of random numbers: what is drawn for one purpose is no copy of what is drawn for another."""

import sys

import pytest
import torch

import factcore as fc
from factbook import geometries
from factcore import transformer as tf
from factcore.constructions.decoder import projection_basis
from factcore.methods import METHODS
from factcore.support import stream
from factcore.support.streams import PURPOSES

DRAWS = ("randn", "rand", "randint", "randperm")
OPTIONS = {"trained": {"steps": 1}, "block-convex": {"solves": 1}}
VARIANTS = [(method, OPTIONS.get(method, {})) for method in METHODS] + [
    ("encoder-decoder", {"codes": "projected"}),
    ("encoder-decoder", {"encoder": "random-gates"}),
    ("encoder-decoder", {"projection": "random"}),
    ("hebbian", {"targets": "separators"}),
]


def unit(rows):
    return torch.nn.functional.normalize(rows.double(), dim=1)


def facts_for(method, n, d):
    """Random facts of a seed; where the method takes pairs of tokens alone, with such keys."""
    facts, row = fc.spherical_facts(n, d, seed=5), torch.arange(n)
    if method != "pairs":
        return facts
    keys = torch.zeros(n, d)
    keys[row, row // 7], keys[row, d // 2 + row % 7] = 1.0, 1.0
    return fc.FactSet(keys, facts.values[: d + 1], facts.targets % (d + 1))


@pytest.fixture
def drawn(monkeypatch):
    """Where each draw begins in its stream, by the place in the code that draws: state → places."""
    begins: dict[bytes, set[str]] = {}

    def spying(original):
        def draw(*arguments, generator=None, **options):
            assert generator is not None, "drawn from torch's own stream, which is everyone's"
            caller = sys._getframe(1)
            place = f"{caller.f_code.co_filename}:{caller.f_code.co_name}"
            if "factcore" in caller.f_code.co_filename:
                begins.setdefault(generator.get_state().numpy().tobytes(), set()).add(place)
            return original(*arguments, generator=generator, **options)

        return draw

    for name in DRAWS:
        monkeypatch.setattr(torch, name, spying(getattr(torch, name)))
    return begins


@pytest.mark.parametrize("method, options", VARIANTS)
def test_no_two_places_draw_the_same_numbers(method, options, drawn):
    """Facts, gates, directions, projections, junk, batches and queries of one seed, all for one network."""
    facts = facts_for(method, 24, 14)
    fc.construct(facts, method, seed=5, width=None if METHODS[method].finds_width else 6, strict=False, **options)
    model = tf.FactTransformer(facts, seed=5)
    tf.train_recall(model, facts.targets, steps=2, batch=8, seed=5)
    tf.transformer_recall(model, facts.targets, samples=64, seed=5)
    geometries.value_geometry("tokens", 8, 4, seed=5)
    shared = {place for places in drawn.values() if len(places) > 1 for place in places}
    # a sample of real values and random facts are both data: no network meets the two
    assert {place for place in shared if "/data.py:" not in place and "/facts.py:" not in place} == set()
    assert len(drawn) >= 5


def test_two_places_that_share_a_stream_are_seen(drawn):
    for name in ("one", "two"):
        code = compile(f"def {name}(torch, g): return torch.randn(3, generator=g)", "factcore/planted.py", "exec")
        space: dict = {}
        exec(code, space)
        space[name](torch, stream(1, "weights"))
    assert sorted(next(p for p in drawn.values() if len(p) > 1)) == [
        "factcore/planted.py:one",
        "factcore/planted.py:two",
    ]


@pytest.mark.parametrize("method, options", VARIANTS)
def test_weights_are_no_copies_of_the_facts_nor_of_the_projection_of_their_seed(method, options):
    """Random rows of 48 numbers stand apart; rows of one stream are the same rows."""
    facts = facts_for(method, 40, 48)
    width = None if METHODS[method].finds_width else 40
    mlp = fc.construct(facts, method, seed=5, width=width, strict=False, **options)
    basis = projection_basis(48, stream(5, "projection"))
    raw = torch.randn(48, 48, generator=stream(5, "projection"), dtype=torch.float64)
    known = {"keys": facts.keys, "values": facts.values, "basis": basis.T, "drawn": raw, "turned": raw.T}
    gates = mlp.gate_weight[mlp.gate_weight.norm(dim=1) > 0]
    for name, rows in known.items():
        if len(gates) and not (method == "one-hot" and name == "keys"):  # a unit fires for its key: it points there
            assert (unit(gates) @ unit(rows).T).abs().max() < 0.95, name


def test_training_never_sees_the_sequences_that_it_is_measured_on(monkeypatch):
    seen: dict[str, list] = {"training": [], "evaluation": []}
    original = tf.recall_batch

    def spy(n, size, generator, device="cpu", **task):
        tokens = original(n, size, generator, device, **task)
        purpose = PURPOSES[generator.initial_seed() // 10**9]
        seen[purpose] += [tuple(row) for row in tokens.tolist()]
        return tokens

    monkeypatch.setattr("factcore.transformer.train.recall_batch", spy)
    facts = fc.spherical_facts(16, 16)
    tf.train_recall(tf.FactTransformer(facts), facts.targets, steps=4, batch=256)
    assert len(seen["training"]) == 4 * 256 and len(seen["evaluation"]) >= 2048
    assert not set(seen["training"]) & set(seen["evaluation"])


def test_purposes_have_streams_of_their_own_and_repeat():
    for seed in (0, 1, 7):
        first = [torch.randn(64, generator=stream(seed, purpose)) for purpose in PURPOSES]
        again = [torch.randn(64, generator=stream(seed, purpose)) for purpose in PURPOSES]
        assert all(torch.equal(a, b) for a, b in zip(first, again))
        cosine = unit(torch.stack(first)) @ unit(torch.stack(first)).T
        assert (cosine - torch.eye(len(PURPOSES))).abs().max() < 0.6  # 5 standard deviations of chance


@pytest.mark.parametrize("seed", [-1, 2.0, True, "1", None, 2**63, 10**20])
def test_what_is_no_seed_is_named(seed):
    with pytest.raises(ValueError, match="seed must be an integer from 0 to"):
        stream(seed, "weights")
