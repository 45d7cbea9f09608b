"""The CUDA device that is pretended (pretend_cuda.py): it refuses what CUDA refuses, and tells what was made where."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from device_rules import check_share, pretended
from matplotlib import pyplot as plt
from pretend_cuda import CPU, CUDA, NAME, pretend_cuda

import factcore as fc
from factbook import store


def on_both() -> tuple[torch.Tensor, torch.Tensor]:
    here = torch.arange(6.0).reshape(3, 2)
    return here, here.to("cuda")


MISTAKES = {
    "two devices": (lambda here, there: here + there, "two devices"),
    "two devices in a product": (lambda here, there: torch.einsum("ij,kj->ik", here, there), "two devices"),
    "two devices, written in place": (lambda here, there: here.add_(there.sum()), "two devices"),
    "two devices in a list": (lambda here, there: torch.cat([there, here]), "two devices"),
    "numbers of two devices in a list": (lambda here, there: torch.stack([there.sum(), here.sum()]), "two devices"),
    "a CUDA number beside CPU rows": (lambda here, there: here * there.sum(), "two devices"),
    "a layer on the CPU": (lambda here, there: torch.nn.Linear(2, 1)(there), "two devices"),
    "a mask of the other device": (lambda here, there: there.masked_fill(here > 1, 0.0), "two devices"),
    "places to gather on the CPU": (lambda here, there: there.gather(1, here.long().clamp(max=1)), "two devices"),
    "CPU rows put by an index": (lambda here, there: there.__setitem__(torch.tensor([0]), here[:1]), "put by an index"),
    "a CPU tensor indexed on CUDA": (lambda here, there: here[there[:, 0].long() % 3], "indices should be"),
    "a CPU generator": (
        lambda here, there: torch.randn(2, generator=torch.Generator().manual_seed(0), device="cuda"),
        "'cuda' device type for generator",
    ),
    "a CUDA generator": (lambda here, there: torch.rand(2, generator=torch.Generator("cuda")), "'cpu' device type for"),
    "numpy": (lambda here, there: there.numpy(), "can't convert cuda:0"),
    "numpy of an array": (lambda here, there: np.asarray(there), "can't convert cuda:0"),
    "numpy of a view": (lambda here, there: np.asarray(there.T[0]), "can't convert cuda:0"),
    "numpy of a list": (lambda here, there: np.array([there[0], there[1]]), "can't convert cuda:0"),
    "a picture": (lambda here, there: plt.plot(there[0]), "can't convert cuda:0"),
    "a loss on two devices": (
        lambda here, there: torch.nn.functional.mse_loss(there.requires_grad_(), here).backward(),
        "two devices",
    ),
    "two devices inside torch.func": (
        lambda here, there: torch.func.vmap(lambda row: row * here[0])(there),
        "two devices",
    ),
    "numbers counted up to a CUDA number": (
        lambda here, there: there[:, 0] + torch.arange(there.max() - 2),
        "two devices",
    ),
    "numbers between CUDA ones": (
        lambda here, there: there + torch.linspace(there.min(), there.max(), 2),
        "two devices",
    ),
    "made on the CPU": (lambda here, there: there @ torch.eye(2), "two devices"),
    "filled with a CUDA number": (lambda here, there: there + torch.full((3, 2), there.sum()), "two devices"),
    "another array library": (lambda here, there: np.from_dlpack(there), "Unsupported device"),
    "a histogram": (lambda here, there: torch.histogram(there, bins=2), "Could not run 'aten::histogram'"),
    "a driver that CUDA has not": (
        lambda here, there: torch.linalg.lstsq(there, there, driver="gelsd"),
        "`driver` other than `gels`",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_fails_there_and_nowhere_else(mistake):
    plant, message = MISTAKES[mistake]
    with pretend_cuda():
        with pytest.raises((RuntimeError, TypeError, BufferError), match=message):
            plant(*on_both())
    here = on_both()[0] if torch.cuda.is_available() else torch.arange(6.0).reshape(3, 2)
    if "generator" not in mistake:
        plant(here, here.clone())  # on one device it is none


def test_what_torch_allows_is_allowed():
    with pretend_cuda() as device:
        here, there = on_both()
        assert (here.device, there.device) == (CPU, CUDA) and there.is_cuda and not there.is_cpu
        for made in (
            there + here.sum(),  # a number of the CPU
            there[here[:, 0].long() % 3],  # its rows by CPU indices
            there.T @ torch.ones(3, 1, device="cuda"),
            torch.empty(2, device="cuda:0").copy_(here[0]),
            there.clone().index_put_((torch.tensor([0]),), torch.tensor(1.0)),
            torch.randn(3, generator=torch.Generator("cuda").manual_seed(0), device="cuda"),
            torch.randn(3, generator=torch.Generator().manual_seed(0)).to(there),
            torch.where(there > 2, there, 0.0),
            copy.deepcopy(torch.nn.Linear(2, 1).to("cuda")).weight,
            torch.zeros_like(there).double().new_zeros(2),
            torch.arange(there.max(), device="cuda"),
            torch.func.jacrev(lambda x: (x**2).sum())(there),
        ):
            assert made.device == CUDA
        for made in (
            there.cpu(),
            there.to("cpu").double(),
            torch.tensor([there[0, 0], there[0, 1]]),
            torch.arange(there.max()),
        ):
            assert made.device == CPU
        assert here.to("cuda") is not here and there.to("cuda") is there and there.cpu().numpy().sum() == 15
        assert torch.as_tensor(here, device="cuda").device == CUDA and here.device == CPU
        layer = torch.nn.Linear(2, 2).to("cuda")
        layer(there).sum().backward()
        assert layer.weight.grad.device == CUDA and torch.allclose(layer.weight.grad, there.sum(0).expand(2, 2))
        assert torch.cuda.is_available() and device.made["cuda"] > 0 and store.device_name("cuda") == NAME
    assert type(here.sum().device) is torch.device and not hasattr(torch.Generator, "pretended")


@pytest.mark.parametrize(
    "ask",
    [
        lambda here: here.to("cuda:1"),
        lambda here: here.cuda(1),
        lambda here: torch.zeros(2, device="cuda:1"),
        lambda here: torch.Generator("cuda:1"),
    ],
)
def test_there_is_one_device(ask):
    with pretend_cuda(), pytest.raises(RuntimeError, match="invalid device ordinal"):
        ask(on_both()[0])


# --- what was made where -----------------------------------------------------------------------------------------


def numbers(call):
    """Numbers made on the CPU, on the pretended device and by CPU generators while ``call`` works on both tensors."""
    with pretend_cuda() as device:
        given = on_both()
        device.made.clear()
        call(*given)
    return tuple(device.made[where] for where in ("cpu", "cuda", "drawn"))


def test_numbers_count_where_they_are_written_or_brought_back_to():
    assert numbers(lambda here, there: there * 2) == (0, 6, 0) and numbers(lambda here, there: here + 1) == (6, 0, 0)
    assert numbers(lambda here, there: there.add_(1)) == (0, 6, 0)
    assert numbers(lambda here, there: there.__setitem__(0, there[1])) == (0, 2, 0)
    for back in (
        lambda here, there: there.cpu(),
        lambda here, there: there.tolist(),
        lambda here, there: here.copy_(there),
    ):
        assert numbers(back) == (6, 0, 0)
    for moved in (
        lambda here, there: here.to("cuda"),
        lambda here, there: here.to(there),
        lambda here, there: there.copy_(here),
        lambda here, there: torch.as_tensor(here, device="cuda"),
        lambda here, there: torch.tensor([1.0, 2.0], device="cuda"),
        lambda here, there: (here.T[0], there.view(6), here[1:].numpy(), there.detach()),
    ):
        assert numbers(moved) == (0, 0, 0)
    assert numbers(lambda here, there: torch.rand(5, generator=torch.Generator())) == (0, 0, 5)
    assert numbers(lambda here, there: torch.linalg.svd(there, full_matrices=False)) == (0, 6 + 2 + 4, 0)


PLANTED = {
    "returns a float": lambda facts: fc.recall(lambda keys: keys, facts.to("cpu")),
    "moves its tensors back": lambda facts: moved(fc.decodability(facts.values.cpu())),
    "asks another library": lambda facts: torch.tensor(np.linalg.svd(facts.keys.cpu().numpy())[1], device="cuda"),
    "never moves": lambda facts: fc.construct(fc.spherical_facts(24, 12), "hebbian"),
    "in a function that works elsewhere": lambda facts: facts.keys.cpu() @ fc.spherical_facts(24, 12).keys.T,
}


def moved(found: fc.Decodability) -> fc.Decodability:
    return dataclasses.replace(found, **{k: getattr(found, k).to("cuda") for k in ("lower", "upper", "separators")})


@pytest.mark.parametrize("plant", PLANTED)
def test_work_on_the_cpu_is_found(plant):
    with pretended() as device:
        facts = fc.spherical_facts(24, 12).to("cuda")
        moved(fc.decodability(facts.values))
        check_share(device)
    with pretended() as device:
        PLANTED[plant](facts)
        with pytest.raises(AssertionError, match="of the numbers are made on the CPU, most by"):
            check_share(device)
