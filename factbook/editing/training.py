"""Train the language model of the editing study around fact MLPs that were written down; save and load it."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from factbook.editing.model import FactLanguageModel, write_facts
from factbook.editing.text import RELATIONS, Corpus, airport_corpus
from factcore.support import check_integer, data_file, progress_bar, read_safetensors
from factcore.support.files import write_safetensors

FORMAT = "factcore-language-models-2"  # in 1, RoPE's pairs of coordinates lay d/2 apart


def train_language_model(
    corpus: Corpus,
    d: int = 64,
    *,
    steps: int = 1200,
    batch: int = 192,
    lr: float = 1e-2,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> FactLanguageModel:
    """Write the fact MLPs, freeze them, and learn the rest by Adam. A minute or two for 256 airports on two cores.

    A third of every batch states cities, a third countries (training templates only, half of them behind a sentence of
    filler), a third is filler. The loss is the cross-entropy of the next word, that of the fact, and that of the
    router, each averaged over its positions. The MLPs that attention learns against are Hebbian, smooth and easy to
    reach; any usable construction can take their place afterwards (`write_facts`). ValueError for sizes that are no
    positive integers and batches of fewer than three sentences.
    """
    for name, size in (("steps", steps), ("batch // 3", batch // 3)):
        check_integer(name, size)
    model = FactLanguageModel(corpus, d, seed=seed).to(device)
    write_facts(model, "hebbian", width=2 * len(corpus), seed=seed)
    learned = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=lr, weight_decay=0.0, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda t: min(1.0, (t + 1) / 50) * 0.5 * (1 + math.cos(math.pi * t / steps))
    )
    generator = torch.Generator().manual_seed(seed)
    for _ in progress_bar(range(steps), "language model: steps"):
        tokens, route = training_batch(model, batch // 3, generator)
        optimiser.zero_grad()
        torch.stack(losses(model, tokens.to(device), route.to(device))).sum().backward()
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimiser.step()
        schedule.step()
    return model.requires_grad_(False)


def training_batch(model: FactLanguageModel, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """``size`` sentences of each relation and of filler: tokens (3 size, T), and who must predict the next token."""
    corpus, parts, routes = model.corpus, [], []
    draw = lambda count: torch.randint(count, (size,), generator=generator)  # noqa: E731
    for number, relation in enumerate(RELATIONS, 1):
        trained_on = corpus.template_numbers(relation, held_out=False)
        which = trained_on[draw(len(trained_on))]
        context = corpus.contexts[draw(len(corpus.contexts))].clone()
        context[size // 2 :, 1:] = 0  # half of the facts stand alone
        tokens, at = corpus.sentences(relation, model.targets[relation], draw(len(corpus)), which, context)
        parts.append(tokens)
        routes.append(torch.zeros_like(tokens).scatter_(1, at[:, None], number))
    parts.append(corpus.filler[draw(len(corpus.filler))])
    routes.append(torch.zeros_like(parts[-1]))
    return torch.cat(parts), torch.cat(routes)


def losses(model: FactLanguageModel, tokens: Tensor, route: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cross-entropies of the next word, of the facts and of the router, with every position routed as it should be."""
    attention_output, scores = model.attend(tokens[:, :-1])
    following, route = tokens[:, 1:], route[:, :-1]
    is_word = (following > 0) & (following < len(model.corpus.number))
    is_fact = route > 0
    chosen = is_word | is_fact
    logits = model.logits(model.expert_outputs(attention_output[chosen], route[chosen]))
    each = cross_entropy(logits, following[chosen], reduction="none")
    facts = is_fact[chosen]
    return each[~facts].mean(), each[facts].mean(), cross_entropy(scores[following > 0], route[following > 0])


def save_language_models(models: Iterable[FactLanguageModel], path: str | Path) -> None:
    """What was learned, of models with the seeds 0, 1, … that they were trained with, in one safetensors file."""
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    for number, model in enumerate(models):
        tensors |= {f"{number}.{k}": t for k, t in model.state_dict().items() if not k.startswith("facts.")}
        metadata = {"format": FORMAT, "n_facts": str(len(model.corpus)), "d": str(model.d)}
    write_safetensors(path, tensors, metadata)


def load_language_model(
    seed: int = 0,
    *,
    path: str | Path | None = None,
    method: str = "block-convex",
    device: str | torch.device = "cpu",
    **options: Any,
) -> FactLanguageModel:
    """A trained model, by default one of those shipped in data/ (256 airports, d = 64, seeds 0, 1 and 2).

    Names are drawn again from the seed, and the fact MLPs are written by ``construct(method, **options)`` on
    ``device``. ValueError for a seed that the file does not hold and for a file that `save_language_models` did not
    write.
    """
    path = path or data_file("language_models.safetensors")
    tensors, metadata = read_safetensors(path)
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path} holds no language models of the format {FORMAT!r}, but {metadata.get('format')!r}")
    learned = {k.split(".", 1)[1]: t for k, t in tensors.items() if k.split(".", 1)[0] == str(seed)}
    if not learned:
        raise ValueError(f"seed must be one of {sorted({int(k.split('.', 1)[0]) for k in tensors})}, got {seed!r}")
    model = FactLanguageModel(airport_corpus(int(metadata["n_facts"])), int(metadata["d"]), seed=seed)
    try:
        model.load_state_dict(learned)
    except RuntimeError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    write_facts(model.requires_grad_(False).to(device), method, seed=seed, **options)
    return model
