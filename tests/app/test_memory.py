"""Memories: what they answer against a direct look-up, that files survive, that exports give the same answers."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from scipy.optimize import nnls

import factcore as fc
from factapp.export import export, formula
from factapp.memory import Memory
from factbook.paraphrase import airport_trial
from factcore.mlp import GATES


def named(n: int, d: int, v: int, seed: int = 0, dtype=torch.float32) -> fc.FactSet:
    facts = fc.spherical_facts(n, d, n_values=v, seed=seed, dtype=dtype)
    return fc.FactSet(facts.keys, facts.values, facts.targets, None, tuple(f"value ☂ {i}" for i in range(v)))


def memory_with(gate: str, dtype=torch.float32, bias: bool = False, gated: bool = True) -> Memory:
    """A random network, not a construction: its answers are arbitrary, but must survive every export."""
    g = torch.Generator().manual_seed(3)
    draw = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64).to(dtype)  # noqa: E731
    up, offset = draw(20, 6) if gated else None, draw(20) if bias else None
    mlp = fc.GatedMLP(draw(20, 6), up, draw(6, 20), gate=gate, gate_bias=offset)
    about = {"n_facts": 9, "threshold": 0.1, "n_solved": 7, "seed": 0, "smallest_margin": 0.1}
    return Memory(mlp, draw(9, 6), tuple(f"name {i}" for i in range(9)), about)


@settings(deadline=None, max_examples=15)
@given(n=st.integers(1, 40), d=st.integers(2, 12), share=st.integers(1, 3), seed=st.integers(0, 5))
def test_every_key_gets_its_value_and_the_margin_of_the_definition(n, d, share, seed):
    facts = named(n, d, max(1, min(n // share, d)), seed)  # v ≤ d random unit vectors: each is a vertex of the hull
    memory = Memory.store(facts, seed=seed)
    g, values = memory.mlp(facts.keys).double(), facts.values.double()
    for row, found in enumerate(memory.ask(facts.keys)):
        t = int(facts.targets[row])
        assert found.answer == found.guess == facts.value_names[t], "a question that is a key is always answered"
        gaps = [
            float(g[row] @ (values[t] - values[j]) / g[row].norm() / (values[t] - values[j]).norm())
            for j in range(len(values))
            if j != t
        ]
        assert found.margin == pytest.approx(min(gaps, default=math.inf), rel=1e-3, abs=1e-5)
        second = (g[row] @ values.T).argsort(descending=True)[1:2].tolist()
        assert found.runner_up == (facts.value_names[second[0]] if second else None)


def test_the_threshold_decides_what_is_not_known():
    memory = Memory.store(named(64, 16, 32))
    queries = torch.nn.functional.normalize(torch.randn(200, 16, generator=torch.Generator().manual_seed(1)), dim=1)
    always, never = memory.ask(queries, threshold=0), memory.ask(queries, threshold=1.1)
    assert all(a.answer == a.guess for a in always) and all(a.answer is None for a in never)
    default = memory.ask(queries)
    assert [a.answer is not None for a in default] == [a.margin >= memory.about["threshold"] for a in always]


def test_the_default_threshold_lets_few_random_queries_through():
    facts = fc.airport_facts(200)
    memory = Memory.store(facts, seed=0)
    centred = facts.keys - facts.keys.mean(dim=0)
    covariance = centred.T.double() @ centred.double() / len(facts)
    rng = np.random.default_rng(5)  # another generator and another way to draw than the one under test
    mean = facts.keys.mean(dim=0).double().numpy()
    drawn = rng.multivariate_normal(mean, covariance.numpy(), size=3000, method="eigh")
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    share = np.mean([a.answer is not None for a in memory.ask(torch.from_numpy(drawn).float())])
    below = memory.about["threshold"] < 0.98 * memory.about["smallest_margin"]
    assert share < 0.08 and (share > 0.02 or not below)


@pytest.mark.parametrize("n, v", [(1, 1), (2, 1), (2, 2), (5, 1), (5, 2), (5, 5), (20, 3), (20, 20)])
def test_few_facts_answer_their_keys_and_say_how_many_held_out_queries_too(n, v):
    facts = named(n, 16, v, seed=2)
    memory = Memory.store(facts)
    assert [a.answer for a in memory.ask(facts.keys)] == [facts.value_names[t] for t in facts.targets]
    report = memory.inspect()
    assert len(report["confusable"]) == min(5, len({frozenset(p["values"]) for p in report["confusable"]}))
    rng = np.random.default_rng(1)  # held-out queries by another generator: of the span of the keys, round their mean
    centred = facts.keys - facts.keys.mean(dim=0)
    mix = torch.from_numpy(rng.standard_normal((16000, n))).float() / max(1, n - 1) ** 0.5
    drawn = torch.nn.functional.normalize(facts.keys.mean(dim=0) + mix @ centred, dim=1)
    share = np.mean([a.answer is not None for a in memory.ask(drawn)])
    assert memory.about["held_out_answered"] == pytest.approx(share, abs=0.04) and (share == 1 or v > 1)


def test_memories_with_slack_have_larger_margins_than_the_smallest():
    facts = fc.airport_facts(60)
    small, slack = Memory.store(facts, smallest=True), Memory.store(facts)
    assert small.mlp.n_params < slack.mlp.n_params
    assert small.about["smallest_margin"] < slack.about["smallest_margin"]


@pytest.mark.parametrize("bias, gated", [(False, True), (True, True), (True, False)])
@pytest.mark.parametrize("gate", GATES)
def test_the_formula_of_an_export_is_torch_that_gives_its_scores(gate, bias, gated):
    memory = memory_with(gate, bias=bias, gated=gated)
    x = torch.randn(6, generator=torch.Generator().manual_seed(0))
    told = dict(memory.mlp.state_dict(), values=memory.values, x=x, **GATES)
    exec(formula(memory.mlp), told)
    torch.testing.assert_close(told["scores"], memory.values @ memory.mlp(x))


@pytest.mark.parametrize("method, width", [("max-margin", 60), ("hebbian", None), ("one-hot", None)])
def test_a_file_gives_the_same_memory(tmp_path, method, width):
    facts = named(40, 8, 20)
    memory = Memory.store(facts, method, width=width, embeddings="given", columns=["a", "b"])
    memory.save(tmp_path / "m.safetensors")
    read = Memory.load(tmp_path / "m.safetensors")
    assert read.about == memory.about and read.about["columns"] == ["a", "b"] and read.names == memory.names
    for new, old in zip(read.ask(facts.keys), memory.ask(facts.keys)):
        assert new.margin == pytest.approx(old.margin, abs=1e-5)  # another layout in memory rounds otherwise
        assert new._replace(margin=0) == old._replace(margin=0)
    assert read.mlp.n_solved == memory.mlp.n_solved
    assert len(list(tmp_path.iterdir())) == 1, "no temporary file is left"


def test_inspect_reports_what_the_definitions_say():
    facts = named(40, 8, 20)
    memory = Memory.store(facts)
    report = memory.inspect(pairs=3)
    assert (report["facts"], report["values"], report["d"]) == (40, 20, 8)
    assert report["bits_per_fact"] == 32 * memory.mlp.n_params / 40
    assert report["floor_bits_per_fact"] == pytest.approx(math.log2(20))
    assert report["rho"] == pytest.approx(fc.decodability(facts.values).rho, abs=1e-4) and report["rho_exact"]
    assert report["smallest_margin"] == pytest.approx(float(fc.margins(memory.mlp, facts, normalised=True).min()))


def least_margins(values):
    """ρ_i of every value by another road: the distance from 0 to the hull of its differences, as a problem for nnls."""
    x = values.double().numpy()
    found = []
    for i in range(len(x)):
        z = np.delete(x[i] - x, i, axis=0)
        z /= np.linalg.norm(z, axis=1, keepdims=True)
        weights = nnls(np.vstack([z.T, np.full(len(z), 1e4)]), np.append(np.zeros(x.shape[1]), 1e4))[0]
        found.append(float(np.linalg.norm(z.T @ weights / weights.sum())))
    return np.array(found)


@pytest.mark.parametrize("v, d", [(2, 3), (3, 3), (30, 6), (200, 16)])
def test_inspect_lists_the_smallest_margins_there_are(v, d):
    facts = named(v, d, v, seed=1, dtype=torch.float64)
    memory = memory_with("step")
    report = Memory(memory.mlp, facts.values, facts.value_names, memory.about).inspect(pairs=4)
    least = np.sort(least_margins(facts.values))
    assert report["rho_exact"] and report["rho_solved"] == v
    assert report["rho"] == pytest.approx(least[0], abs=2e-4)
    shown = [pair["margin"] for pair in report["confusable"]]
    assert shown[0] == pytest.approx(least[0], abs=2e-4) and shown == sorted(shown)
    assert 1 <= len(shown) <= 4 and all(np.abs(least - margin).min() < 2e-4 for margin in shown)


def test_inspect_names_the_values_that_were_put_behind_others():
    """Three values hidden behind another, nearer to the origin by a step: what tells them from it tells little else."""
    facts = named(60, 24, 60, seed=4, dtype=torch.float64)
    values, planted = facts.values.clone(), [(5, 50), (17, 33), (2, 41)]
    for step, (i, j) in zip((0.02, 0.05, 0.1), planted):
        values[j] = (1 - step) * values[i] + step / 2 * values[j]
    memory = memory_with("step")
    report = Memory(memory.mlp, values, facts.value_names, memory.about).inspect(pairs=3)
    expected = {frozenset(facts.value_names[k] for k in pair) for pair in planted}
    assert {frozenset(pair["values"]) for pair in report["confusable"]} == expected


@pytest.mark.parametrize("scanned", [10**11, 0])
def test_many_values_are_searched_around_the_closest_pairs(monkeypatch, scanned):
    for name, limit in [("MOST_SOLVED", 80), ("CLOSEST", 30), ("SCANNED", scanned)]:
        monkeypatch.setattr(f"factapp.memory.{name}", limit)
    facts = named(100, 16, 100)
    values = facts.values.clone()
    values[71] = torch.nn.functional.normalize(values[12] + 0.05 * values[71], dim=0)  # one pair far closer than others
    memory = Memory.store(fc.FactSet(facts.keys, values, facts.targets, None, facts.value_names))
    report = memory.inspect(pairs=1)
    assert not report["rho_exact"] and report["rho_solved"] == 30
    assert report["rho"] >= fc.decodability(values).rho - 1e-4, "what is reported is an upper bound"
    if scanned:
        assert set(report["confusable"][0]["values"]) & {facts.value_names[12], facts.value_names[71]}


def test_what_cannot_be_stored_or_asked_is_refused(tmp_path):
    facts = named(40, 8, 20)
    with pytest.raises(ValueError, match="no value_names"):
        Memory.store(fc.spherical_facts(4, 3))
    with pytest.raises(ValueError, match="facts are lost at width 1"):
        Memory.store(facts, "max-margin", width=1)
    memory = Memory.store(facts)
    with pytest.raises(ValueError, match=r"queries must have shape \(q, 8\), got \(2, 9\)"):
        memory.ask(torch.ones(2, 9))
    with pytest.raises(ValueError, match="NaN or infinite"):
        memory.ask(torch.full((1, 8), torch.nan))
    facts.save(tmp_path / "facts.safetensors")
    with pytest.raises(ValueError, match="is not a memory"):
        Memory.load(tmp_path / "facts.safetensors")
    with pytest.raises(ValueError, match="no such file"):
        Memory.load(tmp_path / "none.safetensors")
    memory.save(tmp_path / "m.safetensors")
    whole = (tmp_path / "m.safetensors").read_bytes()
    for part, why in ((whole[:-10], "is damaged: "), (b"PK" + whole, "is not a memory: write one")):
        (tmp_path / "cut.safetensors").write_bytes(part)
        with pytest.raises(ValueError, match=why):
            Memory.load(tmp_path / "cut.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(whole.replace(b'"gate":"step"', b'"gate":"stop"'))
    with pytest.raises(ValueError, match="damaged"):
        Memory.load(tmp_path / "cut.safetensors")


def test_a_file_is_replaced_only_when_complete(tmp_path, monkeypatch):
    memory = memory_with("step")
    path = tmp_path / "m.safetensors"
    memory.save(path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("factcore.support.files.save_file", full)
    with pytest.raises(ValueError, match="cannot write .*m.safetensors: .*No space left.*free some space"):
        memory.save(path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(ValueError, match="does not exist"):
        memory.save(tmp_path / "none" / "m.safetensors")
    with pytest.raises(ValueError, match="it is a folder"):
        memory.save(tmp_path)


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("layout", [{}, {"bias": True}, {"gated": False, "bias": True}, {"dtype": torch.float64}])
def test_onnx_gives_the_same_scores(tmp_path, gate, layout):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    memory = memory_with(gate, **layout)
    export(memory, tmp_path / "m.onnx")
    session = runtime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(memory.values.dtype)
    scores, winner = session.run(None, {"query": x.numpy()})
    expected = memory.mlp(x) @ memory.values.T
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)
    assert (winner == scores.argmax(axis=1)).all()
    names = json.loads(session.get_modelmeta().custom_metadata_map["names"])
    assert [names[i] for i in winner] == [found.guess for found in memory.ask(x)]


def test_a_stored_memory_answers_alike_in_onnx(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    facts = fc.airport_facts(300)
    export(Memory.store(facts), tmp_path / "m.onnx")
    session = runtime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    assert (session.run(["winner"], {"query": facts.keys.numpy()})[0] == facts.targets.numpy()).all()


def test_torch_and_safetensors_exports_rebuild_the_network(tmp_path):
    memory = memory_with("silu")
    export(memory, tmp_path / "m.pt")
    export(memory, tmp_path / "m.safetensors")
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    for tensors in (torch.load(tmp_path / "m.pt", weights_only=True), load_file(tmp_path / "m.safetensors")):
        assert set(tensors) == {"gate_weight", "up", "down", "values"}
        hidden = torch.nn.functional.silu(tensors["gate_weight"] @ x.T) * (tensors["up"] @ x.T)
        torch.testing.assert_close((tensors["values"] @ tensors["down"] @ hidden).T, memory.mlp(x) @ memory.values.T)


def test_other_exports_are_refused(tmp_path, monkeypatch):
    memory = memory_with("step")
    with pytest.raises(ValueError, match="must end in one of .pt, .safetensors, .onnx, got 'm.bin'"):
        export(memory, tmp_path / "m.bin")
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ValueError, match="pip install onnx"):
        export(memory, tmp_path / "m.onnx")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("method", ["encoder-decoder", "max-margin", "block-convex", "hebbian"])
def test_memories_in_other_dtypes_answer_their_keys(dtype, method):
    facts = named(30, 16, 8, dtype=dtype)
    memory = Memory.store(facts, method)
    assert [a.answer for a in memory.ask(facts.keys)] == [facts.value_names[t] for t in facts.targets]
    assert memory.values.dtype == dtype and 0 < memory.about["smallest_margin"] <= 1
    assert memory.inspect()["bits_per_fact"] == memory.mlp.n_params * facts.keys.element_size() * 8 / 30


def test_gradients_and_inference_mode_are_no_matter():
    facts = named(20, 8, 10)
    keys = facts.keys.clone().requires_grad_()
    grown = fc.FactSet(keys * 1, facts.values, facts.targets, None, facts.value_names)
    expected = [a.guess for a in Memory.store(facts).ask(facts.keys)]
    for context in (torch.inference_mode, torch.no_grad, torch.enable_grad):
        with context():
            memory = Memory.store(grown)
            assert [a.answer for a in memory.ask(keys)] == expected and memory.inspect()["rho"] > 0
        assert [a.answer for a in memory.ask(keys)] == expected


@pytest.mark.parametrize(
    "queries, message",
    [
        ([[0.0] * 8], "must be a torch tensor, got list$"),
        (torch.zeros(8), r"got \(8,\)"),
        (torch.zeros(2, 8, dtype=torch.int64), "floating dtype"),
        (torch.zeros(0, 8), "non-empty"),
        (torch.full((2, 8), 3e38), "too large for torch.float32, the first is row 0"),
        (torch.full((2, 8), 1e300, dtype=torch.float64), "too large for torch.float32"),
    ],
)
def test_queries_that_are_none_are_told(queries, message):
    with pytest.raises(ValueError, match=message):
        Memory.store(named(20, 8, 10)).ask(queries)


@pytest.mark.parametrize("shift, scale", [(1000.0, 0.125), (0.0, 1e-30), (0.0, 1e30), (-30.0, 1e-2)])
def test_margins_stay_in_their_range_whatever_the_values(shift, scale):
    """Values 1000 ± 0.125 once had margins of 1e37. Against the definition in float64."""
    facts = named(12, 8, 4, dtype=torch.float32)
    values = (facts.values * scale + shift).float()
    memory = Memory.store(fc.FactSet(facts.keys, values, facts.targets, None, facts.value_names), "one-hot")
    found, g, x = memory.ask(facts.keys, threshold=0), memory.mlp(facts.keys).double(), values.double()
    for row, answer in enumerate(found):
        t = int(facts.targets[row])
        gaps = [float((x[t] - x[j]) @ g[row] / g[row].norm() / (x[t] - x[j]).norm()) for j in range(4) if j != t]
        assert answer.guess == facts.value_names[t] and answer.margin == pytest.approx(min(gaps), abs=1e-6)
    assert 0 < memory.about["smallest_margin"] <= 1 and 0 < memory.about["threshold"] <= 1


def test_a_width_that_no_machine_holds_is_told_before_any_work():
    for method in ("encoder-decoder", "max-margin", "trained"):
        with pytest.raises(ValueError, match="width 99999999999 needs .* GB, this machine has"):
            Memory.store(named(20, 8, 10), method, width=99_999_999_999)


def test_names_that_are_no_strings_are_told():
    facts = fc.spherical_facts(4, 3)
    with pytest.raises(ValueError, match=r"value_names\[0\] must be a string, got 1"):
        fc.FactSet(facts.keys, facts.values, facts.targets, None, (1, 2, 3, 4))


def test_a_stiff_network_gets_the_units_that_it_needs():
    """max-margin with its large ridge loses one of these 48 airports at n/3 units; with n it does not."""
    facts = airport_trial(48, 24, 384, seed=0).facts
    memory = Memory.store(facts, "max-margin")
    assert memory.mlp.width == 48 and memory.about["smallest_margin"] > 0
