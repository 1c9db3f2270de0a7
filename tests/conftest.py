"""Folders of tiny models, built once for the whole run."""

import os
import signal

import pytest

from npc_engine.models.build import build_decoder, build_encoder
from npc_engine.sheets.library import shipped_sheets_dir
from tests.recital import BABBLE, write_babbler, write_brancher, write_reciter, write_word_bert
from tests.talk import MARA

# Whoever runs the tests keeps a cache of their own, which is none of the tests' business.
os.environ["NPC_ENGINE_PREFIX_STORE_DISK_BYTES"] = "0"


@pytest.fixture(scope="session", autouse=True)
def interruptible():
    """Children can be interrupted, also where a script started this run in its background with SIGINT ignored."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def reciter(tmp_path_factory):
    """The folder of a model that says these pieces; see `write_reciter`."""
    built = {}

    def folder(*pieces, **options):
        key = (pieces, *sorted(options.items()))
        if key not in built:
            root = tmp_path_factory.mktemp("reciter")
            built[key] = root / "model"
            built[key].mkdir()
            build_decoder(write_reciter(root / "stub.gguf", *pieces, **options), built[key], precision="fp32")
        return built[key]

    return folder


@pytest.fixture(scope="session")
def brancher(tmp_path_factory):
    """The folder of a model that says one of these lines; see `write_brancher`."""

    def folder(*lines, **options):
        root = tmp_path_factory.mktemp("brancher")
        (root / "model").mkdir()
        build_decoder(write_brancher(root / "stub.gguf", *lines, **options), root / "model", precision="fp32")
        return root / "model"

    return folder


@pytest.fixture(scope="session")
def babbler(tmp_path_factory):
    """The folder of a model that says words and ends of sentences in any order."""
    root = tmp_path_factory.mktemp("babbler")
    (root / "model").mkdir()
    build_decoder(write_babbler(root / "stub.gguf", *BABBLE), root / "model", precision="fp32")
    return root / "model"


@pytest.fixture(scope="session")
def word_encoder(tmp_path_factory):
    """The folder of an encoder that knows every word of the shipped sheets and of Mara's."""
    root = tmp_path_factory.mktemp("words")
    texts = [path.read_text(encoding="utf-8") for path in sorted(shipped_sheets_dir().rglob("*.yaml"))]
    (root / "model").mkdir()
    build_encoder(write_word_bert(root / "bert", [MARA, *texts]), root / "model")
    return root / "model"
