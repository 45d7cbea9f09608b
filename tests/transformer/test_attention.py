"""Attention that is solved for: its optimum, its certificates, and the bounds that hold for every sequence."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import factcore as fc
from factcore import transformer as tf
from factcore.transformer import attention as at


def solved(n=64, d=48, seed=0, dtype=torch.float32, task=None, **options):
    facts = fc.spherical_facts(n, d, seed=seed, dtype=dtype)
    model = tf.FactTransformer(facts, seed=seed, **(task or {}))
    return facts, model, tf.solve_attention(model, **options)


def weights_on_the_key(model, tokens):
    """The softmax of the scores of each sequence, written out."""
    n, d = model.n_facts, model.embedding.shape[1]
    table = tf.rms_norm(model.embedding) * model.attention_norm
    turns = model.turns
    keys = tf.rotate((table @ model.key)[tokens], turns)
    query = tf.rotate((table @ model.query)[tokens[:, -1:]], turns[-1:])
    scores = (query @ keys.mT)[:, 0] / d**0.5
    weights = scores.masked_fill(tokens == len(table) - 1, -torch.inf).softmax(dim=1)
    return weights[tokens < n]


def test_it_answers_every_sequence_with_any_map_and_no_training():
    facts, model, result = solved()
    assert result.gap <= 1e-2 * result.objective and result.smallest_weight > 0.99
    for shift in (0, 1):
        targets = facts.targets.roll(shift)
        mlp = fc.construct(fc.FactSet(facts.keys, facts.values, targets), "block-convex", width=8)
        tf.insert(model, mlp)
        assert tf.transformer_recall(model, targets) == 1.0
        assert tf.certified_recall(model, targets) == 1.0
    assert tf.adaptive_recall(model, fc.construct(facts), facts.targets) == 1.0


@pytest.mark.parametrize("junk, run", [(tf.JUNK, tf.RUN), (5, (1, 3)), (2, (6, 6))])
def test_the_worst_weight_is_the_smallest_over_all_junk(junk, run):
    """Never undercut by ten thousand drawn sequences, and reached by the one that is named."""
    facts, model, _ = solved(n=8, d=32, dtype=torch.float64, ridge=1e-2, task={"junk": junk, "run": run})
    n, worst = 8, tf.worst_weights(model)
    table = tf.rms_norm(model.embedding)
    generator, seen = torch.Generator().manual_seed(0), torch.ones(n, dtype=torch.float64)
    for _ in range(20):
        tokens = tf.recall_batch(n, 512, generator, junk=junk, run=run)
        seen.scatter_reduce_(0, tf.asked(tokens, n), weights_on_the_key(model, tokens).detach(), "amin")
    assert (seen >= worst - 1e-12).all()
    # and it is reached: the sequence that has the best-scoring junk everywhere, at the worst of the key's places
    query = tf.rotate((table @ model.query)[None, [n + junk]], model.turns[-1:])
    scores = torch.stack(
        [(tf.rotate((table @ model.key)[None], model.turns[[t]]) @ query[0, 0])[0] for t in range(2 * run[1] + 2)],
        dim=1,
    )
    loudest = n + scores[n : n + junk].argmax(dim=0)
    rows = []
    for key, place in itertools.product(range(n), at.places(run)):
        row = loudest.clone()
        row[place], row[-1] = key, n + junk
        row[: place - run[1]] = n + junk + 1
        rows.append(row)
    found = weights_on_the_key(model, torch.stack(rows)).view(n, -1).amin(dim=1)
    torch.testing.assert_close(found, worst)


def test_the_minimum_is_unique_and_a_second_solver_finds_it():
    facts, model, result = solved(n=24, d=16, dtype=torch.float64, ridge=1e-3, tol=1e-9)
    from scipy.optimize import minimize

    table, queries = at._table(model), at._turned_queries(model)

    def objective(flat):
        w = torch.tensor(flat, dtype=torch.float64).view(16, 16).requires_grad_()
        s = table @ w @ queries.T
        loss = 0.0
        for place in at.places(tf.RUN):  # written out: every junk at every place of the longest sequence, and Q
            window = [t for t in range(place - tf.RUN[1], tf.LENGTH - 1) if t != place]
            rest = torch.cat([s[24 : 24 + tf.JUNK, window].flatten(), s[24 + tf.JUNK, -1:]])
            loss = loss + torch.log1p(torch.exp(rest[None] - s[:24, place, None]).sum(dim=1)).sum()
        loss = loss / (24 * len(at.places(tf.RUN))) + 5e-4 * w.square().sum()
        loss.backward()
        return float(loss.detach()), w.grad.flatten().numpy()

    start = torch.randn(256, generator=torch.Generator().manual_seed(3), dtype=torch.float64).numpy()
    other = minimize(
        objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-10}
    )
    assert result.objective == pytest.approx(other.fun, rel=1e-6)
    assert 0 <= result.objective - other.fun + 1e-12 <= result.gap + 1e-9
    torch.testing.assert_close(model.key.detach().flatten(), torch.tensor(other.x), atol=1e-3, rtol=1e-3)


@settings(deadline=None, max_examples=10)
@given(n=st.integers(1, 40), seed=st.integers(0, 9), ridge=st.sampled_from([1e-1, 1e-3, 1e-6]))
def test_no_sequence_is_noisier_than_certified(n, seed, ridge):
    facts, model, _ = solved(n=n, d=24, seed=seed, dtype=torch.float64, ridge=ridge, most_iterations=200)
    bound = tf.certified_noise(model)
    tokens = tf.recall_batch(n, 256, torch.Generator().manual_seed(seed))
    keys = facts.keys[tf.asked(tokens, n)]
    angle = torch.nn.functional.cosine_similarity(model.mlp_input(tokens).detach(), keys).clamp(-1, 1).acos().rad2deg()
    assert (angle <= bound[tf.asked(tokens, n)] + 1e-5).all()


def test_nothing_is_certified_of_attention_that_has_not_learned():
    facts = fc.spherical_facts(16, 16)
    model = tf.FactTransformer(facts)
    assert (tf.certified_noise(model) == 180).all()  # untrained: no key has half of the weight
    tf.insert(model, fc.construct(facts))
    assert tf.certified_recall(model, facts.targets) == 0.0


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda f: tf.solve_attention(tf.FactTransformer(f), ridge=0), "positive"),
        (lambda f: tf.certified_noise(tf.FactTransformer(f, residuals=True)), "residuals"),
        (lambda f: tf.FactTransformer(f, junk=0), "junk must be a positive integer"),
        (lambda f: tf.FactTransformer(f, run=(0, 4)), r"run\[0\] must be an integer from 1 to 4"),
        (lambda f: tf.FactTransformer(f, run=(9, 4)), r"run\[0\] must be an integer from 1 to 4"),
        (lambda f: tf.certified_recall(tf.FactTransformer(f), f.targets), "insert one first"),
        (lambda f: tf.FactTransformer(fc.FactSet(1e-4 * f.keys, f.values, f.targets)), "drown"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(fc.spherical_facts(8, 8))


def test_a_learned_norm_is_refused_by_the_bound_and_undone_by_the_solve():
    facts = fc.spherical_facts(16, 16)
    model = tf.FactTransformer(facts)
    model.attention_norm.data[0] = 2.0
    with pytest.raises(ValueError, match="plain norm"):
        tf.certified_noise(model)
    tf.solve_attention(model, most_iterations=25)
    assert len(tf.certified_noise(model)) == 16


def test_norms_that_have_learned_before_the_mlp_are_refused():
    facts, model, _ = solved(n=16, d=32)
    model.mlp_norm.data[0] *= 3
    with pytest.raises(ValueError, match="needs plain norms"):
        tf.certified_noise(model)


def test_a_query_of_zero_is_refused():
    model = tf.FactTransformer(fc.spherical_facts(8, 8))
    model.query.data.zero_()
    with pytest.raises(ValueError, match="draw another"):
        tf.solve_attention(model)


def test_what_is_proved_is_about_the_model_not_about_the_facts_it_came_from():
    facts, model, _ = solved(n=24, d=32)
    tf.insert(model, fc.construct(facts))
    assert tf.certified_recall(model, facts.targets) == 1.0
    assert tf.certified_recall(model, facts.targets.roll(1)) == 0.0
    model.embedding.data[:24] = model.embedding.data[:24].roll(1, 0)  # now every key stands for another
    assert tf.certified_recall(model, facts.targets) == 0.0
    assert tf.transformer_recall(model, facts.targets, samples=256) == 0.0


def test_a_gate_between_a_key_and_what_arrives_of_it_is_seen():
    """Keys may differ in norm by a thousandth, what reaches the MLP may not: the proof is about the latter."""
    d = 32
    keys = torch.nn.functional.normalize(torch.randn(2, d, generator=torch.Generator().manual_seed(0)), dim=1)
    keys = keys * torch.tensor([[1 + 0.9e-3], [1 - 0.9e-3]])
    facts = fc.FactSet(keys, torch.eye(2, d), torch.tensor([0, 1]))
    along = torch.nn.functional.normalize(keys, dim=1)
    # the second unit opens between the mean norm and the first key's own: alone the fact is right, after the norm not
    gate = torch.stack([torch.zeros(d), along[0], along[1]])
    bias = torch.tensor([1.0, -(1 + 0.45e-3), -0.5])
    up = torch.stack([along[0] + along[1], along[0], along[1]])
    down = torch.zeros(d, 3)
    down[:2] = torch.tensor([[-1.0, 9.0, 0.0], [1.0, 0.0, 9.0]])
    mlp = fc.GatedMLP(gate, up, down, gate="step", gate_bias=bias)
    assert fc.recall(mlp, facts) == 1.0
    model = tf.FactTransformer(facts)
    tf.solve_attention(model)
    tf.insert(model, mlp)
    seen = tf.transformer_recall(model, facts.targets, samples=512)
    assert seen < 0.9 and tf.certified_recall(model, facts.targets) <= 0.5
