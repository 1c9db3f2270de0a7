"""A cache with tiny models installed as a user would, and a way to run command lines in this process."""

import pytest

from npc_engine.cli.main import main
from npc_engine.models.install import import_model
from npc_engine.sheets.library import shipped_sheets_dir
from tests.recital import write_reciter, write_word_bert
from tests.talk import MARA, SETTINGS


@pytest.fixture(scope="session")
def stub_cache(tmp_path_factory):
    """Models: `stub` tells of forty crowns and calls sell_item; `words` is the encoder."""
    root = tmp_path_factory.mktemp("stub-cache")
    pieces = ("That", " is forty", " crowns.", " Good iron", " never lies.")
    gguf = write_reciter(root / "stub.gguf", *pieces, call=('"s', ":1", "1}"))
    import_model(str(gguf), "stub", root / "cache")
    texts = [path.read_text(encoding="utf-8") for path in sorted(shipped_sheets_dir().rglob("*.yaml"))]
    import_model(str(write_word_bert(root / "bert", [MARA, *texts])), "words", root / "cache")
    return root / "cache"


@pytest.fixture
def stubs(stub_cache, monkeypatch):
    """Settings under which every command uses the tiny models."""
    settings = SETTINGS | {"cache_dir": stub_cache, "model": "stub", "encoder": "words"}
    for name, value in settings.items():
        monkeypatch.setenv(f"NPC_ENGINE_{name.upper()}", str(value))
    monkeypatch.setenv("COLUMNS", "200")
    return stub_cache


@pytest.fixture
def mara_file(tmp_path):
    path = tmp_path / "mara.yaml"
    path.write_text(MARA, encoding="utf-8")
    return path


@pytest.fixture
def command(capfd):
    """Runs a command line in this process; returns its exit code, stdout and stderr."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        printed = capfd.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return run
