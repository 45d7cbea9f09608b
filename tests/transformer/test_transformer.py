"""The recall task, the transformer against a plain softmax, insertion and training."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import factcore as fc
from factcore import transformer as tf
from factcore.transformer import train
from factcore.transformer.model import GAP, ROPE_BASE


def small(n=24, d=16, seed=0, dtype=torch.float32):
    return fc.spherical_facts(n, d, seed=seed, dtype=dtype)


@settings(deadline=None, max_examples=25)
@given(n=st.integers(1, 40), seed=st.integers(0, 99))
def test_every_sequence_is_junk_key_junk_query(n, seed):
    tokens = tf.recall_batch(n, 16, torch.Generator().manual_seed(seed))
    assert tokens.shape == (16, tf.LENGTH)
    for row in tokens.tolist():
        body = [token for token in row if token != n + tf.JUNK + 1]
        assert row[len(row) - len(body) :] == body  # padding stands in front only
        (at,) = (place for place, token in enumerate(body) if token < n)
        assert body[-1] == n + tf.JUNK and all(n <= token < n + tf.JUNK for token in body[:at] + body[at + 1 : -1])
        assert 8 <= at <= 16 and 8 <= len(body) - at - 2 <= 16
    assert (tf.asked(tokens, n) == tokens.min(dim=1).values).all()


@pytest.mark.parametrize("junk, run", [(1, (1, 1)), (3, (2, 5)), (40, (64, 64))])
def test_a_task_with_other_junk(junk, run):
    n = 12
    tokens = tf.recall_batch(n, 200, torch.Generator().manual_seed(0), junk=junk, run=run)
    assert tokens.shape == (200, 2 * run[1] + 2) and (tokens[:, -1] == n + junk).all()
    lengths, seen = set(), set()
    for row in tokens.tolist():
        body = [token for token in row if token != n + junk + 1]
        (at,) = (place for place, token in enumerate(body) if token < n)
        lengths |= {at, len(body) - at - 2}
        seen |= {token - n for token in body[:at] + body[at + 1 : -1]}
    assert lengths == set(range(run[0], run[1] + 1)) and seen == set(range(junk))
    facts = small(n, 16)
    model = tf.FactTransformer(facts, junk=junk, run=run)
    assert model(tokens).shape == (200, n)
    first = tf.train_recall(model, facts.targets, steps=1, batch=8)
    assert 0 <= first.recall <= 1 and 0 <= tf.transformer_recall(model, facts.targets, samples=64) <= 1


def test_the_mlp_input_by_a_plain_softmax():
    facts = small(dtype=torch.float64)
    model = tf.FactTransformer(facts, seed=3)
    model.query.data *= 20
    tokens, d = tf.recall_batch(24, 4, torch.Generator().manual_seed(1)), 16
    for row, got in zip(tokens, model.mlp_input(tokens)):
        x = torch.stack([e * math.sqrt(d) / e.norm() for e in model.embedding[row]]) * model.attention_norm
        scores = torch.full((len(row),), -torch.inf, dtype=torch.float64)
        for place, token in enumerate(row.tolist()):
            if token == 24 + tf.JUNK + 1:
                continue
            q, k, score = x[-1] @ model.query, x[place] @ model.key, 0.0
            for pair in range(d // 2):
                angle = (len(row) - 1 - place) * ROPE_BASE ** (-2 * pair / d)
                a, b = q[2 * pair : 2 * pair + 2].tolist(), k[2 * pair : 2 * pair + 2].tolist()
                # ⟨R(p) a, R(s) b⟩ depends on p − s alone
                score += math.cos(angle) * (a[0] * b[0] + a[1] * b[1]) + math.sin(angle) * (a[0] * b[1] - a[1] * b[0])
            scores[place] = score / math.sqrt(d)
        mixed = scores.softmax(0) @ x
        torch.testing.assert_close(got, mixed / mixed.norm() * model.key_norm, atol=1e-9, rtol=0)


def test_junk_is_not_the_keys_of_the_same_seed():
    model = tf.FactTransformer(small(64, 16, seed=5), seed=5)
    cosine = model.embedding[:64] @ model.embedding[64:].T
    assert float(cosine.max()) < 0.99


def test_with_perfect_attention_the_transformer_is_the_mlp():
    facts = small()
    model = tf.insert(tf.FactTransformer(facts), fc.construct(facts))
    model.mlp_input = lambda tokens: facts.keys[tf.asked(tokens, 24)]
    assert tf.transformer_recall(model, facts.targets, samples=300) == 1.0
    other = fc.FactSet(facts.keys, facts.values, facts.targets.roll(1))
    before = model.mlp
    assert tf.adaptive_recall(model, fc.construct(other), other.targets, samples=300) == 1.0
    assert model.mlp is before
    wrong = tf.adaptive_recall(model, fc.construct(other), facts.targets, samples=300)
    assert wrong == 0.0


def test_insert_freezes_a_copy_in_the_model_s_dtype_and_scales_the_logits():
    facts = small(dtype=torch.float64)
    mlp = fc.construct(facts.to(dtype=torch.float32))
    model = tf.insert(tf.FactTransformer(facts), mlp)
    assert model.mlp.down.dtype == torch.float64 and mlp.down.dtype == torch.float32
    assert not any(p.requires_grad for p in model.mlp.parameters())
    best = (model.logit_scale * model.mlp(facts.keys) @ facts.values.T).topk(2, dim=1).values
    assert float((best[:, 0] - best[:, 1]).median()) == pytest.approx(GAP)
    assert all(p.requires_grad for p in tf.insert(model, mlp, trainable=True).mlp.parameters())


def test_only_attention_learns_unless_asked():
    facts = small()
    for options in ({}, {"residuals": True}):
        model = tf.insert(tf.FactTransformer(facts, **options), fc.construct(facts))
        learning = {name for name, p in model.named_parameters() if p.requires_grad}
        assert learning == {"attention_norm", "query", "key"}


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda f: tf.FactTransformer(fc.FactSet(f.keys * torch.arange(1, 25)[:, None], f.values, f.targets)), "row"),
        (lambda f: tf.FactTransformer(small(24, 15)), "even"),
        (lambda f: tf.insert(tf.FactTransformer(f), fc.construct(small(24, 8))), "size 8"),
        (lambda f: tf.train_recall(tf.FactTransformer(f), f.targets, schedule="both"), "schedule"),
        (lambda f: tf.train_recall(tf.FactTransformer(f), f.targets[:3]), "one per key"),
        (lambda f: tf.train_recall(tf.FactTransformer(f), f.targets, lr=0), "positive"),
        (lambda f: tf.FactTransformer(fc.FactSet(f.keys, f.values[:, :8], f.targets)), "got d = 16 and e = 8"),
        (lambda f: tf.insert(tf.FactTransformer(f), torch.nn.Linear(16, 8)), r"its output has shape \(24, 8\)"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(small())


@pytest.mark.parametrize("schedule", ["attention-first", "insert-first"])
def test_training_learns_looks_and_can_be_repeated(schedule):
    facts = small(16, 16)
    fresh = lambda: tf.insert(tf.FactTransformer(facts), fc.construct(facts, "block-convex", width=8))  # noqa: E731
    one, two = fresh(), fresh()
    mlp, start = one.mlp, one.query.detach().clone()
    seen = []
    options = {"schedule": schedule, "steps": 60, "batch": 64, "seed": 1}
    result = tf.train_recall(one, facts.targets, measure=lambda: {"at": float(seen.append(1) or len(seen))}, **options)
    steps = [row["step"] for row in result.history]
    assert steps == [12 * look for look in range(1, len(steps) + 1)] and result.steps == steps[-1] <= 60
    assert [row["at"] for row in result.history] == list(range(1, len(steps) + 1))
    assert result.recall == result.history[-1]["recall"]
    assert result.history[-1]["loss"] < 0.9 * result.history[0]["loss"]
    assert not torch.equal(one.query, start) and one.mlp is mlp and torch.equal(one.head, facts.values)
    tf.train_recall(two, facts.targets, **options)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters()))


@pytest.mark.parametrize("schedule", ["attention-first", "insert-first"])
def test_the_loss_of_a_step_by_a_plain_cross_entropy(schedule):
    facts = small(12, 8, dtype=torch.float64)
    model = tf.insert(tf.FactTransformer(facts), fc.construct(facts, "block-convex", width=8))
    tokens = tf.recall_batch(12, 7, torch.Generator().manual_seed(0))
    losses = []
    for row, x in zip(tokens, model.mlp_input(tokens).detach()):
        key = int(row.min())
        if schedule == "attention-first":  # the cosine with every key, 8 times as sharp
            scores, answer = [8 * float(x @ k) / float(x.norm() * k.norm()) for k in facts.keys], key
        else:
            out = model.logit_scale * model.mlp(x[None])[0]
            scores, answer = [float(out @ v) for v in facts.values], int(facts.targets[key])
        losses.append(math.log(sum(math.exp(s) for s in scores)) - scores[answer])
    found = train._loss(model, tokens, facts.targets, schedule)
    assert float(found.detach()) == pytest.approx(sum(losses) / len(losses), rel=1e-9)


def test_training_stops_at_the_recall_that_is_asked_for():
    facts = small(16, 16)
    model = tf.insert(tf.FactTransformer(facts), fc.construct(facts, "block-convex", width=8))
    result = tf.train_recall(model, facts.targets, steps=300, batch=64, target_recall=0.3)
    assert result.recall >= 0.3 > max([row["recall"] for row in result.history[:-1]], default=0)
    assert result.steps < 300


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
@pytest.mark.parametrize("method, options", [("encoder-decoder", {}), ("block-convex", {"gate": "silu", "width": 8})])
def test_inside_the_modes_that_record_nothing(mode, method, options):
    facts = small(16, 16)
    mlp = fc.construct(facts, method, **options)
    plain = tf.insert(tf.FactTransformer(facts), mlp)
    outside = tf.solve_attention(plain, most_iterations=20)
    with mode():
        model = tf.insert(tf.FactTransformer(facts), mlp)
        inside = tf.solve_attention(model, most_iterations=20)
        assert inside == outside
        assert tf.transformer_recall(model, facts.targets) == tf.transformer_recall(plain, facts.targets)
        inner, proved, steep = tf.certified_noise(model), tf.certified_tolerance(mlp, facts), fc.lipschitz(mlp, facts)
        assert tf.certified_recall(model, facts.targets) == tf.certified_recall(plain, facts.targets)
    assert torch.equal(inner, tf.certified_noise(plain)) and torch.equal(proved, tf.certified_tolerance(mlp, facts))
    assert steep == fc.lipschitz(mlp, facts)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_training_inside_the_modes_that_record_nothing(mode):
    facts = small(16, 16)
    inside, outside = tf.FactTransformer(facts), tf.FactTransformer(facts)
    tf.train_recall(outside, facts.targets, steps=8, batch=16)
    with mode():
        tf.train_recall(inside, facts.targets, steps=8, batch=16)
    assert torch.equal(inside.query, outside.query)
    with torch.inference_mode():
        model = tf.FactTransformer(facts)
        with pytest.raises(ValueError, match="built inside torch.inference_mode"):
            tf.train_recall(model, facts.targets, steps=8, batch=16)
