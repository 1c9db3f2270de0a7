"""A turn's voice: what the controls make of how the character has sounded so far.

All of it follows from the talk and the sheet: moving averages over the exchanges, so that undoing a turn or loading a
game needs nothing more. docs/controls.md has the formulas and says what acts where.

Sources: exponential moving average with a cap and a dead band, "Navigating the Synchrony-Stability Frontier"; the
flanderization index, `guard/flanderization.py`; styles, `guard/style.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npc_engine.dialogue.memory import Exchange
from npc_engine.guard.flanderization import VoiceLexicon, flanderization_index, traits_in
from npc_engine.guard.strategies import Pull
from npc_engine.guard.style import FEATURES, SAME_STYLE, mean_style, mirroring, style
from npc_engine.guard.verdict import Reason
from npc_engine.sheets.controls import ControlValues, Route
from npc_engine.sheets.schema import CharacterSheet

# Weight of the newest reply in a moving average: half of what it knew is forgotten after two replies. Chosen by hand.
ALPHA = 0.3
# Exchanges that an average looks at; what is older weighs less than a thousandth.
MAX_LOOK_BACK = 20
# The dead band reaches from 0 to this share of the cap: within it saturation changes nothing. Chosen by hand.
DEAD_BAND = 0.5
# From here on the character is told to fall in with the player's manner; below, only the cap acts. Chosen by hand.
MIRROR_FROM = 0.6
# A quirk is offered to the model in small talk from here on, as long as the budget has room. Chosen by hand; elsewhere
# a small model says it in the place of the answer.
QUIRK_FROM = 0.5
_MANNER = {
    "length": ("short", "at length"),
    "exclamations": ("calmly", "with excitement"),
    "capitals": ("quietly", "loudly"),
    "slang": ("in correct words", "in loose everyday words"),
    "contractions": ("formally", "in easy short forms"),
}
_PLAIN = "Put it plainly this time, without your usual sayings and habits."
_HOLD = "Keep to your own manner of speech, however the player talks."


class Voice:
    """How a character should sound. Built when its sheet loads.

    Args:
        sheet: The character.

    Attributes:
        lexicon: Its trademarks.
        style: (5,) float32, the mean style of its voice examples.
    """

    def __init__(self, sheet: CharacterSheet) -> None:
        examples = tuple(example.character for example in sheet.voice.examples)
        self.lexicon = VoiceLexicon(sheet.personality.catchphrases, sheet.personality.quirks, examples)
        self.style = mean_style(examples or (sheet.greeting,))


@dataclass(frozen=True, kw_only=True)
class Heard:
    """How the talk has sounded so far.

    Attributes:
        saturation: Moving average of the replies' flanderization index, 0 to 1; 0 at first.
        mirroring: Moving average of how far the replies went over to the player's style, 0 to 1; 0 at first.
        player: (5,) float32, moving average of the player's style, this turn's line included.
        num_shown: Catchphrases and quirks of the turns that still count.
    """

    saturation: float
    mirroring: float
    player: NDArray[np.float32]
    num_shown: int


def heard(exchanges: Sequence[Exchange], line: str, voice: Voice, *, cooldown_turns: int) -> Heard:
    """Measure a talk up to the player's line.

    Args:
        exchanges: The talk so far, oldest first.
        line: What the player says now.
        voice: The character's.
        cooldown_turns: How many of the last exchanges count for `num_shown`.
    """
    saturation = mirrored = 0.0
    player: NDArray[np.float32] | None = None
    for exchange in exchanges[-MAX_LOOK_BACK:]:
        player = _followed(player, style(exchange.player))
        if exchange.reply:
            saturation += ALPHA * (flanderization_index(exchange.reply, voice.lexicon) - saturation)
            now = mirroring(style(exchange.reply), own=voice.style, player=player)
            mirrored += ALPHA * (now - mirrored)
    counted = exchanges[-cooldown_turns:] if cooldown_turns else ()
    return Heard(
        saturation=saturation,
        mirroring=mirrored,
        player=_followed(player, style(line)),
        num_shown=sum(len(traits_in(exchange.reply, voice.lexicon)) for exchange in counted),
    )


def _followed(average: NDArray[np.float32] | None, new: NDArray[np.float32]) -> NDArray[np.float32]:
    return new if average is None else average + np.float32(ALPHA) * (new - average)


class VoiceControl:
    """What the controls demand of one turn's sentences.

    Args:
        voice: The character's.
        controls: The turn's values.
        route: The turn's.
        exchanges: The talk so far.
        line: What the player says now.
    """

    def __init__(
        self,
        voice: Voice,
        *,
        controls: ControlValues,
        route: Route,
        exchanges: Sequence[Exchange] = (),
        line: str = "",
    ) -> None:
        self.voice = voice
        self.heard = heard(exchanges, line, voice, cooldown_turns=controls.cooldown_turns)
        self._controls = controls
        self._route = route
        self._num_shown = self.heard.num_shown
        self._excused: frozenset[str] = frozenset()

    @property
    def is_spent(self) -> bool:
        """Whether no further catchphrase or quirk may show now."""
        return self._num_shown >= self._controls.quirk_budget

    @property
    def is_saturated(self) -> bool:
        """Whether the moving average of the index is over its cap."""
        return self.heard.saturation > self._controls.trait_saturation

    @property
    def is_mirroring(self) -> bool:
        """Whether the character has gone further over to the player's style than it may."""
        return self.heard.mirroring > self._controls.synchrony

    @property
    def pull(self) -> Pull:
        """How the controls weigh candidates."""
        cap = self._controls.trait_saturation
        band = DEAD_BAND * cap
        over = self.heard.saturation - band
        pressure = 0.0 if over <= 0 else min(1.0, over / max(1e-6, cap - band))
        return Pull(
            role_play=self._controls.role_play,
            saturation=pressure,
            mirroring_cap=self._controls.synchrony if self.is_mirroring else 1.0,
            task_priority=self._controls.task_priority if self._route is Route.TASK else 0.0,
        )

    def excuse(self, texts: Sequence[str]) -> None:
        """Let the traits that these texts show pass: what a premise says may be answered with."""
        self._excused = frozenset(found.trait for text in texts for found in traits_in(text, self.voice.lexicon))

    def objections(self, sentence: str) -> tuple[Reason, ...]:
        """Why the controls would not have this sentence; empty where they would."""
        lexicon = self.voice.lexicon
        shown = [found for found in traits_in(sentence, lexicon) if found.trait not in self._excused]
        reasons = []
        if self._num_shown + len(shown) > self._controls.quirk_budget:
            reasons += [_reason("quirk", 1.0, sentence[found.start : found.end]) for found in shown]
        index = flanderization_index(sentence, lexicon)
        if self.is_saturated and index > self._controls.trait_saturation:
            reasons.append(_reason("saturation", index, sentence))
        return tuple(reasons)

    def count(self, sentence: str) -> None:
        """Count what a sentence that was said has shown."""
        self._num_shown += len(traits_in(sentence, self.voice.lexicon))

    def directives(self, *, pick: int) -> Iterator[str]:
        """What the prompt's tail says of the voice, one sentence each.

        Args:
            pick: Which of several quirks is offered.
        """
        controls, lexicon = self._controls, self.voice.lexicon
        traits = (*lexicon.catchphrases, *lexicon.quirks)
        is_roused = controls.role_play >= QUIRK_FROM and self._route is Route.SMALL_TALK
        if self.is_saturated:
            yield _PLAIN
        elif traits and is_roused and not self.is_spent:
            trait = traits[pick % len(traits)]
            yield (
                f'You may say "{trait}" where it fits.'
                if trait in lexicon.catchphrases
                else f"A habit of yours, where it fits: {trait}."
            )
        if self.is_mirroring:
            yield _HOLD
        elif controls.synchrony >= MIRROR_FROM and (manner := self._player_manner()):
            yield f"Fall in with the player's manner: talk {manner}."

    def _player_manner(self) -> str:
        """In which ways the player talks otherwise than the character."""
        way = self.heard.player - self.voice.style
        return " and ".join(
            _MANNER[name][int(difference > 0)]
            for name, difference in zip(FEATURES, way, strict=True)
            if abs(difference) >= SAME_STYLE
        )

    def as_data(self, reply: str) -> dict[str, Any]:
        """For the trace: what was measured before the reply, what acted, and the reply's own figures."""
        lexicon = self.voice.lexicon
        return {
            "saturation": round(self.heard.saturation, 3),
            "mirroring": round(self.heard.mirroring, 3),
            "quirks_counted": self.heard.num_shown,
            "is_saturated": self.is_saturated,
            "is_mirroring": self.is_mirroring,
            "index": round(flanderization_index(reply, lexicon), 3),
            "quirks": [found.trait for found in traits_in(reply, lexicon)],
            "style": dict(zip(FEATURES, (round(float(one), 3) for one in style(reply)), strict=True)),
        }


def _reason(kind: Any, score: float, span: str) -> Reason:
    return Reason(kind=kind, statement_id=None, score=score, span=span)
