"""Training steps per second of `factcore.transformer` against the same model in the usual small-GPT style, in one run.

    python benchmarks/transformer.py --threads 1          # n = 256, d = 64, batch 512: a minute
    python benchmarks/transformer.py --device cuda

The usual style computes queries, keys, values, the MLP and the scores at every place of the sequence, with nn.Linear
projections and a causal mask, and leaves all but the last place out of the loss. `FactTransformer` asks at the last
place only, and there computes the score of a token at a place once, however often it stands in the batch. Both have the
same weights, train the same ones (queries, keys, the first norm) through the same frozen MLP with the same AdamW on the
same sequences; their losses and the gradients of the queries are compared first, and the run stops where they differ.

Rounds alternate between the two, so that what else the machine does meets both; `ratio` is of the medians. One row per
setting in results/laptop/transformer_benchmark.csv (with a GPU results/paper/); rows that it holds are not measured
again.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

import factcore as fc
from factbook import store
from factcore import transformer as tf

IGNORED = -1


class EveryPlace(nn.Module):
    """The model of `FactTransformer` as small GPTs are written: everything at every place."""

    def __init__(self, model: tf.FactTransformer) -> None:
        super().__init__()
        d = model.embedding.shape[1]
        self.embed = nn.Embedding.from_pretrained(model.embedding.detach().clone(), freeze=True)
        self.norm, self.mlp_norm = (nn.RMSNorm(d, eps=torch.finfo(torch.float32).eps) for _ in range(2))
        self.q, self.k, self.v, self.o = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.head = nn.Linear(d, len(model.head), bias=False)
        for mine, its in (
            (self.q.weight, model.query.T),
            (self.k.weight, model.key.T),
            (self.v.weight, model.value.T),
            (self.o.weight, model.output.T),
            (self.norm.weight, model.attention_norm),
            (self.mlp_norm.weight, model.mlp_norm),
            (self.head.weight, model.logit_scale * model.head),
        ):
            mine.data = its.detach().clone().contiguous()
        for frozen in (self.v, self.o, self.mlp_norm, self.head):
            frozen.requires_grad_(False)
        self.mlp, self.padding = model.mlp, len(model.embedding) - 1
        turns = torch.view_as_real(model.turns)  # (T, d/2, 2)
        self.register_buffer("cos", turns[..., 0].contiguous())
        self.register_buffer("sin", turns[..., 1].contiguous())
        self.register_buffer("causal", torch.ones(tf.LENGTH, tf.LENGTH).tril().bool())

    def rope(self, x: Tensor) -> Tensor:
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack([a * self.cos - b * self.sin, a * self.sin + b * self.cos], dim=-1).flatten(-2)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy over the places whose target is not IGNORED."""
        x = self.norm(self.embed(tokens))
        q, k, v = self.rope(self.q(x)), self.rope(self.k(x)), self.v(x)
        itself = torch.eye(tf.LENGTH, dtype=torch.bool, device=tokens.device)  # else padding would see nothing: NaN
        seen = (self.causal & (tokens != self.padding)[:, None]) | itself
        y = scaled_dot_product_attention(q[:, None], k[:, None], v[:, None], attn_mask=seen[:, None])[:, 0]
        scores = self.head(self.mlp(self.mlp_norm(self.o(y))))
        return cross_entropy(scores.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


def trainer(model: nn.Module, loss: Callable[[Tensor], Tensor]) -> Callable[[Tensor], float]:
    """A function that takes one training step on a batch of sequences and returns its loss."""
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3, weight_decay=0.1)

    def step(tokens: Tensor) -> float:
        value = loss(tokens)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        return float(value.detach())

    return step


def speeds(n_facts: int, d: int, batch: int, steps: int, rounds: int, device: str) -> dict:
    """Steps per second of both, once they have been seen to compute the same loss and gradient."""
    facts = fc.spherical_facts(n_facts, d, seed=0).to(device)
    mlp = fc.construct(facts, "block-convex", width=-(-4 * n_facts // d), seed=0)
    model = tf.insert(tf.FactTransformer(facts, seed=0).to(device), mlp)
    usual = EveryPlace(model).to(device)
    generator = torch.Generator().manual_seed(0)
    batches = [tf.recall_batch(n_facts, batch, generator, device) for _ in range(steps)]
    answers = lambda tokens: facts.targets[tf.asked(tokens, n_facts)]  # noqa: E731

    def everywhere(tokens: Tensor) -> Tensor:
        targets = torch.full_like(tokens, IGNORED)
        targets[:, -1] = answers(tokens)
        return usual(tokens, targets)

    last = lambda tokens: cross_entropy(model(tokens), answers(tokens))  # noqa: E731
    ours, theirs = last(batches[0]), everywhere(batches[0])
    slopes = [torch.autograd.grad(ours, model.query)[0], torch.autograd.grad(theirs, usual.q.weight)[0].T]
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(slopes[1], slopes[0], rtol=1e-2, atol=1e-4)
    train = {"factcore": trainer(model, last), "small_gpt": trainer(usual, everywhere)}
    rates: dict[str, list[float]] = {name: [] for name in train}
    for turn in range(rounds + 1):  # the first round warms up
        for name, step in train.items():
            begun = time.perf_counter()
            for tokens in batches:
                step(tokens)  # its loss is read, so the device has finished
            if turn:
                rates[name].append(steps / (time.perf_counter() - begun))
    ratios = [a / b for a, b in zip(rates["factcore"], rates["small_gpt"])]
    fast, slow = (statistics.median(rates[name]) for name in ("factcore", "small_gpt"))
    return {
        "device": model.query.device,
        "factcore_steps_per_s": round(fast, 2),
        "small_gpt_steps_per_s": round(slow, 2),
        "ratio": round(fast / slow, 2),
        "smallest_ratio": round(min(ratios), 2),
        "largest_ratio": round(max(ratios), 2),
    }


def size(text: str) -> tuple[int, int]:
    n, d = text.split("x")
    return int(n), int(d)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=size, default=[(256, 64)], metavar="NxD", help="facts x dimension")
    parser.add_argument("--batch", type=int, default=512, help="sequences per step")
    parser.add_argument("--steps", type=int, default=20, help="steps per round")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds of each model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=None, help="processor threads; 1 where others compute")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    jobs = [
        {"n_facts": n, "d": d, "batch": args.batch, "steps": args.steps, "rounds": args.rounds} for n, d in args.sizes
    ]
    path = store.results_file("transformer_benchmark", "laptop" if args.device == "cpu" else "paper")
    run = lambda **job: speeds(**job, device=args.device)  # noqa: E731
    print(store.resume(path, jobs, run, device=args.device).T.to_string())


if __name__ == "__main__":
    main()
