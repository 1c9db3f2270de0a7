import math

import numpy as np
import pytest
from tokenizers import Tokenizer

from npc_engine.errors import InvalidModelFile, UnsupportedArchitecture, UnsupportedTensor
from npc_engine.inference.onnx_session import open_session
from npc_engine.models.build import build_encoder
from npc_engine.models.hf import open_hf_encoder
from tests.stubs import build_stub_encoder, write_stub_bert

SENTENCES = (
    "I sell swords.",
    "The road to the north is closed since the war began.",
    "gold",
    "Who would tell you what the village would have of you, traveller?",
)


def batch(tokenizer, texts):
    rows = [tokenizer.encode(text).ids for text in texts]
    ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for row, filled in zip(rows, ids, strict=True):
        filled[: len(row)] = row
    return ids, (np.arange(ids.shape[1]) < np.array([[len(row)] for row in rows])).astype(np.int64)


def reference(source, ids):
    """BERT in plain numpy float32, one sentence (S,) -> (hidden,). Source: Devlin et al. 2019."""
    config = source.config

    def tensor(name):
        return source.tensors[name].floats()

    def linear(x, name):
        return x @ tensor(f"{name}.weight").T + tensor(f"{name}.bias")

    def norm(x, name):
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + config.layer_norm_eps)
        return scaled * tensor(f"{name}.weight") + tensor(f"{name}.bias")

    def heads(x):
        return x.reshape(len(ids), config.num_heads, -1).swapaxes(0, 1)

    x = tensor("embeddings.word_embeddings.weight")[ids]
    x = x + tensor("embeddings.position_embeddings.weight")[: len(ids)]
    x = norm(x + tensor("embeddings.token_type_embeddings.weight")[0], "embeddings.LayerNorm")
    for layer in range(config.num_layers):
        p = f"encoder.layer.{layer}"
        q, k, v = (heads(linear(x, f"{p}.attention.self.{part}")) for part in ("query", "key", "value"))
        scores = np.exp(q @ k.swapaxes(1, 2) / math.sqrt(q.shape[-1]))
        attended = (scores / scores.sum(axis=-1, keepdims=True) @ v).swapaxes(0, 1).reshape(len(ids), -1)
        x = norm(x + linear(attended, f"{p}.attention.output.dense"), f"{p}.attention.output.LayerNorm")
        inner = linear(x, f"{p}.intermediate.dense")
        gelu = inner * 0.5 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
        x = norm(x + linear(gelu, f"{p}.output.dense"), f"{p}.output.LayerNorm")
    mean = x.mean(axis=0)
    return mean / np.linalg.norm(mean)


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    """Session, tokenizer and source of a tiny random encoder."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("encoder")
    build_encoder(write_stub_bert(source), out)
    session = open_session(out / "encoder.onnx", device="cpu", threads=2)
    return session, Tokenizer.from_file(str(out / "tokenizer.json")), open_hf_encoder(source)


def embed(session, tokenizer, texts):
    ids, mask = batch(tokenizer, texts)
    return session.run(["embedding"], {"input_ids": ids, "attention_mask": mask})[0]


def test_embeddings_are_those_of_the_numpy_reference(stub):
    session, tokenizer, source = stub
    embeddings = embed(session, tokenizer, SENTENCES)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-5)
    for text, embedding in zip(SENTENCES, embeddings, strict=True):
        assert embedding @ reference(source, tokenizer.encode(text).ids) > 0.999


def test_a_sentence_does_not_depend_on_its_batch(stub):
    session, tokenizer, _ = stub
    together = embed(session, tokenizer, SENTENCES)
    for text, embedding in zip(SENTENCES, together, strict=True):
        np.testing.assert_allclose(embed(session, tokenizer, [text])[0], embedding, atol=1e-6)


def test_the_tokenizer_neither_cuts_nor_pads(stub):
    _, tokenizer, _ = stub
    assert len(tokenizer.encode("gold " * 50).ids) == 52
    assert len(tokenizer.encode("gold").ids) == 3


def test_the_same_source_gives_the_same_bytes(tmp_path):
    spec = build_stub_encoder(tmp_path / "a")
    assert spec == build_stub_encoder(tmp_path / "b")
    assert (spec.hidden_size, spec.max_tokens) == (64, 64)
    assert (tmp_path / "a" / "encoder.onnx").read_bytes() == (tmp_path / "b" / "encoder.onnx").read_bytes()


def test_other_encoders_are_refused(tmp_path):
    source = write_stub_bert(tmp_path)
    config = source / "config.json"
    config.write_text(config.read_text(encoding="utf-8").replace('"bert"', '"roberta"'), encoding="utf-8")
    with pytest.raises(UnsupportedArchitecture, match="roberta"):
        open_hf_encoder(source)


def test_a_config_that_does_not_match_the_weights_is_refused(tmp_path):
    source, out = write_stub_bert(tmp_path), tmp_path / "out"
    out.mkdir()
    config = source / "config.json"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace('"intermediate_size": 128', '"intermediate_size": 256'), encoding="utf-8")
    with pytest.raises(UnsupportedTensor, match=r"intermediate.dense.weight has shape \(128, 64\)"):
        build_encoder(source, out)
    (source / "tokenizer.json").unlink()
    with pytest.raises(InvalidModelFile, match=r"tokenizer\.json"):
        build_encoder(source, out)


@pytest.mark.model
def test_real_sentences_are_near_what_they_mean(installed):
    folder = installed("encoder")
    session = open_session(folder / "encoder.onnx", device="cpu", threads=2)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    question, answer, other = embed(
        session,
        tokenizer,
        ["What weapons do you have for sale?", "I sell swords and shields.", "The north road is closed."],
    )
    assert question @ answer > 0.6
    assert question @ other < 0.3
