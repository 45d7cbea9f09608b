"""Edits of crowded memories: permuted values, what an editor is told, residuals aimed once, a row of the study."""

import pytest
import torch

from factbook import editing
from factbook.editing import crowded, methods, study
from factbook.editing.editors import covariance, rome_update
from factbook.editing.edits import permute_edits, request
from factbook.editing.model import fact_positions
from factbook.editing.training import load_language_model


@pytest.fixture(scope="module")
def model():
    return load_language_model()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("count", [9, 26])
def test_permuted_values_are_the_old_ones_and_none_stays(model, count, seed):
    new = permute_edits(model, count, seed=seed)
    row = {model.corpus.words[token]: at for at, token in enumerate(model.corpus.airports.tolist())}
    before = [model.corpus.words[int(model.targets["city"][row[airport]])] for airport in new]
    assert len(new) == count and sorted(before) == sorted(new.values())
    assert all(old != value for old, value in zip(before, new.values()))


def test_what_cannot_be_permuted_is_told(model):
    with pytest.raises(ValueError, match=r"1 of 1 city values are the same"):
        permute_edits(model, 1)
    with pytest.raises(ValueError, match="count must be"):
        permute_edits(model, 10_000)


def test_an_editor_told_one_sentence_reads_the_first_template_alone(model):
    told = request(model, editing.draw_edits(model, 5, seed=1), "city", 0)
    hidden = told.mlp.hidden(fact_positions(model, "city", held_out=False).attention_output)[told.rows]
    options = {"steps": 5, "lr": 0.05, "clip": None}
    one, every = (methods._request(told, sentences, **options)[0] for sentences in (1, None))
    torch.testing.assert_close(one, hidden[:, 0])
    torch.testing.assert_close(every, hidden.mean(dim=1))
    with pytest.raises(ValueError, match="sentences must be a positive integer"):
        methods.memit(told, sentences=0)


def test_residuals_aimed_once_add_up_and_aimed_each_time_end_on_the_last_fact(model):
    told = request(model, editing.draw_edits(model, 4, seed=2), "city", 0)
    options = {"steps": 10, "lr": 0.05, "clip": None}
    keys, wanted, preserved = methods._request(told, None, **options)
    c, before = covariance(preserved), told.mlp.down.double()
    alone = sum(rome_update(before, c, key, value) - before for key, value in zip(keys, wanted))
    once = methods.rome(told, aimed="once", **options).down.double()
    torch.testing.assert_close(once, before + alone, rtol=1e-4, atol=1e-4)
    each = methods.rome(told, aimed="each", **options).down.double()
    torch.testing.assert_close(each @ keys[-1].double(), wanted[-1].double(), rtol=1e-3, atol=1e-3)
    assert (each - once).abs().max() > 1e-3
    with pytest.raises(ValueError, match="aimed"):
        methods.rome(told, aimed="twice")


def test_a_row_of_the_study_has_the_crowd_and_the_protocol_that_were_asked_for(monkeypatch):
    monkeypatch.setitem(study.GRIDS, "memit", [{"steps": (5,)}])
    row = crowded.edit_row("memit", "block-convex", 16, "permuted", "one", 0.1, 0)
    assert row["width"] == 16 and row["edited"] == 26 and "sentences=1" in row["setting"]
    assert 0 <= row["score"] <= 1 and 0.5 < row["stored"] <= 1
    swapped = crowded.edit_row("swap", "block-convex", 16, "permuted", "one", 0.1, 0)
    assert swapped["score"] > row["score"] and swapped["width"] == 16


def test_jobs_begin_with_the_published_crowd_and_name_every_editor():
    jobs = crowded.jobs(seeds=2)
    assert jobs[0]["per_unit"] == 32 and (jobs[0]["values_of"], jobs[0]["told"]) == ("permuted", "one")
    crowds = sum(map(len, crowded.PROTOCOLS.values()))
    assert len(jobs) == len({tuple(job.values()) for job in jobs}) == 2 * crowds * len(crowded.METHODS)
    assert crowds == 8 and set(crowded.PROTOCOLS["block-convex", "permuted", "one"]) == {8, 12, 16, 24, 32}
    assert crowded.PROTOCOLS["trained", "permuted", "one"] == (8, 32)  # both ends of the published setting


def test_a_trained_network_and_its_swap_have_the_published_gate():
    assert study.base_model("trained", 32, 0).facts["city"].gate == "silu"
    assert study.swapped("trained", 32)["gate"] == "silu" and "gate" not in study.swapped("block-convex", 32)
