import errno
import os

import pytest

from npc_engine.errors import DiskFull, InvalidModelFile, UnsupportedTokenizer
from npc_engine.inference.spec import DecoderSpec
from npc_engine.models.build import build_decoder
from tests.stubs import build_stub_decoder, write_stub_gguf

FILES = {"decoder.onnx", "decoder.onnx.data", "decoder.json", "tokenizer.json", "chat_template.json"}


@pytest.fixture
def out(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    return path


def test_a_model_folder_is_five_files_and_the_spec_comes_back(tmp_path, out):
    spec = build_decoder(write_stub_gguf(tmp_path / "stub.gguf", architecture="qwen3"), out)
    assert {path.name for path in out.iterdir()} == FILES
    assert DecoderSpec.load(out / "decoder.json") == spec
    assert (spec.architecture, spec.precision, spec.kv_dtype) == ("qwen3", "int4", "float32")
    assert spec.eos_token_ids == (0, 2)


@pytest.mark.parametrize("precision", ["int4", "fp16"])
def test_the_same_source_gives_the_same_bytes(tmp_path, precision):
    for name in ("a", "b"):
        build_stub_decoder(tmp_path / name, precision=precision)
    for file in FILES:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def test_progress_rises_to_the_whole(tmp_path, out):
    calls = []
    source = write_stub_gguf(tmp_path / "stub.gguf")
    build_decoder(source, out, progress=lambda done, total: calls.append((done, total)))
    done = [call[0] for call in calls]
    assert done == sorted(done)
    assert calls[-1][0] == calls[-1][1]
    assert len({total for _, total in calls}) == 1


def test_a_folder_with_one_gguf_is_that_gguf(tmp_path, out):
    source = tmp_path / "source"
    source.mkdir()
    write_stub_gguf(source / "a.gguf")
    build_decoder(source, out)
    write_stub_gguf(source / "b.gguf")
    with pytest.raises(InvalidModelFile, match="neither safetensors nor a single GGUF"):
        build_decoder(source, out)


def test_an_unknown_chat_template_is_refused_before_anything_is_written(tmp_path, out):
    with pytest.raises(UnsupportedTokenizer, match="'vicuna' is not built in"):
        build_decoder(write_stub_gguf(tmp_path / "stub.gguf"), out, chat_template="vicuna")
    assert not list(out.iterdir())


def test_a_full_disk_is_named(tmp_path, out):
    def fill(done, total):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(DiskFull, match="no room left"):
        build_decoder(write_stub_gguf(tmp_path / "stub.gguf"), out, progress=fill)
    (out / "decoder.onnx.data").unlink()  # nothing holds it open: Windows could not delete it
