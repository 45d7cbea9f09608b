"""The page on the solver: its words hold on the committed tables, its example against a closed form."""

import pytest
import torch

import factcore as fc
from factbook import solver_time, store


def test_what_the_page_says_holds():
    rows = store.read_table(store.results_file("solver", "laptop"))
    assert (rows.gap <= 1e-6).all()
    laws = {axis: solver_time.growth(rows, "laptop", axis)[1] for axis in ("v", "d")}
    assert 1 < laws["v"].low and laws["v"].high < 2 and 0.9 < laws["d"].low and laws["d"].high < 1.3
    stored = solver_time.benchmark()
    peers = stored[stored.part == "peers"].set_index("solver")
    assert (peers.seconds.drop(peers.index[peers.index.str.startswith("factcore")]) > 50 * peers.seconds.iloc[0]).all()
    assert peers.largest_gap[solver_time.OURS] <= 1e-6
    same = peers.rho.dropna()[lambda rho: rho.index.str.startswith("factcore")]
    assert same.max() - same.min() < 1e-6  # "its ρ is the same"
    assert set(solver_time.SOLVERS) == set(peers.index)


def test_the_values_of_a_stored_run_give_its_rho():
    rows = store.read_table(store.results_file("solver", "laptop"))
    row = rows[(rows.v == 256) & (rows.d == 64)].iloc[0]
    assert fc.decodability(solver_time.unit_vectors(256, 64, int(row.seed))).rho == pytest.approx(row.rho, abs=1e-5)


def test_in_the_plane_rho_is_the_cosine_of_half_the_angle():
    corners = torch.tensor([[0.0, 0], [4, 0], [0, 3], [3, 3]], dtype=torch.float64)
    order = [0, 1, 3, 2]  # round the hull
    sides = torch.stack([corners[order].roll(s, 0) - corners[order] for s in (1, -1)])
    half = ((1 + torch.nn.functional.cosine_similarity(*sides)) / 2).sqrt()
    assert torch.allclose(fc.decodability(corners).lower[order], half, atol=1e-6)


def test_the_exercise_is_right():
    rows = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.5], [0, 0]])
    found = fc.decodability(rows)
    assert found.inside.tolist() == [0, 4, 5] and [list(group) for group in found.duplicates] == [[0, 5]]
    assert found.rho == 0 and fc.decodability(rows[:4]).rho == pytest.approx(0.5**0.5)


def test_the_jobs_are_those_of_the_committed_rows(monkeypatch):
    rows = store.read_table(store.results_file("solver", "laptop"))
    asked: list[dict] = []
    monkeypatch.setattr(store, "resume", lambda path, jobs, run, device: asked.extend(jobs))
    solver_time.table("laptop", 0, "cpu")
    assert {tuple(job.values()) for job in asked} == set(rows[["v", "d", "seed"]].itertuples(index=False, name=None))


def test_more_values_are_shown_once_they_are_stored(tmp_path, monkeypatch):
    monkeypatch.setenv("FACTCORE_RESULTS", str(tmp_path))
    assert "not run yet" in solver_time.larger().data
    jobs = [{"v": v, "d": 128, "seed": 0} for v in (65536, 16384)]
    run = lambda v, **job: {"rho": 0.25, "gap": 1e-6, "solve": 1.4e-4 * v}  # noqa: E731
    store.resume(store.results_file("solver", "paper"), jobs, run)
    table = solver_time.larger()
    assert list(table.index) == ["16,384", "65,536"] and list(table["wall time"]) == ["2.3 s", "9.2 s"]
    assert set(table["largest gap"]) == {"10⁻⁶"} and set(table["ρ"]) == {"0.2500"}
