"""Hold streamed speech back until a whole sentence is known, so that it can be judged and counted.

What is not covered: an abbreviation that is not listed ("Capt. Vale") ends a sentence early.
"""

from __future__ import annotations

import re

_END = re.compile(r"(?<=[.!?…])[)'’]*\s+")
_ABBREVIATION = re.compile(r"(?:^|\s)(?:Mr|Mrs|Ms|Dr|St|No|vs)\.$")


class SentenceBuffer:
    """Collects text pieces and releases complete sentences, in order."""

    def __init__(self) -> None:
        self._held = ""

    @property
    def held(self) -> str:
        """The sentence that is not complete yet."""
        return self._held

    def feed(self, piece: str) -> list[str]:
        """Add a piece of any size; return the sentences it completed."""
        self._held = (self._held + piece).lstrip()
        done: list[str] = []
        start = 0
        for end in _END.finditer(self._held):
            sentence = self._held[start : end.end()].rstrip()
            if _ABBREVIATION.search(sentence):
                continue
            done.append(sentence)
            start = end.end()
        self._held = self._held[start:]
        return done

    def flush(self) -> list[str]:
        """Return what is still held, at the end of generation."""
        held, self._held = self._held.rstrip(), ""
        return [held] if held else []


def is_whole(sentence: str) -> bool:
    """Whether a sentence ends as one: a text cut off by a token limit does not."""
    return bool(re.search(r"[.!?…][)'’]*$", sentence.rstrip()))
