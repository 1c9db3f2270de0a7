import pytest

from npc_engine.dialogue.grounding import Premise
from npc_engine.dialogue.route import TASK_COSINE, Router, talk_route
from npc_engine.inference.encoder import SentenceEncoder
from npc_engine.sheets.controls import Route
from tests.talk import RING, SELL, SETTINGS, VAULT, EngineConfig, mara


@pytest.fixture(scope="module")
def encoder(word_encoder):
    return SentenceEncoder.load(word_encoder, config=EngineConfig(**SETTINGS))


def routed(router, encoder, line, eligible):
    return router.actions(encoder.embed([line])[0], eligible=eligible)


@pytest.mark.parametrize(("line", "name"), [(RING, "ring_bell"), (SELL, "sell_sword"), (VAULT, "open_vault")])
def test_a_line_like_an_example_wants_its_action(sheet, encoder, line, name):
    found = routed(Router(sheet, encoder), encoder, line, sheet.actions)
    assert [action.name for action in found.actions] == [name]
    assert found.score >= TASK_COSINE


def test_only_eligible_actions_are_wanted(sheet, encoder):
    found = routed(Router(sheet, encoder), encoder, RING, sheet.actions[1:])
    assert found.actions == ()
    assert found.score < TASK_COSINE


def test_a_line_like_no_example_wants_nothing(sheet, encoder):
    assert routed(Router(sheet, encoder), encoder, "I live beside the old mill.", sheet.actions).actions == ()


def test_without_examples_the_description_stands_in(tmp_path, encoder):
    sheet = mara(tmp_path, ("    examples: [Ring the brass bell now]\n", ""))
    found = routed(Router(sheet, encoder), encoder, "rings the bell", sheet.actions)
    assert [action.name for action in found.actions] == ["ring_bell"]


def test_a_character_without_actions_has_no_tasks(tmp_path, encoder):
    sheet = mara(tmp_path).model_copy(update={"actions": ()})
    assert routed(Router(sheet, encoder), encoder, RING, ()).actions == ()


@pytest.mark.parametrize(
    ("sources", "route"),
    [
        ((), Route.SMALL_TALK),
        (("sheet", "game"), Route.CHARACTER),
        (("said", "lore/vale.yaml"), Route.CHARACTER),
        (("lore/vale.yaml", "sheet"), Route.WORLD),
        (("game",), Route.WORLD),
    ],
)
def test_talk_is_routed_by_its_best_premise(sources, route):
    premises = [Premise(id="x", text="x", source=source, kind="fact") for source in sources]
    assert talk_route(premises) is route
