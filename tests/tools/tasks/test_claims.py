"""What claims a deed and what does not, in the words of people."""

import pytest

from tools.tasks.claims import claimed_deeds


@pytest.mark.parametrize(
    "reply",
    [
        "I've sold you the sword.",
        "Here's your Long Bow. Mind the string.",
        "Certainly. I have registered you for the quest.",
        "It's done.",
        "Done.",
        "Registered. Are you ready to begin?",
        "Weapon Equipped. I'm relieved to hear that.",
        "Your quest has begun, best of luck!",
        "The dagger is yours.",
        "Thank you for your purchase! Would you like to equip it?",
        "You’re registered.",
        "Your order has been placed.",
        "Here you go.",
        "I just gave it to you.",
    ],
)
def test_deeds(reply):
    assert claimed_deeds(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "I can sell you a sword.",
        "I'll sign you up right now.",
        "Have I sold you the sword?",
        "I haven't sold it.",
        "It could not be done: there is none left.",
        "Would you like me to register you?",
        "If I had sold it, you would know.",
        "The price has been set by the guild.",
        "The Long Bow is 300G.",
        "Shall I open the gate?",
        "A solid choice. The Morning Star is a reliable weapon.",
        "I was not able to open it.",
        "Two long swords, then. Do we have a deal?",
    ],
)
def test_no_deeds(reply):
    assert claimed_deeds(reply) == []


def test_the_sentence_is_given_as_it_stands():
    assert claimed_deeds("Good. I've opened the gate for you. Go.") == ["I've opened the gate for you."]
