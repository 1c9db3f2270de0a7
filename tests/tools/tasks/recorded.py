"""A small recorded world in both forms that the readers know."""

import json

PERSONA = {
    "name": "Luna",
    "age": "57",
    "gender": "Female",
    "occupation": "Merchant who sells weapons.",
    "appearance": "I have grey hair.",
    "hobbies": "I love gazing at constellations.",
    "personality traits": "I am patient. I tell stories.",
}
ROLE = (
    "Play the role of a merchant selling weapons at a weapon shop. Before selling a weapon, always confirm. "
    "After selling a weapon, always confirm whether the customer wants to equip it."
)
ITEMS = [
    {"name": "Long Bow", "type": "Bow", "description": "A bow for long distances."},
    {"name": "Short Sword", "type": "Sword", "description": "A light sword."},
]
_NAME = "Specified weapon name (e.g. Long Bow, Short Sword, etc.)."


def docstring(summary, name):
    return f"{summary}\n\nParameters:\n----------\n{name}: str\n    {_NAME}\n\nReturns:\n-------\nNone"


LISTS = {
    "list_1": {
        "actions": [
            {
                "name": "sell_request_confirm",
                "description": docstring("Ask whether to buy the weapon.", "item_name"),
                "parameters": [{"name": "item_name", "type": "str"}],
            },
            {
                "name": "sell",
                "description": docstring("Sell the specified weapon.", "item_name"),
                "parameters": [{"name": "item_names", "type": "List[str]"}],
            },
            {
                "name": "equip",
                "description": docstring("Equip the specified weapon.", "item_name"),
                "parameters": [{"name": "item_name", "type": "str"}],
            },
        ],
        "tools": [
            {
                "name": "search_item",
                "description": docstring("Search for weapons.", "item_name"),
                "parameters": [{"name": "item_name", "type": "str"}, {"name": "item_price", "type": "str"}],
            },
            {
                "name": "check_price",
                "description": docstring("Check the price of a weapon.", "item_name"),
                "parameters": [{"name": "item_name", "type": "str"}],
            },
        ],
    }
}
# Line, gold calls with returns, gold reply.
TURNS = [
    ("Good day.", [], "Good day to you."),
    (
        "What does this cost?",
        [("check_price", {"item_name": "Long Bow"}, [{"price": "300 Gold"}])],
        "The Long Bow is 300G.",
    ),
    ("I'll take it.", [("sell_request_confirm", {"item_name": "Long Bow"}, [])], "Are you sure?"),
    ("Yes.", [("sell", {"item_name": ["Long Bow"]}, [])], "Here's your Long Bow. Shall I string it?"),
    ("Yes.", [("equip", {"item_name": "Long Bow"}, [])], "You're equipped."),
]


def dev_record(data_id="one"):
    """A record of the dev form; its second line points at the bow."""
    record = {
        "data_id": data_id,
        "total_turn": len(TURNS),
        "worldview": "A world of monsters.",
        "player": {"persona": {"name": "Lyrien"}},
        "npc": {"role": ROLE, "persona": PERSONA},
        "function_list_id": "list_1",
        "state": {"weather": "Rainy", "place": "Weapon shop"},
        "knowledge": {"knowledge_info": ITEMS, "general_info": "### Guild\n- The guild has quests.\n"},
    }
    dialogue = []
    for number, (line, calls, reply) in enumerate(TURNS):
        pointed = [{"name": "Long Bow"}] if number == 1 else []
        dialogue.append({"speaker": "player", "text": line, "target_item": pointed})
        gold = [{"name": name, "parameters": arguments, "return": result} for name, arguments, result in calls]
        record[f"turn_{number}"] = {"dialogue": list(dialogue), "gold_response": reply, "gold_functions": gold}
        dialogue.append({"speaker": "npc", "text": reply, "target_item": []})
    return record


def world_record(name="world"):
    """The same talk in the chat form; its price is not asked for."""
    functions = [
        {
            "name": name,
            "description": summary,
            "parameters": {"type": "object", "properties": {key: {"type": kind, "description": _NAME}}},
        }
        for name, summary, key, kind in (
            ("search_item", "Search for weapons.", "item_name", "string"),
            ("sell", "Sell the specified weapon.", "item_name", "string"),
            ("equip", "Equip the specified weapon.", "item_name", "string"),
        )
    ]
    call = '<tool_call>\n{"name": "sell", "arguments": {"item_name": "Long Bow"}}\n</tool_call>'
    response = '<tool_response>\n{"name": "sell", "return": "Success"}\n</tool_response>'
    return {
        "id": name,
        "worldview": "A world of monsters.",
        "role": ROLE,
        "persona": PERSONA,
        "knowledge": {"knowledge_info": ITEMS, "general_info": ["- The guild has quests."]},
        "state": {"place": "Weapon shop"},
        "functions": functions,
        "messages": [
            {"role": "user", "content": "Good day."},
            {"role": "assistant", "content": "Good day to you."},
            {"role": "user", "content": "I'll take the Long Bow."},
            {"role": "assistant", "content": call},
            {"role": "user", "content": response},
            {"role": "assistant", "content": "It is yours."},
        ],
    }


def write_data(folder, *, dev=("one",), worlds=("world",)):
    """The folder as `--data` wants it."""
    (folder / "dev").mkdir()
    (folder / "dev" / "task1.json").write_text(json.dumps([dev_record(one) for one in dev]), encoding="utf-8")
    (folder / "function_lists.json").write_text(json.dumps(LISTS), encoding="utf-8")
    for part in ("tune", "unseen"):
        path = folder / f"worlds_{part}.json"
        path.write_text(json.dumps([world_record(one) for one in worlds]), encoding="utf-8")
    return folder
