"""Which action, if any, a line asks for: evidence weighed into one probability an action, `none` being the rest.

    probability = sigmoid(
        bias + example * cosine + description * cosine + model * (evidence + order * behind) + in_play
    )

The model's evidence is how much likelier it writes the likeliest action's name than `none`, in natural logs, clipped to
`model_cap` and divided by it: between -1 and 1. `behind` is how far less likely than that one the action is, clipped
and divided likewise: -1 to 0.

Source: `none` as one of the choices, Nuriyev 2025 (CPDC 2025), there as a pseudo-tool "reply". Calibration by what the
model writes whatever the player says (Zhao et al. 2021, Calibrate Before Use) made it worse: docs/log.md, "Weights of
the choice".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from npc_engine.actions.shortlist import Evidence
from npc_engine.sheets.action_spec import NO_ACTION, ActionSpec


@dataclass(frozen=True, kw_only=True)
class ChoiceWeights:
    """Everything that decides whether an action is called. Weights of 0 and switches turn a part off.

    Source: `example`, `description`, `model`, `order`, `model_cap`, `bias` and `threshold` fitted to recorded lines,
    docs/log.md, "Weights of the choice"; `floor` as high as costs little there, since below it a turn is spared the
    model. `in_play` and those of follow-ups are set by hand.

    Attributes:
        shortlist_size: Actions that reach the prompt, those with the best encoder evidence. 256 turns it off.
        floor: Cosine to the closest example below which an action is not considered; where none reaches it, the line
            is no task and the model is not asked. -1 turns it off.
        example: Weight of the cosine to the closest example line, or to the description where there are no examples.
        description: Weight of the cosine to the description.
        model: Weight of the model's evidence that the line wants any of the actions. 0: the model is not asked.
        order: Share of `model` that counts how far behind the likeliest action it is to the model, which goes by names:
            to buy from the shop is "sell_item", and a small model writes "buy_item".
        model_cap: Natural log units beyond which the model's evidence counts no more.
        in_play: Added for an action whose missing argument was asked for, or whose criteria add up (`accumulate`) and
            the line has another one.
        bias: The constant term.
        threshold: Probability from which the best action is called.
        follow_up_floor: The same for a further action, after a call in the same turn.
        follow_up_threshold: Probability from which that one is called. 1.01 turns further calls off.
        use_clauses: Whether the parts of a line ("a dagger, and then ring the bell") are compared one by one too.
        use_context: Whether a line that refers back ("the second one") is also compared together with the last
            exchange.
        use_references: Whether names, ordinals, pronouns and numbers of the line fix arguments before the model
            decodes.
        ask_missing: Whether a required argument that nobody has said is asked for; off, the model's guess is used.
    """

    shortlist_size: int = 8
    floor: float = 0.35
    example: float = 4.1
    description: float = 2.6
    model: float = 1.3
    order: float = 2.4
    model_cap: float = 3.0
    in_play: float = 3.0
    bias: float = -3.6
    threshold: float = 0.38
    follow_up_floor: float = 0.6
    follow_up_threshold: float = 0.5
    use_clauses: bool = True
    use_context: bool = True
    use_references: bool = True
    ask_missing: bool = True


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """One action's evidence and what comes of it.

    Attributes:
        action: The action.
        probability: 0 to 1.
        example: Cosine to its closest example.
        description: Cosine to its description.
        model: Natural log of how much likelier the model writes its name than `none`; None where it was not asked.
        is_in_play: Whether the line goes on with it.
    """

    action: ActionSpec
    probability: float
    example: float
    description: float
    model: float | None
    is_in_play: bool

    @property
    def as_trace(self) -> dict[str, object]:
        """Plain data, rounded."""
        return {
            "name": self.action.name,
            "score": round(self.probability, 4),
            "example": round(self.example, 3),
            "description": round(self.description, 3),
            "model": None if self.model is None else round(self.model, 2),
            "in_play": self.is_in_play,
        }


def rank(
    evidence: Sequence[Evidence],
    weights: ChoiceWeights,
    *,
    model: Mapping[str, float] | None,
    in_play: str | None,
) -> list[Ranked]:
    """Weigh the evidence; best first.

    Args:
        evidence: Of each action of the shortlist.
        weights: How.
        model: Natural-log probability of each action's name, `none` included; None where the model is not asked.
        in_play: The action that is in play.
    """
    names = [one.action.name for one in evidence]
    likelier = {name: model[name] - model[NO_ACTION] for name in names} if model is not None else {}
    likeliest = max(likelier.values(), default=0.0)
    ranked = []
    for one in evidence:
        name = one.action.name
        logit = weights.bias + weights.example * one.example + weights.description * one.description
        if name in likelier:
            behind = _capped(likelier[name] - likeliest, weights.model_cap)
            logit += weights.model * (_capped(likeliest, weights.model_cap) + weights.order * behind)
        ranked.append(
            Ranked(
                action=one.action,
                probability=_sigmoid(logit + weights.in_play * (name == in_play)),
                example=one.example,
                description=one.description,
                model=likelier.get(name),
                is_in_play=name == in_play,
            )
        )
    return sorted(ranked, key=lambda one: -one.probability)


def _capped(evidence: float, cap: float) -> float:
    return max(-1.0, min(1.0, evidence / cap))


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, logit))))
