import pytest

from npc_engine.config import EngineConfig
from npc_engine.dialogue.engine import build_dialogue
from npc_engine.models.install import import_model
from npc_engine.server.background import BackgroundServer
from tests.recital import write_reciter, write_word_bert
from tests.talk import CALL_RING, MARA, SETTINGS, mara

PIECES = (" Good", " iron", " never", " lies.")


@pytest.fixture(scope="session")
def stocked_cache(tmp_path_factory):
    """A cache with the tiny models `stub-fp32` and `words`, installed as `models import` does. Copy it to do harm."""
    root = tmp_path_factory.mktemp("stocked")
    import_model(str(write_reciter(root / "stub.gguf", *PIECES)), "stub", root / "cache", precision="fp32")
    import_model(str(write_word_bert(root / "bert", [MARA])), "words", root / "cache")
    return root / "cache"


@pytest.fixture(scope="session")
def server(tmp_path_factory, reciter, word_encoder):
    """A server on a real socket with a real dialogue: Mara on a tiny model. Two conversations a client, and no more."""
    limits = {"address": "tcp://127.0.0.1:0", "max_conversations_per_client": 2, "max_context_tokens": 4096}
    config = EngineConfig(**(SETTINGS | limits))
    model = reciter(*PIECES, call=CALL_RING)
    sheets = [mara(tmp_path_factory.mktemp("sheet"))]
    dialogue = build_dialogue(sheets, model_folder=model, encoder_folder=word_encoder, config=config)
    with BackgroundServer(dialogue, config=config) as running:
        yield running
