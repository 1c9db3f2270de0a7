import json
import string

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from tools.nli.pairs import LABELS, Pair
from tools.nli.train import Recipe, train

pytest.importorskip("torch", reason="training needs the export extra")
pytest.importorskip("transformers", reason="training needs the export extra")

PAIRS = [
    Pair(f"the {a} is red", f"the {a} is {b}", LABELS[n % 3], "toy", "own")
    for n, (a, b) in enumerate((a, b) for a in string.ascii_lowercase[:10] for b in ("red", "blue", "big"))
]


@pytest.fixture
def base(tmp_path):
    """A BERT of one layer that has never seen a text."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path / "base"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *string.ascii_lowercase, "the", "is", "red", "blue", "big"]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def run(base, out, *, steps, patience=6):
    recipe = Recipe(num_steps=steps, batch_size=4, steps_an_evaluation=1, learning_rate=1e-2, patience=patience)
    seen = []
    progress = train(
        base,
        out,
        pairs={"toy": PAIRS},
        held_out={"toy": PAIRS[:6]},
        shares=lambda position: {"toy": 1.0},
        recipe=recipe,
        report=lambda progress, loss: seen.append(loss),
    )
    return progress, seen


def test_three_steps_change_the_weights_and_leave_a_checkpoint(base, tmp_path):
    from safetensors.numpy import load_file

    out = tmp_path / "out"
    progress, losses = run(base, out, steps=3)
    assert (progress.step, progress.num_pairs) == (3, 12)
    assert np.isfinite(losses).all()
    trained = load_file(out / "last" / "model.safetensors")
    start = load_file(base / "model.safetensors")
    name = "encoder.layer.0.output.dense.weight"
    assert not np.allclose(trained[f"bert.{name}"], start[name])
    words = "embeddings.word_embeddings.weight"
    np.testing.assert_array_equal(trained[f"bert.{words}"], start[words])
    assert json.loads((out / "last" / "progress.json").read_text())["step"] == 3


def test_a_finished_run_is_left_as_it_is(base, tmp_path):
    out = tmp_path / "out"
    run(base, out, steps=3)
    before = (out / "last" / "model.safetensors").read_bytes()
    progress, losses = run(base, out, steps=3)
    assert (progress.step, losses) == (3, [])
    assert (out / "last" / "model.safetensors").read_bytes() == before


def test_a_longer_run_goes_on(base, tmp_path):
    out = tmp_path / "out"
    run(base, out, steps=3)
    progress, losses = run(base, out, steps=5)
    assert progress.step == 5
    assert len(losses) >= 1
