"""Both forms of records come out as one."""

import pytest

from npc_engine.errors import ConfigError
from tests.tools.tasks.recorded import write_data
from tools.tasks.calls import Call, is_valid
from tools.tasks.cpdc import function_lists, load_part


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path)


def test_turns_with_gold_beside_the_text(data):
    (episode,) = load_part(data, "dev-task1")
    assert [len(turn.gold) for turn in episode.turns] == [0, 1, 1, 1, 1]
    assert episode.turns[1].calls == (Call(name="check_price", arguments={"item_name": "Long Bow"}),)
    assert episode.turns[1].gold[0].result == [{"price": "300 Gold"}]
    assert episode.turns[1].reply == "The Long Bow is 300G."
    assert episode.general == ("The guild has quests.",)
    assert episode.persona["name"] == "Luna"


def test_what_is_pointed_at_stands_behind_the_line(data):
    (episode,) = load_part(data, "dev-task1")
    assert episode.turns[1].line == "What does this cost? (pointing at Long Bow)"


def test_docstrings_become_schemas(data):
    functions = {one["name"]: one for one in function_lists(data)["list_1"]}
    assert functions["sell"]["description"] == "Sell the specified weapon."
    assert functions["sell"]["parameters"]["properties"] == {
        "item_names": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Specified weapon name (e.g. Long Bow, Short Sword, etc.).",
        }
    }
    # Described nowhere.
    assert functions["search_item"]["parameters"]["properties"]["item_price"] == {"type": "string"}


def test_calls_written_into_messages(data):
    (episode,) = load_part(data, "tune")
    assert [turn.line for turn in episode.turns] == ["Good day.", "I'll take the Long Bow."]
    assert episode.turns[1].calls == (Call(name="sell", arguments={"item_name": "Long Bow"}),)
    assert episode.turns[1].gold[0].result == "Success"
    assert episode.turns[1].reply == "It is yours."


def test_gold_is_valid(data):
    for part in ("dev-task1", "tune"):
        for episode in load_part(data, part):
            assert all(is_valid(call, episode.functions) for turn in episode.turns for call in turn.calls)


def test_a_folder_without_the_part(tmp_path):
    with pytest.raises(ConfigError, match="is not there"):
        load_part(tmp_path, "tune")
