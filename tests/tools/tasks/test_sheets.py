from dataclasses import replace

from tests.tools.tasks.recorded import write_data
from tools.tasks.cpdc import load_part
from tools.tasks.sheets import cut, example_lines, procedures, sheet_of

LONG = "word " * 400


def sheet(tmp_path, part="dev-task1", **options):
    return sheet_of(load_part(write_data(tmp_path), part)[0], sheet_id="luna", **options)


def test_the_record_becomes_a_character(tmp_path):
    luna = sheet(tmp_path)
    assert luna.identity.name == "Luna"
    assert luna.identity.role == "a merchant selling weapons at a weapon shop"
    assert "Rainy" in luna.identity.context
    assert "Long Bow (Bow): A bow for long distances." in [fact.text for fact in luna.facts]
    assert "The guild has quests." in [fact.text for fact in luna.facts]
    assert any("constellations" in fact.text for fact in luna.facts)


def test_nothing_of_the_turns_is_in_it(tmp_path):
    assert "300" not in sheet(tmp_path).model_dump_json()


def test_arguments_that_name_an_item_take_the_items(tmp_path):
    luna = sheet(tmp_path)
    sell = luna.action("sell").parameters[0]
    assert (sell.name, sell.choices, sell.many, sell.required) == (
        "item_names",
        ("Long Bow", "Short Sword"),
        True,
        True,
    )


def test_a_search_adds_up_and_takes_any_text(tmp_path):
    search = sheet(tmp_path).action("search_item")
    assert search.accumulate
    assert [(one.choices, one.required) for one in search.parameters] == [((), False), ((), False)]


def test_before_and_after_become_procedures(tmp_path):
    rules = [(one.before, one.require, one.after, one.offer) for one in sheet(tmp_path).procedures]
    assert rules == [
        ("sell", "sell_request_confirm", None, None),
        (None, None, "sell_request_confirm", "sell"),
        (None, None, "sell", "equip"),
    ]


def test_procedures_and_facts_can_be_left_out(tmp_path):
    bare = sheet(tmp_path, has_procedures=False, has_facts=False)
    assert bare.procedures == ()
    assert bare.facts == ()


def test_a_role_without_rules_has_none(tmp_path):
    (episode,) = load_part(write_data(tmp_path), "tune")
    assert procedures(replace(episode, role="Play the role of a merchant.")) == []


def test_long_texts_fit(tmp_path):
    (episode,) = load_part(write_data(tmp_path), "tune")
    item = {"name": "Bow", "type": "", "description": "One. " + LONG}
    luna = sheet_of(replace(episode, worldview=LONG, items=(item,), role=LONG), sheet_id="luna")
    assert max(len(fact.text) for fact in luna.facts) <= 300
    assert len(luna.identity.context) <= 600


def test_a_text_is_cut_at_a_word():
    assert cut("one two three", 9) == "one two…"
    assert cut("  one\n two ", 60) == "one two"


def test_actions_have_example_lines_by_the_words_of_their_names(tmp_path):
    luna = sheet(tmp_path)
    assert "How much is it?" in luna.action("check_price").examples
    assert "I'll take it." in luna.action("sell").examples
    assert luna.action("sell_request_confirm").examples != luna.action("sell").examples
    assert (
        sheet_of(load_part(tmp_path, "dev-task1")[0], sheet_id="luna", has_examples=False).action("sell").examples == ()
    )
    assert example_lines("polish") == []
