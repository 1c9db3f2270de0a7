"""The sections that measure ours beside the peers: decode, prefill, time to first token, a walk among characters."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from tools.inference_bench.bench import Bench, Findings
from tools.inference_bench.duel import OURS, Row, Target, duel
from tools.inference_bench.ours import Ours, opened
from tools.inference_bench.peer import Peer, PeerFailed

LLAMA, GENAI = "llama.cpp", "onnxruntime-genai"
STATES, RESIDENT = "llama.cpp, states in memory", "llama.cpp, all resident"
_CHUNKS = (128, 256, 512)
_TUNE_TOKENS = 512
# Replies overlap only after the last one has begun and before the first one ends.
_OVERLAP_TOKENS = 10


def tune_peers(bench: Bench) -> None:
    """Let llama.cpp find its best setup; onnxruntime-genai has nothing to choose."""
    if LLAMA in bench.peers:
        bench.say("llama.cpp tries its batch sizes, with and without flash attention")
        try:
            peer = bench.peers[LLAMA]
            peer.about = peer.ask("tune", token_ids=bench.texts.ids("tuning", 256))
        except PeerFailed as error:
            bench.missing[LLAMA] = str(error)
            bench.peers.pop(LLAMA).close()


def decode(bench: Bench) -> Findings:
    """Tokens a second of 1, 4, 8 rows, by the decoder alone and through the whole engine."""
    plan, rows = bench.plan, []
    prompts = [
        bench.texts.ids(f"speaker {number}", plan.decode_context_tokens) for number in range(max(plan.decode_batches))
    ]
    room = plan.decode_context_tokens + max(plan.decode_steps, plan.decode_steps + _OVERLAP_TOKENS)
    with _opened(bench, num_slots=len(prompts), tokens=room) as ours:
        for batch in plan.decode_batches:
            bench.say(f"decode, {batch} at once")
            some = prompts[:batch]

            def alone(some: list[list[int]] = some) -> float:
                return len(some) / statistics.median(ours.decode(some, num_steps=plan.decode_steps))

            def peer(peer: Peer, some: list[list[int]] = some) -> float:
                times: list[float] = peer.ask("decode", prompts=some, num_steps=plan.decode_steps)
                return len(some) / statistics.median(times)

            targets = (Target(LLAMA, 1.0 if batch == 1 else 1.2),)
            rows.append(_row(bench, "decode", f"decoder, batch {batch}", "tokens/s", True, alone, peer, targets))
        # From here on the engine's requests own the slots.
        ours.warm({f"speaker {number}": prompt[:-1] for number, prompt in enumerate(prompts)})
        for batch in plan.decode_batches:
            bench.say(f"decode through the whole engine, {batch} at once")
            some = prompts[:batch]

            def whole(some: list[list[int]] = some) -> float:
                return ours.together(some, num_tokens=plan.decode_steps + _OVERLAP_TOKENS)

            def again(peer: Peer, some: list[list[int]] = some) -> float:
                times: list[float] = peer.ask("decode", prompts=some, num_steps=plan.decode_steps)
                return len(some) / statistics.median(times)

            rows.append(_row(bench, "decode", f"whole engine, batch {batch}", "tokens/s", True, whole, again))
    _forget(bench)
    return Findings(rows)


def prefill(bench: Bench) -> Findings:
    """Tokens a second of cold prompts, by the decoder alone."""
    rows = []
    longest = max(*bench.plan.prompt_tokens, _TUNE_TOKENS)
    longest = min(longest, bench.spec.max_context_tokens)
    with _opened(bench, num_slots=1, tokens=longest, chunk_tokens=max(_CHUNKS)) as ours:
        tuning = bench.texts.ids("tuning", min(_TUNE_TOKENS, longest))
        tried = {size: min(ours.prefill(tuning, chunk_tokens=size) for _ in range(2)) for size in _CHUNKS}
        chunk = min(tried, key=lambda size: tried[size])
        for count in bench.plan.prompt_tokens:
            bench.say(f"prefill, {count} tokens")
            ids = bench.texts.ids("a stranger", count)

            def mine(ids: list[int] = ids) -> float:
                return len(ids) / ours.prefill(ids, chunk_tokens=chunk)

            def peer(peer: Peer, ids: list[int] = ids) -> float:
                seconds: float = peer.ask("prefill", token_ids=ids)
                return len(ids) / seconds

            case = f"{count} tokens, ours in chunks of {chunk}"
            rows.append(_row(bench, "prefill", case, "tokens/s", True, mine, peer, (Target(LLAMA, 1.5),)))
    _forget(bench)
    return Findings(rows)


def ttft(bench: Bench) -> Findings:
    """Milliseconds to the first token of a line to a warm character, through the whole engine."""
    plan, rows = bench.plan, []
    prefix = bench.texts.ids("the smith herself", plan.prefix_tokens)
    room = plan.prefix_tokens + plan.line_tokens + 1
    lines = iter(range(10_000))

    def prompt() -> list[int]:
        return prefix + bench.texts.ids(f"line {next(lines)}", plan.line_tokens)

    for peer in list(bench.peers.values()):
        _try(bench, peer, lambda peer: peer.ask("warm", token_ids=prefix, num_tokens=_room(room)))
    with _opened(bench, num_slots=4, tokens=room) as ours:
        ours.warm({"smith": prefix})

        def theirs(peer: Peer) -> float:
            seconds: float = peer.ask("first_token", token_ids=prompt(), num_tokens=_room(room))
            return seconds * 1e3

        cases: dict[str, Callable[[], str]] = {
            "the conversation's next line": lambda: "one",
            "a new conversation": lambda: f"conversation {next(lines)}",
        }
        for case, conversation in cases.items():
            bench.say(f"time to first token, {case}")

            def mine(conversation: Callable[[], str] = conversation) -> float:
                return ours.first_token(prompt(), conversation_id=conversation()).first_s * 1e3

            case = f"{plan.line_tokens} tokens after {plan.prefix_tokens} cached, {case}"
            rows.append(_row(bench, "ttft", case, "ms", False, mine, theirs, (Target(LLAMA, 1.0),)))
    _forget(bench)
    return Findings(rows)


def walk(bench: Bench) -> Findings:
    """Milliseconds to the first token, each of many characters spoken to in turn; a sample is one turn."""
    plan = bench.plan
    names = [f"villager {number}" for number in range(plan.walk_characters)]
    prefixes = {name: bench.texts.ids(name, plan.prefix_tokens) for name in names}
    room = plan.prefix_tokens + plan.line_tokens + 1
    rounds = iter(range(10_000))

    def prompts() -> list[list[int]]:
        number = next(rounds)
        return [prefix + bench.texts.ids(f"{name}, {number}", plan.line_tokens) for name, prefix in prefixes.items()]

    case = f"{len(names)} characters in turn, {plan.prefix_tokens} + {plan.line_tokens} tokens each"
    row = Row(section="walk", case=case, unit="ms", is_higher_better=False, missing=dict(bench.missing))
    row.targets = (Target(LLAMA, 0.15), Target(STATES, 0.7))
    operations: dict[str, Callable[[], list[float]]] = {}
    fields: dict[str, Any] = {"num_prefix": plan.prefix_tokens, "num_tokens": _room(room)}
    for peer in list(bench.peers.values()):
        # One pass as it comes: every turn computes the whole prompt and is a sample by itself.
        bench.say(f"walk, {peer.name} as it comes")

        def plain(peer: Peer) -> None:
            times = peer.ask("walk_plain", prompts=prompts(), **fields)
            row.samples[peer.name] = [seconds * 1e3 for seconds in times[1:] or times]

        _try(bench, peer, plain)
    if LLAMA in bench.peers:
        peer = bench.peers[LLAMA]

        def states(peer: Peer = peer) -> list[float]:
            ways: dict[str, list[float]] = peer.ask("walk_states", prompts=prompts(), **fields)["times"]
            return [seconds * 1e3 for seconds in min(ways.values(), key=statistics.mean)]

        def resident(peer: Peer = peer) -> list[float]:
            times: list[float] = peer.ask("walk_resident", prompts=prompts(), **fields)
            return [seconds * 1e3 for seconds in times]

        operations = {STATES: states, RESIDENT: resident}
    if GENAI in bench.peers:
        genai = bench.peers[GENAI]

        def kept(peer: Peer = genai) -> list[float]:
            times: list[float] = peer.ask("walk_resident", prompts=prompts(), **fields)
            return [seconds * 1e3 for seconds in times]

        operations[f"{GENAI}, a generator each"] = kept
    with _opened(bench, num_slots=4, tokens=room) as ours:
        bench.say("walk, prefixes into the store")
        ours.warm(prefixes)

        def mine() -> list[float]:
            number = next(rounds)
            return [
                ours.first_token(prompt, conversation_id=f"{name} {number}").first_s * 1e3
                for name, prompt in zip(names, prompts(), strict=True)
            ]

        bench.say("walk, ours beside kept states")
        samples, reasons = duel({OURS: mine, **operations}, repeats=plan.walk_rounds)
    row.samples = {OURS: samples.pop(OURS), **row.samples, **samples}
    row.missing |= {**bench.missing, **reasons}
    _forget(bench)
    return Findings([row])


def _row(
    bench: Bench,
    section: str,
    case: str,
    unit: str,
    is_higher_better: bool,
    mine: Callable[[], float],
    theirs: Callable[[Peer], float],
    targets: Sequence[Target] = (),
) -> Row:
    contestants: dict[str, Callable[[], float]] = {OURS: mine}
    for peer in bench.peers.values():
        contestants[peer.name] = lambda peer=peer: theirs(peer)  # type: ignore[misc]
    samples, missing = duel(contestants, repeats=bench.plan.repeats, missing=bench.missing)
    return Row(
        section=section,
        case=case,
        unit=unit,
        is_higher_better=is_higher_better,
        samples=samples,
        missing=missing,
        targets=tuple(targets),
    )


def _opened(
    bench: Bench, *, num_slots: int, tokens: int, chunk_tokens: int | None = None
) -> AbstractContextManager[Ours]:
    return opened(
        bench.folder,
        threads=bench.threads,
        num_slots=num_slots,
        max_context_tokens=max(256, _room(tokens)),
        chunk_tokens=chunk_tokens,
    )


def _try(bench: Bench, peer: Peer, action: Callable[[Peer], Any]) -> None:
    """Do something with a peer; one that fails is out for the rest of the run."""
    try:
        action(peer)
    except PeerFailed as error:
        bench.missing[peer.name] = str(error)
        bench.peers.pop(peer.name).close()


def _forget(bench: Bench) -> None:
    for peer in list(bench.peers.values()):
        _try(bench, peer, lambda peer: peer.ask("forget"))


def _room(num_tokens: int) -> int:
    return -(-num_tokens // 256) * 256
