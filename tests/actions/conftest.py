import pytest

from npc_engine.inference.constraint import ConstraintCompiler
from npc_engine.inference.spec import DecoderSpec
from npc_engine.models.tokenizer import ChatTokenizer
from tests.recital import END


@pytest.fixture(scope="session")
def tokenizer(babbler):
    return ChatTokenizer.load(babbler)


@pytest.fixture(scope="session")
def compiler(babbler, tokenizer):
    spec = DecoderSpec.load(babbler / "decoder.json")
    return ConstraintCompiler(tokenizer.raw, vocab_size=spec.vocab_size, eos_token_ids=[END])
