"""The surface of a made-up sentence: capitals, articles, persons, and how different characters would say it."""

from __future__ import annotations

import random
import re

PAST = frozenset(
    "was had went came grew lost took made learned served fought built bought sold kept met left gave told knew found"
    " wore ate drank slept ran spent won became began broke thought taught caught saw heard hid owed put never got"
    " first once dreamt passed named marched joined refused turned might can will would could must cannot won't can't"
    " shall should may did don't didn't wouldn't couldn't am have was do rose used sent wrote felt held lay rode sat"
    " stood swore bled shot sang swam threw drew rang fell paid said laid led".split()
)
ADVERBS = frozenset(
    "never always still only often also just once gladly really truly usually sometimes even mostly".split()
)
_LETTER = re.compile(r"[a-z]")


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def articles(text: str) -> str:
    """The text with `a` and `an` as the next word's first letter wants it."""
    text = re.sub(r"\b([Aa])n (?=[b-df-hj-np-tv-z])", r"\1 ", text)
    return re.sub(r"\b([Aa]) (?=[aeio])(?!one|once|eu)", r"\1n ", text)


def third_person(text: str, pronoun: str) -> str | None:
    """A first-person sentence told of someone else; None where the sentence has no `I`, `my` or `me`.

    Args:
        text: One or more sentences in the first person.
        pronoun: `he` or `she`, or a name, which then stands for the first `I` only.
    """
    if not re.search(r"\b(I|my|me|myself|My|mine)\b", text) or re.search(r"\b(you|your|You|Your|we|We|our)\b", text):
        return None
    she = pronoun == "she"
    words, turned, after_i = text.split(" "), [], False
    own, other = ("her", "her") if she else ("his", "him")
    for position, word in enumerate(words):
        core = word.rstrip(".,!?;")
        tail = word[len(core) :]
        start = position == 0 or words[position - 1].endswith((".", "!", "?"))
        if core in ("I", "I'm", "I've", "I'd", "I'll"):
            subject = capital(pronoun) if start else pronoun
            turned.append(
                {"I": subject, "I'm": f"{subject} is", "I've": f"{subject} has", "I'd": f"{subject} would"}.get(
                    core, f"{subject} will"
                )
                + tail
            )
            after_i = core == "I"
            continue
        if after_i and core not in ADVERBS:
            core = _agree(core)
            after_i = False
        elif core in ("am", "'m"):
            core = "is"
        elif core.lower() in ("my", "mine", "me", "myself"):
            swap = {
                "my": own,
                "mine": f"{own}s" if she else own,
                "me": other,
                "myself": "herself" if she else "himself",
            }
            core = capital(swap[core.lower()]) if core[0].isupper() else swap[core.lower()]
        turned.append(core + tail)
    return " ".join(turned)


def _agree(verb: str) -> str:
    special = {
        "am": "is",
        "have": "has",
        "was": "was",
        "don't": "doesn't",
        "do": "does",
        "haven't": "hasn't",
        "go": "goes",
    }
    if verb in special:
        return special[verb]
    if verb in PAST or verb.endswith(("ed", "n't")) or not _LETTER.match(verb):
        return verb
    if verb.endswith(("s", "sh", "ch", "x", "z")):
        return f"{verb}es"
    return f"{verb[:-1]}ies" if verb.endswith("y") and verb[-2:-1] not in "aeiou" else f"{verb}s"


FUNCTION_WORDS = frozenset(
    "My The There It That That'll For You To From They In No Few Of Are Is Do Does Did Can Were Would Will Have"
    " Come Go Head Give Pay Nobody Nothing Everyone Ask Over Folk People Some Someone Plenty On A An He She His"
    " Her Your It's We Our This These Two Three Four Five Six Seven Eight Nine Ten At By Don't".split()
)
BEFORE = (
    "Well, ",
    "Aye, ",
    "Listen, ",
    "Truth be told, ",
    "As I said, ",
    "Look, ",
    "Hm, ",
    "By the gods, ",
    "Friend, ",
    "Ah, ",
    "Hah, ",
    "Indeed, ",
    "Forsooth, ",
    "Mark my words, ",
    "To be honest, ",
    "You should know, ",
    "Oh, ",
    "Traveller, ",
)
AFTER = (
    " Make of that what you will.",
    " Ask anyone.",
    " What of it?",
    " That is all I'll say.",
    " Now, what can I do for you?",
    " Anything else?",
    " So it is.",
    " Why do you ask?",
    " Mind your step.",
    " And that's the truth.",
    " You have my word.",
    " Good day to you.",
    " Now leave me be.",
)


def flavoured(text: str, rng: random.Random) -> str:
    """The sentence as a character might utter it: an opening, an afterthought, a contraction; what it claims stays."""
    draw = rng.random()
    if draw < 0.16:
        opening = rng.choice(BEFORE)
        text = opening + lowered(text)
    elif draw < 0.30:
        text += rng.choice(AFTER)
    if rng.random() < 0.25:
        text = contracted(text)
    return text


def lowered(text: str) -> str:
    """The text as it follows a comma: a small first letter, unless the first word may be a name or is `I`."""
    return text[:1].lower() + text[1:] if text.split(" ", 1)[0].rstrip(",.") in FUNCTION_WORDS else text


def contracted(text: str) -> str:
    """The usual contractions made, or undone where the text has them."""
    pairs = (
        ("I am ", "I'm "),
        ("do not", "don't"),
        ("cannot", "can't"),
        ("I have never", "I've never"),
        ("will not", "won't"),
        ("It is ", "It's "),
        ("is not", "isn't"),
        ("I would ", "I'd "),
    )
    for long, short in pairs:
        if short in text:
            return text.replace(short, long)
        if long in text:
            return text.replace(long, short)
    return text
