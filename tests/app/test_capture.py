"""Layers of small, randomly initialised language models of three families, read as facts."""

import sys
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

import factcore as fc
from factapp.capture import TWINS, capture, first_of_twins
from factapp.cli import main

transformers = pytest.importorskip("transformers")
WORDS = "[UNK] [CLS] [SEP] the a cat dog sat ran on over mat hill . and then slept ate".split()
TEXT = "the cat sat on the mat .\n\na dog ran over the hill and then ate .\nthe cat sat and slept .\n"
SIZES = {"vocab_size": len(WORDS), "bos_token_id": 1, "eos_token_id": 2}
WIDE = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
MODELS = {
    "gpt2": lambda: transformers.GPT2LMHeadModel(
        transformers.GPT2Config(n_embd=16, n_layer=3, n_head=2, n_positions=32, **SIZES)
    ),
    "qwen3": lambda: transformers.Qwen3ForCausalLM(
        transformers.Qwen3Config(num_key_value_heads=1, head_dim=8, **WIDE, **SIZES)
    ),
    "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**WIDE, **SIZES)),
    "bert": lambda: transformers.BertForMaskedLM(
        transformers.BertConfig(max_position_embeddings=32, **WIDE, vocab_size=len(WORDS), initializer_range=0.3)
    ),
}


def tokenizer(special):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    if special:
        marks = [("[CLS]", 1), ("[SEP]", 2)]
        made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=marks)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder per family, with weights, a tokenizer and a text."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    made = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    for name, build in MODELS.items():
        build().save_pretrained(made / name)
        tokenizer(special=name == "bert").save_pretrained(made / name)
    (made / "text.txt").write_text(TEXT)
    return made


def normed(block, facts, after):
    """The residual stream after block 1 and the MLP's output give the MLP's input back, a family's own way."""
    if hasattr(block, "ln_2"):
        return block.ln_2(after - facts.values), facts.keys
    if hasattr(block, "post_attention_layernorm"):
        return block.post_attention_layernorm(after - facts.values), facts.keys
    return block.output.LayerNorm(facts.values + facts.keys), after


@pytest.mark.parametrize("family", MODELS)
@torch.no_grad()
def test_rows_are_the_inputs_and_outputs_of_the_mlp(folders, family):
    facts = capture(folders / family, 1, folders / "text.txt")
    model = transformers.AutoModel.from_pretrained(folders / family).eval()
    block = (model.h if family == "gpt2" else model.encoder.layer if family == "bert" else model.layers)[1]
    if family == "bert":
        torch.testing.assert_close(block.output.dense(block.intermediate(facts.keys)), facts.values)
    else:
        torch.testing.assert_close(block.mlp(facts.keys), facts.values)
    read, after, names = tokenizer(special=family == "bert"), [], []
    for line in filter(None, TEXT.split("\n")):
        tokens = read(line, return_tensors="pt")
        inner = slice(1, -1) if family == "bert" else slice(None)
        states = model(input_ids=tokens["input_ids"], output_hidden_states=True).hidden_states
        after.append(states[2][0, inner])
        names += [WORDS[token] for token in tokens["input_ids"][0, inner]]
    # A causal model meets "the cat sat" twice, with the same inputs: the first is kept. A masked one sees what follows.
    rows = [row for row in range(len(names)) if family == "bert" or row not in (17, 18, 19)]
    assert facts.key_names == facts.value_names == tuple(f"{names[row]} @{row}" for row in rows)
    torch.testing.assert_close(*normed(block, facts, torch.cat(after)[rows]))


@pytest.mark.parametrize("family", ["gpt2", "qwen3", "bert"])
def test_the_facts_are_facts(folders, family, tmp_path, capsys):
    out = tmp_path / "layer.safetensors"
    told = ["--model", str(folders / family), "--layer", "2", "--text", str(folders / "text.txt"), "--out", str(out)]
    assert main(["capture", *told]) == 0
    facts = fc.FactSet.load(out)
    assert f"{len(facts)} facts, d = 16" in capsys.readouterr().out
    assert len(set(facts.key_names)) == len(facts) == facts.n_values
    facts = facts.to(dtype=torch.float64)
    rho = fc.decodability(facts.values).rho
    assert rho > 0
    assert fc.recall(fc.construct(facts), facts) == 1
    # The ladder's other steps, each with as few units as it needs.
    costs = {
        method: fc.smallest_width(facts, method, tries=1, resolution=0.1, **options).n_params
        for method, options in {"hebbian": {"targets": "separators"}, "block-convex": {}, "max-margin": {}}.items()
    }
    assert costs["block-convex"] <= costs["hebbian"]


class Live(TorchDispatchMode):
    """Bytes of the tensors that are alive at a time, of all that operations return inside, and the most of them."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self.known = WeakIdKeyDictionary()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        returned = function(*args, **(kwargs or {}))
        for tensor in (leaf for leaf in tree_leaves(returned) if isinstance(leaf, torch.Tensor)):
            storage = tensor.untyped_storage()
            if storage not in self.known:
                self.known[storage] = True
                self.now += storage.nbytes()
                weakref.finalize(storage, self.freed, storage.nbytes())
        self.peak = max(self.peak, self.now)
        return returned

    def freed(self, size):
        self.now -= size


def test_a_capture_needs_less_than_twice_its_rows(folders, tmp_path, monkeypatch):
    """Keys and values of the positions read, and what `FactSet` compares them by: nothing grows with the text."""
    sizes = {"n_embd": 128, "n_inner": 16, "n_layer": 1, "n_head": 2, "n_positions": 32}
    transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, **SIZES)).save_pretrained(tmp_path)
    tokenizer(special=False).save_pretrained(tmp_path)
    monkeypatch.setattr("factapp.capture.BLOCK", 256)
    words = np.random.default_rng(0).choice(WORDS[3:], (600, 20))
    peaks = []
    for lines in (250, 600):
        (tmp_path / "many.txt").write_text("\n".join(" ".join(line) for line in words[:lines]))
        with Live() as live:
            facts = capture(tmp_path, 0, tmp_path / "many.txt", most=5000)
        assert 4000 < len(facts) < 5000 and facts.key_names[-1].endswith("@4999")
        peaks.append(live.peak)
    rows = 5000 * 2 * 128 * 4  # bytes
    assert rows < peaks[0] < 2 * rows and peaks[1] == pytest.approx(peaks[0], rel=0.02)


def test_no_more_positions_than_asked_for(folders):
    facts = capture(folders / "gpt2", 0, folders / "text.txt", most=9)
    assert facts.key_names[-1] == "dog @8"
    long = folders / "long.txt"
    long.write_text("the cat sat on the mat . then " * 20)  # 160 tokens, five times the 32 that the model takes
    assert len(capture(folders / "gpt2", 0, long)) == 32, "every piece repeats the first"
    for most, message in ((0, "most must be a positive integer"), (10**15, "no memory for 1,000,000,000,000,000")):
        with pytest.raises(ValueError, match=message):
            capture(folders / "gpt2", 0, long, most=most)


def by_brute_force(rows):
    """Rows with no earlier one within the distance of twins: every pair measured in float64."""
    near = torch.cdist(rows.double(), rows.double()) <= TWINS * rows.double().norm(dim=1)
    return (near.int().argmax(dim=1) == torch.arange(len(rows))).nonzero().flatten()


@settings(deadline=None, max_examples=40)
@given(
    d=st.sampled_from([2, 12, 64]),
    groups=st.integers(1, 60),
    runs=st.lists(st.integers(0, 120), max_size=4),
    rounding=st.sampled_from([0.0, 1e-7, 1e-6]),
    seed=st.integers(0, 10**6),
)
def test_of_twins_the_first_stays_and_no_other(d, groups, runs, rounding, seed):
    """Rows of several lengths, some only near each other, and runs of one and the same up to rounding, in any order."""
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randn(groups, d, generator=draw) * 10 ** torch.randn(groups, 1, generator=draw)
    rows = torch.cat([rows, rows[:5] * 1.001, rows[5:10] + 1e-3 * rows[5:10].norm(dim=1, keepdim=True)])
    group = torch.cat([torch.arange(len(rows))] + [torch.full((run,), at) for at, run in enumerate(runs[:groups])])
    group = group[torch.randperm(len(group), generator=draw)]
    copies = rows[group] * (1 + rounding * torch.rand(len(group), d, generator=draw))
    expected = torch.tensor(sorted({int(row): at for at, row in reversed(list(enumerate(group)))}.values()))
    assert torch.equal(expected, by_brute_force(copies)), "the truth by construction is that of all pairs"
    assert torch.equal(first_of_twins(copies), expected)


@pytest.mark.parametrize("copies", [200, 2000])
def test_a_long_run_of_twins_is_one_row(copies):
    draw = torch.Generator().manual_seed(1)
    rows = torch.randn(1000, 32, generator=draw)
    again = rows[7] * (1 + 1e-7 * torch.randn(copies, 32, generator=draw))
    order = torch.cat([torch.arange(8), 8 + torch.randperm(992 + copies, generator=draw)])
    mixed = torch.cat([rows, again])[order]
    assert len(first_of_twins(mixed)) == 1000 and torch.equal(first_of_twins(mixed), by_brute_force(mixed))
    runs = rows[:20].repeat(copies, 1) * (1 + 1e-7 * torch.rand(20 * copies, 1, generator=draw))  # twenty of them
    assert first_of_twins(runs).tolist() == list(range(20))


def test_what_is_wrong_is_told_in_a_line(folders, tmp_path, capsys, monkeypatch):
    def complaint(model="gpt2", layer="0", text="text.txt", out=None):
        out = out or str(tmp_path / "o.safetensors")
        told = ["--model", str(folders / model), "--layer", layer, "--text", str(folders / text), "--out", out]
        assert main(["capture", *told]) == 1
        said = capsys.readouterr()
        assert said.out == "" and len(said.err.strip().splitlines()) == 1 and not (tmp_path / "o.safetensors").exists()
        return said.err

    (folders / "empty").mkdir()
    assert "holds no model" in complaint(model="empty")
    assert "layer must be from 0 to 2, got 3" in complaint(layer="3")
    assert "from 0 to 2, got -1" in complaint(layer="-1")
    assert "no such file" in complaint(text="none.txt")
    (folders / "blank.txt").write_text(" \n\n")
    assert "holds no text" in complaint(text="blank.txt")
    (folders / "latin.txt").write_bytes("café".encode("latin-1"))
    assert "is not UTF-8" in complaint(text="latin.txt")
    assert "the folder" in complaint(out=str(tmp_path / "none" / "o.safetensors"))
    assert "which would be lost" in complaint(out=str(folders / "text.txt"))
    (folders / "empty" / "config.json").write_text('{"model_type": "gpt2", "n_layer": 2}')
    assert "cannot read the model" in complaint(model="empty")
    (folders / "empty" / "config.json").write_text('{"model_type": "nonsense"}')
    assert "cannot read the model" in complaint(model="empty")
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert "pip install transformers" in complaint()


def test_blocks_of_another_form_are_refused(folders):
    config = transformers.T5Config(vocab_size=18, d_model=8, d_kv=4, d_ff=8, num_layers=2, num_heads=2)
    transformers.T5ForConditionalGeneration(config).save_pretrained(folders / "t5")
    with pytest.raises(ValueError, match="no causal or masked language model"):
        capture(folders / "t5", 0, folders / "text.txt")
    shared = transformers.AlbertConfig(embedding_size=8, **WIDE, vocab_size=18)
    transformers.AlbertForMaskedLM(shared).save_pretrained(folders / "albert")
    tokenizer(special=True).save_pretrained(folders / "albert")
    with pytest.raises(ValueError, match="no MLP found in the blocks of a AlbertModel"):
        capture(folders / "albert", 0, folders / "text.txt")


def test_weights_that_are_missing_are_told(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    model = folders / "qwen3"
    weights = load_file(model / "model.safetensors")
    for name in model.iterdir():
        (tmp_path / name.name).write_bytes(name.read_bytes())
    save_file({k: v for k, v in weights.items() if "layers.1.mlp.up" not in k}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="lack 1 tensors, the first is layers.1.mlp.up_proj.weight"):
        capture(tmp_path, 0, folders / "text.txt")
