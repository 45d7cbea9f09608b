"""Go on with the papers' sizes for as long as there is a GPU: python scripts/paper.py --device cuda --budget 25m.

Works through factbook.paper.chunks, the most valuable first, into results/paper/*.csv; what has a row is not run again.
Stops inside the budget and says what is left. `make paper DEVICE=cuda BUDGET=25m` does the same.
"""

import argparse
import re
import sys

from factbook import paper, store

UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> int:
    """25m, 90s or 2h in seconds."""
    if not re.fullmatch(r"[1-9]\d{0,4}[smh]", text):
        raise argparse.ArgumentTypeError(f"a budget is a time such as 90s, 25m or 2h, not {text!r}")
    return int(text[:-1]) * UNITS[text[-1]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--budget", type=seconds, default="25m", metavar="TIME", help="90s, 25m or 2h")
    parser.add_argument("--list", action="store_true", help="say what there is to do, and do nothing")
    options = parser.parse_args()
    chunks = paper.chunks()
    if options.list:
        for chunk in chunks:
            print(
                f"{chunk.name}: {len(chunk.left())} of {len(chunk.jobs)} runs left, at most {chunk.minutes:g} minutes"
            )
        return
    try:
        name = store.device_name(options.device)
    except (ValueError, RuntimeError) as error:
        raise SystemExit(f"{parser.prog}: {error}") from error
    print(f"{options.budget} s on {name}, commit {store.commit()}")
    if store.commit().endswith("+"):
        print("the code has local changes, and the rows will say so: commit first", file=sys.stderr)
    left = paper.work(chunks, options.budget, device=options.device, say=lambda text: print(text, flush=True))
    print(f"left: {len(left)} of {len(chunks)}")
    for chunk, why in left:
        print(f"  {chunk}: {why}")


if __name__ == "__main__":
    main()
