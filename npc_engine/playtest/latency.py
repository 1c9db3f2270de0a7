"""Where a turn's time went, from its trace: parts that add up to the whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What the stages are called in a breakdown, by the trace's key.
_STAGES = {"route": "route_s", "ground": "ground_s", "act": "act_s", "judge": "judge_s"}


def breakdown(trace: Mapping[str, Any]) -> dict[str, float]:
    """Seconds by stage: route, ground, act, judge, and speak for the rest of the turn.

    The decoder writes on while a sentence is judged; what judging did not hold up counts as speaking.
    """
    latency = trace.get("latency", {})
    parts = {stage: float(latency.get(key, 0.0)) for stage, key in _STAGES.items()}
    parts["speak"] = max(0.0, float(latency.get("total_s", 0.0)) - sum(parts.values()))
    return {stage: parts[stage] for stage in ("route", "ground", "act", "speak", "judge")}
