"""Layers of small, randomly initialised language models of three families, read as facts."""

import sys

import pytest
import torch

import factcore as fc
from factapp.capture import capture, first_of_twins
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


def test_memory_is_bounded_by_the_positions_read(folders):
    facts = capture(folders / "gpt2", 0, folders / "text.txt", most=9)
    assert facts.key_names[-1] == "dog @8"
    long = folders / "long.txt"
    long.write_text("the cat sat on the mat . then " * 20)  # 160 tokens, five times the 32 that the model takes
    assert len(capture(folders / "gpt2", 0, long)) == 32, "every piece repeats the first"


def test_twins_are_found_in_any_order():
    rows = torch.randn(300, 12, generator=torch.Generator().manual_seed(1))
    twins = rows[[5, 5, 7, 299, 0]] * (1 + 1e-6)
    assert first_of_twins(torch.cat([rows, twins])).tolist() == list(range(300))
    apart = torch.cat([rows, rows[:10] * 1.001])
    assert len(first_of_twins(apart)) == 310


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
