"""FactSet: its checks, its file format, and random facts."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import factcore as fc


def tensors(n=6, v=4, d=3):
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(n, d, generator=generator), torch.randn(v, d, generator=generator), torch.arange(n) % v)


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

    monkeypatch.setattr("factcore.support.files.save_file", full_disk)
    with pytest.raises(ValueError, match="cannot write .*No space left"):
        facts.save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_tensors_that_share_their_storage_are_saved(tmp_path):
    rows = torch.eye(4)
    fc.FactSet(rows, rows, torch.arange(4)).save(tmp_path / "facts.safetensors")
    again = fc.FactSet.load(tmp_path / "facts.safetensors")
    assert torch.equal(again.keys, rows) and torch.equal(again.values, rows)


def test_gradients_are_left_behind():
    keys, values, targets = tensors()
    facts = fc.FactSet(keys.requires_grad_(), values * torch.ones((), requires_grad=True), targets)
    assert not facts.keys.requires_grad and not facts.values.requires_grad and keys.requires_grad


@pytest.mark.parametrize("names", [["a", "b", 3, "d"], [None] * 4, ["a", b"b", "c", "d"]])
def test_names_that_are_no_strings_are_named(names):
    wrong = next(i for i, name in enumerate(names) if not isinstance(name, str))
    with pytest.raises(ValueError, match=rf"value_names\[{wrong}\] must be a string, got"):
        fc.FactSet(*tensors(), value_names=names)


@settings(deadline=None, max_examples=30)
@given(n=st.integers(1, 12), d=st.integers(1, 5), e=st.integers(1, 5), v=st.integers(1, 12), data=st.data())
def test_a_subset_keeps_what_each_key_says_and_the_round_trip_every_bit(tmp_path_factory, n, d, e, v, data):
    generator = torch.Generator().manual_seed(n)
    keys, values = torch.randn(n, d, generator=generator), torch.randn(v, e, generator=generator)
    names = [f"key {i}" for i in range(n)], [f"value {j}" for j in range(v)]
    facts = fc.FactSet(keys, values, torch.arange(n) % v, *names)
    assert (facts.d, facts.e) == (d, e)
    rows = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=n))
    part = facts.subset(torch.tensor(rows))
    path = tmp_path_factory.mktemp("facts") / "facts.safetensors"
    part.save(path)
    again = fc.FactSet.load(path)
    for position, row in enumerate(rows):
        assert torch.equal(again.keys[position], keys[row]) and again.key_names[position] == f"key {row}"
        assert torch.equal(again.values[again.targets[position]], values[row % v])
        assert again.value_names[again.targets[position]] == f"value {row % v}"
    assert again.n_values == len({row % v for row in rows})


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
