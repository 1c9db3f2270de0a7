"""Installed models for the tests that need real weights."""

from pathlib import Path

import pytest

from npc_engine.config import default_cache_dir
from npc_engine.errors import ModelNotInstalled
from npc_engine.models.installed import find_installed


@pytest.fixture
def installed():
    """The folder of an installed model by name; the test is skipped where it is not installed."""

    def find(name: str) -> Path:
        try:
            return find_installed(name, default_cache_dir()).path
        except ModelNotInstalled as error:
            pytest.skip(str(error))

    return find
