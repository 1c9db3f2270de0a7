"""The scoring rules, one hand-made case each."""

import pytest

from tools.tasks.calls import Call, causes, compare, is_valid, plain, same, softly_same, word_f1


def call(name, **arguments):
    return Call(name=name, arguments=arguments)


BOW = call("check_price", item_name="Long Bow")


def test_calls_match_without_regard_to_order():
    attack = call("check_attack", item_name="Long Bow")
    found = compare([BOW, attack], [attack, BOW])
    assert (found.name, found.exact, found.soft, found.is_whole) == (2, 2, 2, True)


def test_each_call_is_matched_once():
    found = compare([BOW], [BOW, BOW])
    assert (found.num_wanted, found.num_called, found.name, found.exact) == (1, 2, 1, 1)
    assert not found.is_whole


def test_a_name_alone_is_not_exact():
    found = compare([BOW], [call("check_price", item_name="Lance")])
    assert (found.name, found.exact, found.soft) == (1, 0, 0)


def test_nothing_wanted_and_nothing_called_is_whole():
    assert compare([], []).is_whole
    assert not compare([], [BOW]).is_whole
    assert not compare([BOW], []).is_whole


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (call("sell", item_names=["Long Bow"]), call("sell", item_name=["long bow"])),
        (BOW, call("check_price", item_name=" LONG BOW ")),
        (BOW, call("check_price", item_name="Long Bow", item_type="", note=[])),
        (call("search_item", item_price="10,000 gold"), call("search_item", item_price="10000")),
        (call("search_item", item_price="300 G"), call("search_item", item_price="300Gold")),
        (call("search_quest", quest_reward="50 gold"), call("search_quest", quest_reward="50G")),
        (call("search_item", item_attack="1,000"), call("search_item", item_attack=1000)),
    ],
)
def test_spellings_that_are_the_same(one, other):
    assert same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (call("sell", item_name=["Long Bow"]), call("sell", item_name=["Long Bow", "Lance"])),
        (call("search_item", item_price="300G"), call("search_item", item_price="400G")),
        (call("search_item", item_type="300 g"), call("search_item", item_type="300")),
        (call("search_item", item_price_operator="gold"), call("search_item", item_price_operator="")),
        (BOW, call("check_attack", item_name="Long Bow")),
    ],
)
def test_spellings_that_are_not(one, other):
    assert not same(one, other)


def test_money_is_stripped_in_money_arguments_alone():
    assert plain(call("x", item_price="1,500 Gold", item_price_operator="or less", item_name="Gold Ring")) == {
        "item_price": "1500",
        "item_price_operator": "or less",
        "item_name": "gold ring",
    }


def test_a_search_is_softly_the_same_by_overlap():
    wanted = call("search_item", item_description="something light and fast", item_price="100G")
    assert softly_same(wanted, call("search_item", item_description="light, fast", item_price="100"))
    assert not softly_same(wanted, call("search_item", item_description="light, fast", item_price="90"))
    assert not softly_same(wanted, call("search_item", item_description="a heavy hammer please", item_price="100"))
    assert not softly_same(wanted, call("search_item", item_price="100"))


def test_only_searches_are_soft():
    one, other = call("check_description", item_name="Long Bow of War"), call("check_description", item_name="Long Bow")
    assert not softly_same(one, other)


def test_word_overlap():
    assert word_f1("a b c", "a b c") == 1
    assert word_f1("a a b", "a") == pytest.approx(0.5)
    assert word_f1("a", "b") == word_f1("", "a") == 0


# --- causes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "called", "expected"),
    [
        ([BOW], [BOW], {}),
        ([], [BOW], {"called for nothing": 1}),
        ([BOW], [], {"not called": 1}),
        ([BOW], [call("check_attack", item_name="Long Bow")], {"wrong name": 1}),
        ([BOW], [call("check_price", item_name="Lance")], {"wrong value": 1}),
        ([BOW], [call("check_price")], {"missing argument": 1}),
        ([BOW], [call("check_price", item_name="Long Bow", item_type="Bow")], {"extra argument": 1}),
        ([BOW], [call("check_price", item_type="Bow")], {"missing argument": 1, "extra argument": 1}),
        ([BOW], [BOW, call("equip", item_name="Long Bow")], {"one call too many": 1}),
        ([BOW, call("equip", item_name="Long Bow")], [BOW], {"one call too few": 1}),
    ],
)
def test_causes(wanted, called, expected):
    assert causes(wanted, called) == expected


# --- valid ---------------------------------------------------------------------------------------

FUNCTIONS = [
    {
        "name": "sell",
        "parameters": {
            "type": "object",
            "properties": {
                "item_names": {"type": "array", "items": {"type": "string", "enum": ["Long Bow", "Lance"]}},
                "quantity": {"type": "integer", "minimum": 1, "maximum": 9},
                "gift": {"type": "boolean"},
            },
            "required": ["item_names"],
        },
    },
    {"name": "wave"},
]


@pytest.mark.parametrize(
    "good",
    [
        call("sell", item_names=["Long Bow"]),
        call("sell", item_name=["Lance"], quantity=9, gift=True),
        call("wave"),
    ],
)
def test_valid(good):
    assert is_valid(good, FUNCTIONS)


@pytest.mark.parametrize(
    "bad",
    [
        call("give"),
        call("sell"),
        call("sell", item_names="Long Bow"),
        call("sell", item_names=["Sling"]),
        call("sell", item_names=["Lance"], quantity=10),
        call("sell", item_names=["Lance"], quantity="2"),
        call("sell", item_names=["Lance"], quantity=True),
        call("sell", item_names=["Lance"], gift=1),
        call("wave", hand="left"),
    ],
)
def test_invalid(bad):
    assert not is_valid(bad, FUNCTIONS)
