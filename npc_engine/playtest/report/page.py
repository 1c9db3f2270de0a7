"""The report as one HTML file that needs nothing else: no script, no address outside itself, light and dark."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape
from markupsafe import Markup

from npc_engine.playtest.compare import Difference
from npc_engine.playtest.report.machine import write_whole
from npc_engine.playtest.report.plots import Interval, Line, Spread, interval_chart, line_chart, spread_chart
from npc_engine.playtest.results import Head
from npc_engine.playtest.scenarios.checking import chosen_action
from npc_engine.playtest.scores.scored import Scored
from npc_engine.playtest.scores.statistics import percentile
from npc_engine.playtest.scores.summary import ScoreRow, shown, summarise, verdicts

WORST = 10
AS_EXPECTED = "as expected"
# Scores that say what `as expected` says already.
_OF_EXPECTED = ("fact recall", "fact found", "knowledge boundary", "secrets kept", "action success", "in character")
NO_ACTION = "no action"
# Stages of a turn's trace, as people call them, in the order in which they come.
STAGES = (
    ("queue_time_s", "waiting for a slot"),
    ("route_s", "route"),
    ("ground_s", "ground"),
    ("act_s", "act"),
    ("prefill_time_s", "read the prompt"),
    ("judge_s", "judge"),
)


@dataclass(frozen=True)
class Confusion:
    """Expected actions against those that came.

    Attributes:
        names: Columns: what came.
        rows: What was expected, with a count for each column.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]


def write_page(path: Path, head: Head, scored: Sequence[Scored]) -> None:
    """Write the report.

    Raises:
        ReportNotWritten: The system does not take it; nothing is left.
    """
    write_whole(path, page(head, scored))


def page(head: Head, scored: Sequence[Scored]) -> str:
    """The report as text."""
    characters = sorted({one.record.character for one in scored})
    found = verdicts(scored)
    groups: dict[str, list[Any]] = {}
    for case in found:
        groups.setdefault(case.scored[0].record.group or "scenario", []).append(case)
    scenes = [one for one in scored if one.record.suite == "scenes"]
    return _template("report.html.j2").render(
        title=head.label,
        settings=head.settings,
        engine=head.engine,
        num_talks=len(scored),
        num_turns=sum(len(one.record.turns) for one in scored),
        num_right=sum(case.is_right for case in found if case.is_judged),
        num_cases=sum(case.is_judged for case in found),
        broken=[one for one in scored if one.record.error],
        score_chart=Markup(_score_chart(summarise(scored))),
        score_rows=summarise(scored),
        by_character=[
            (name, summarise([one for one in scored if one.record.character == name])) for name in characters
        ],
        shown=shown,
        over_turns=Markup(_over_turns(scored)),
        flanderization=Markup(_flanderization(scored, characters)),
        latency=Markup(_latency(scored)),
        confusion=confusion(scored),
        groups=[(name, sum(case.is_right for case in cases), cases) for name, cases in groups.items()],
        worst=worst(scored),
        scenes=scenes,
        # Where a talk stands in the page, for the scores that it is behind.
        places={one.record.key: f"scene-{number}" for number, one in enumerate(scenes, start=1)},
        as_text=_as_text,
        why=_why,
    )


def comparison_page(names: tuple[str, str], differences: Sequence[Difference], *, num_pairs: int) -> str:
    """A comparison of two runs as text."""
    shares = [
        Interval(
            one.score.name,
            one.second - one.first,
            one.low,
            one.high,
            f"{one.second - one.first:+.1%}",
            {"better": "good", "worse": "bad"}.get(one.finding, "s0"),
        )
        for one in differences
        if one.score.unit == "share" and one.score.is_compared
    ]
    edge = max([0.1, *(max(abs(row.low), abs(row.high)) for row in shares)])
    return _template("compare.html.j2").render(
        first=names[0],
        second=names[1],
        num_pairs=num_pairs,
        differences=differences,
        chart=Markup(interval_chart(shares, low=-edge, high=edge, percent=True, zero=True)),
        shown=shown,
    )


def worst(scored: Sequence[Scored], limit: int = WORST) -> list[Scored]:
    """The talks with the largest share of faulty turns; those without a fault are none of them."""
    faulty = [one for one in scored if one.faults or one.record.error]

    def badness(one: Scored) -> tuple[bool, float, int]:
        turns = max(1, len(one.record.turns))
        return (one.record.error is not None, len({fault.turn for fault in one.faults}) / turns, len(one.faults))

    return sorted(faulty, key=badness, reverse=True)[:limit]


def confusion(scored: Sequence[Scored]) -> Confusion | None:
    """What came where an action, or none, was expected; None where nothing was."""
    counts: Counter[tuple[str, str]] = Counter()
    for one in scored:
        for turn in one.record.turns:
            if turn.expected.action is not None:
                wanted = NO_ACTION if turn.expected.action == "none" else turn.expected.action
                chosen = chosen_action(turn)
                counts[wanted, chosen["name"] if chosen else NO_ACTION] += 1
    if not counts:
        return None
    names = [*sorted({name for pair in counts for name in pair} - {NO_ACTION}), NO_ACTION]
    wanted_names = [name for name in names if any(counts[name, came] for came in names)]
    return Confusion(
        tuple(names), tuple((wanted, tuple(counts[wanted, came] for came in names)) for wanted in wanted_names)
    )


def _score_chart(rows: Sequence[ScoreRow]) -> str:
    intervals = [
        Interval(
            row.score.name,
            row.rate.value or 0.0,
            row.rate.low or 0.0,
            row.rate.high or 0.0,
            f"{shown(row.score, row.rate.value)} of {row.rate.cases:g}",
            "" if row.score.better else "s0",
        )
        for row in rows
        if row.score.unit == "share"
    ]
    return interval_chart(intervals, low=0, high=1, percent=True)


def _over_turns(scored: Sequence[Scored]) -> str:
    """Share of turns without a fault, by turn, of talks with more than one turn."""
    good: Counter[int] = Counter()
    all_turns: Counter[int] = Counter()
    for one in scored:
        if len(one.record.turns) < 2:
            continue
        bad = {fault.turn for fault in one.faults}
        for number in range(1, len(one.record.turns) + 1):
            all_turns[number] += 1
            good[number] += number not in bad
    points = [(number, good[number] / count, count) for number, count in sorted(all_turns.items())]
    return line_chart([Line("turns without a fault", points)], x_label="turn", y_max=1, percent=True) if points else ""


def _flanderization(scored: Sequence[Scored], characters: Sequence[str]) -> str:
    by_name = {name: [one for one in scored if one.record.character == name] for name in characters}
    lines = [Line("all characters" if len(characters) > 1 else characters[0], _mean_index(scored))]
    if 1 < len(characters) <= 3:
        lines += [Line(name, _mean_index(talks)) for name, talks in by_name.items()]
    top = max([0.1, *(y for line in lines for _, y, _ in line.points)])
    return line_chart(lines, x_label="turn", y_max=min(1.0, top * 1.2), percent=False)


def _mean_index(scored: Iterable[Scored]) -> list[tuple[float, float, int]]:
    values: dict[int, list[float]] = {}
    for one in scored:
        for number, value in enumerate(one.flanderization, start=1):
            if value is not None:
                values.setdefault(number, []).append(value)
    return [(float(number), sum(found) / len(found), len(found)) for number, found in sorted(values.items())]


def _latency(scored: Sequence[Scored]) -> str:
    turns = [turn for one in scored for turn in one.record.turns if turn.source == "model"]
    rows = [
        Spread(name, [float(turn.trace["latency"][key]) for turn in turns if key in turn.trace.get("latency", {})])
        for key, name in STAGES
    ]
    rows.append(Spread("first sentence heard", [turn.first_sentence_s for turn in turns if turn.first_sentence_s]))
    rows.append(Spread("whole turn", [turn.total_s for turn in turns]))
    return spread_chart(rows)


def latency_line(scored: Sequence[Scored]) -> str:
    """The first sentence's wait in words."""
    waits = [turn.first_sentence_s for one in scored for turn in one.record.turns if turn.first_sentence_s]
    if not waits:
        return "nothing was heard"
    return f"first sentence after {percentile(waits, 50):.2f} s (median), {percentile(waits, 95):.2f} s (p95)"


def _as_text(data: Any) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False)


def _why(one: Scored, number: int) -> list[str]:
    """What went wrong in a turn, each thing once; the talk's own faults at its end."""
    last = len(one.record.turns)
    own = [fault for fault in one.faults if fault.turn == number or (fault.turn == 0 and number == last)]
    missed = [fault.detail for fault in own if fault.score == AS_EXPECTED]
    others = [fault for fault in own if fault.score != AS_EXPECTED and not (missed and fault.score in _OF_EXPECTED)]
    return missed + [f"{fault.score}: {fault.detail}" for fault in others]


def _template(name: str) -> Template:
    environment = Environment(
        loader=PackageLoader("npc_engine.playtest.report", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
