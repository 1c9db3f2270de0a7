"""docs/errors/: a page for each code that anyone can see, each with an example that is played here."""

import re
from pathlib import Path

import pytest

from npc_engine import errors
from npc_engine.errors import (
    ConfigError,
    InternalError,
    ModelError,
    NpcEngineError,
    ProtocolError,
    RequestError,
    SheetError,
)
from tests.bad_input.pages import examples, replay
from tests.bad_input.test_bad_messages import Player

FOLDER = Path(__file__).parents[2] / "docs" / "errors"
PACKAGE = Path(errors.__file__).parent
# Only their children are raised; a client makes one of an error code of a later release, and keeps that code.
NEVER_SEEN = {NpcEngineError, SheetError, ProtocolError}
WHO = {
    ConfigError: "operator",
    SheetError: "writer",
    ModelError: "operator",
    ProtocolError: "client",
    RequestError: "client",
    InternalError: "us",
}
# Their words are the operating system's, or the machine's; tests/bad_input/ provokes each.
NOT_PLAYED = {"NPC002", "NPC004", "NPC106", "NPC206", "NPC305", "NPC306", "NPC307", "NPC311", "NPC312", "NPC400"} | {
    "NPC405", "NPC406", "NPC409", "NPC410", "NPC411", "NPC500", "NPC135"
} | {"NPC140", "NPC141", "NPC142", "NPC147", "NPC148", "NPC149", "NPC161", "NPC162", "NPC171"}  # fmt: skip

CLASSES = sorted(
    (
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, NpcEngineError) and each not in NEVER_SEEN
    ),
    key=lambda each: each.code,
)


def page_of(error):
    words = re.findall(r"[A-Z][a-z]+", error.__name__)
    return FOLDER / f"{error.code}-{'-'.join(words).lower()}.md"


def who(error):
    return next(name for base, name in WHO.items() if issubclass(error, base))


def test_every_code_that_can_be_seen_has_a_page_and_every_page_a_code():
    assert sorted(path.name for path in FOLDER.glob("NPC*.md")) == [page_of(error).name for error in CLASSES]
    assert len({error.code for error in CLASSES}) == len(CLASSES)


def test_every_code_is_raised():
    source = "\n".join(
        path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py") if path != Path(errors.__file__)
    )
    # Called at once, or taken from a table of refusals by the function that calls it.
    unused = [error.__name__ for error in CLASSES if not re.search(rf"\b{error.__name__}[(,]", source)]
    raised = [each.__name__ for each in NEVER_SEEN if re.search(rf"raise {each.__name__}\(", source)]
    assert (unused, raised) == ([], [])


def test_the_table_names_every_page():
    rows = "".join(
        f"| [{error.code}]({page_of(error).name}) | {error.__name__} | {who(error)} "
        f"| {error.__doc__.split(chr(10) * 2)[0].strip()} |\n"
        for error in CLASSES
    )
    assert rows in (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.code)
def test_a_page_says_who_must_act_what_is_left_and_what_to_do(error):
    text = page_of(error).read_text(encoding="utf-8")
    assert text.startswith(f"# {error.code} {error.__name__}\n")
    assert f"**Who acts:** {who(error)}" in text
    for heading in ("**What is left:**", "**What to do:**", "## Example"):
        assert heading in text
    assert error.code in text.split("## Example")[1]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NPC_ENGINE_CACHE_DIR", str(tmp_path / ".cache" / "npc-engine"))
    return tmp_path


@pytest.mark.parametrize(
    "error", [each for each in CLASSES if each.code not in NOT_PLAYED], ids=lambda error: error.code
)
def test_the_example_is_what_the_program_says(error, home, server):
    text = page_of(error).read_text(encoding="utf-8")
    assert any(error.code in example for example in examples(text))
    with Player(server.address) as player:
        assert replay(text, home=home, player=player) == text


@pytest.mark.parametrize("code", sorted(NOT_PLAYED))
def test_what_is_not_played_is_provoked_by_a_table(code):
    tables = "\n".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_bad_*.py"))
    assert code in tables
    (page,) = FOLDER.glob(f"{code}-*.md")
    assert not examples(page.read_text(encoding="utf-8"))
