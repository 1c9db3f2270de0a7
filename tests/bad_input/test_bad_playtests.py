"""Results that are none, and a disk that takes no report (NPC170, NPC171)."""

import os
from pathlib import Path

import pytest

from npc_engine.errors import ReportNotWritten, ResultsUnusable
from npc_engine.playtest.report.machine import write_whole
from npc_engine.playtest.results import Head, open_results, read_results


def test_npc170_a_folder_without_results(tmp_path):
    with pytest.raises(ResultsUnusable, match="No such file or directory"):
        read_results(tmp_path)


@pytest.mark.skipif(not os.path.exists("/proc/1"), reason="needs a folder that takes no file, whoever asks")
def test_npc171_nothing_can_be_written():
    with pytest.raises(ReportNotWritten, match="results"):
        open_results(Path("/proc/1/results"), Head(schema="npc-engine/playtest@1", label="x", settings={}, sheets={}))
    with pytest.raises(ReportNotWritten):
        write_whole(Path("/proc/1/report.html"), "text")
