"""A thousand open conversations over a few characters, a handful speaking at a time, under a memory budget.

Each conversation is told a secret in its first line and asked for it in its last. The answer is bound to eight words,
its own secret and seven of others: a model that has lost the conversation's keys and values, or was given another's,
names a wrong one. Some conversations are run again alone, without any cache, and must say the same.
"""

from __future__ import annotations

import asyncio
import math
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import psutil

from npc_engine.inference.constraint import ConstraintCompiler
from npc_engine.inference.kv_cache import SlotState, common_prefix
from npc_engine.inference.sampler import SamplingParams
from npc_engine.models.tokenizer import ChatTokenizer
from tools.inference_bench.bench import Bench, Findings, Table
from tools.inference_bench.ours import Ours, Reply, opened

_OTHERS = 7
_MEMORY_EVERY_S = 0.25
_ANSWER = "The password is"
# A conversation's next turn comes after a gap of 0.5 % to 50 % of the run: some at once, some after everyone else.
_GAPS = (0.005, 0.5)


@dataclass
class _Talk:
    """One conversation."""

    number: int
    character: int
    secret: str
    choices: list[str]
    history: list[int]
    held: list[int] = field(default_factory=list)
    turns: list[tuple[list[int], Reply]] = field(default_factory=list)
    ready: asyncio.Event | None = None


class _Crowd:
    """The conversations, and what they saw."""

    def __init__(self, bench: Bench, tokenizer: ChatTokenizer) -> None:
        plan, self.bench, self.tokenizer = bench.plan, bench, tokenizer
        rng = random.Random(bench.seed)
        self.prefixes = [
            bench.texts.system(f"villager {number}", plan.crowd_prefix_tokens)
            for number in range(plan.crowd_characters)
        ]
        secrets = bench.texts.secrets(plan.conversations)
        self.talks = []
        for number, secret in enumerate(secrets):
            others = [word for word in rng.sample(secrets, min(len(secrets), 4 * _OTHERS)) if word != secret]
            character = number % plan.crowd_characters
            choices = rng.sample([secret, *others[:_OTHERS]], 1 + len(others[:_OTHERS]))
            self.talks.append(_Talk(number, character, secret, choices, list(self.prefixes[character])))
        starts = [rng.random() for _ in self.talks]
        gaps = np.exp(
            np.random.default_rng(bench.seed).uniform(
                math.log(_GAPS[0]), math.log(_GAPS[1]), (len(starts), plan.conversation_turns)
            )
        )
        order = [
            (starts[number] + float(gaps[number, :turn].sum()), number, turn)
            for number in range(len(self.talks))
            for turn in range(plan.conversation_turns)
        ]
        self.order = [(number, turn) for _, number, turn in sorted(order)]
        self.compiler = ConstraintCompiler(
            tokenizer.raw, vocab_size=bench.spec.vocab_size, eos_token_ids=bench.spec.eos_token_ids
        )
        self.ways: Counter[str] = Counter()

    def request(self, talk: _Talk, turn: int) -> tuple[list[int], SamplingParams]:
        """The prompt and parameters of a turn."""
        plan, encode = self.bench.plan, self.tokenizer
        if turn < plan.conversation_turns - 1:
            line = f"The password is {talk.secret}. Keep it safe." if turn == 0 else "What did you see at the market?"
            ids = [*talk.history, *encode.encode_message("user", line), *encode.generation_prompt_ids()]
            return ids, SamplingParams(temperature=0.0, max_new_tokens=plan.reply_tokens)
        ids = [
            *talk.history,
            *encode.encode_message("user", "What is the password?"),
            *encode.generation_prompt_ids(),
            *encode.encode(_ANSWER),
        ]
        constraint = self.compiler.choices([f" {word}" for word in talk.choices])
        return ids, SamplingParams(temperature=0.0, max_new_tokens=2 * plan.reply_tokens, constraint=constraint)

    async def speak(self, ours: Ours, talk: _Talk, turn: int) -> None:
        """One turn."""
        prompt, params = self.request(talk, turn)
        key = f"talk {talk.number}"
        is_parked = any(
            slot.state is SlotState.PARKED and slot.conversation_id == key for slot in ours.engine.decoder.kv.slots
        )
        reply = await ours.reply(prompt, params, conversation_id=key)
        cached, mine = reply.stats.cached_tokens, common_prefix(talk.held, prompt)
        if turn and cached >= mine:
            self.ways["own slot" if is_parked else "own snapshot, copied"] += 1
        elif cached >= len(self.prefixes[talk.character]):
            self.ways["first turn: character's prefix, copied" if not turn else "history computed again"] += 1
        else:
            self.ways["all computed again"] += 1
        talk.turns.append((prompt, reply))
        talk.held = [*prompt, *reply.token_ids[:-1]]
        end = () if reply.stats.finish_reason == "stop" else (min(self.tokenizer.stop_ids),)
        talk.history = [*prompt, *reply.token_ids, *end]

    async def run(self, ours: Ours) -> None:
        """All turns in their order, so many at a time; a conversation's turns one after another."""
        pending = iter(self.order)
        done = {(number, -1): asyncio.Event() for number in range(len(self.talks))}
        done |= {key: asyncio.Event() for key in self.order}
        for number in range(len(self.talks)):
            done[number, -1].set()

        async def speaker() -> None:
            for number, turn in pending:
                await done[number, turn - 1].wait()
                await self.speak(ours, self.talks[number], turn)
                done[number, turn].set()

        async with asyncio.TaskGroup() as group:
            for _ in range(self.bench.plan.speakers):
                group.create_task(speaker())


class _Memory:
    """Resident memory and the engine's own count, sampled in a thread of its own."""

    def __init__(self, ours: Ours) -> None:
        self.samples: list[tuple[float, int, int]] = []
        self._ours = ours
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> _Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        process, begun = psutil.Process(), time.perf_counter()
        while True:
            held = int(self._ours.engine.stats()["prefix_bytes"])
            self.samples.append((time.perf_counter() - begun, process.memory_info().rss, held))
            if self._stop.wait(_MEMORY_EVERY_S):
                return


def conversations(bench: Bench) -> Findings:
    """Turns a second, waits, where each turn's context came from, memory, and whether anyone forgot or overheard."""
    plan = bench.plan
    tokenizer = ChatTokenizer.load(bench.folder)
    crowd = _Crowd(bench, tokenizer)
    longest = max(map(len, crowd.prefixes)) + plan.conversation_turns * (64 + plan.reply_tokens)
    room = max(256, -(-longest // 256) * 256)
    with opened(bench.folder, threads=bench.threads, num_slots=plan.speakers, max_context_tokens=room) as ours:
        bench.say(f"conversations, {len(crowd.prefixes)} prefixes into the store")
        ours.warm({f"villager {number}": ids for number, ids in enumerate(crowd.prefixes)})
        budget = ours.store_bytes
        bench.say(f"conversations, {len(crowd.talks)} open, {plan.speakers} speaking")
        before = psutil.Process().memory_info().rss
        with _Memory(ours) as memory:
            begun = time.perf_counter()
            ours.runner.run(crowd.run(ours))
            seconds = time.perf_counter() - begun
        kv_bytes = int(ours.engine.stats()["kv_bytes"])
    replies = [reply for talk in crowd.talks for _, reply in talk.turns]
    first_ms = [reply.first_s * 1e3 for reply in replies]
    answers = [(talk, talk.turns[-1][1].text.strip()) for talk in crowd.talks]
    same, asked, lost, checked = _alone(bench, crowd)
    rows: list[tuple[str, float | int | str]] = [
        ("conversations open", len(crowd.talks)),
        ("speaking at a time", plan.speakers),
        ("turns", len(replies)),
        ("turns/s", len(replies) / seconds),
        ("time to first token p50, ms", float(np.percentile(first_ms, 50))),
        ("time to first token p95, ms", float(np.percentile(first_ms, 95))),
        *((f"turns by {way}", count / len(replies)) for way, count in sorted(crowd.ways.items())),
        ("prompt tokens cached", _share(replies)),
        ("secrets named right (1 of 8 by chance)", sum(talk.secret == said for talk, said in answers) / len(answers)),
        (f"replies the same alone and cold, of {asked}", same),
        (f"wrong secrets that are right alone and cold, of {checked}", lost),
        ("store budget, MB", budget / 1e6),
        ("store at most, MB", max(held for _, _, held in memory.samples) / 1e6),
        ("slots' memory, MB", kv_bytes / 1e6),
        ("resident before the first line, MB", before / 1e6),
        ("resident at most, MB", max(rss for _, rss, _ in memory.samples) / 1e6),
    ]
    series = {
        "seconds": [at for at, _, _ in memory.samples],
        "resident_mb": [rss / 1e6 for _, rss, _ in memory.samples],
        "store_mb": [held / 1e6 for _, _, held in memory.samples],
        "budget_mb": [budget / 1e6],
    }
    title = "Conversations"
    return Findings(
        tables=[Table(section="conversations", title=title, columns=("what", "value"), rows=list(rows), series=series)]
    )


def _share(replies: list[Reply]) -> float:
    return sum(reply.stats.cached_tokens for reply in replies) / sum(reply.stats.prompt_tokens for reply in replies)


def _alone(bench: Bench, crowd: _Crowd) -> tuple[int, int, int, int]:
    """Run some conversations' turns again: one at a time, nothing cached.

    Returns:
        Of a random choice: replies with the same ids, and replies. Of those who named a wrong secret: how many name the
        right one now, which only a lost or foreign context explains, and how many were asked.
    """
    most = bench.plan.alone
    chosen = random.Random(bench.seed).sample(crowd.talks, min(most, len(crowd.talks)))
    wrong = [talk for talk in crowd.talks if talk.turns[-1][1].text.strip() != talk.secret][:most]
    room = max(256, -(-max(len(talk.history) for talk in (*chosen, *wrong)) // 256) * 256)
    same = asked = lost = 0
    bench.say(f"conversations, {len(chosen)} of them again alone, and {len(wrong)} that answered wrong")
    with opened(bench.folder, threads=bench.threads, num_slots=1, max_context_tokens=room, store_bytes=0) as ours:

        def again(talk: _Talk, turn: int) -> Reply:
            return ours.runner.run(ours.reply(talk.turns[turn][0], crowd.request(talk, turn)[1]))

        for talk in chosen:
            for turn in range(len(talk.turns)):
                same += again(talk, turn).token_ids == talk.turns[turn][1].token_ids
                asked += 1
        for talk in wrong:
            lost += again(talk, len(talk.turns) - 1).text.strip() == talk.secret
    return same, asked, lost, len(wrong)
