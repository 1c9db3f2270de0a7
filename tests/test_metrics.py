from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_engine.metrics import Counter, Histogram, Metrics


def test_every_metric_is_rendered_once_with_help_and_type() -> None:
    metrics = Metrics()
    text = metrics.render()
    for metric in vars(metrics).values():
        assert text.count(f"# HELP {metric.name} ") == 1
        assert f"# TYPE {metric.name} {metric.kind}\n" in text
    assert len({metric.name for metric in vars(metrics).values()}) == len(vars(metrics))
    assert text.endswith("\n")


def test_names_end_in_their_unit() -> None:
    for metric in vars(Metrics()).values():
        assert metric.name.endswith(("_total", "_seconds", "_bytes", "_sequences")), metric.name


def test_labels_are_escaped() -> None:
    counter = Counter("npc_things_total", "Things.", label="kind")
    counter.add(2, label_value='a"b\\c\nd')
    assert list(counter.lines()) == ['npc_things_total{kind="a\\"b\\\\c\\nd"} 2']


@pytest.mark.parametrize(("amount", "label_value"), [(-1.0, "a"), (1.0, "")])
def test_a_counter_only_grows_and_wants_its_label(amount: float, label_value: str) -> None:
    counter = Counter("npc_things_total", "Things.", label="kind")
    with pytest.raises(ValueError, match="npc_things_total"):
        counter.add(amount, label_value=label_value)
    assert counter.total == 0


@given(st.lists(st.floats(0, 10)))
def test_buckets_are_cumulative(values: list[float]) -> None:
    histogram = Histogram("npc_wait_seconds", "Wait.", bounds=(1, 5))
    for value in values:
        histogram.observe(value)
    lines = dict(line.rsplit(" ", 1) for line in histogram.lines())
    for bound, key in ((1, "1"), (5, "5"), (10, "+Inf")):
        assert int(lines[f'npc_wait_seconds_bucket{{le="{key}"}}']) == sum(value <= bound for value in values)
    assert int(lines["npc_wait_seconds_count"]) == len(values)
