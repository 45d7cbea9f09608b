"""FactSet: its checks, its file format, and the two ready-made fact sets."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import factcore as fc


def tensors(n=6, v=4, d=3):
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(n, d, generator=generator),
        torch.randn(v, d, generator=generator),
        torch.arange(n) % v,
    )


def test_length_dimension_and_values():
    facts = fc.FactSet(*tensors())
    assert (len(facts), facts.d, facts.n_values) == (6, 3, 4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("which, name", [(0, "keys"), (1, "values")])
def test_non_finite_rows_are_named(which, name, bad):
    parts = list(tensors())
    parts[which][2, 1] = bad
    with pytest.raises(ValueError, match=f"{name} has NaN or infinite.*row 2"):
        fc.FactSet(*parts)


def test_shapes_and_dtypes_that_do_not_fit():
    keys, values, targets = tensors()
    for broken, message in [
        ((keys[:, :2], values, targets), "keys have d = 2 but values have d = 3"),
        ((keys[0], values, targets), "keys must be a non-empty 2-D"),
        ((keys, values[:0], targets), "values must be a non-empty 2-D"),
        ((keys.double(), values, targets), "keys are torch.float64 but values are torch.float32"),
        ((keys.long(), values, targets), "keys must have a floating dtype"),
        ((keys, values, targets[:5]), r"targets must have shape \(6,\)"),
        ((keys, values, targets.float()), "targets must be int64, got torch.float32"),
        ((keys.tolist(), values, targets), "keys must be .* got list"),
    ]:
        with pytest.raises(ValueError, match=message):
            fc.FactSet(*broken)


@pytest.mark.parametrize("target", [-1, 4])
def test_target_out_of_range_is_named(target):
    keys, values, targets = tensors()
    targets[3] = target
    with pytest.raises(ValueError, match=rf"targets\[3\] = {target} is out of range for 4 values"):
        fc.FactSet(keys, values, targets)


def test_contradiction_names_both_rows():
    keys, values, targets = tensors()
    keys[5] = keys[2]
    assert targets[5] != targets[2]
    with pytest.raises(ValueError, match="keys 2 and 5 are the same but have different values"):
        fc.FactSet(keys, values, targets)


def test_repeated_fact_is_no_contradiction():
    keys, values, targets = tensors()
    keys[4] = keys[0]
    assert targets[4] == targets[0]
    assert len(fc.FactSet(keys, values, targets)) == 6


def test_names_must_match_rows():
    with pytest.raises(ValueError, match="key_names has 2 strings for 6 rows"):
        fc.FactSet(*tensors(), key_names=["a", "b"])


def test_save_and_load_round_trip(tmp_path):
    names = ["plain", "two\nlines", "[bracket", 'quote"', "Zürich", ""]
    facts = fc.FactSet(*tensors(), key_names=names, value_names=list("abcd"))
    facts.save(tmp_path / "facts.safetensors")
    again = fc.FactSet.load(tmp_path / "facts.safetensors")
    for part in ("keys", "values", "targets"):
        assert torch.equal(getattr(facts, part), getattr(again, part))
    assert again.key_names == tuple(names) and again.value_names == tuple("abcd")


def test_load_errors_say_what_is_wrong(tmp_path):
    with pytest.raises(ValueError, match="no such file: .*nowhere"):
        fc.FactSet.load(tmp_path / "nowhere.safetensors")
    with pytest.raises(FileNotFoundError):
        fc.FactSet.load(tmp_path / "nowhere.safetensors")
    (tmp_path / "broken").write_bytes(b"not a safetensors file at all")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        fc.FactSet.load(tmp_path / "broken")
    from safetensors.torch import save_file

    save_file({"keys": tensors()[0]}, tmp_path / "partial")
    with pytest.raises(ValueError, match="holds no tensor 'values'"):
        fc.FactSet.load(tmp_path / "partial")
    foreign = dict(zip(("keys", "values", "targets"), tensors(), strict=True))
    save_file(foreign | {"key_names": torch.tensor(list(b"plain"), dtype=torch.uint8)}, tmp_path / "foreign")
    with pytest.raises(ValueError, match="foreign are not a JSON list"):
        fc.FactSet.load(tmp_path / "foreign")
    with pytest.raises(ValueError, match="folder .* does not exist"):
        fc.FactSet(*tensors()).save(tmp_path / "no" / "where")


def test_failed_save_keeps_the_stored_file(tmp_path, monkeypatch):
    path = tmp_path / "facts.safetensors"
    facts = fc.FactSet(*tensors())
    facts.save(path)
    before = path.read_bytes()

    def full_disk(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("factcore.facts.save_file", full_disk)
    with pytest.raises(OSError):
        facts.save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@settings(deadline=None, max_examples=50)
@given(n=st.integers(1, 40), d=st.integers(2, 9), v=st.integers(1, 40), seed=st.integers(0, 99))
def test_spherical_facts(n, d, v, seed):
    facts = fc.spherical_facts(n, d, n_values=v, seed=seed, dtype=torch.float64)
    again = fc.spherical_facts(n, d, n_values=v, seed=seed, dtype=torch.float64)
    assert torch.equal(facts.keys, again.keys) and torch.equal(facts.targets, again.targets)
    for rows in (facts.keys, facts.values):
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(rows), dtype=torch.float64))
    used = facts.targets.bincount(minlength=v)
    assert used.max() - used.min() <= 1, "values are used as evenly as possible"


def test_spherical_facts_default_is_one_to_one():
    facts = fc.spherical_facts(50, 4)
    assert facts.targets.unique().numel() == 50 and facts.keys.dtype == torch.float32


@pytest.mark.parametrize(
    "sizes", [{"n_facts": 0, "d": 3}, {"n_facts": 3, "d": 2.5}, {"n_facts": 3, "d": 3, "n_values": -1}]
)
def test_spherical_facts_rejects_sizes(sizes):
    with pytest.raises(ValueError, match="must be a positive integer"):
        fc.spherical_facts(**sizes)


def test_airports():
    facts = fc.airport_facts()
    assert len(facts) >= 5000 and facts.d == 384 and facts.keys.dtype == torch.float32
    assert facts.n_values < len(facts), "some cities have several airports"
    torch.testing.assert_close(facts.keys.norm(dim=1), torch.ones(len(facts)))
    city = dict(zip(facts.key_names, (facts.value_names[t] for t in facts.targets.tolist())))
    assert city["London Heathrow Airport"] == "London"


def test_airport_subset_keeps_the_facts():
    whole, part = fc.airport_facts(), fc.airport_facts(100)
    city = dict(zip(whole.key_names, (whole.value_names[t] for t in whole.targets.tolist())))
    assert len(part) == 100 and part.targets.unique().numel() == part.n_values
    assert all(city[name] == part.value_names[t] for name, t in zip(part.key_names, part.targets.tolist()))
    for bad in (0, 10**6, 2.0):
        with pytest.raises(ValueError, match="n_facts must be an integer from 1 to"):
            fc.airport_facts(bad)
