import random
import re

import pytest

from tools.nli.baselines import HypothesisOnly
from tools.nli.data import counts
from tools.nli.facts import Facts, spelled
from tools.nli.pairs import LABELS, Pair
from tools.nli.personas import Persona, denied, split_sentences, threes
from tools.nli.surface import articles, contracted, third_person
from tools.nli.swaps import Sentence, Swaps, dropped, replaced
from tools.nli.wordnet import Lexicon

CAPTIONS = [
    Sentence(text, "own text")
    for text in (
        "A woman in a red coat feeds two goats.",
        "An old baker drinks beer in the kitchen.",
        "Three boys run along the river.",
        "A soldier with a sword sleeps under an oak table.",
        "A happy girl plays the flute.",
        "The first rider is carrying a black banner.",
    )
]
PERSONAS = [
    Persona(
        split_sentences("I am a shepherd. I live in the hills. I love my dog. I hate the rain. I can swim."), "own"
    ),
    Persona(split_sentences("I am a thief in the city. I have a brother. I never pay. I fear the guards."), "own"),
]


def swaps(seed: int = 1) -> Swaps:
    return Swaps(Lexicon(), seed=seed)


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: list(Facts(seed).pairs(300)),
        lambda seed: list(swaps(seed).of_captions(CAPTIONS, 200)),
        lambda seed: list(threes(PERSONAS, 60, seed=seed, source="gen_personas")),
    ],
    ids=["facts", "swaps", "personas"],
)
def test_a_seed_decides_every_pair(make):
    assert make(3) == make(3)
    assert make(3) != make(4)


def test_facts_come_in_threes_of_one_hypothesis():
    pairs = list(Facts(1).pairs(3000))
    for start in range(0, len(pairs), 3):
        three = pairs[start : start + 3]
        assert {pair.label for pair in three} == set(LABELS)
        assert len({pair.hypothesis for pair in three}) == 1


def test_personas_are_balanced():
    found = counts(threes(PERSONAS, 60, seed=1, source="gen_personas"))
    assert len(set(found.values())) == 1


def test_the_hypothesis_alone_gives_little_away():
    pairs = list(Facts(1).pairs(6000))
    half = len(pairs) // 6 * 3
    model = HypothesisOnly(seed=1).fit(pairs[:half])
    unseen = pairs[half:]
    guess = model([(pair.premise, pair.hypothesis) for pair in unseen]).argmax(axis=1)
    accuracy = sum(LABELS[label] == pair.label for label, pair in zip(guess, unseen, strict=True)) / len(unseen)
    assert accuracy < 0.38


def test_the_baseline_learns_where_the_hypothesis_does_give_the_label_away():
    pairs = [Pair("a", f"word {label}", label, "own", "own") for label in LABELS] * 30
    model = HypothesisOnly(seed=1).fit(pairs)
    assert [LABELS[row.argmax()] for row in model([("", f"word {label}") for label in LABELS])] == list(LABELS)


def numbers(text: str) -> set[str]:
    text = text.lower()
    found = set(re.findall(r"\d+", text))
    return found | {str(n) for n in range(100) if re.search(rf"(?<![a-z-]){spelled(n)}(?![a-z-])", text)}


def test_the_same_number_of_the_same_unit_is_never_a_contradiction():
    plain = re.compile(r"^I am (\d+) years old\.$")
    for pair in Facts(5).pairs(20_000):
        one, other = plain.match(pair.premise), plain.match(pair.hypothesis)
        if one and other:
            assert (pair.label == "contradiction") == (one.group(1) != other.group(1))


def test_spelled_numbers_mean_their_digits():
    assert [spelled(n) for n in (7, 17, 20, 42, 250)] == ["seven", "seventeen", "twenty", "forty-two", "250"]
    assert numbers("forty-two") == {"42"}


def test_a_swap_changes_the_word_of_a_contradiction():
    for pair in swaps().of_captions(CAPTIONS, 300):
        if pair.label == "contradiction":
            assert pair.premise.lower() != pair.hypothesis.lower()


def test_gray_is_grey():
    maker = swaps()
    for _ in range(200):
        assert all(other not in ("gray", "grey") for _, other, _ in maker.exclusive("A grey cat sleeps."))


def test_another_thing_one_likes_is_neutral():
    liked = [Sentence("I have a dog at home.", "own"), Sentence("I play the guitar.", "own")]
    pairs = list(swaps().of_likes(liked, 30))
    assert {pair.label for pair in pairs if pair.premise in {one.text for one in liked}} <= {"neutral", "entailment"}


def test_a_sentence_with_two_words_of_a_group_is_left_alone():
    assert not [found for found in swaps().exclusive("A red and blue kite.") if found[2] == "colour"]


def test_replacing_keeps_the_capital():
    assert replaced("Dogs bark at dogs.", "dogs", "cats") == "Cats bark at dogs."
    assert dropped("A red coat.", "red") == "A coat."
    assert dropped("The coat is red.", "red") == "The coat is red."


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("I was born in Oakford.", "She was born in Oakford."),
        ("I live by my mill.", "She lives by her mill."),
        ("I'm a smith and I carry two swords.", "She is a smith and she carries two swords."),
        ("I never trust me.", "She never trusts her."),
        ("I don't swim.", "She doesn't swim."),
    ],
)
def test_third_person(said, told):
    assert third_person(said, "she") == told


def test_what_is_said_to_a_listener_is_not_told_of_another():
    assert third_person("I sell you my horse.", "he") is None
    assert third_person("The road is long.", "he") is None


def test_articles_and_contractions():
    assert articles("A apple and an pear") == "An apple and a pear"
    assert contracted(contracted("I am old.")) == "I am old."


@pytest.mark.parametrize("sentence", ["I am not a smith.", "I never pay.", "The sky is blue today."])
def test_what_is_denied_already_or_unclear_is_not_denied(sentence):
    assert denied(sentence, random.Random(1)) is None
