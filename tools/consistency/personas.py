"""Characters and questions from persona texts, so that consistency is not measured on the shipped characters alone.

A persona is a few sentences in the first person. Each sentence becomes a fact; one of a known form ("I live ...",
"My father was ...") becomes a question in two wordings, answered by any content word of the rest. Sentences of other
forms are facts that nobody asks for. Which personas are taken depends on their texts only, never on a draw.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from npc_engine.dialogue.lexical import terms
from npc_engine.sheets.questions import QUESTIONS_SCHEMA, QuestionSet
from npc_engine.sheets.schema import CHARACTER_SCHEMA, CharacterSheet

# A persona with fewer facts that can be asked for says too little to be consistent with.
MIN_ASKED = 3
# Strings of an answer: the schema takes 16.
MAX_WORDS = 16
_LEFT_OUT = re.compile(r"brothel|whore|prostitut|sex|naked|lover|slave|tortur|rape|suicide|kill", re.IGNORECASE)
_SENTENCE = re.compile(r"[^.!?]+[.!?]+")
_CLAUSE = re.compile(r",? (?:and|but|so) (?=I |I'm |my )|, (?=my )")
# A form of sentence, what is asked about it, and the same in other words; \1 is the form's first group.
_FORMS: tuple[tuple[str, str, str], ...] = (
    (
        r"I live ((?:in|at|on|with|near|by|under|inside|among|outside|alone) .+)",
        "Where do you live?",
        "In what place is your home?",
    ),
    (r"I (?:work|toil|labou?r) (.+)", "What is your work?", "How do you earn your living?"),
    (r"I sell (.+)", "What do you sell?", "Which goods could I buy from you?"),
    (r"I serve (.+)", "Whom do you serve?", "Who is your master?"),
    (r"I make (?!sure|do|my|it|them|a living)(.+)", "What do you make?", "Which things come from your hands?"),
    (r"I (?:like|love|enjoy) (.+)", "What do you like?", "What gives you joy?"),
    (r"I (?:hate|dislike|despise) (.+)", "What do you dislike?", "What can you not stand?"),
    (r"I (?:fear|am afraid of|am scared of) (.+)", "What are you afraid of?", "What frightens you?"),
    (
        r"I (?:want|wish|hope|long|dream) (?:to |for |that |of )?(.+)",
        "What do you hope for?",
        "What is your dearest wish?",
    ),
    (r"I spend (?:my|most of my) (?:days|time) (.+)", "How do you spend your days?", "What do you do all day?"),
    (r"I (?:was born|come from|grew up) (.+)", "Where are you from?", "Where did you grow up?"),
    (r"I (?:wear|am wearing) (.+)", "What do you wear?", "What are your clothes like?"),
    (r"I eat (.+)", "What do you eat?", "What does a meal of yours look like?"),
    (r"I travel (.+)", "Where do you travel?", "Which journeys do you make?"),
    (r"I (?:have|own) (.+)", "What do you have?", "What do you call your own?"),
    (r"(?:I am|I'm) (?:a|an|the) (.+)", "Who are you?", "What are you, exactly?"),
    (r"My (\w+) (?:is|are|was|were) .+", r"Tell me about your \1.", r"What about your \1?"),
)


def load_personas(path: Path, count: int) -> tuple[dict[str, CharacterSheet], list[QuestionSet]]:
    """Sheets and question sets of some personas.

    Args:
        path: Gzipped JSON lines with `name`, `persona`, `description` and `char_type`.
        count: How many; fewer where the file has not so many that fit.
    """
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    rows = sorted(
        (row for row in rows if row["char_type"] == "person" and not _LEFT_OUT.search(row["persona"])),
        key=lambda row: hashlib.sha256(f"{row['name']} {row['persona']}".encode()).hexdigest(),
    )
    sheets: dict[str, CharacterSheet] = {}
    sets: list[QuestionSet] = []
    for row in rows:
        facts = _facts(row["persona"])
        questions = list(_questions(facts))
        name = _name(row["name"])
        if len(sheets) == count:
            break
        if len(questions) < 2 * MIN_ASKED or not name:
            continue
        character = f"persona-{len(sheets) + 1}"
        sheets[character] = _sheet(character, name, facts)
        sets.append(
            QuestionSet.model_validate({"schema": QUESTIONS_SCHEMA, "character": character, "questions": questions})
        )
    return sheets, sets


def _facts(persona: str) -> dict[str, str]:
    sentences = [" ".join(match[0].split()) for match in _SENTENCE.finditer(persona)]
    return {f"fact-{number}": text for number, text in enumerate(sentences, start=1) if len(text) <= 300}


def _questions(facts: Mapping[str, str]) -> Iterator[dict[str, object]]:
    """Two a fact with a clause of a known form; no question twice, or nobody could tell which fact is meant."""
    asked: set[str] = set()
    for fact, text in facts.items():
        for question, again, words in _asked_for(text):
            if question not in asked:
                asked.add(question)
                for line in (question, again):
                    yield {"question": line, "fact": fact, "answer": [words]}
                break


def _asked_for(text: str) -> Iterator[tuple[str, str, Sequence[str]]]:
    """For each clause of a known form: its question, the same in other words, and the words of an answer."""
    for clause in _CLAUSE.split(text.rstrip(".!?")):
        for form, one, other in _FORMS:
            if match := re.fullmatch(form, clause, re.IGNORECASE):
                question, again = match.expand(one), match.expand(other)
                about = match[0] if clause.casefold().startswith("my") else match[1]
                if words := _content(about, without=question + again):
                    yield question, again, words
                break


def _content(text: str, *, without: str) -> Sequence[str]:
    """Content words of a text that the questions do not hold, as they stand there."""
    known = set(terms(without))
    words = [
        word for word in re.findall(r"[A-Za-z][A-Za-z'-]+", text) if (stems := terms(word)) and not known & set(stems)
    ]
    return list(dict.fromkeys(word for word in words if len(word) > 3))[:MAX_WORDS]


def _name(text: str) -> str:
    words = re.findall(r"[A-Za-z']+", text)
    return " ".join(word.capitalize() for word in words) if 1 <= len(words) <= 4 else ""


def _sheet(character: str, name: str, facts: Mapping[str, str]) -> CharacterSheet:
    return CharacterSheet.model_validate(
        {
            "schema": CHARACTER_SCHEMA,
            "id": character,
            "identity": {
                "name": name,
                "role": f"known to everybody here as the {name.lower()}",
                "social": "One of the people of this land.",
                "personal": "Speaks plainly and does not make things up.",
                "context": "An ordinary day in a world of castles, forests and villages.",
            },
            "voice": {"register": "plain, short sentences in everyday words"},
            "facts": [{"id": fact, "text": text} for fact, text in facts.items()],
            "fallbacks": {
                "unknown": ["I do not know.", "That I could not tell you."],
                "error": ["What did you say?"],
                "refusal": ["No. I will not."],
                "out_of_world": ["I have no idea what you mean."],
                "busy": ["Not now."],
            },
            "greeting": "Good day to you.",
        }
    )
