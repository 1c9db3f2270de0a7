"""The inference benchmark: its arithmetic, its report, and every section that needs no peer, on a made-up model."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_engine.inference.spec import DecoderSpec
from npc_engine.models.build import open_weights
from npc_engine.models.tokenizer import ChatTokenizer
from tests.stubs import CONTEXT, build_stub_decoder, write_stub_gguf
from tools import bench_inference
from tools.inference_bench import breakdown, crowd, growth, lifecycle, versus
from tools.inference_bench.bench import Bench
from tools.inference_bench.duel import OURS, Row, Target, duel, ratio_interval
from tools.inference_bench.genai_export import published_config, published_name, write_published
from tools.inference_bench.peer import Peer, PeerFailed
from tools.inference_bench.plan import QUICK
from tools.inference_bench.texts import Texts

MICRO = replace(
    QUICK,
    name="micro",
    repeats=1,
    decode_batches=(1, 2),
    decode_context_tokens=16,
    decode_steps=8,
    prompt_tokens=(8,),
    prefix_tokens=40,
    line_tokens=8,
    walk_characters=2,
    cancels=2,
    cancel_prompt_tokens=200,
    conversations=6,
    crowd_characters=2,
    crowd_prefix_tokens=60,
    speakers=2,
    reply_tokens=4,
    alone=2,
    growth_contexts=(16, 64),
    growth_batches=(1, 2),
    growth_characters=(1, 4),
    growth_prefix_tokens=24,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench") / "stub"
    build_stub_decoder(folder)
    return folder


@pytest.fixture
def bench(folder, monkeypatch):
    monkeypatch.setattr("tools.inference_bench.duel.REST_S", 0)
    monkeypatch.setattr("tools.inference_bench.breakdown._STREAM_BYTES", 1 << 20)
    return Bench(
        folder=folder,
        spec=DecoderSpec.load(folder / "decoder.json"),
        texts=Texts(ChatTokenizer.load(folder), seed=0),
        plan=MICRO,
        seed=0,
        threads=1,
        peers={},
        missing={versus.LLAMA: "not here"},
        say=lambda text: None,
    )


# --- arithmetic -----------------------------------------------------------------------------------


@given(st.lists(st.floats(0.5, 2), min_size=1, max_size=9), st.floats(0.1, 10))
def test_interval_of_a_constant_ratio_is_that_ratio(peer, ratio):
    low, high = ratio_interval([value * ratio for value in peer], peer, seed=0)
    assert low == pytest.approx(ratio)
    assert high == pytest.approx(ratio)


def test_interval_holds_the_ratio_of_medians():
    rng = np.random.default_rng(0)
    ours, peer = rng.normal(2, 0.2, 30), rng.normal(1, 0.1, 30)
    low, high = ratio_interval(ours, peer, seed=0)
    assert low < np.median(ours) / np.median(peer) < high < 2.5


@pytest.mark.parametrize(("is_higher_better", "met"), [(True, [True, False]), (False, [False, True])])
def test_target_is_a_floor_or_a_ceiling(is_higher_better, met):
    row = Row(section="s", case="c", unit="u", is_higher_better=is_higher_better)
    row.samples = {OURS: [3.0], "a": [2.0]}
    assert [row.meets(Target("a", bound)) for bound in (1.2, 1.6)] == met
    assert row.meets(Target("absent", 1.0)) is None


def test_contestants_take_turns_and_a_failing_one_leaves_its_reason(monkeypatch):
    monkeypatch.setattr("tools.inference_bench.duel.REST_S", 0)
    calls = []

    def measure(name):
        calls.append(name)
        if name == "weak" and len(calls) > 5:
            raise PeerFailed("broke down")
        return float(len(calls))

    samples, reasons = duel({name: lambda name=name: measure(name) for name in (OURS, "weak")}, repeats=3)
    assert calls[:6] == [OURS, "weak", "weak", OURS, OURS, "weak"]
    assert set(samples) == {OURS}
    assert len(samples[OURS]) == 3
    assert reasons == {"weak": "broke down"}


# --- texts ----------------------------------------------------------------------------------------


def test_texts_have_the_length_asked_for_and_follow_the_seed(folder):
    tokenizer = ChatTokenizer.load(folder)
    first, again, other = (Texts(tokenizer, seed=seed) for seed in (1, 1, 2))
    for length in (1, 25, 300):
        assert len(first.ids("mara", length)) == length
    assert first.ids("mara", 64) == again.ids("mara", 64) != other.ids("mara", 64)
    assert len(set(first.secrets(1000))) == 1000


# --- sections on a made-up model ------------------------------------------------------------------


@pytest.mark.parametrize("section", [versus.prefill, versus.ttft, versus.walk])
def test_sections_without_their_peer_say_so(bench, section):
    found = section(bench)
    for row in found.rows:
        assert row.median(OURS) > 0
        assert row.missing == {versus.LLAMA: "not here"}
        assert json.dumps(row.to_json(seed=0))


def test_decode_counts_all_rows(bench):
    rows = versus.decode(bench).rows
    assert [row.case for row in rows] == [
        f"{what}, batch {batch}" for what in ("decoder", "whole engine") for batch in MICRO.decode_batches
    ]


def test_cancel_frees_slots_and_rollback_runs_one_token(bench):
    cancelled, rollback = lifecycle.cancel(bench).tables
    assert [row[1] for row in cancelled.rows] == [MICRO.cancels] * 3
    assert rollback.column("prompt tokens run") == [1]


def test_crowd_accounts_for_every_turn_within_its_budget(bench):
    (table,) = crowd.conversations(bench).tables
    figures = dict(table.rows)
    assert figures["turns"] == MICRO.conversations * MICRO.conversation_turns
    assert sum(share for what, share in figures.items() if what.startswith("turns by")) == pytest.approx(1)
    assert figures["store at most, MB"] <= figures["store budget, MB"]
    assert figures["replies the same alone and cold, of 4"] <= 4


def test_growth_has_a_row_a_size(bench):
    contexts, batches, characters = growth.growth(bench).tables
    assert contexts.column("tokens in the slot") == [16, 64]
    assert batches.column("rows") == [1, 2]
    assert characters.column("characters") == [1, 4]
    assert characters.column("store MB")[1] > characters.column("store MB")[0]


def test_profile_shares_add_up(bench):
    tables = {table.title: table for table in breakdown.profile(bench).tables}
    step = tables["One decode step"]
    assert "GroupQueryAttention" in step.column("operator")
    assert sum(step.column("share")[:-1]) == pytest.approx(1)
    assert dict(tables["Distance from the memory's speed"].rows)["floor of a step, ms"] > 0


# --- the program ----------------------------------------------------------------------------------


def test_program_writes_its_json(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench_inference, "QUICK", MICRO)
    monkeypatch.setattr("tools.inference_bench.duel.REST_S", 0)
    target = tmp_path / "new" / "figures.json"
    where = ["--json", str(target), "--markdown", str(tmp_path / "figures.md")]
    code = bench_inference.main(
        ["--model", str(folder), "--quick", "--sections", "prefill,ttft", "--threads", "1", *where]
    )
    report = json.loads(target.read_text())
    assert code == 0
    assert {row["section"] for row in report["rows"]} == {"prefill", "ttft"}
    assert all(row["peers"][versus.LLAMA] == {"missing": "no --peer-python"} for row in report["rows"])
    assert report["rows"][0]["targets"] == [{"peer": versus.LLAMA, "ratio": 1.5, "is_met": None}]
    for shown in (capsys.readouterr().out, (tmp_path / "figures.md").read_text()):
        assert "llama.cpp: not measured: no --peer-python" in shown
        assert "prefill: 8 tokens" in shown


def test_unknown_section_is_refused_with_the_known_ones(capsys):
    with pytest.raises(SystemExit) as stopped:
        bench_inference.main(["--sections", "decode,speling"])
    assert stopped.value.code == 2
    assert "there is no section speling; there are decode, prefill" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0", "-1", "two"])
def test_repeats_must_be_positive(text, capsys):
    with pytest.raises(SystemExit):
        bench_inference.main(["--repeats", text])
    assert "at least 1" in capsys.readouterr().err


def test_missing_model_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NPC_ENGINE_CACHE_DIR", str(tmp_path))
    assert bench_inference.main(["--model", "tiny"]) == 2
    assert "npc-engine models pull tiny" in " ".join(capsys.readouterr().err.split())


# --- peers ----------------------------------------------------------------------------------------


def test_worker_answers_and_reports_its_errors(tmp_path, monkeypatch):
    worker = tmp_path / "worker.py"
    worker.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(versus.__file__.rsplit('/', 1)[0] + '/workers')!r})\n"
        "from serve import serve\n"
        "def half(value):\n"
        "    print('chatter on the pipe')\n"
        "    return value / 2\n"
        "def end():\n"
        "    print('the last words', file=sys.stderr)\n"
        "    sys.exit(3)\n"
        "serve(lambda options: {'describe': lambda: options, 'half': half, 'end': end})\n"
    )
    peer = Peer("test", sys.executable, str(worker), {"size": 1})
    try:
        assert peer.about == {"size": 1}
        assert peer.ask("half", value=3) == 1.5
        with pytest.raises(PeerFailed, match="TypeError"):
            peer.ask("half", value="x")
        with pytest.raises(PeerFailed, match="the last words"):
            peer.ask("end")
    finally:
        peer.close()


def test_python_that_is_not_there_is_a_reason(tmp_path):
    with pytest.raises(PeerFailed, match="No such file"):
        Peer("test", tmp_path / "python", "llama_worker.py", {})


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_export_for_genai_reads_back_as_the_same_model(tmp_path, architecture):
    source = open_weights(write_stub_gguf(tmp_path / "stub.gguf", architecture=architecture))
    copy = open_weights(write_published(source, tmp_path / "published"))
    plain = {"inverse_frequencies": None}
    assert replace(copy.config, **plain) == replace(source.config, **plain)
    np.testing.assert_allclose(copy.config.inverse_frequencies, source.config.inverse_frequencies, rtol=1e-6)
    for name, tensor in source.tensors.items():
        assert published_name(name)
        np.testing.assert_array_equal(copy.tensors[name].floats(), tensor.floats())
    assert published_config(source)["max_position_embeddings"] == CONTEXT
