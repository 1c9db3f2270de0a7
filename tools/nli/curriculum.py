"""Which pairs are generated, and the mixture of human and generated pairs over a run."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.nli import wordnet
from tools.nli.characters import SOURCE as CHARACTERS
from tools.nli.characters import character_pairs, read_characters
from tools.nli.data import HELD_OUT, TRAINED, Split, fraction
from tools.nli.facts import Facts
from tools.nli.pairs import LABELS, Pair, normalized, read_rows
from tools.nli.personas import Persona, split_sentences, threes
from tools.nli.swaps import Sentence, Swaps
from tools.nli.written import written_pairs

NUM_GENERATED = {
    "gen_swaps": 36000,
    "gen_anchored": 12000,
    "gen_likes": 3000,
    "gen_facts": 40000,
    "gen_personas": 16000,
}
"""How many pairs each generator makes."""

HELD_OUT_GENERATED = 0.02
"""Share of the generated hypotheses that are held out."""

BALANCED = ("snli", "disco_cf_snli", "mnli", "vania_sim_wiki")
"""Sets that are drawn by label after the first stage: SNLI's rows here have one neutral to eight others."""
LABEL_WEIGHTS: dict[str, float] = {"entailment": 0.3, "neutral": 0.4, "contradiction": 0.3}


@dataclass(frozen=True)
class Stage:
    """A part of a run: it ends at `until` (a share of the steps), and draws sets by weight.

    `human` and `generated` are weights of sets within their kind; `share` is the generated pairs' part of the whole.
    """

    until: float
    human: Mapping[str, float]
    generated: Mapping[str, float]
    share: float
    is_balanced: bool

    def shares(self) -> dict[str, float]:
        """Each set's part of the pairs; sums to 1."""
        mixture = {name: weight * (1 - self.share) / sum(self.human.values()) for name, weight in self.human.items()}
        if self.share:
            total = sum(self.generated.values())
            mixture |= {name: weight * self.share / total for name, weight in self.generated.items()}
        if not self.is_balanced:
            return mixture
        balanced: dict[str, float] = {}
        for name, part in mixture.items():
            if name in BALANCED:
                balanced |= {f"{name}/{label}": part * weight for label, weight in LABEL_WEIGHTS.items()}
            else:
                balanced[name] = part
        return balanced


STAGES = (
    # What entailment is, from human pairs alone.
    Stage(until=1414 / 12_000, human=TRAINED, generated={}, share=0.0, is_balanced=False),
    # The generated pairs, which are learned within this stage (held-out accuracy 0.86 to 0.97 at its end).
    Stage(
        until=3016 / 12_000,
        human=TRAINED,
        generated={"gen_swaps": 0.36, "gen_anchored": 0.12, "gen_likes": 0.02, "gen_facts": 0.34, "gen_personas": 0.16},
        share=0.55,
        is_balanced=True,
    ),
    # Back to human pairs, short ones foremost: these were what was still short (held-out SNLI 0.62).
    Stage(
        until=5200 / 12_000,
        human={
            "snli": 0.36,
            "disco_cf_snli": 0.26,
            "mnli": 0.11,
            "wanli": 0.10,
            "fever_2way": 0.04,
            "snli_reversed": 0.04,
            "vania_sim_wiki": 0.03,
            "begin": 0.03,
            "vania_base_wiki": 0.01,
            "infotabs": 0.01,
            "scone": 0.01,
        },
        generated={"gen_facts": 0.45, "gen_swaps": 0.27, "gen_anchored": 0.12, "gen_personas": 0.13, "gen_likes": 0.03},
        share=0.27,
        is_balanced=True,
    ),
    # What is nearest to its work, pairs written over characters, beside as many human ones.
    Stage(
        until=10_000 / 12_000,
        human={"snli": 0.3, "disco_cf_snli": 0.25, "mnli": 0.18, "wanli": 0.17, "fever_2way": 0.06, "begin": 0.04},
        generated={"written": 0.7, "gen_facts": 0.14, "gen_personas": 0.07, "gen_swaps": 0.06, "gen_anchored": 0.03},
        share=0.6,
        is_balanced=True,
    ),
    # Last what it meets most: two things that are true of one character.
    Stage(
        until=1.0,
        human={"snli": 0.3, "disco_cf_snli": 0.25, "mnli": 0.18, "wanli": 0.17, "fever_2way": 0.06, "begin": 0.04},
        generated={"characters": 0.4, "written": 0.45, "gen_facts": 0.07, "gen_personas": 0.05, "gen_swaps": 0.03},
        share=0.7,
        is_balanced=True,
    ),
)
HELD_OUT_CHARACTERS = 20
"""One in so many of the made-up characters is held out, with all its facts."""


def shares(position: float) -> Mapping[str, float]:
    """Each set's share of the pairs at a position of the run, 0 to 1."""
    return next((stage for stage in STAGES if position < stage.until), STAGES[-1]).shares()


def parts(train: Mapping[str, Sequence[Pair]]) -> dict[str, Sequence[Pair]]:
    """The sets, and each set of `BALANCED` once more by label under `set/label`."""
    by_label = {
        f"{name}/{label}": [pair for pair in train.get(name, ()) if pair.label == label]
        for name in BALANCED
        for label in LABELS
    }
    return {**train, **by_label}


def sample(train: Mapping[str, Sequence[Pair]], *, num_pairs: int, seed: int) -> list[Pair]:
    """Pairs as the last stage draws them, for what is fitted beside the classifier."""
    rng = random.Random(f"sample:{seed}")
    by_set = parts(train)
    mixture = {name: part for name, part in STAGES[-1].shares().items() if by_set.get(name)}
    names = rng.choices(list(mixture), list(mixture.values()), k=num_pairs)
    return [rng.choice(by_set[name]) for name in names]


def with_generated(split: Split, data: Path, *, seed: int) -> tuple[dict[str, list[Pair]], dict[str, list[Pair]]]:
    """The human pairs and the generated ones, to train and held out.

    Raises:
        FileNotFoundError: A file of the data folder or WordNet is missing.
    """
    train, held_out = dict(split.train), dict(split.held_out)
    for name, pairs in generate(split, data, seed=seed).items():
        kept = [
            pair
            for pair in pairs
            if not split.forbidden.intersection((normalized(pair.premise), normalized(pair.hypothesis)))
        ]
        # A generator's hypothesis stands beside several premises; what was written for one premise goes by that.
        of = {pair: fraction(pair.premise if name == "written" else pair.hypothesis, seed) for pair in kept}
        part = HELD_OUT if name == "written" else HELD_OUT_GENERATED
        train[name] = [pair for pair in kept if of[pair] >= part]
        held_out[name] = [pair for pair in kept if of[pair] < part]
    characters = read_characters()
    held_out[CHARACTERS] = list(character_pairs(characters[::HELD_OUT_CHARACTERS], seed=seed))
    others = [one for number, one in enumerate(characters) if number % HELD_OUT_CHARACTERS]
    train[CHARACTERS] = list(character_pairs(others, seed=seed))
    return train, held_out


def generate(split: Split, data: Path, *, seed: int) -> dict[str, list[Pair]]:
    """Every generator's pairs."""
    snli = split.train.get("snli", [])
    captions = sorted(
        {text for pair in snli for text in (pair.premise, pair.hypothesis) if 4 <= len(text.split()) <= 22}
    )
    licence = snli[0].licence if snli else ""
    personas = light_personas(data) + chat_personas(data)
    spoken = [Sentence(text, persona.licence) for persona in personas for text in persona.sentences]
    rooms = [Sentence(text, "MIT") for text in light_descriptions(data)]
    random.Random(seed).shuffle(rooms)
    swaps = Swaps(wordnet.read(), seed=seed)
    sentences = [Sentence(text, licence) for text in captions] + rooms
    anchored = snli + split.train.get("fever_2way", []) + split.train.get("mnli", []) + split.train.get("wanli", [])
    number = NUM_GENERATED
    return {
        "gen_swaps": list(swaps.of_captions(sentences, number["gen_swaps"])),
        "gen_anchored": list(swaps.of_pairs(anchored, number["gen_anchored"])),
        "gen_likes": list(swaps.of_likes(spoken, number["gen_likes"])),
        "gen_facts": list(Facts(seed).pairs(number["gen_facts"])),
        "gen_personas": list(threes(personas, number["gen_personas"], seed=seed, source="gen_personas")),
        "written": list(written_pairs(seed=seed)),
    }


def light_personas(data: Path) -> list[Persona]:
    """The personas of the LIGHT world (MIT) that have two sentences or more."""
    rows = read_rows(data / "light_repo" / "personas.jsonl.gz")
    personas = [Persona(split_sentences(str(row["persona"])), "MIT (LIGHT)") for row in rows]
    return [persona for persona in personas if len(persona.sentences) >= 2]


def light_descriptions(data: Path) -> list[str]:
    """Sentences about the rooms of the LIGHT world (MIT)."""
    rooms = json.loads((data / "light_repo" / "rooms.json").read_text(encoding="utf-8"))
    return sorted({text for room in rooms for text in split_sentences(str(room["description"]))})


def chat_personas(data: Path) -> list[Persona]:
    """The personas of Synthetic-Persona-Chat (CC BY 4.0)."""
    found: set[tuple[str, ...]] = set()
    for part in ("valid", "test"):
        with (data / "spc" / "data" / f"Synthetic-Persona-Chat_{part}.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for side in ("user 1 personas", "user 2 personas"):
                    found.add(tuple(sentence for line in row[side].splitlines() for sentence in split_sentences(line)))
    return [
        Persona(sentences, "CC BY 4.0 (Synthetic-Persona-Chat)") for sentences in sorted(found) if len(sentences) >= 2
    ]
