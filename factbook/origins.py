"""How each method comes by its weights, matrix by matrix: what "constructed" and "trained" mean in this book.

The network is g(x) = D (σ(Gx) ⊙ (Ax)). `ORIGINS` has a row for each method of `factcore.methods.METHODS`, `OPTIONS` for
the options that change it; the docstrings say the same words, and a test holds them to it.
"""

from typing import NamedTuple

KINDS = {
    "drawn": "from a random generator; no fact is looked at",
    "averaged": "one sum over the facts",
    "closed form": "written down from the facts, nothing solved",
    "linear solve": "linear systems or least squares, factorised; for the D of short codes in turn with its targets",
    "certified convex": "the minimiser of a convex problem, with a certificate; by L-BFGS or an active set",
    "prox-linear": "steps on a problem that is not convex, each a certified convex one",
    "gradient training": "gradients of a loss that is not convex, followed until the facts are stored",
}


class Origin(NamedTuple):
    """Where the gates G, the up projection A and the down projection D come from; codes where there are any."""

    gates: str
    up: str
    down: str
    codes: str = ""


ORIGINS: dict[str, Origin] = {
    "one-hot": Origin("drawn, closed form", "closed form", "certified convex"),
    "ntk": Origin("drawn", "averaged", "drawn"),
    "hebbian": Origin("drawn", "drawn", "linear solve"),
    "encoder-decoder": Origin("drawn", "linear solve", "linear solve", "certified convex"),
    "max-margin": Origin("drawn", "certified convex", "drawn"),
    "block-convex": Origin(*["drawn, linear solve, prox-linear"] * 3),
    "pairs": Origin("drawn, linear solve", "", "linear solve"),
    "trained": Origin(*["linear solve, gradient training"] * 3),
}
OPTIONS: dict[str, Origin] = {  # the same methods with an option, and what has no name in the table of methods
    "hebbian, variant='raw'": Origin("drawn", "drawn", "averaged"),
    "hebbian, variant='data-dependent'": Origin("linear solve", "linear solve", "linear solve"),
    "encoder-decoder, codes='projected' (the paper's)": Origin("drawn", "linear solve", "drawn", "certified convex"),
    "encoder-decoder, projection='optimised'": Origin("drawn", "linear solve", "gradient training", "certified convex"),
    "encoder-decoder, values affinely independent": Origin("drawn", "linear solve", "linear solve", "certified convex"),
}
ATTENTION = {"solved for": "certified convex", "trained": "gradient training"}  # of the transformer's key projection


def kinds(origin: Origin) -> set[str]:
    """The words of `KINDS` in a row."""
    return {word for cell in origin if cell for word in cell.split(", ")}


def trained_anywhere(method: str) -> bool:
    """Whether a weight of this row follows the gradient of a loss that is not convex."""
    return "gradient training" in kinds((ORIGINS | OPTIONS)[method])


def markdown() -> str:
    """The table in MyST, and what its words mean."""
    lines = ["| Method | gates G | up A | down D | codes |", "|---|---|---|---|---|"]
    for name, origin in (ORIGINS | OPTIONS).items():
        lines.append(f"| `{name}` | " + " | ".join(origin) + " |")
    lines += ["", *(f"- **{kind}**: {meaning}." for kind, meaning in KINDS.items()), ""]
    lines.append(
        "Attention in the transformer: " + ", ".join(f"*{kind}*: {how}" for kind, how in ATTENTION.items()) + "."
    )
    return "\n".join(lines)
