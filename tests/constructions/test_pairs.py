"""Pairs of tokens: the network recounted from its description, on anyone's tokens, and what is refused."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

import factcore as fc
from factapp.export import export
from factapp.memory import Memory
from factcore.constructions.pairs import label_places, pairs_of, refined_tables
from factcore.data import drawn_pairs


def recount(mlp, facts, split):
    """Facts right by the description alone: two rows of a table, a ReLU, a readout, the nearest value."""
    table, down = mlp.gate_weight.double().numpy().T, mlp.down.double().numpy()
    values, right = facts.values.double().numpy(), 0
    for key, target in zip(facts.keys.numpy(), facts.targets.tolist()):
        a, b = np.flatnonzero(key[:split])[0], split + np.flatnonzero(key[split:])[0]
        scores = values @ (down @ np.maximum(table[a] + table[b], 0))
        right += scores.argmax() == target
    return right


def test_the_drawn_pairs_are_those_of_the_task():
    tokens, labels = drawn_pairs(100, 8)
    every = torch.cartesian_prod(torch.arange(16), torch.arange(16))
    order = torch.randperm(256, generator=torch.Generator().manual_seed(42))[:100]
    wanted = {tuple(every[at].tolist()): i % 8 for i, at in enumerate(order)}
    assert {tuple(t): v for t, v in zip(tokens.tolist(), labels.tolist())} == wanted
    assert labels.tolist() == sorted(labels.tolist())
    facts = fc.pair_facts(100, 8)
    assert facts.keys.shape == (100, 32) and torch.equal(facts.values, torch.eye(8))
    assert torch.equal(facts.keys.nonzero()[:, 1].view(-1, 2) - torch.tensor([0, 16]), tokens)
    assert not torch.equal(fc.pair_facts(100, 8, seed=43).keys, facts.keys)
    with pytest.raises(ValueError, match="n_facts"):
        fc.pair_facts(257, 8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d, share", [(8, 1.5), (16, 2.75), (32, 2.75)])
def test_the_challenge_is_met_in_its_own_network(d, share, dtype):
    facts = fc.pair_facts(round(share * d * d), d).to(dtype=dtype)
    mlp = fc.construct(facts, "pairs", width=d)
    assert mlp.up is None and mlp.gate_bias is None and mlp.n_params == 5 * d**2 and mlp.down.dtype == dtype
    assert len(mlp.lost) == 0 and recount(mlp, facts, 2 * d) == len(facts)
    again = fc.construct(facts, "pairs", width=d)
    assert torch.equal(mlp.gate_weight, again.gate_weight) and torch.equal(mlp.down, again.down)


def test_without_a_width_it_takes_few_units():
    facts = fc.pair_facts(600, 16)
    mlp = fc.construct(facts, "pairs")
    assert len(mlp.lost) == 0 and mlp.width <= 18  # 600 / 64 tokens, 2.9 facts a unit and d
    found = fc.smallest_width(facts, "pairs", tries=1)
    assert found.recall == 1.0 and 12 < found.width <= mlp.width and found.n_params == found.width * 80


def test_a_width_that_is_not_enough_is_made_larger(monkeypatch):
    monkeypatch.setattr("factcore.constructions.pairs.ENOUGH", 0.5)
    facts = fc.pair_facts(300, 12)
    assert fc.construct(facts, "pairs").width > 300 // 48 and len(fc.construct(facts, "pairs").lost) == 0


def test_few_units_reach_every_fact():
    """A fact whose units are all shut is beyond every system: with few units none begins so."""
    facts = fc.pair_facts(24, 12)
    assert fc.smallest_width(facts, "pairs").width <= 5


def test_vocabularies_of_two_sizes_and_values_in_general_position():
    draw = torch.Generator().manual_seed(3)
    chosen = torch.randperm(20 * 50, generator=draw)[:600]
    keys = torch.zeros(600, 70)
    keys[torch.arange(600), chosen // 50], keys[torch.arange(600), 20 + chosen % 50] = 1.0, 1.0
    for e in (30, 11):  # 12 values in 11 dimensions: affinely independent, linearly not
        facts = fc.FactSet(keys, torch.randn(12, e, generator=draw), torch.arange(600) % 12)
        mlp = fc.construct(facts, "pairs", split=20)
        assert mlp.down.shape == (e, mlp.width) and recount(mlp, facts, 20) == 600


def test_a_key_twice_and_a_token_with_every_partner():
    tokens = torch.cat([torch.tensor([[0, b] for b in range(30)]), torch.tensor([[5, 3], [5, 3], [7, 0]])])
    keys = torch.zeros(33, 60).scatter_(1, tokens + torch.tensor([0, 30]), 1.0)
    facts = fc.FactSet(keys, torch.eye(4), torch.tensor([*(b % 4 for b in range(30)), 1, 1, 2]))
    assert recount(fc.construct(facts, "pairs"), facts, 30) == 33


def test_one_value_alone_needs_no_system():
    tables = refined_tables(
        torch.zeros(1, 2, dtype=torch.int64), torch.zeros(1).long(), (1, 1), 1, 3, seed=0, systems=9
    )
    assert tables.systems == 0 and tables.stored
    assert (
        fc.construct(fc.FactSet(torch.ones(1, 2), torch.ones(1, 3), torch.zeros(1).long()), "pairs").lost.tolist() == []
    )


def test_the_number_of_systems_is_kept_and_what_is_lost_is_named():
    tokens, labels = drawn_pairs(640, 16)
    assert refined_tables(tokens, labels, (32, 32), 16, 16, seed=0, systems=3).systems == 3
    facts = fc.pair_facts(640, 16)
    lossy = fc.construct(facts, "pairs", width=16, systems=1, strict=False)
    assert 0 < len(lossy.lost) == 640 - recount(lossy, facts, 32)
    with pytest.raises(ValueError, match=rf"{len(lossy.lost)} of 640 facts are lost at width 16, the first in row"):
        fc.construct(facts, "pairs", width=16, systems=1)


@pytest.mark.parametrize("scale", [2.5, 1e-30, 1e19])
def test_the_ones_may_be_any_number(scale):
    facts = fc.pair_facts(100, 8)
    scaled = fc.FactSet(scale * facts.keys, facts.values, facts.targets)
    assert len(fc.construct(scaled, "pairs").lost) == 0


@pytest.mark.parametrize("row, column, entry", [(7, 3, 1.0), (2, 17, 0.5), (5, 0, -1.0)])
def test_a_key_that_is_no_pair_is_named(row, column, entry):
    facts = fc.pair_facts(100, 8)
    keys = facts.keys.clone()
    keys[row, column] = entry if keys[row, column] == 0 else 0
    for call in (fc.construct, fc.smallest_width):
        with pytest.raises(ValueError, match=rf"keys\[{row}\] is no pair of tokens: the method 'pairs' takes two-hot"):
            call(fc.FactSet(keys, facts.values, facts.targets), "pairs")
    with pytest.raises(ValueError, match=r"keys\[0\] is no pair of tokens"):
        fc.construct(fc.spherical_facts(20, 8), "pairs")


def test_what_else_is_refused():
    facts = fc.pair_facts(100, 8)
    with pytest.raises(ValueError, match="the 8 values must be affinely independent"):
        fc.construct(fc.FactSet(facts.keys, torch.randn(8, 4), facts.targets), "pairs")
    for options, words in (({"systems": 0}, "systems"), ({"split": 32}, "split must be"), ({"depth": 1}, "no option")):
        with pytest.raises(ValueError, match=words):
            fc.construct(facts, "pairs", **options)
    assert pairs_of(facts.keys)[1] == (16, 16)


@pytest.mark.parametrize("v", [2, 9])
def test_label_places_are_even_and_of_unit_spread(v):
    place = label_places(v)
    torch.testing.assert_close(place.diff(), place.diff()[0].expand(v - 1))
    assert float(place.sum()) == pytest.approx(0) and float(place.square().mean()) == pytest.approx(1)


def test_the_command_s_memory_of_pairs_leaves_as_files_that_other_programs_read(tmp_path):
    plain = fc.pair_facts(300, 12)
    facts = fc.FactSet(plain.keys, plain.values, plain.targets, None, tuple(f"label {v}" for v in range(12)))
    memory = Memory.store(facts, "pairs")
    export(memory, tmp_path / "m.safetensors")
    with safe_open(tmp_path / "m.safetensors", "numpy") as file:
        gates, down, values = (file.get_tensor(name) for name in ("gate_weight", "down", "values"))
        assert json.loads(file.metadata()["names"]) == list(facts.value_names) and file.metadata()["gate"] == "relu"
        assert set(file.keys()) == {"gate_weight", "down", "values"} and gates.shape[1] == 48 and down.shape[0] == 12
    scores = np.maximum(facts.keys.numpy() @ gates.T, 0) @ down.T @ values.T
    assert (scores.argmax(1) == facts.targets.numpy()).all()
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    export(memory, tmp_path / "m.onnx")
    session = runtime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    onnx_scores, winners = session.run(["scores", "winner"], {"query": facts.keys.numpy()})
    assert (winners == facts.targets.numpy()).all()
    np.testing.assert_allclose(onnx_scores, scores, rtol=0, atol=1e-4 * np.abs(scores).max())
