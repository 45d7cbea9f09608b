"""Two-token look-ups: the lemma by brute force, the networks recounted by other means, what is refused."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt
from safetensors.numpy import load_file
from safetensors.torch import save_file

from factbook import figures
from factbook.challenge import study as challenge
from factbook.challenge.pairs import bent_places, count_right, pair_tables, pairs_network
from factbook.challenge.system import dealt_gates, gates, solve_code
from factcore.constructions.pairs import label_places, network_of, pairs_of
from factcore.data import drawn_pairs
from factcore.facts import FactSet
from factcore.scoring import recall


def brute_force_rank(a: np.ndarray, b: np.ndarray) -> int:
    """Dimension of the functions Σ_j A[a, j] y[b, j] + Σ_j B[b, j] x[a, j] on all pairs, one column per unknown."""
    tokens_a, tokens_b = len(a), len(b)
    by_b = np.kron(a, np.eye(tokens_b))  # row (a, b), column (j, b): A[a, j]
    by_a = np.kron(np.eye(tokens_a), b)  # row (a, b), column (a, j): B[b, j]
    return int(np.linalg.matrix_rank(np.concatenate([by_b, by_a], 1)))


@pytest.mark.parametrize("d, second", [(4, 1), (5, 2), (10, 3), (12, 2)])
def test_the_codes_have_the_dimension_of_the_lemma(d, second):
    generator = torch.Generator().manual_seed(d)
    on_a, sign = gates(2 * d, d - 1 - second, generator, uneven=True)
    on_b, _ = dealt_gates(torch.arange(2 * d), second, generator)
    a, b = (np.concatenate([t.numpy(), np.ones((2 * d, 1))], 1) for t in (on_a * sign, on_b))
    rank_a, rank_b = (np.linalg.matrix_rank(t) for t in (a, b))
    assert brute_force_rank(a, b) == 2 * d * (rank_a + rank_b) - rank_a * rank_b
    if d > 9:  # enough patterns for the ranks to be full: the count of issue and page
        h = second + 1
        assert brute_force_rank(a, b) == 2 * d * (d + 1) - (d + 1 - h) * h


def test_the_lemma_holds_for_vocabularies_of_two_sizes():
    draw = np.random.default_rng(0)
    a, b = draw.integers(0, 2, (7, 3)), draw.integers(0, 2, (9, 4))
    rank_a, rank_b = np.linalg.matrix_rank(a), np.linalg.matrix_rank(b)
    assert brute_force_rank(a, b) == 9 * rank_a + 7 * rank_b - rank_a * rank_b


@pytest.mark.parametrize("second", [3, 9])  # a constant for the second group, and both signs in it
@pytest.mark.parametrize("flip", [False, True])
def test_every_code_is_its_target(second, flip):
    tokens, _ = drawn_pairs(800, 24, seed=1)
    if flip:  # a few second tokens with more facts than the others: the other side takes the first group
        tokens = tokens[tokens[:, 1] < 40]
    tokens = tokens.flip(1) if flip else tokens
    target = torch.randn(len(tokens), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    first, other, sign, constant = solve_code(tokens, target, (48, 48), 30, generator, second)
    code = torch.relu(first[tokens[:, 0]] + other[tokens[:, 1]]) @ sign
    torch.testing.assert_close(code - constant, target, rtol=0, atol=1e-7)


@pytest.mark.parametrize("d, share", [(16, 1.6), (32, 1.8), (64, 1.75)])
@pytest.mark.parametrize("facts_seed", [42, 7])
def test_one_system_stores_the_facts_also_in_float32(d, share, facts_seed):
    tokens, labels = drawn_pairs(int(share * d * d), d, seed=facts_seed)
    net = pairs_network(tokens, labels, d)
    assert [tuple(table.shape) for table in net] == [(2 * d, d), (2 * d, d), (d, d)]
    assert count_right(net, tokens, labels) == len(labels)
    assert count_right((table.float() for table in net), tokens, labels) == len(labels)


def test_several_systems_store_more_than_one_can():
    d, share = 16, 2.5
    tokens, labels = drawn_pairs(int(share * d * d), d)
    assert len(labels) > 2 * d * (d + 1)  # the lemma's dimension is below that for every second group
    with pytest.raises(ValueError, match="second group, which has room for"):
        pairs_network(tokens, labels, d)
    net = pairs_network(tokens, labels, d, systems=40)
    assert count_right((table.float() for table in net), tokens, labels) == len(labels)
    assert pair_tables(tokens, labels, (32, 32), d, d, systems=3).systems == 3


def test_numpy_counts_the_same_from_a_file(tmp_path):
    d, n = 32, 1850
    every = [(a, b) for a in range(2 * d) for b in range(2 * d)]  # the task again, from its description
    order = torch.randperm(len(every), generator=torch.Generator().manual_seed(42)).numpy()[:n]
    wanted = {every[at]: i % d for i, at in enumerate(order)}
    names = ("E1", "E2", "U")
    tables = pairs_network(*drawn_pairs(n, d), d)
    save_file({k: t.float().contiguous() for k, t in zip(names, tables)}, tmp_path / "net.safetensors")
    e1, e2, u = (load_file(tmp_path / "net.safetensors")[name] for name in names)
    assert e1.size + e2.size + u.size == 5 * d**2 and e1.dtype == np.float32
    logits = np.maximum(e1[[a for a, _ in wanted]] + e2[[b for _, b in wanted]], 0) @ u
    assert (logits.argmax(1) == np.array(list(wanted.values()))).sum() == n == len(wanted)


def test_one_system_serves_vocabularies_of_two_sizes_and_values_that_are_not_one_hot():
    draw = torch.Generator().manual_seed(3)
    chosen = torch.randperm(20 * 50, generator=draw)[:600]
    keys = torch.zeros(600, 70)
    keys[torch.arange(600), chosen // 50], keys[torch.arange(600), 20 + chosen % 50] = 1.0, 1.0
    facts = FactSet(keys, torch.randn(12, 30, generator=draw), torch.arange(600) % 12)
    tokens, sizes = pairs_of(keys, 20)
    mlp = network_of(facts, pair_tables(tokens, facts.targets, sizes, 12, 24))
    assert mlp.down.shape == (30, 24) and recall(mlp, facts) == 1.0


@pytest.mark.parametrize(
    "options, words",
    [
        ({"systems": 0}, "systems"),
        ({"second": 0}, "second"),
        ({"second": 12}, "second"),
        ({"width": 7}, "width of at least 8, got 7"),
    ],
)
def test_what_one_system_cannot_do_is_named(options, words):
    with pytest.raises(ValueError, match=words):
        pair_tables(*drawn_pairs(100, 8), (16, 16), 8, **({"width": 16} | options))


def test_a_tie_is_a_loss():
    tokens, labels = torch.zeros(2, 2, dtype=torch.int64), torch.tensor([0, 1])
    one = torch.ones(1, 1)
    assert count_right((one, one, torch.ones(1, 2)), tokens, labels) == 0
    assert count_right((one, one, torch.tensor([[2.0, 1.0]])), tokens, labels) == 1


def test_label_places_are_ordered_and_of_unit_spread():
    for place in (label_places(9), bent_places(9)):
        assert (place.diff() > 0).all() and math.isclose(float(place.square().mean()), 1.0)
    assert place.diff()[0] > 2 * place.diff()[4]


def test_published_fits_and_the_best_of_a_table():
    assert round(challenge.fit("hybrid", 32)) == 587 and round(challenge.fit("hand-coded", 256)) == 2115
    row = {"rung": "one", "d": 16, "seed": 42}
    table = pd.DataFrame([row | {"n_facts": n, "recall": r} for n, r in ((400, 1.0), (450, 1.0), (500, 0.95))])
    assert challenge.largest(table).n_facts.tolist() == [450]
    assert challenge.largest(table, 0.9).n_facts.tolist() == [527]  # 475 right, and 450 of them exactly give 500
    assert challenge.beside_published(table).loc[16, challenge.LABELS["one"]] == "450"


def test_the_fewest_bits_are_of_a_rounding_that_loses_nothing():
    row = {"rung": "one", "d": 16}
    found = [("fp16", 40.0, 1.0), ("int9", 22.0, 1.0), ("int8", 20.0, 0.99), ("int10", 24.0, 1.0)]
    table = pd.DataFrame([row | {"scheme": s, "bits_per_fact": b, "recall": r} for s, b, r in found])
    assert challenge.fewest_bits(table).scheme.tolist() == ["int9"]
    jobs = challenge.bit_jobs("laptop")
    assert {job["d"] for job in jobs} == {16, 32, 64, 128} and len(jobs) == 80


def test_names_at_the_ends_of_lines_do_not_meet():
    figure, ax = plt.subplots()
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ends = [(1.0, y, f"line {y}", "#000000") for y in (0.97, 0.98, 0.5, 0.51, 0.99)]
    figures.label_ends(ax, ends)
    heights = sorted((text.xyann[1], text.get_text()) for text in ax.texts)
    assert np.diff([height for height, _ in heights]).min() > 0.99 * figures.GAP
    assert heights[-1][0] <= 1.0001 and [name for _, name in heights] == [
        f"line {y}" for y in (0.5, 0.51, 0.97, 0.98, 0.99)
    ]
    plt.close(figure)


def test_attempts_report_what_they_stored():
    stored = challenge.attempt("one", 16, 1.5, 42)
    assert stored["recall"] == stored["recall64"] == 1.0 and (stored["draws"], stored["systems"]) == (1, 1)
    lost = challenge.attempt("one", 16, 2.5, 42)  # no room: nothing is built
    assert lost["recall"] == 0.0 and lost["draws"] == challenge.RESTARTS


def test_rounding_costs_the_facts_that_the_same_network_keeps_in_float32():
    rows = {scheme: challenge.precision("several", 8, 1.5, 42, scheme) for scheme in ("fp32", "int12", "int3")}
    assert rows["fp32"]["recall"] == rows["int12"]["recall"] == 1.0 > rows["int3"]["recall"]
    assert rows["fp32"]["bits_per_fact"] == 32 * 5 * 64 / 96


def test_the_trained_bar_stores_few_facts_and_leaves_frozen_embeddings():
    tokens, labels = drawn_pairs(100, 16)
    net = challenge.train(tokens, labels, 16, epochs=500)
    assert count_right(net, tokens, labels) == 100
    tokens, labels = drawn_pairs(12, 16)
    net, other = (challenge.train(tokens, labels, 16, embeddings=False, epochs=e) for e in (500, 1))
    assert torch.equal(net[0], other[0]) and not torch.equal(net[2], other[2])
    assert count_right(net, tokens, labels) == 12
