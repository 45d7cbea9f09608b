"""The package on a CUDA device that is pretended (pretend_cuda.py), and that the pretence refuses what CUDA refuses."""

import copy
import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from pretend_cuda import CPU, CUDA, NAME, pretend_cuda

import factcore as fc
from factapp.confusable import most_confusable
from factbook import geometries, store
from factcore import transformer as tf
from factcore.methods import METHODS

# --- the device itself -------------------------------------------------------------------------------------------


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
    "a driver that CUDA has not": (
        lambda here, there: torch.linalg.lstsq(there, there, driver="gelsd"),
        "`driver` other than `gels`",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_fails_there_and_nowhere_else(mistake):
    plant, message = MISTAKES[mistake]
    with pretend_cuda():
        with pytest.raises((RuntimeError, TypeError), match=message):
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
            torch.func.jacrev(lambda x: (x**2).sum())(there),
        ):
            assert made.device == CUDA
        for made in (there.cpu(), there.to("cpu").double(), torch.tensor([there[0, 0], there[0, 1]]), here * 2):
            assert made.device == CPU
        assert here.to("cuda") is not here and there.to("cuda") is there and there.cpu().numpy().sum() == 15
        assert torch.as_tensor(here, device="cuda").device == CUDA and here.device == CPU
        layer = torch.nn.Linear(2, 2).to("cuda")
        layer(there).sum().backward()
        assert layer.weight.grad.device == CUDA and torch.allclose(layer.weight.grad, there.sum(0).expand(2, 2))
        assert torch.cuda.is_available() and device.made["cuda"] > 0 and store.device_name("cuda") == NAME
    assert type(here.sum().device) is torch.device and not hasattr(torch.Generator, "pretended")


# --- the package -------------------------------------------------------------------------------------------------

OPTIONS = {  # beside the defaults
    "encoder-decoder": [
        {"encoder": "random-gates", "gate": "identity", "fill": 0.5},
        {"gate": "relu"},
        {"codes": "projected"},
        {"code_dim": 8},
        {"projection": "optimised"},
        {"projection": "random"},
    ],
    "hebbian": [{"variant": "data-dependent", "ridge": 1e-4}, {"variant": "raw"}, {"targets": "separators"}],
    "max-margin": [{"gate": "identity", "ridge": 1e-2, "tol": 0.1}],
    "block-convex": [{"gate": "relu", "solves": 2, "tol": 0.1}, {"form": "plain"}],
    "trained": [{"gate": "silu", "descent": "adam", "lr": 0.02}, {"form": "plain"}, {"descent": "l-bfgs"}],
}
QUICK = {"trained": {"steps": 200}}
BUILDS = [(method, options) for method in METHODS for options in [{}, *OPTIONS.get(method, [])]]


def memory(facts: fc.FactSet) -> fc.GatedMLP:
    return fc.construct(facts, "block-convex", width=20)


def model_of(facts: fc.FactSet) -> tf.FactTransformer:
    model = tf.FactTransformer(facts)
    tf.solve_attention(model, most_iterations=20)
    return tf.insert(model, memory(facts))


def drawn(facts: fc.FactSet, device: str = "cuda") -> torch.Tensor:
    return tf.recall_batch(len(facts), 4, torch.Generator(device).manual_seed(0), device)


def saved(facts: fc.FactSet) -> fc.FactSet:
    with tempfile.TemporaryDirectory() as folder:
        facts.save(Path(folder, "facts"))
        return fc.FactSet.load(Path(folder, "facts")).to("cuda")


CALLS = {
    "FactSet": lambda facts: [saved(facts), facts.to(dtype=torch.float64), facts.subset(torch.arange(5))],
    "airport_facts": lambda facts: fc.airport_facts(32).to("cuda"),
    "layer_facts": lambda facts: geometries.layer_facts(32).to("cuda"),
    "pair_facts": lambda facts: fc.pair_facts(20, 4).to("cuda"),
    "spherical_facts": lambda facts: fc.spherical_facts(8, 4, n_values=3).to("cuda"),
    "value_geometry": lambda facts: geometries.value_geometry("clusters", 16, 4).to("cuda"),
    "cut_to_leading": lambda facts: geometries.cut_to_leading(facts, 8),
    "Decodability": lambda facts: fc.decodability(facts.values, which=torch.arange(3), enough=0.1),
    "decodability": lambda facts: [fc.decodability(facts.values.repeat(2, 1)), fc.decodability(facts.values, tol=1e-9)],
    "most_confusable": lambda facts: most_confusable(facts.values, 3),
    "whiten": lambda facts: geometries.whiten(facts.values)[1](geometries.whiten(facts.values)[0]),
    "GatedMLP": lambda facts: memory(facts)(facts.keys),
    "construct": lambda facts: fc.construct(facts.to(dtype=torch.bfloat16), "block-convex", strict=False),
    "smallest_width": lambda facts: fc.smallest_width(facts, tries=1),
    "SmallestWidth": lambda facts: fc.smallest_width(facts, "trained", tries=1, steps=60, start=16, resolution=1.0),
    "decode": lambda facts: fc.decode(memory(facts), facts.keys, facts.values),
    "lipschitz": lambda facts: fc.lipschitz(memory(facts), facts),
    "margins": lambda facts: [fc.margins(memory(facts), facts), fc.margins(memory(facts), facts, normalised=True)],
    "recall": lambda facts: fc.recall(memory(facts), facts),
    "FactTransformer": lambda facts: tf.FactTransformer(facts, residuals=True)(drawn(facts)),
    "insert": lambda facts: tf.insert(tf.FactTransformer(facts), memory(facts.to("cpu"))),
    "rms_norm": lambda facts: tf.rms_norm(facts.keys),
    "rope_turns": lambda facts: tf.rope_turns(tf.LENGTH, facts.d).to("cuda"),
    "rotate": lambda facts: tf.rotate(facts.keys[:2].repeat(2, 1, 1), tf.rope_turns(2, facts.d).to("cuda")),
    "asked": lambda facts: tf.asked(drawn(facts), len(facts)),
    "recall_batch": lambda facts: tf.recall_batch(len(facts), 4, torch.Generator().manual_seed(0), "cuda"),
    "transformer_recall": lambda facts: tf.transformer_recall(model_of(facts), facts.targets, samples=64),
    "adaptive_recall": lambda facts: tf.adaptive_recall(model_of(facts), memory(facts), facts.targets, samples=64),
    "train_recall": lambda facts: tf.train_recall(model_of(facts), facts.targets, steps=3, batch=8),
    "RecallTraining": lambda facts: tf.train_recall(  # the MLP learns, too
        tf.insert(tf.FactTransformer(facts), memory(facts), trainable=True),
        facts.targets,
        schedule="insert-first",
        steps=3,
    ),
    "solve_attention": lambda facts: model_of(facts),
    "AttentionSolve": lambda facts: tf.solve_attention(tf.FactTransformer(facts), most_iterations=20),
    "certified_noise": lambda facts: tf.certified_noise(model_of(facts)),
    "worst_weights": lambda facts: tf.worst_weights(model_of(facts)),
    "check_plain": lambda facts: tf.check_plain(model_of(facts)),
    "certified_recall": lambda facts: tf.certified_recall(model_of(facts), facts.targets),
    "certified_tolerance": lambda facts: tf.certified_tolerance(memory(facts), facts),
}


def tensors_in(thing: object) -> list[torch.Tensor]:
    """All tensors of a result, in modules, tuples, lists and dataclasses."""
    if isinstance(thing, torch.Tensor):
        return [thing]
    if isinstance(thing, torch.nn.Module):
        extra = [thing.lost] if isinstance(thing, fc.GatedMLP) and thing.lost is not None else []
        return [*thing.parameters(), *thing.buffers(), *extra]
    if dataclasses.is_dataclass(thing):
        thing = [getattr(thing, field.name) for field in dataclasses.fields(thing)]
    return [t for part in thing for t in tensors_in(part)] if isinstance(thing, (list, tuple)) else []


def test_every_public_name_is_called():
    public = {*fc.__all__, *tf.__all__} - {"JUNK", "LENGTH", "RUN"}
    elsewhere = {
        "layer_facts",
        "value_geometry",
        "cut_to_leading",
        "most_confusable",
        "whiten",
    }  # of the app and the book
    assert public == {*CALLS} - elsewhere


@pytest.mark.parametrize("name", CALLS)
def test_public_function_stays_on_the_device(name):
    with pretend_cuda():
        result = CALLS[name](fc.spherical_facts(24, 12).to("cuda"))
        found = tensors_in(result)
        assert {t.device for t in found} <= {CUDA}
        assert found or isinstance(result, (float, list, tuple, type(None)))
        numbers = [t.detach().cpu().double() for t in found] if name in COMPARED else []
    if name in COMPARED:
        on_cpu = [t.double() for t in tensors_in(CALLS[name](fc.spherical_facts(24, 12)))]
        assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(numbers, on_cpu, strict=True)) and on_cpu


# Whose numbers are those of the same call on the CPU.
COMPARED = ("decodability", "whiten", "decode", "margins", "certified_noise", "certified_tolerance", "worst_weights")


def facts_of(method: str) -> fc.FactSet:
    """Few facts of the kind that the method takes."""
    if method == "pairs":
        return fc.pair_facts(40, 8)
    return fc.spherical_facts(*((6, 16) if method == "ntk" else (24, 12)), seed=1)


@pytest.mark.parametrize("method, options", BUILDS, ids=str)
def test_construction_stays_on_the_device(method, options):
    options = QUICK.get(method, {}) | options
    with pretend_cuda():
        facts = facts_of(method).to("cuda")
        mlp = fc.construct(facts, method, strict=False, **options)
        assert {t.device for t in tensors_in(mlp)} == {CUDA}
        lost, there = mlp.lost.tolist(), fc.margins(mlp, facts).cpu()
    on_cpu = fc.construct(facts_of(method), method, strict=False, **options)
    assert lost == on_cpu.lost.tolist() and mlp.width == on_cpu.width and bool(there.isfinite().all())
