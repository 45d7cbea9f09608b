"""The recall task, the transformer against a plain softmax, insertion, training and its checkpoints, and usability."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import factcore as fc
from factbook import noise as us
from factbook.steepness import lipschitz_at_keys
from factcore import transformer as tf


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
                angle = (len(row) - 1 - place) * tf.ROPE_BASE ** (-2 * pair / d)
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
    assert float((best[:, 0] - best[:, 1]).median()) == pytest.approx(tf.GAP)
    assert all(p.requires_grad for p in tf.insert(model, mlp, trainable=True).mlp.parameters())


@pytest.mark.parametrize("schedule", ["attention-first", "insert-first"])
def test_training_learns_and_a_resumed_run_ends_where_an_unbroken_one_does(tmp_path, schedule):
    facts = small(16, 16)
    options = {"schedule": schedule, "steps": 40, "batch": 64, "check_every": 20, "seed": 1}

    def fresh():
        return tf.insert(tf.FactTransformer(facts), fc.construct(facts, "block-convex", width=8))

    whole, stopped = fresh(), fresh()
    result = tf.train_recall(whole, facts.targets, **options)
    assert [row["step"] for row in result.history] == [20, 40] and result.recall == result.history[-1]["recall"]
    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        seen = []

        def interrupt(*args):
            seen.append(args)
            if len(seen) > 30:
                raise KeyboardInterrupt
            return original(*args)

        original = tf.recall_batch
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tf, "recall_batch", interrupt)
            tf.train_recall(stopped, facts.targets, checkpoint=path, **options)
    resumed = fresh()
    again = tf.train_recall(resumed, facts.targets, checkpoint=path, **options)
    torch.testing.assert_close(resumed.query, whole.query)
    assert again.history[-1]["step"] == 40
    with pytest.raises(ValueError, match="another run"):
        tf.train_recall(fresh(), facts.targets, checkpoint=path, **options | {"lr": 0.5})


def test_only_attention_learns_unless_asked():
    facts = small()
    names = lambda **options: {  # noqa: E731
        name for name, p in tf.FactTransformer(facts, **options).named_parameters() if p.requires_grad
    }
    assert names() == {"attention_norm", "query", "key"}
    assert names(train_projections=True) - names() == {"value", "output"}
    assert names(train_mlp_norm=True) - names() == {"mlp_norm"}
    assert names(tied=False) - names() == {"embedding", "head"}


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda f: tf.FactTransformer(fc.FactSet(f.keys * torch.arange(1, 25)[:, None], f.values, f.targets)), "row"),
        (lambda f: tf.FactTransformer(small(24, 15)), "even"),
        (lambda f: tf.insert(tf.FactTransformer(f), fc.construct(small(24, 8))), "size 8"),
        (lambda f: tf.train_recall(tf.FactTransformer(f), f.targets, schedule="both"), "schedule"),
        (lambda f: tf.train_recall(tf.FactTransformer(f), f.targets[:3]), "one per key"),
        (lambda f: tf.train_recall(tf.FactTransformer(f), f.targets, lr=0), "positive"),
        (lambda f: us.noisy_copies(f, 100.0, 2), "degrees"),
        (lambda f: us.noise_floor(torch.nn.Identity(), f, f.keys), r"\(draws, 24, 16\), got \(24, 16\)"),
        (lambda f: tf.certified_tolerance(fc.construct(f, form="relu"), f), "certificate"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(small())


@settings(deadline=None, max_examples=20)
@given(degrees=st.floats(0, 90), seed=st.integers(0, 20))
def test_tilt_keeps_the_norm_and_turns_by_the_angle(degrees, seed):
    keys = 3 * small(dtype=torch.float64).keys
    turned = us.tilt(keys, degrees, torch.Generator().manual_seed(seed + 7))  # small() draws from 0
    torch.testing.assert_close(turned.norm(dim=1), keys.norm(dim=1))
    cosine = torch.nn.functional.cosine_similarity(turned, keys)
    torch.testing.assert_close(cosine, torch.full_like(cosine, math.cos(math.radians(degrees))), atol=1e-9, rtol=0)


def test_the_tolerance_of_the_identity_in_the_plane_is_half_the_angle_between_neighbours():
    angles = torch.tensor([0.0, 40.0, 100.0, 180.0, 270.0], dtype=torch.float64).deg2rad()
    keys = torch.stack([angles.cos(), angles.sin()], dim=1)
    facts = fc.FactSet(keys, keys, torch.arange(5))
    found = us.noise_tolerance(torch.nn.Identity(), facts, directions=12, rounds=16)  # both sides are among 12
    expected = torch.tensor([20.0, 20.0, 30.0, 40.0, 45.0], dtype=torch.float64)
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0)


def test_the_noise_floor_of_the_identity_in_the_plane_by_its_angles():
    angles = torch.tensor([0.0, 40.0, 100.0, 180.0, 265.0], dtype=torch.float64).deg2rad()
    keys = torch.stack([angles.cos(), angles.sin()], dim=1)
    facts, identity = fc.FactSet(keys, keys, torch.arange(5)), torch.nn.Identity()
    chord = lambda degrees: 2 * math.sin(math.radians(degrees) / 2)  # noqa: E731
    worst = us.worst_directions(identity, facts)  # towards the nearer neighbour
    left = torch.stack([-angles.sin(), angles.cos()], dim=1)
    torch.testing.assert_close((worst * left).sum(dim=1), torch.tensor([1.0, -1, -1, -1, -1], dtype=torch.float64))
    floor = lambda directions, share: us.noise_floor(identity, facts, directions, target_recall=share)  # noqa: E731
    assert floor(worst[None], 1.0) == pytest.approx(chord(20), abs=1e-3)
    assert floor(worst[None], 0.6) == pytest.approx(chord(30), abs=1e-3)  # two of five are lost beyond 20 degrees
    both = torch.stack([left, -left])
    assert floor(both, 0.8) == pytest.approx(chord(30), abs=1e-3)
    scaled = fc.FactSet(5 * keys, keys, torch.arange(5))
    assert us.noise_floor(identity, scaled, both, target_recall=1.0) == pytest.approx(chord(20), abs=1e-3)
    assert us.noise_floor(identity, fc.FactSet(keys, keys, torch.arange(5).roll(1)), both) == 0


@pytest.mark.parametrize("method", ["hebbian", "encoder-decoder"])
def test_no_random_direction_loses_a_key_sooner_to_first_order(method):
    facts = small(20, 6, dtype=torch.float64)
    mlp = fc.construct(facts, method, **({} if method == "hebbian" else {"encoder": "random-gates", "fill": 0.5}))
    jacobian = torch.func.vmap(torch.func.jacrev(mlp))(facts.keys)  # (n, d, d)
    pulls = (facts.values[facts.targets][:, None] - facts.values) @ jacobian  # (n, v, d): gradient of every gap
    gaps = (mlp(facts.keys)[:, None] * (facts.values[facts.targets][:, None] - facts.values)).sum(dim=2)
    gaps = gaps.scatter(1, facts.targets[:, None], torch.inf)

    def needed(direction):
        falling = -(pulls * direction[:, None]).sum(dim=2)
        return torch.where(falling > 0, gaps / falling, torch.inf).amin(dim=1)

    worst = us.worst_directions(mlp, facts, rivals=19)
    torch.testing.assert_close(worst.norm(dim=1), torch.ones(20, dtype=torch.float64))
    assert (worst * facts.keys).sum(dim=1).abs().max() < 1e-9
    generator = torch.Generator().manual_seed(7)
    for _ in range(200):
        assert (needed(worst) <= needed(us.random_directions(facts.keys, generator)) * (1 + 1e-9)).all()


@pytest.mark.parametrize(
    "method, options",
    [
        ("encoder-decoder", {}),
        ("encoder-decoder", {"gate": "relu", "fill": 0.5}),
        ("encoder-decoder", {"encoder": "random-gates", "fill": 0.5}),
        ("block-convex", {"width": 8}),
    ],
)
def test_what_is_certified_holds_in_every_direction_that_is_tried(method, options):
    facts = small(32, 8, dtype=torch.float64)
    mlp = fc.construct(facts, method, **options)
    proved = tf.certified_tolerance(mlp, facts)
    # the ends of a ReLU's ramp stand at keys: nothing can be proved for those
    assert (proved >= 0).all() and (proved > 0).double().mean() > (0.3 if options.get("gate") == "relu" else 0.99)
    for seed in range(200):
        x = us.tilt(facts.keys, proved * 0.999, torch.Generator().manual_seed(seed + 7))
        assert (fc.decode(mlp, x, facts.values) == facts.targets).all()


@pytest.mark.parametrize("gate", ["identity", "silu"])
def test_lipschitz_at_the_keys_is_the_largest_singular_value(gate):
    facts = small(12, 6, dtype=torch.float64)
    mlp = fc.construct(facts, "block-convex", width=6, gate=gate)
    jacobian = torch.func.vmap(torch.func.jacrev(mlp))(facts.keys)
    exact = torch.linalg.matrix_norm(jacobian, ord=2)
    torch.testing.assert_close(lipschitz_at_keys(mlp, facts.keys, iterations=400), exact, rtol=1e-4, atol=0)


def test_facts_stored_with_noisy_copies_are_stored_around_the_keys():
    facts = small(32, 16)
    more = us.noisy_copies(facts, 10.0, 4)
    assert len(more) == 160 and (more.targets.view(5, 32) == facts.targets).all()
    mlp = fc.construct(more, "block-convex", width=24)
    assert fc.recall(mlp, more) == fc.recall(mlp, facts) == 1.0


def test_arrivals_are_what_the_transformer_reads():
    facts = small(64, 16)
    model = tf.FactTransformer(facts, seed=2)
    tf.train_recall(model, facts.targets, steps=30, batch=64)
    mlp = fc.construct(facts, "block-convex", width=16, seed=0)
    arrived = us.arrivals(model, samples=2048, seed=5)
    tf.insert(model, mlp)
    right = (mlp(arrived.inputs) @ facts.values.T).argmax(dim=1) == facts.targets[arrived.keys]
    unit = torch.nn.functional.normalize(arrived.inputs, dim=1)
    distances = torch.cdist(unit.double(), facts.keys.double())
    assert 0 < int(arrived.through.sum()) < 2048
    assert (arrived.through == (distances.argmin(dim=1) == arrived.keys)).all()
    through = [bool(r) for r, t in zip(right, arrived.through) if t]
    assert us.kept(mlp, facts, arrived) == pytest.approx(sum(through) / len(through))
    tokens = tf.recall_batch(64, 512, torch.Generator().manual_seed(5))
    own = model(tokens).argmax(dim=1) == facts.targets[tf.asked(tokens, 64)]
    assert (own == right[:512]).all()
