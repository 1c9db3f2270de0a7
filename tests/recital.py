"""Tiny models that do as they are told, made by the real builder: one talks in a chain, one compares texts by words.

The talker's layers add nothing, so its next token depends on the last one alone, and each piece of what it says is one
token of its vocabulary. The encoder's layers add nothing either: an embedding is the sum of its words' vectors.
"""

import itertools
import json
import re
import zlib

import gguf
import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CONTEXT, HEAD_DIM, INNER = 16384, 32, 32
SURE = 60.0  # a logit; all others are 0
WORD_VECTOR = 256
BABBLE = ("I sell", " forty", " swords", " to the", " old mill", ". Then", ". No", "! It", " costs", " all", "...")


def _spelled(text):
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return "".join(part for part, _ in byte_level.pre_tokenize_str(text))


_ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
FIRST_PIECE = len(SPECIAL_TOKENS) + len(_ALPHABET) + 1
END = SPECIAL_TOKENS.index("<|im_end|>")


def _byte(character):
    return len(SPECIAL_TOKENS) + _ALPHABET.index(_spelled(character))


# The generation prompt ends in a line break.
OPENING = _byte("\n")


def write_reciter(path, *pieces, call=(), again_from=None):
    """Write a model that says the pieces, one a token, and ends; or goes on from piece number `again_from` for ever.

    Under a constraint it has no pieces: it writes bytes, and where it may choose, `call` says which follows which, as
    pairs such as '"s'.
    """
    ids = {piece: FIRST_PIECE + index for index, piece in enumerate(pieces)}
    logits = np.zeros((FIRST_PIECE + len(pieces),) * 2, np.float32)
    chain = [OPENING, *ids.values()]
    for before, after in itertools.pairwise(chain):
        logits[after, before] = SURE
    logits[END if again_from is None else chain[1 + again_from], chain[-1]] = SURE
    for before, after in call:
        logits[_byte(after), _byte(before)] = SURE
    return _write(path, pieces, logits)


def write_brancher(path, *lines, call=()):
    """Write a model that says one of the lines, each equally likely; a line is a list of pieces, all unlike.

    `call` is as in `write_reciter`.
    """
    pieces = [piece for line in lines for piece in line]
    ids = {piece: FIRST_PIECE + index for index, piece in enumerate(pieces)}
    logits = np.zeros((FIRST_PIECE + len(pieces),) * 2, np.float32)
    for line in lines:
        chain = [OPENING, *(ids[piece] for piece in line), END]
        for before, after in itertools.pairwise(chain):
            logits[after, before] = SURE
    for before, after in call:
        logits[_byte(after), _byte(before)] = SURE
    return _write(path, pieces, logits)


def write_babbler(path, *pieces, seed=0):
    """Write a model that says the pieces in any order, each about as often as the others, and ends at times."""
    size = FIRST_PIECE + len(pieces)
    logits = np.random.default_rng(seed).standard_normal((size, size)).astype(np.float32)
    logits[FIRST_PIECE:] += 8
    logits[END] += 7
    return _write(path, pieces, logits)


def _write(path, pieces, logits):
    """`logits` (tokens, tokens): row is the next token, column the last one; bytes and specials come first."""
    tokens = [*SPECIAL_TOKENS, *_ALPHABET, "ĠĠ", *map(_spelled, pieces)]
    assert len(set(tokens)) == len(tokens), "each piece must be longer than a byte and different from the others"
    hidden = -(-len(tokens) // 32) * 32
    following = np.zeros((len(tokens), hidden), np.float32)
    following[:, : len(tokens)] = logits
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_key_length(HEAD_DIM)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in SPECIAL_TOKENS else 1 for token in tokens])
    writer.add_token_merges(["Ġ Ġ"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_tensor("token_embd.weight", np.eye(len(tokens), hidden, dtype=np.float32))
    writer.add_tensor("output.weight", following / np.float32(hidden**0.5))
    writer.add_tensor("output_norm.weight", np.ones(hidden, np.float32))
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", np.ones(hidden, np.float32))
    rows = {"attn_q": HEAD_DIM, "attn_k": HEAD_DIM, "attn_v": HEAD_DIM, "ffn_gate": INNER, "ffn_up": INNER}
    for name, count in rows.items():
        writer.add_tensor(f"blk.0.{name}.weight", np.zeros((count, hidden), np.float32))
    writer.add_tensor("blk.0.attn_output.weight", np.zeros((hidden, HEAD_DIM), np.float32))
    writer.add_tensor("blk.0.ffn_down.weight", np.zeros((hidden, INNER), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_word_bert(folder, texts):
    """Write a published BERT folder whose embeddings are bags of the words in `texts`; other words are spelled."""
    words = sorted({word for text in texts for word in re.findall(r"[a-z]+", text.lower())})
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    silent = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *".,;:?!'\"-/()"]
    rest = [*(str(digit) for digit in range(10)), *letters, *(f"##{c}" for c in (*letters, *"0123456789"))]
    tokens = list(dict.fromkeys([*silent, *rest, *words]))
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "model_type": "bert",
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "hidden_size": WORD_VECTOR,
        "intermediate_size": 32,
        "vocab_size": len(tokens),
        "max_position_embeddings": 128,
        "layer_norm_eps": 1e-12,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    # A word's vector is its own, so that no test depends on which other words there are.
    signs = np.array([-1, 1], np.float32)
    vectors = np.array(
        [np.random.default_rng(zlib.crc32(token.encode())).choice(signs, WORD_VECTOR) for token in tokens]
    )
    vectors[: len(silent)] = 0
    tensors = {
        "embeddings.word_embeddings.weight": vectors,
        "embeddings.position_embeddings.weight": np.zeros((128, WORD_VECTOR), np.float32),
        "embeddings.token_type_embeddings.weight": np.zeros((2, WORD_VECTOR), np.float32),
    }
    layer = "encoder.layer.0"
    for name in ("embeddings.LayerNorm", f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"):
        tensors[f"{name}.weight"] = np.ones(WORD_VECTOR, np.float32)
        tensors[f"{name}.bias"] = np.zeros(WORD_VECTOR, np.float32)
    attention = [f"{layer}.attention.self.{part}" for part in ("query", "key", "value")]
    shapes = dict.fromkeys([*attention, f"{layer}.attention.output.dense"], (WORD_VECTOR, WORD_VECTOR))
    shapes |= {f"{layer}.intermediate.dense": (32, WORD_VECTOR), f"{layer}.output.dense": (WORD_VECTOR, 32)}
    for name, shape in shapes.items():
        tensors[f"{name}.weight"] = np.zeros(shape, np.float32)
        tensors[f"{name}.bias"] = np.zeros(shape[0], np.float32)
    save_file(tensors, folder / "model.safetensors")
    return folder
