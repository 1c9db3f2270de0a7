import pytest

from npc_engine.guard.repair import edited
from npc_engine.guard.verdict import Reason, Statement, Verdict


def fact(text, name="f"):
    return Statement(id=name, text=text, kind="fact")


PRICE = fact("I charge 40 crowns for a short sword.", "price")
CASES = {
    "a price": ("It costs 50 crowns.", [("number", "50 crowns")], [PRICE], "It costs 40 crowns."),
    "a price first": ("Fifty crowns.", [("number", "Fifty crowns")], [fact("It costs forty crowns.")], "Forty crowns."),
    "a price with the wrong coin": ("40 pennies.", [("number", "40 pennies")], [PRICE], "40 crowns."),
    "a bare number": ("Fifty.", [("number", "Fifty")], [PRICE], "40."),
    "the second premise": ("In nine days.", [("number", "nine days")], [PRICE, fact("In 3 weeks.")], "In 3 weeks."),
    "two prices in the premise": ("50 crowns.", [("number", "50 crowns")], [fact("40 crowns, or 65 crowns.")], None),
    "no price in any premise": ("50 crowns.", [("number", "50 crowns")], [fact("I sell swords.")], None),
    "two wrong numbers": (
        "50 crowns in nine days.",
        [("number", "50 crowns"), ("number", "nine days")],
        [PRICE, fact("It takes two weeks.")],
        "40 crowns in two weeks.",
    ),
    "a name": ("Go to Hale.", [("name", "Hale")], [fact("My brother is Tobin Reed.")], "Go to Tobin Reed."),
    "a name of two words": (
        "Go to Bran Hale now.",
        [("name", "Bran"), ("name", "Hale")],
        [fact("My brother is Tobin.")],
        "Go to Tobin now.",
    ),
    "two names in the premise": ("Go to Hale.", [("name", "Hale")], [fact("See Tobin or Mara there.")], None),
    "talk of an assistant": (
        "As an AI, 50 crowns.",
        [("assistant", "As an AI"), ("number", "50 crowns")],
        [PRICE],
        None,
    ),
    "nothing wrong": ("It costs 40 crowns.", [], [PRICE], None),
}


@pytest.mark.parametrize(("sentence", "reasons", "active", "wanted"), CASES.values(), ids=CASES.keys())
def test_the_wrong_span_is_replaced(sentence, reasons, active, wanted):
    found = tuple(Reason(kind=kind, statement_id=None, score=1.0, span=span) for kind, span in reasons)
    assert edited(Verdict(sentence=sentence, reasons=found), active) == wanted


@pytest.mark.parametrize(("against", "wanted"), [("price", "It costs 40 crowns."), ("other", None)])
def test_a_contradicted_price_is_the_statements(against, wanted):
    reason = Reason(kind="contradiction", statement_id=against, score=0.9, span="It costs 30 crowns.")
    assert edited(Verdict(sentence="It costs 30 crowns.", reasons=(reason,)), [PRICE]) == wanted
