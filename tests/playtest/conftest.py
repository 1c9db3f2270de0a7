from contextlib import contextmanager

import pytest

from npc_engine.client.blocking import Client
from npc_engine.config import EngineConfig
from npc_engine.dialogue.engine import build_dialogue
from npc_engine.server.background import BackgroundServer
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheet
from tests.talk import SETTINGS, mara


@pytest.fixture(scope="session")
def sheet(tmp_path_factory):
    return mara(tmp_path_factory.mktemp("sheet"))


@pytest.fixture(scope="session")
def hesta():
    return load_sheet(shipped_sheets_dir() / "hesta.yaml")


@pytest.fixture
def serving(word_encoder):
    """Open a client of a server for these sheets on this model."""

    @contextmanager
    def serve(*sheets, model):
        config = EngineConfig(**SETTINGS, address="tcp://127.0.0.1:*")
        dialogue = build_dialogue(sheets, model_folder=model, encoder_folder=word_encoder, config=config)
        with BackgroundServer(dialogue, config=config) as server, Client(server.address) as client:
            yield client

    return serve
