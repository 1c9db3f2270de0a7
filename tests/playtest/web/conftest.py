"""A page served by a real engine of tiny models, and a browser that looks at it."""

from contextlib import contextmanager

import pytest

from npc_engine.config import EngineConfig
from npc_engine.dialogue.engine import build_dialogue
from npc_engine.playtest.web import page_files
from npc_engine.server.background import BackgroundServer
from npc_engine.server.site import Site
from tests.talk import SETTINGS
from tools.chromium import chromium_page, find_chromium

# The judge, which most tests of the dialogue turn off, is what a trace shows.
PAGE_SETTINGS = SETTINGS | {"address": "tcp://127.0.0.1:*", "websocket_address": "ws://127.0.0.1:0", "guard": "judge"}


@pytest.fixture
def page_server(word_encoder, page):
    """Serve the page with these sheets on this model; the tab leaves before the server ends, or stays and sees it."""

    @contextmanager
    def serve(*sheets, model, page_stays=False, **settings):
        config = EngineConfig(**(PAGE_SETTINGS | settings))
        dialogue = build_dialogue(sheets, model_folder=model, encoder_folder=word_encoder, config=config)
        with BackgroundServer(dialogue, config=config, site=Site(page_files())) as server:
            try:
                yield server
            finally:
                if not page_stays:
                    page.go("about:blank")

    return serve


@pytest.fixture(scope="session")
def browser():
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium; install Debian's package chromium, or name its program in CHROMIUM")
    with chromium_page(program) as page:
        yield page


@pytest.fixture
def page(browser):
    """A tab that has complained of nothing when the test is over, but of what the test says it may."""
    browser.errors.clear()
    browser.requests.clear()
    browser.resize(1280, 800)
    yield browser
    assert browser.errors == []
