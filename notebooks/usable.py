# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Constructed MLPs inside a transformer
#
# **What the paper claims** {cite:p}`dugan2025constructing`: transformers can use constructed MLPs, at more than 99% recall on a
# synthetic task, once embeddings are tied, the norm before the MLP and the value and output projections are frozen and the
# residuals removed. There is a trade-off between how few parameters an MLP needs and whether attention can use it.
#
# **What this page does**: it inserts MLPs of every kind into one transformer, measures recall, swaps in MLPs that store another
# map, and explains who survives by two angles: the noise that attention leaves on a key, and the noise an MLP can take. Then it
# writes attention down too, by one convex problem: no part of the transformer is trained, and its recall is proved.
#
# **For whom**: anyone who wants to place a constructed memory into a network. Ten minutes.

# %% tags=["remove-cell"]
import importlib.util
import subprocess
import sys
from pathlib import Path

found = importlib.util.find_spec("factcore")  # any folder of that name is found; the package's has a facts.py
if not (found and found.origin and Path(found.origin).with_name("facts.py").is_file()):
    # on Colab: fetch the package, its data and its stored results
    source, version = "https://github.com/factcore/factcore", "v0.2.0"
    checkout = str(Path("factcore-checkout").resolve())
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", "--branch", version, source, checkout], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "-e", checkout], check=True)
    sys.path.insert(0, checkout)

# %% tags=["parameters"]
profile = "laptop"  # smoke, laptop or paper
device = "cpu"
seed = 0

# %% [markdown]
# ## The task and the model
#
# A sequence hides one key in junk and ends in a query token; the answer is the key's value:
#
# ```
# junk junk … junk  K  junk … junk  Q   →  value of K
# ```
#
# One attention head, with RoPE and no residuals, must bring the embedding of K to the MLP. What arrives is a mixture, $x = \sum_t a_t
# e_t$ scaled to the norm of a key, so it stands at some angle to K: the *attention noise*. Embeddings, head and MLP are frozen; only the query
# and key projections and the first norm learn. Attention comes in three kinds, once per draw of facts and for all MLPs:
#
# - **trained** with the identity in the MLP's place, to return the key (AdamW; the paper's second schedule);
# - **trained and sharpened** (ours): the same, its learned norm then folded into the projections, which keeps all scores and mixes plain
#   keys, and the scores multiplied by 16, so that the softmax is nearer to a choice ([`factbook.attended.sharpen`](../book/api.md));
# - **solved for** (ours): with the query projection left as drawn, scores are linear in the key projection, and raising the weight on the
#   key, whatever the junk, is one convex problem, without drawing a sequence
#   ([`transformer.solve_attention`](../book/api.md)).
#
# Then each MLP is inserted and nothing is trained any more.

# %%
import numpy
import torch
from IPython.display import display
from matplotlib import pyplot as plt
from torch.nn.functional import normalize

import factcore as fc
from factbook import figures, store
from factbook import noise as us
from factbook.attended import attended
from factbook.paraphrase import auc
from factbook.steepness import relative_lipschitz
from factcore import transformer as tf
from factcore.support.streams import stream

figures.use_style()
size = {"smoke": {"n_facts": 32, "d": 32}, "laptop": {"n_facts": 256, "d": 64}, "paper": {"n_facts": 4096, "d": 512}}[
    profile
]
training = {"smoke": {"steps": 100, "batch": 64}, "laptop": {}, "paper": {"steps": 8000, "batch": 1280, "lr": 3e-3}}[
    profile
]
seeds = range(seed, seed + 3)
n, d = size["n_facts"], size["d"]
m = max(6, d * 5 // 32)  # code length that leaves room: twice what recall alone needs


def units(per_fact: float) -> int:
    return -(-int(per_fact * n) // (3 * d))


trained_steps = 200 if profile == "smoke" else 1000
memories = {  # label: method, options, noise of the copies it is built with [degrees]
    "buckets, fill 1": ("encoder-decoder", {}, 0),
    "buckets, fill 0.8, longer codes": ("encoder-decoder", {"fill": 0.8, "code_dim": m}, 0),
    "buckets, fill 0.5, longer codes": ("encoder-decoder", {"fill": 0.5, "code_dim": m}, 0),
    "SiLU gates, fill 1": ("encoder-decoder", {"encoder": "random-gates", "code_dim": m}, 0),
    "SiLU gates, fill 0.5": ("encoder-decoder", {"encoder": "random-gates", "code_dim": m, "fill": 0.5}, 0),
    "bilinear gates, fill 1": ("encoder-decoder", {"encoder": "random-gates", "gate": "identity", "code_dim": m}, 0),
    "bilinear gates, fill 0.5": (
        "encoder-decoder",
        {"encoder": "random-gates", "gate": "identity", "code_dim": m, "fill": 0.5},
        0,
    ),
    "Hebbian, whitened": ("hebbian", {"width": units(96)}, 0),
    "max-margin, 30 a fact": ("max-margin", {"width": units(30)}, 0),
    "max-margin, 48 a fact": ("max-margin", {"width": units(48)}, 0),
    "block-convex, 8 a fact": ("block-convex", {"width": units(8)}, 0),
    "block-convex, 12 a fact": ("block-convex", {"width": units(12)}, 0),
    "block-convex, 12 a fact, noisy copies": ("block-convex", {"width": units(12)}, 15),
    "block-convex, 18 a fact, noisy copies": ("block-convex", {"width": units(18)}, 15),
    "trained alone, 12 a fact": ("trained", {"width": units(12), "steps": trained_steps}, 0),
}

if profile == "smoke":
    few = ["buckets, fill 1", "bilinear gates, fill 0.5", "block-convex, 12 a fact", "trained alone, 12 a fact"]
    memories = {name: memories[name] for name in few}


# %% [markdown]
# ## The run


# %%
def maps(n_facts: int, d: int, seed: int) -> tuple[fc.FactSet, fc.FactSet]:
    """The facts, and another map over the same keys and values."""
    facts = fc.spherical_facts(n_facts, d, seed=seed).to(device)
    return facts, fc.FactSet(facts.keys, facts.values, facts.targets.roll(1))


def build(memory: str, facts: fc.FactSet, seed: int):
    method, options, degrees = memories[memory]
    stored = us.noisy_copies(facts, degrees, 8, seed=seed) if degrees else facts
    return fc.construct(stored, method, seed=seed, strict=False, **options)


def inserted(memory: str, n_facts: int, d: int, seed: int) -> dict:
    """Recall in the transformer before and after a swap to another map, and the angles that explain it."""
    facts, other = maps(n_facts, d, seed)
    mlp, swapped = build(memory, facts, seed), build(memory, other, seed)
    kinds = (attended(kind, n_facts, d, seed, device, **training) for kind in ("trained", "sharpened", "solved"))
    model, sharp, solved = (tf.insert(kind, mlp) for kind in kinds)
    tolerance, noise = us.noise_tolerance(mlp, facts), us.attention_noise(model)
    return {
        "device": mlp.down.device,
        "n_params": mlp.n_params,
        "recall_alone": fc.recall(mlp, facts),
        "recall": tf.transformer_recall(model, facts.targets),
        "adaptive_recall": tf.adaptive_recall(model, swapped, other.targets),
        "sharp_recall": tf.transformer_recall(sharp, facts.targets),
        "solved_recall": tf.transformer_recall(solved, facts.targets),
        "solved_adaptive": tf.adaptive_recall(solved, swapped, other.targets),
        "solved_certified": tf.certified_recall(solved, facts.targets),
        "swap_certified": tf.certified_recall(tf.insert(solved, swapped), other.targets),
        "solved_noise": float(tf.certified_noise(solved).max()),
        "lipschitz": relative_lipschitz(mlp, facts),
        "tolerance_5": float(tolerance.quantile(0.05)),
        "tolerance_50": float(tolerance.median()),
        "certified_50": float(tf.certified_tolerance(mlp, facts).median()),
        "noise_50": float(noise.median()),
        "noise_95": float(noise.quantile(0.95)),
        "sharp_noise_95": float(us.attention_noise(sharp).quantile(0.95)),
        "reached": float((noise < 45).double().mean()),
    }


jobs = [{"memory": name, **size, "seed": s} for s in seeds for name in memories]
table = store.resume(store.results_file("usable", profile), jobs, inserted, device=device)
print(f"{len(table)} runs; smallest recall outside of the transformer {table.recall_alone.min():.1%}")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left, recall in the transformer of each memory as points for three draws: with trained attention before and after a swap to another map, with the same attention sharpened, and with attention solved for, which is at one hundred percent for nearly all. Right, recall with trained attention against the angle that a memory takes, rising where the angle exceeds the attention noise."}}
order = list(memories)
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5), width_ratios=[1.1, 1])
for shift, column, colour, marker, label in (
    (-0.27, "recall", figures.COLOURS["encoder-decoder"], "o", "attention trained"),
    (-0.09, "adaptive_recall", figures.COLOURS["trained"], "^", "the same, after a swap to another map"),
    (0.09, "sharp_recall", figures.COLOURS["ntk"], "s", "attention trained and sharpened"),
    (0.27, "solved_adaptive", figures.COLOURS["block-convex"], "P", "attention solved for, after the swap"),
):
    left.plot(
        table[column],
        [order.index(name) + shift for name in table.memory],
        marker,
        color=colour,
        label=label,
        alpha=0.8,
    )
left.axvline(
    table.reached.median(), color="grey", linestyle=":", label="sequences whose key gets through trained attention"
)
left.set_yticks(range(len(order)), labels=order)
left.invert_yaxis()
left.set(xlabel="recall in the transformer (share of sequences)", xlim=(-0.03, 1.03))
left.legend(loc="center left", bbox_to_anchor=(0.0, 0.55), fontsize=8.5)
kinds = {"encoder-decoder": "o", "hebbian": "v", "max-margin": "D", "block-convex": "P", "trained": "^"}
method_of = table.memory.map(lambda name: memories[name][0])
for method, marker in kinds.items():
    part = table[method_of == method]
    right.plot(part.tolerance_5.clip(lower=0.05), part.recall, marker, color=figures.COLOURS[method], label=method)
low, high = table.noise_50.min(), table.noise_95.max()
right.axvspan(low, high, color="grey", alpha=0.2, label="attention noise, median to 95%")
right.set(xscale="log", xlabel="angle that 95% of the keys tolerate [degrees]", ylabel="recall in the transformer")
right.legend(fontsize=8.5)
plt.show()

# %% [markdown]
# Points are single draws of facts (three each). Left: recall with trained attention as inserted (circles) and after a swap (triangles), and
# with the same attention sharpened (squares) and attention solved for, after the swap (crosses). Right: recall as inserted, with trained attention, against the noise the memory
# takes; the grey band is the noise that trained attention leaves.
#
# ## The numbers behind it

# %%
# NBVAL_IGNORE_OUTPUT
shown = table.groupby("memory", sort=False).agg(
    {
        c: "median"
        for c in (
            "n_params",
            "recall",
            "adaptive_recall",
            "sharp_recall",
            "solved_recall",
            "solved_adaptive",
            "lipschitz",
            "tolerance_5",
        )
    }
)
shown.insert(1, "per fact", shown.n_params / n)
shown["smallest recall"] = table.groupby("memory", sort=False).recall.min()
shown.round(3)

# %% [markdown]
# ## Attention solved for, and recall proved
#
# The longest sequence that has the best-scoring junk at every place is the worst one for a key, so the smallest weight that attention
# ever puts on the key is known exactly, and with it an angle that the MLP's input never exceeds
# ([`transformer.certified_noise`](../book/api.md)). Where it is smaller than the angle that the MLP is proved to take
# ([`transformer.certified_tolerance`](../book/api.md)), the transformer answers *every* sequence of the task right: recall is
# proved, not sampled; in exact arithmetic, and for this task's junk.

# %%
# NBVAL_IGNORE_OUTPUT
print(f"largest angle between input and key, over all sequences: {table.solved_noise.max():.4f} degrees")
columns = ["solved_recall", "solved_certified", "solved_adaptive", "swap_certified"]
solved = table.groupby("memory", sort=False)[columns].min()
whole = solved[(solved >= 1).all(axis=1)]
print(f"{len(whole)} of {len(solved)} memories: all samples right, all keys proved, with either map")
print("smallest value over the draws, for the others:" if len(whole) < len(solved) else "")
solved.drop(whole.index).round(4)

# %% [markdown]
# ## Is the training fair?
#
# What attention lets through (the key asked for is, of all keys, nearest to what arrives) and the angle it leaves, for other settings of the
# training, three draws each, as trained and sharpened. No MLP takes part.

# %%
plain = {"steps": 1500, "batch": 512, "lr": 1e-2}
settings = {
    "as above": {},
    "4,000 steps": {"steps": 4000},
    "lr 0.003": {"lr": 3e-3},
    "lr 0.03": {"lr": 3e-2},
    "no weight decay": {"weight_decay": 0.0},
    "lr 0.0002 (the paper's), 4,000 steps": {"lr": 2e-4, "steps": 4000},
}
if profile == "smoke":
    settings = {"as above": {}}
ways = [(name, sharper) for name in settings for sharper in (False, True)] + [("solved for", False)]


def left_of_keys(setting: str, sharpened: bool, n_facts: int, d: int, seed: int) -> dict:
    """What gets through attention, and the angles."""
    kind = "solved" if setting == "solved for" else "sharpened" if sharpened else "trained"
    options = {} if kind == "solved" else {"target_recall": 2.0, **plain, **training, **settings[setting]}
    model = attended(kind, n_facts, d, seed, device, **options)
    noise = us.attention_noise(model, samples=4096)
    through = float(us.arrivals(model).through.double().mean())
    angles = {"noise_50": float(noise.median()), "noise_95": float(noise.quantile(0.95))}
    return {"through": through, **angles, "device": noise.device}


jobs = [{"setting": name, "sharpened": sharper, **size, "seed": s} for s in seeds for name, sharper in ways]
fair = store.resume(store.results_file("usable_training", profile), jobs, left_of_keys, device=device)
print(f"{len(fair)} ways to set up attention")

# %%
# NBVAL_IGNORE_OUTPUT
ranked = fair.groupby(["setting", "sharpened"], sort=False)
display(ranked[["through", "noise_50", "noise_95"]].median().assign(worst=ranked.through.min()).round(4))
published = store.stored("usable_published", "paper")  # 16,000 steps of 1,280 sequences: make paper DEVICE=cuda
display("16,000 steps of 1,280 sequences: not run yet" if published is None else published.round(4))

# %% [markdown]
# ## Recall over training steps
#
# Attention as it learns, under the paper's two schedules: first attention alone, then the MLP inserted (*attention-first*), or through the
# inserted MLP from the start (*insert-first*). Recall is measured with the MLP in place, and again with an MLP that stores another map. The
# last memory is trained in place: its own weights learn together with attention.

# %%
steps = {"smoke": 100, "laptop": 1000, "paper": 8000}[profile]
learning = {"smoke": {"batch": 64}, "laptop": {"batch": 256}, "paper": {"batch": 1280, "lr": 3e-3}}[profile]
watched = ["bilinear gates, fill 0.5", "block-convex, 12 a fact"][profile == "smoke" :]
in_place = "trained in place, 12 a fact"
moments = [steps // 5 * k for k in range(1, 6)]


def learned(memory: str, schedule: str, n_facts: int, d: int, seed: int) -> dict:
    """Recall, as inserted and after a swap, at the look nearest to each of five moments of training."""
    facts, other = maps(n_facts, d, seed)
    name = "trained alone, 12 a fact" if memory == in_place else memory
    swapped = build(name, other, seed)
    model = tf.FactTransformer(facts, seed=seed)
    tf.insert(model, build(name, facts, seed), trainable=memory == in_place)
    swap = lambda: {"adaptive": tf.adaptive_recall(model, swapped, other.targets)}  # noqa: E731
    options = {"schedule": schedule, "steps": steps, "seed": seed, **learning}
    history = tf.train_recall(model, facts.targets, target_recall=2.0, measure=swap, **options).history
    looks = {at: min(history, key=lambda row: abs(row["step"] - at)) for at in moments}
    found = {f"{key}_{at}": row[key] for at, row in looks.items() for key in ("recall", "adaptive")}
    return found | {"device": model.query.device}


runs = [(name, schedule) for name in watched for schedule in ("attention-first", "insert-first")]
runs.append((in_place, "insert-first"))
jobs = [{"memory": name, "schedule": schedule, **size, "seed": s} for s in seeds for name, schedule in runs]
curves = store.resume(store.results_file("usable_steps", profile), jobs, learned, device=device)
print(f"{len(curves)} runs of {steps} steps")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Recall against training steps for two constructed memories under two schedules and one trained in place, as inserted on the left and after a swap on the right; attention solved for is a line at the top that needs no step."}}
figure, panels = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
for axes, column, title in zip(panels, ("recall", "adaptive"), ("as inserted", "after a swap to another map")):
    for memory, schedule in runs:
        part = curves[(curves.memory == memory) & (curves.schedule == schedule)]
        drawn = part[[f"{column}_{step}" for step in moments]].to_numpy()
        method = "trained" if memory == in_place else memories[memory][0]
        style = {"color": figures.COLOURS[method], "marker": figures.MARKERS[method]}
        dashed = "-" if schedule == "attention-first" else "--"
        axes.plot(moments, numpy.median(drawn, axis=0), dashed, label=f"{memory}: {schedule}", **style)
        axes.fill_between(moments, drawn.min(axis=0), drawn.max(axis=0), color=style["color"], alpha=0.12)
    level = table[table.memory.isin(watched)]["solved_recall" if column == "recall" else "solved_adaptive"].min()
    axes.axhline(level, color="black", linestyle=":", label="attention solved for: both, worst draw")
    axes.set(title=title, xlabel="training steps", xlim=(0, steps), ylim=(-0.03, 1.03))
panels[0].set_ylabel("recall (share of sequences)")
panels[0].legend(fontsize=8, loc="center right")
plt.show()

# %% [markdown]
# Lines: medians of three draws of facts; bands: their range. Solid: attention-first, dashed: insert-first.
#
# ## Is the tolerance a prediction?
#
# A memory should be usable when the angle that 95% of its keys tolerate exceeds the noise of 95% of the sequences. Usable here
# means: it loses less than 1% of the sequences beyond those that attention loses for every memory.

# %%
# NBVAL_IGNORE_OUTPUT
best = table.groupby("seed").recall.transform("max")
usable = torch.tensor((table.recall >= best - 0.01).to_numpy())
for name, score in (
    ("tolerated angle over attention noise", table.tolerance_5 / table.noise_95),
    ("certified angle over attention noise", table.certified_50 / table.noise_95),
    ("steepness alone (lower is better)", -table.lipschitz),
    ("parameters (more is better)", table.n_params),
):
    scores = torch.tensor(score.to_numpy(), dtype=torch.float64)
    print(f"area under the ROC curve, {name}: {auc(scores[usable], scores[~usable]):.2f}")
right_calls = ((table.tolerance_5 > table.noise_95).to_numpy() == usable.numpy()).mean()
print(
    f"usable when tolerance exceeds noise: right in {right_calls:.0%} of {len(table)} runs, {usable.double().mean():.0%} usable"
)

# %% [markdown]
# ## Which parts of the recipe matter?
#
# The paper removes the residuals, freezes the norm before the MLP and the value and output projections, and ties the embeddings.
# Each piece put back alone, with a block-convex memory at a small size, attention trained first:


# %%
variants = {  # the parts that learn, too
    "the recipe": [],
    "with residuals": [],
    "MLP norm learns": ["mlp_norm"],
    "value and output projections learn": ["value", "output"],
    "untied embeddings and head": ["embedding", "head"],
}
if profile == "smoke":
    variants = {name: variants[name] for name in ("the recipe", "untied embeddings and head")}


def ablated(variant: str, schedule: str, n_facts: int, d: int, seed: int) -> dict:
    facts, other = maps(n_facts, d, seed)
    solve = lambda f: fc.construct(f, "block-convex", width=-(-4 * n_facts // d), seed=seed, strict=False)  # noqa: E731
    model, generator = (
        tf.FactTransformer(facts, seed=seed, residuals=variant == "with residuals"),
        stream(seed, "noise"),
    )
    for name in variants[variant]:
        weight = getattr(model, name).requires_grad_()
        if name in ("embedding", "head"):  # untied: at random, of the norms they had
            drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64).to(weight)
            weight.data = normalize(drawn, dim=1) * weight.detach().norm(dim=1, keepdim=True)
    tf.insert(model, solve(facts))
    options = {"steps": 40 if profile == "smoke" else 500, "batch": 256}
    result = tf.train_recall(model, facts.targets, schedule=schedule, seed=seed, **options)
    adaptive = tf.adaptive_recall(model, solve(other), other.targets)
    return {"recall": result.recall, "adaptive_recall": adaptive, "device": model.query.device}


small = {"n_facts": 16, "d": 16} if profile == "smoke" else {"n_facts": 64, "d": 32}
jobs = [
    {"variant": name, "schedule": schedule, **small, "seed": s}
    for name in variants
    for schedule in ("attention-first", "insert-first")
    for s in seeds
]
ablation = store.resume(store.results_file("usable_ablation", profile), jobs, ablated, device=device)
print(f"{len(ablation)} runs of {len(variants)} variants under two schedules")

# %%
# NBVAL_IGNORE_OUTPUT
ablation.groupby(["variant", "schedule"], sort=False)[["recall", "adaptive_recall"]].agg(
    ["min", "median", "max"]
).round(2)

# %% [markdown]
# ## What we found

# %%
# NBVAL_IGNORE_OUTPUT
row = shown.loc
best_ed = shown[[memories[x][0] == "encoder-decoder" for x in shown.index]].sort_values("recall").iloc[-1]
print(f"key gets through trained attention: {table.reached.min():.1%} to {table.reached.max():.1%} of sequences")
print(
    f"best encoder-decoder there ({best_ed.name}):\n"
    f"  recall {best_ed.recall:.1%} at {best_ed['per fact']:.0f} parameters per fact"
)
name = "block-convex, 12 a fact"
print(f"{name}: recall {row[name, 'recall']:.1%}, after a swap {row[name, 'adaptive_recall']:.1%}")
for name in ("buckets, fill 1", "block-convex, 12 a fact"):
    worst = table[table.memory == name].min()
    print(
        f"{name}, attention solved for, worst of {table.seed.nunique()} draws:\n  recall {worst.solved_recall:.2%}, "
        f"after a swap {worst.solved_adaptive:.2%}, proved for {worst.solved_certified:.1%} of the keys"
    )
last = curves[curves.memory == in_place][[f"recall_{steps}", f"adaptive_{steps}"]].median()
print(f"{in_place}: recall {last.iloc[0]:.1%}, after a swap {last.iloc[1]:.1%}")

# %% [markdown]
# - **Attention need not be trained.** Solved for by one convex problem, with 16 junk tokens, its noise all but vanishes: every memory answers every sequence, down to the
#   shortest codes, and this is proved key by key, before and after the swap. The exception is the Hebbian memory, which is too small for the
#   second map of a draw and loses a key of it outside of the transformer as well.
# - **The conflict between capacity and usability is one with noise, and here the noise can be removed.** It is there with our trained attention, and has two
#   sources: a softmax that never quite chooses, and the trained norm, which turns every key a little. Sharpening undoes both, without training: each
#   memory then keeps what gets through, and what stays lost is what attention itself mistakes.
# - **A look-up, not a memory of answers.** Whatever a constructed MLP recalls as inserted, it recalls after the swap. An MLP trained in
#   place loses more, and with embeddings and head untied the network recalls everything and nothing after a swap: it has memorised.
# - **With trained attention hard gates are what breaks the bucket encoder.** A key that stands near a cut falls into the wrong bucket after a small turn,
#   so more room or longer codes do not save it. The same encoder with random bilinear gates and room to spare is usable; block-convex
#   is as usable with a fraction of its parameters.
# - **Noise tolerance sorts the usable from the rest**, better than steepness or size do. The plain rule "tolerance above noise" is
#   too lenient near the border: the ROC curve is better than the rule's share of right calls.
# - **Trained attention, not the MLP, sets the ceiling there.** It must tell 256 random keys from junk by one linear map in 64 dimensions. That
#   can be done, with a thin margin: none of our trainings gets there within 4,000 steps, the convex problem does. (The paper trains longer, in
#   larger batches, and reports 99%.) With many more facts in the same dimension [no such map is found](block_facts.ipynb).
# - **Every piece of the recipe matters** when attention is trained: putting any one back costs recall or turns the look-up into memorising. With the recipe,
#   training attention through the inserted MLP from the start (insert-first) did worse than training it first.
