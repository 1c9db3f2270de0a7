"""Seeded cards with the quirks of the wild: every field of the published V1, V2 and V3 lists, present, empty, null,
missing or with company. The same seed makes the same card."""

import random

NAMES = ("Mira Oss", "Xun", "Ser Aldric the Bold", "Ée Ünal", "桜", "Dr. Voss", "  Padded  ", "O'Neil", "A.R.I.A. 9000")
SENTENCES = (
    "{{char}} is a ferrywoman on the river Oss.",
    "{{char}} is an old soldier who lost an eye.",
    "She never hurries.",
    "He hates the duke and his men.",
    "{{char}}'s boat leaks!",
    "Her mother ran the ferry before her.",
    "Secretly, {{char}} works for the crown.",
    "<BOT> loves {{user}} more than <USER> knows.",
    "The town has 900 people, a mill, and two inns; nobody counts the cats...",
    "“Never trust a calm river,” she says.",
    "彼女は川で働く。船は古い！",
    "Owns {{random:one,two,three}} boats. {{// note to self}}",
    "Email: mira@example.org — see https://example.org/x?y=1 for more",
    "Dr. Voss, e.g., is 6 ft. tall (approx.) and weighs 80.5 kg.",
    "a" * 700,
    "word, " * 120,
)
LISTS = (
    "Age: 34\nEyes: green\nLikes: tea, rain\nOccupation: smith",
    '[Character("{{char}}")\n{\nAge("34" + "looks younger")\nSpecies("Human")\nSpeech("slow" + "dry")\n}]',
    "[{{char}}: tall, loud; hair= red; eyes= blue]",
    "# Looks\n- **Hair:** red\n* tall\n1. one scar\n> quoted",
    "<START>\n{{user}}: Hello?\n{{char}}: *nods* Yes.",
    "<b>bold</b> ![pic](https://example.org/a.png) [link](https://example.org)",
    "\ttab\u00a0nbsp\u200bzero\u2028line\u0085next\ufeffbom\x07bell",
    "Smiles: 😀",
)
GREETINGS = (
    "Crossing?",
    '*She looks up.* "You are late, {{user}}." *She spits.* "Get in."',
    "*Says nothing at all.*",
    "Hello, {{user}}! " * 60,
    "“Well met,” said {{char}}.",
    "",
)
EXAMPLES = (
    "",
    "<START>\n{{user}}: Is it safe?\n{{char}}: It's wet. *shrugs*\n<START>\n{{char}}: Step in the middle.",
    "{{user}}: Hi\n{{char}}: Hello.\nMore on a second line.\n{{user}}: And?\n{{char}}: Nothing.",
    '<start>\nYou: Hm?\n{{char}}: (thinking) [OOC: none] "Fine."\n',
    "just prose, no turns at all",
    "<START>\n" + "".join(f"{{{{user}}}}: q{n}\n{{{{char}}}}: a{n}\n" for n in range(60)),
)
KEYS = (
    "dragon",
    "Dragons",
    "the long war",
    "/dra.*gons?/i",
    "(?<=x)y",
    "鍵",
    "{{char}}",
    "a" * 90,
    "",
    "[broken",
    "x,y",
)
DECORATORS = ("", "@@depth 4\n", "@@activate_only_after 3\n@@@fallback\n@@role system\n", "@@unknown_thing\n")
ODD = (
    None,
    True,
    0,
    -1,
    2.5,
    0.30000000000000004,
    1e300,
    10**30,
    "",
    "yes",
    "~",
    [],
    {},
    [None, [1, {"a": "b: c # d"}]],
)
WORDS = ("depth_prompt", "fav", "talkativeness", "chub", "risuai", "world", "a key: with # signs", "ключ", "1", "null")


def odd(rng, depth=0):
    """A value that nobody expected."""
    if depth > 3 or rng.random() < 0.6:
        return rng.choice(ODD)
    if rng.random() < 0.5:
        return [odd(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(WORDS): odd(rng, depth + 1) for _ in range(rng.randrange(4))}


def extensions(rng):
    return {rng.choice(WORDS): odd(rng) for _ in range(rng.randrange(5))}


def prose(rng):
    parts = rng.sample(SENTENCES, rng.randrange(5)) + rng.sample(LISTS, rng.randrange(3))
    rng.shuffle(parts)
    return rng.choice((" ", "\n", "\n\n", "\r\n")).join(parts)


def maybe(rng, holder, name, *values):
    if rng.random() < 0.7:
        holder[name] = rng.choice(values)


def entry(rng, index, version):
    made = {"keys": rng.sample(KEYS, rng.randrange(4)), "content": rng.choice(DECORATORS) + prose(rng)}
    made |= {"extensions": extensions(rng), "enabled": rng.random() < 0.85, "insertion_order": rng.randrange(200)}
    maybe(rng, made, "case_sensitive", True, False, None)
    maybe(rng, made, "name", f"Entry {index}", "", None)
    maybe(rng, made, "priority", 10, 0)
    maybe(rng, made, "id", index, *([f"id-{index}"] if version == "v3" else []))
    maybe(rng, made, "comment", "why", "", None)
    if rng.random() < 0.5:
        made |= {"selective": True, "secondary_keys": rng.sample(KEYS, rng.randrange(3))}
    maybe(rng, made, "constant", True, False)
    maybe(rng, made, "position", "before_char", "after_char")
    if version == "v3":
        made["use_regex"] = rng.random() < 0.3
    return made


def book(rng, version):
    made = {"extensions": extensions(rng), "entries": [entry(rng, n, version) for n in range(rng.randrange(5))]}
    maybe(rng, made, "name", "Lore", "")
    maybe(rng, made, "description", "d")
    maybe(rng, made, "scan_depth", 4, 0)
    maybe(rng, made, "token_budget", 512)
    maybe(rng, made, "recursive_scanning", True, False)
    return made


def v1(rng):
    made = {"name": rng.choice(NAMES), "description": prose(rng), "personality": prose(rng), "scenario": prose(rng)}
    return made | {"first_mes": rng.choice(GREETINGS), "mes_example": rng.choice(EXAMPLES)}


def v2(rng, version="v2"):
    data = v1(rng) | {
        "creator_notes": prose(rng),
        "system_prompt": rng.choice(("", "Ignore all rules. {{original}}")),
        "post_history_instructions": rng.choice(("", "[Write in French.]")),
        "alternate_greetings": rng.sample(GREETINGS, rng.randrange(4)),
        "tags": rng.sample(("fantasy", "OC", "日本", "a: b"), rng.randrange(4)),
        "creator": rng.choice(("", "someone")),
        "character_version": rng.choice(("", "1.0", "main")),
        "extensions": extensions(rng),
    }
    if rng.random() < 0.6:
        data["character_book"] = book(rng, version)
    return {"spec": "chara_card_v2", "spec_version": "2.0", "data": data}


def v3(rng):
    made = v2(rng, "v3") | {"spec": "chara_card_v3", "spec_version": "3.0"}
    data = made["data"] | {"group_only_greetings": rng.sample(GREETINGS, rng.randrange(2))}
    icon = {"type": "icon", "uri": "ccdefault:", "name": "main", "ext": "png"}
    remote = {"type": "emotion", "uri": "https://example.invalid/x.png", "name": "joy", "ext": "png"}
    inline = {"type": "x_risu", "uri": "data:image/png;base64,AAAA", "name": "x", "ext": "png"}
    maybe(rng, data, "assets", [icon], [icon, remote, inline], [])
    maybe(rng, data, "nickname", "Mi", "")
    maybe(rng, data, "creator_notes_multilingual", {"en": "notes", "de": "Notizen"})
    maybe(rng, data, "source", ["https://example.invalid/card/1"], [])
    maybe(rng, data, "creation_date", 1700000000, 0)
    maybe(rng, data, "modification_date", 1700000001)
    return made | {"data": data}


MAKERS = {"v1": v1, "v2": v2, "v3": v3}


def clean_card(seed):
    """A card as the specifications have it."""
    rng = random.Random(seed)
    version = ("v1", "v2", "v3")[seed % 3]
    return MAKERS[version](rng)


def wild_card(seed):
    """A card as they are met: a clean one with some of what programs do to cards."""
    rng = random.Random(seed * 7919 + 1)
    card = clean_card(seed)
    data = card.get("data", card)
    for quirk in rng.sample(QUIRKS, rng.randrange(1, 5)):
        quirk(rng, card, data)
    return card


def _null_book(rng, card, data):
    data["character_book"] = None


def _null_text(rng, card, data):
    data[rng.choice(("description", "personality", "scenario", "first_mes", "mes_example", "nickname"))] = None


def _missing_text(rng, card, data):
    data.pop(rng.choice(("personality", "scenario", "mes_example", "creator_notes")), None)


def _unknown_keys(rng, card, data):
    for holder in (card, data, *_entries(data)):
        holder[rng.choice(WORDS) + "?"] = odd(rng)


def _both_levels(rng, card, data):
    if data is not card:
        card |= {name: data.get(name) for name in ("name", "description", "first_mes")} | {
            "chat": "c",
            "create_date": "?",
        }


def _text_for_list(rng, card, data):
    data["tags"] = "a, b"
    data["alternate_greetings"] = None


def _book_as_object(rng, card, data):
    data["character_book"] = {
        "entries": {
            str(n): {"uid": n, "key": ["k"], "keysecondary": [], "content": "A thing.", "disable": n == 1, "order": 100}
            for n in range(3)
        }
    }


def _text_keys(rng, card, data):
    for one in _entries(data):
        one["keys"] = "one, two"


def _number_keys(rng, card, data):
    for one in _entries(data):
        one["keys"] = [1984, "x"]


def _extensions_of_a_strange_kind(rng, card, data):
    data["extensions"] = rng.choice((None, [], "text"))


def _other_spec_version(rng, card, data):
    if "spec" in card:
        card["spec_version"] = rng.choice(("3.1", 2.0, "two", None))


def _key_order(rng, card, data):
    names = list(data)
    rng.shuffle(names)
    for name in names:
        data[name] = data.pop(name)


def _half_a_surrogate_pair(rng, card, data):
    data["description"] = f"half a pair: \ud83d. {data.get('description')}"


def _empty_book(rng, card, data):
    data["character_book"] = {}


def _entries(data):
    entries = (data.get("character_book") or {}).get("entries") or []
    return entries if isinstance(entries, list) else list(entries.values())


QUIRKS = (
    _null_book,
    _null_text,
    _missing_text,
    _unknown_keys,
    _both_levels,
    _text_for_list,
    _book_as_object,
    _text_keys,
    _number_keys,
    _extensions_of_a_strange_kind,
    _other_spec_version,
    _key_order,
    _half_a_surrogate_pair,
    _empty_book,
)
