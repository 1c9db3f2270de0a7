import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_engine.guard.style import FEATURES, closeness, mean_style, mirroring, style

OWN = style("I am well, thank you. The price stands.")
PLAYER = style("YO WHAT'S UP!!! GIMME THAT SWORD LOL!")


def feature(text, name):
    return float(style(text)[FEATURES.index(name)])


@pytest.mark.parametrize(
    ("name", "less", "more"),
    [
        ("length", "Yes.", "Yes, since you ask me so kindly, I do have one left to sell."),
        ("exclamations", "Yes.", "Yes!"),
        ("capitals", "Come here.", "COME HERE."),
        ("slang", "I am going to go.", "I'm gonna go, bro."),
        ("contractions", "It is not mine.", "It's not mine, and I don't care."),
    ],
)
def test_each_feature_rises_with_its_own_marks(name, less, more):
    assert feature(less, name) < feature(more, name)


@given(st.text(max_size=300))
def test_a_style_is_five_shares_for_any_text(text):
    values = style(text)
    assert values.shape == (len(FEATURES),)
    assert ((values >= 0) & (values <= 1)).all()


def test_a_style_is_closest_to_itself():
    assert closeness(OWN, OWN) == 1.0
    assert closeness(OWN, PLAYER) < closeness(OWN, style("I am quite well, thank you."))


def test_mirroring_is_the_way_from_the_own_style_to_the_player_s():
    assert mirroring(OWN, own=OWN, player=PLAYER) == 0.0
    assert mirroring(PLAYER, own=OWN, player=PLAYER) == pytest.approx(1.0)
    assert mirroring((OWN + PLAYER) / 2, own=OWN, player=PLAYER) == pytest.approx(0.5)
    assert mirroring(PLAYER, own=PLAYER, player=PLAYER) == 0.0


def test_the_mean_of_styles():
    assert np.allclose(mean_style(["Yes!", "Yes."]), (style("Yes!") + style("Yes.")) / 2)
    assert not mean_style([]).any()
