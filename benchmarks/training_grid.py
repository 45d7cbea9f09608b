"""Which training stores the same facts in the fewest parameters: one setting changed at a time.

    python benchmarks/training_grid.py                        # n = v = 256, d = 32: minutes
    python benchmarks/training_grid.py --sizes 1024x64        # hours on two cores, minutes on a GPU (--device cuda)

    python benchmarks/training_grid.py --sizes 1024x64 --width 20 --settings chosen "lr 0.1" …      # minutes

A run finds the smallest width of one setting for one draw of the facts (`smallest_width`, one try a width). Finished
runs are kept in results/laptop/training_grid.csv and not repeated. The table printed sums up the draws; a width is
resolved to one unit, so settings that differ by less than a unit are equal here.
With --width one network a draw is trained at that one width, near the smallest, and the recall reached tells the
settings apart: results/laptop/training_grid_width.csv.

What was chosen: the defaults of `trained` are the setting named "chosen", but for its 2,000 steps (4,000 by default).
- Bilinear (identity) gates: no draw needs fewer units with SiLU, and ReLU gates need about twice as many.
- Logits large enough for cross-entropy to bite: SiLU networks with values of norm 1 and lr 0.02, a usual choice, need
  two units more at n = 256. The squared hinge needs as many as those.
- lr 0.2: widths hardly depend on the lr, but one unit below (column recall_below, the best recall there) networks
  trained with 0.1 to 0.4 store more than with 0.02, so that more steps or seeds can win that unit.
  At n = 1,024 (20 units, the recall reached) it matters: of 0.02 to 0.4 only 0.2 stores every fact of each draw.
- Scales of keys and weights, warm-up: no gain of a whole unit on average, so they stay plain. Wide initial weights
  hurt a draw.
Training goes by cosine decay throughout; the decay is not in the grid. The tables also have rows of settings that are
no options of `trained` (the squared hinge, scales, warm-up), and rows whose draws were trained at once, where the
first has the seconds of all.
"""

import argparse

import torch

import factcore as fc
from factbook import store

CHOSEN = {"gate": "identity", "descent": "both", "lr": 0.2, "steps": 2000}
CHANGES = {
    "chosen": {},
    "l-bfgs": {"descent": "l-bfgs"},
    "adam": {"descent": "adam"},
    "silu": {"gate": "silu", "lr": 0.02},
    "relu": {"gate": "relu", "lr": 0.02},
    "plain, gelu": {"gate": "gelu", "form": "plain", "lr": 0.02},
    "plain, relu": {"gate": "relu", "form": "plain", "lr": 0.02},
    "adam, lr 0.02": {"descent": "adam", "lr": 0.02},
    "adam, lr 0.1": {"descent": "adam", "lr": 0.1},
    "adam, lr 0.4": {"descent": "adam", "lr": 0.4},
    "adam, 1000 steps": {"descent": "adam", "steps": 1000},
    "adam, 4000 steps": {"descent": "adam", "steps": 4000},
}
SAME = {"loss": "cross-entropy", "key_norm": 1.0, "spread": 1.0, "warmup": 0}  # columns that no setting here changes


def cost(setting: str, n_facts: int, d: int, seed: int, device: str) -> dict:
    """The smallest width of ``setting`` for one draw of n = v facts."""
    facts = fc.spherical_facts(n_facts, d, seed=seed).to(device)
    found = fc.smallest_width(facts, "trained", seed=seed, tries=1, **CHOSEN | CHANGES[setting])
    below = max((trial["recall"] for trial in found.trials if trial["width"] == found.width - 1), default=0.0)
    result = {"width": found.width, "n_params": found.n_params, "recall": found.recall, "recall_below": below}
    result["device"] = found.trials[-1]["device"]
    return CHOSEN | CHANGES[setting] | SAME | result


def reached(setting: str, n_facts: int, d: int, seed: int, width: int, device: str) -> dict:
    """Recall at one width for one draw of n = v facts."""
    facts = fc.spherical_facts(n_facts, d, seed=seed).to(device)
    mlp = fc.construct(facts, "trained", width=width, seed=seed, strict=False, **CHOSEN | CHANGES[setting])
    return {"recall": fc.recall(mlp, facts), "device": mlp.down.device}


def size(text: str) -> tuple[int, int]:
    n, d = text.split("x")
    return int(n), int(d)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=size, default=[(256, 32)], metavar="NxD")
    parser.add_argument("--settings", nargs="+", default=list(CHANGES), choices=list(CHANGES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--width", type=int, default=None, help="store the recall at this one width")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=None)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    jobs = [
        {"setting": setting, "n_facts": n, "d": d, "seed": seed}
        for n, d in args.sizes
        for setting in args.settings
        for seed in range(args.seeds)
    ]
    if args.width is not None:
        table = store.resume(
            store.results_file("training_grid_width", "laptop"),
            [job | {"width": args.width} for job in jobs],
            lambda **job: reached(**job, device=args.device),
            device=args.device,
        )
        shown = table.groupby(["n_facts", "d", "width", "setting"], sort=False)
        print(shown.recall.agg(["mean", "min", "max"]).round(4).to_string())
        return
    path = store.results_file("training_grid", "laptop")
    table = store.resume(path, jobs, lambda **job: cost(**job, device=args.device), device=args.device)
    shown = table.assign(per_fact=table.n_params / table.n_facts).groupby(["n_facts", "d", "setting"], sort=False)
    columns = {"width": ["mean", "min", "max"], "per_fact": "mean", "recall_below": "mean", "seconds": "mean"}
    print(shown.agg(columns).round(3).to_string())


if __name__ == "__main__":
    main()
