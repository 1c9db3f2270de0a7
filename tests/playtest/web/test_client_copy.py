"""The page carries the JavaScript binding's browser client: the copy is the one that is built today."""

import shutil
import subprocess
from pathlib import Path

import pytest

from npc_engine.playtest.web import page_files

BINDING = Path(__file__).parents[3] / "bindings" / "javascript"


@pytest.mark.binding
def test_the_copy_is_todays():
    if shutil.which("node") is None or not (BINDING / "node_modules" / "esbuild").is_dir():
        pytest.skip("this machine lacks Node.js or the binding's packages; python tools/dev.py toolchains")
    built = subprocess.run(["node", "page_client.mjs"], cwd=BINDING, check=True, capture_output=True).stdout
    assert page_files()["/npc-engine-client.js"] == built, "run: node build.mjs in bindings/javascript"
