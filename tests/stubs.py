"""Tiny models with random weights, made by the real builder: fakes at the process edge and nowhere else."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE, WordPiece

from npc_engine.inference.spec import DecoderSpec, EncoderSpec, Precision
from npc_engine.models.build import build_decoder, build_encoder

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
NUM_LAYERS, NUM_HEADS, NUM_KV_HEADS, HEAD_DIM, HIDDEN, INNER, CONTEXT = 2, 4, 2, 16, 64, 128, 512

_CORPUS = (
    "Well met, traveller. What would you have of me today?",
    "The sword is made of good steel and costs forty gold, no more and no less.",
    "I sell swords, shields, axes and arrows to those who have the gold to pay for them.",
    "I do not know anything about that, and I would not tell you if I did.",
    "Greetings from the village. The road to the north is closed since the war began.",
    "system user assistant You are the blacksmith of the village; answer as she would.",
)


@cache
def _vocabulary() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A small byte-level BPE vocabulary and its merges, trained on a few lines."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    tokens = tuple(tokenizer.id_to_token(index) for index in range(tokenizer.get_vocab_size()))
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return tokens, tuple(" ".join(merge) for merge in merges)


def write_stub_gguf(
    path: Path,
    *,
    architecture: str = "llama",
    seed: int = 0,
    tensor_type: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F16,
    tied: bool = False,
) -> Path:
    """Write a real GGUF file of a tiny random model.

    Any architecture's name is written as given, so that one nobody supports makes a test input too.
    """
    tokens, merges = _vocabulary()
    rng = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(NUM_LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(NUM_HEADS)
    writer.add_head_count_kv(NUM_KV_HEADS)
    writer.add_key_length(HEAD_DIM)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(list(tokens))
    writer.add_token_types([3 if token in SPECIAL_TOKENS else 1 for token in tokens])
    writer.add_token_merges(list(merges))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)

    def matrix(name: str, rows: int, columns: int, *, gain: float = 1.0) -> None:
        values = rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(gain * columns**-0.5)
        data = gguf.quants.quantize(values, tensor_type)
        writer.add_tensor(f"{name}.weight", data, raw_dtype=tensor_type)

    def vector(name: str, size: int, *, mean: float) -> None:
        writer.add_tensor(name, (mean + 0.1 * rng.standard_normal(size)).astype(np.float32))

    query, key = NUM_HEADS * HEAD_DIM, NUM_KV_HEADS * HEAD_DIM
    matrix("token_embd", len(tokens), HIDDEN)
    if not tied:
        matrix("output", len(tokens), HIDDEN, gain=2.0)
    vector("output_norm.weight", HIDDEN, mean=1.0)
    for layer in range(NUM_LAYERS):
        block = f"blk.{layer}"
        vector(f"{block}.attn_norm.weight", HIDDEN, mean=1.0)
        vector(f"{block}.ffn_norm.weight", HIDDEN, mean=1.0)
        for name, rows in (("attn_q", query), ("attn_k", key), ("attn_v", key)):
            matrix(f"{block}.{name}", rows, HIDDEN)
            if architecture == "qwen2":
                vector(f"{block}.{name}.bias", rows, mean=0.0)
        if architecture == "qwen3":
            vector(f"{block}.attn_q_norm.weight", HEAD_DIM, mean=1.0)
            vector(f"{block}.attn_k_norm.weight", HEAD_DIM, mean=1.0)
        matrix(f"{block}.attn_output", HIDDEN, query)
        matrix(f"{block}.ffn_gate", INNER, HIDDEN)
        matrix(f"{block}.ffn_up", INNER, HIDDEN)
        matrix(f"{block}.ffn_down", HIDDEN, INNER)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def build_stub_decoder(
    folder: Path, *, architecture: str = "llama", precision: Precision = "int4", seed: int = 0
) -> DecoderSpec:
    """Build a tiny decoder with random weights into the folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        # Four-bit codes in the source, as in published files: the decode graph keeps them, so that the prefill graph's
        # gate measures its own rounding alone.
        source = write_stub_gguf(
            Path(scratch) / "stub.gguf",
            architecture=architecture,
            seed=seed,
            tensor_type=gguf.GGMLQuantizationType.Q4_0,
        )
        return build_decoder(source, folder, precision=precision)


def build_stub_encoder(folder: Path, *, seed: int = 0) -> EncoderSpec:
    """Build a tiny BERT sentence encoder with random weights into the folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        return build_encoder(write_stub_bert(Path(scratch), seed=seed), folder)


def write_stub_bert(folder: Path, *, seed: int = 0) -> Path:
    """Write a published BERT folder of a tiny random model."""
    words = sorted({word for line in _CORPUS for word in line.lower().replace(",", "").replace(".", "").split()})
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *",.;?!'0123456789"]
    tokens = dict.fromkeys([*marks, *letters, *(f"##{letter}" for letter in letters), *words])
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_truncation(32)
    tokenizer.enable_padding(length=32)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "model_type": "bert",
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "vocab_size": len(vocabulary),
        "max_position_embeddings": 64,
        "layer_norm_eps": 1e-12,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    rng = np.random.default_rng(seed)
    tensors: dict[str, np.ndarray] = {}

    def add(name: str, *shape: int, mean: float = 0.0, gain: float = 1.0) -> None:
        values = mean + gain * shape[-1] ** -0.5 * rng.standard_normal(shape)
        tensors[name] = values.astype(np.float32)

    def norm(name: str) -> None:
        add(f"{name}.weight", HIDDEN, mean=1.0)
        add(f"{name}.bias", HIDDEN)

    def linear(name: str, rows: int, columns: int) -> None:
        add(f"{name}.weight", rows, columns)
        add(f"{name}.bias", rows)

    add("embeddings.word_embeddings.weight", len(vocabulary), HIDDEN, gain=4.0)
    add("embeddings.position_embeddings.weight", 64, HIDDEN)
    add("embeddings.token_type_embeddings.weight", 2, HIDDEN)
    norm("embeddings.LayerNorm")
    for layer in range(2):
        p = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            linear(f"{p}.attention.self.{part}", HIDDEN, HIDDEN)
        linear(f"{p}.attention.output.dense", HIDDEN, HIDDEN)
        norm(f"{p}.attention.output.LayerNorm")
        linear(f"{p}.intermediate.dense", INNER, HIDDEN)
        linear(f"{p}.output.dense", HIDDEN, INNER)
        norm(f"{p}.output.LayerNorm")
    save_file(tensors, folder / "model.safetensors")
    return folder
