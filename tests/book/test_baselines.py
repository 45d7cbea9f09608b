"""The baselines beside a network: against brute force, another optimiser and facts whose answer is known."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

import factcore as fc
from factbook import baselines


@pytest.fixture(scope="module")
def facts():
    return fc.spherical_facts(30, 5, n_values=9, seed=3, dtype=torch.float64)


def test_the_commonest_value_answers_the_keys_that_have_it(facts):
    three = fc.FactSet(facts.keys[:5], facts.values, torch.tensor([7, 2, 7, 0, 7]))
    assert baselines.measure(three, baselines.COMMONEST) == {
        "recall": 3 / 5,
        "n_params": 0,
        "device": three.targets.device,
    }


def test_names_help_no_more_when_every_airport_has_another_s_country():
    """The tour's first exercise: from 5% to 0.6%, the network as large, and the commonest country still for 28%."""
    facts = fc.airport_facts(relation="country")
    turned = fc.FactSet(facts.keys, facts.values, facts.targets.roll(1))
    assert (round(baselines.nearest(facts), 2), round(baselines.nearest(turned), 3)) == (0.05, 0.006)
    assert facts.n_values == 233 and fc.construct(turned).n_params == fc.construct(facts).n_params
    assert facts.value_names[int(turned.targets.mode().values)] == "United States"
    assert round(baselines.commonest(turned), 2) == 0.28


def test_the_nearest_embedding_is_that_of_largest_cosine(facts):
    scaled = fc.FactSet(facts.keys, facts.values * torch.linspace(0.2, 5, 9)[:, None], facts.targets)
    right = 0
    for key, target in zip(facts.keys.numpy(), facts.targets.tolist()):
        cosines = [key @ value / np.linalg.norm(key) / np.linalg.norm(value) for value in facts.values.numpy()]
        right += int(np.argmax(cosines)) == target
    assert 0 < right < 30 and baselines.nearest(scaled) == pytest.approx(right / 30)


def test_the_nearest_embedding_needs_one_space():
    with pytest.raises(ValueError, match="keys have 12 numbers and values 3"):
        baselines.nearest(fc.pair_facts(8, 3))


@pytest.mark.parametrize("ridge", [1e-6, 0.1])
def test_least_squares_solves_the_whole_regression(facts, ridge):
    """The same sum of squares, with every entry of W an unknown of one large system."""
    keys, values = facts.keys.numpy(), facts.values.numpy()
    centred = values - values.mean(axis=0)
    design = np.einsum("id,je->ijde", keys, centred).reshape(30 * 9, 25)
    wanted = (np.eye(9)[facts.targets.numpy()] - 1 / 9).reshape(-1)
    root = np.sqrt(ridge * np.square(keys).sum() / 5)
    penalty = root * np.einsum("cd,je->cjde", np.eye(5), centred).reshape(5 * 9, 25)
    right = np.linalg.lstsq(np.vstack([design, penalty]), np.append(wanted, np.zeros(45)))[0].reshape(5, 5)
    np.testing.assert_allclose(baselines.least_squares(facts, ridge=ridge), right, rtol=1e-7, atol=1e-9)


def test_log_loss_reaches_the_minimum_of_another_optimiser(facts):
    def loss(flat: np.ndarray) -> float:
        scores = facts.keys.numpy() @ flat.reshape(5, 5) @ facts.values.numpy().T
        right = scores[np.arange(30), facts.targets.numpy()]
        return float(np.mean(np.log(np.exp(scores).sum(axis=1)) - right))

    least = minimize(loss, np.zeros(25), method="BFGS").fun
    found = loss(baselines.log_loss(facts, steps=200).numpy().ravel())
    assert least < 0.9 * np.log(9) and found == pytest.approx(least, rel=1e-4)


def test_a_linear_map_that_exists_is_found():
    drawn = fc.spherical_facts(60, 8, n_values=6, seed=0)
    hidden = torch.randn(8, 8, generator=torch.Generator().manual_seed(1))
    facts = fc.FactSet(drawn.keys, drawn.values, (drawn.keys @ hidden @ drawn.values.T).argmax(dim=1))
    assert fc.recall(lambda keys: keys @ baselines.log_loss(facts, steps=200), facts) == 1


def test_beside_counts_recall_and_parameters(facts):
    mlp = fc.construct(facts, seed=0)
    table = baselines.beside(facts, constructed=mlp)
    assert list(table.index) == [baselines.NEAREST, *baselines.MAPS, "constructed"]
    assert list(table.n_params) == [0, 25, 25, mlp.n_params]
    assert table.recall["constructed"] == 1 and table.per_fact.iloc[1] == 25 / 30
    linear = facts.keys @ baselines.least_squares(facts) @ facts.values.T
    assert table.recall.iloc[1] == pytest.approx(float((linear.argmax(dim=1) == facts.targets).double().mean()))
    assert baselines.NEAREST not in baselines.beside(fc.pair_facts(8, 3)).index


def test_rows_of_the_tour_are_of_the_facts_that_they_name():
    jobs = baselines.airports_jobs(40)
    assert len(jobs) == 15 and len({tuple(job.values()) for job in jobs}) == 15
    (job,) = [job for job in jobs if (job["relation"], job["way"]) == ("iata", "encoder-decoder")]
    row = baselines.airports_row(**job)
    assert row["n_values"] == 40 and row["recall"] == 1
    assert row["n_params"] == fc.construct(fc.airport_facts(40, relation="iata")).n_params
