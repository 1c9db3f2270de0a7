"""The training loop: steps, a schedule in steps, checkpoints to resume from, early stopping.

The length is counted in steps, never in wall time, so that a run that was paused ends as one that was not.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tools.nli.batches import Batch, Stream, pair_tokenizer
from tools.nli.network import autocast, load_network, save_network, score
from tools.nli.pairs import LABELS, Pair

AVERAGE_FILE = "average.safetensors"
SLICE = 120
"""Pairs of each held-out set that steer a run; all of them are used once, for the final table."""


@dataclass(frozen=True)
class Recipe:
    """What a run is made of.

    `num_steps` optimizer steps of `batch_size` pairs; the learning rate rises over `warm_up` (a share of the steps) to
    `learning_rate` and falls in a line to zero; at each of `restarts` (a share of the steps, a rate) it starts again.
    From the first of these on an exponential moving average of the weights (`decay` a step; Polyak and Juditsky 1992,
    as Tarvainen and Valpola 2017 use it) is what is scored and kept, and at each the best weights are looked for anew:
    those of the last part are the run's. Every `steps_an_evaluation` steps the held-out slices are scored and every
    `pools_a_checkpoint` pools the state is written; after `patience` evaluations without a better mean accuracy the
    run stops.
    """

    num_steps: int
    batch_size: int = 32
    learning_rate: float = 1.5e-4
    warm_up: float = 320 / 12_000
    restarts: tuple[tuple[float, float], ...] = ((5200 / 12_000, 1e-4), (10_000 / 12_000, 6e-5))
    decay: float = 0.998
    weight_decay: float = 0.01
    max_gradient: float = 1.0
    max_tokens: int = 96
    steps_an_evaluation: int = 800
    pools_a_checkpoint: int = 3
    patience: int = 6
    seed: int = 1
    num_threads: int = 2

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        num_warm_up = max(1, round(self.warm_up * self.num_steps))
        if step < num_warm_up:
            return self.learning_rate * (step + 1) / num_warm_up
        starts = [(num_warm_up, self.learning_rate), *(one for one in self.restarts_at if one[0] > num_warm_up)]
        ends = [start for start, _ in starts[1:]] + [max(self.num_steps, starts[-1][0] + 1)]
        for (start, rate), end in zip(starts, ends, strict=True):
            if step < end:
                return rate * (end - step) / (end - start)
        return 0.0

    @property
    def restarts_at(self) -> tuple[tuple[int, float], ...]:
        """The steps of the restarts and their rates."""
        return tuple((round(share * self.num_steps), rate) for share, rate in self.restarts)

    def part_of(self, step: int) -> int:
        """How many restarts lie before a step."""
        return sum(start < step for start, _ in self.restarts_at)


@dataclass
class Progress:
    """Where a run stands; written beside the weights."""

    step: int = 0
    num_pairs: int = 0
    seconds: float = 0.0
    num_pools: int = 0
    taken: dict[str, int] = field(default_factory=dict)
    best: float = 0.0
    part: int = 0
    evaluations_since_best: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


Shares = Callable[[float], Mapping[str, float]]
"""From how far a run is (0 to 1) to each set's share of the pairs."""


def train(
    base: Path,
    out: Path,
    *,
    pairs: Mapping[str, Sequence[Pair]],
    held_out: Mapping[str, Sequence[Pair]],
    shares: Shares,
    recipe: Recipe,
    report: Callable[[Progress, float], None],
) -> Progress:
    """Train and leave `out/best` (the weights to export), `out/last` and `out/last/progress.json`.

    A folder that holds a checkpoint is continued where it stopped.

    Args:
        base: Folder of the encoder: config.json, model.safetensors, tokenizer.json.
        out: Where checkpoints go.
        pairs: Training pairs by set.
        held_out: Pairs to steer by; `SLICE` of each are used.
        shares: The mixture over the run.
        recipe: Length and rates.
        report: Called after each pool of batches with the progress and the mean loss of the pool.

    Raises:
        OSError: `base` holds no model.
    """
    import torch

    torch.set_num_threads(recipe.num_threads)
    torch.manual_seed(recipe.seed)
    last, best = out / "last", out / "best"
    resumed = (last / "progress.json").exists()
    progress = Progress(**json.loads((last / "progress.json").read_text(encoding="utf-8"))) if resumed else Progress()
    network = load_network(last if resumed else base, dropout=0.1)
    network.train()
    network.bert.embeddings.word_embeddings.requires_grad_(False)
    optimizer = _optimizer(network, recipe)
    if resumed:
        _restore_moments(optimizer, network, last / "moments.safetensors", progress.step)
    tokenizer_file = base / "tokenizer.json"
    tokenizer = pair_tokenizer(str(tokenizer_file), recipe.max_tokens)
    stream = Stream(pairs, tokenizer, batch_size=recipe.batch_size, seed=recipe.seed)
    stream.restore(progress.taken, progress.num_pools)
    average = _Average(network, recipe.decay)
    if recipe.part_of(progress.step):
        average.load(last)
    slices = {
        name: random.Random(recipe.seed).sample(list(some), min(SLICE, len(some))) for name, some in held_out.items()
    }
    next_evaluation = (progress.step // recipe.steps_an_evaluation + 1) * recipe.steps_an_evaluation
    while progress.step < recipe.num_steps and progress.evaluations_since_best < recipe.patience:
        started, losses = time.monotonic(), []
        for batch in stream.pool(shares(progress.step / recipe.num_steps)):
            if progress.step >= recipe.num_steps:
                break
            losses.append(_step(network, optimizer, batch, recipe, progress.step))
            progress.step += 1
            if recipe.part_of(progress.step):
                average.update()
            progress.num_pairs += len(batch.labels)
        progress.taken, progress.num_pools = dict(stream.taken), stream.num_pools
        progress.seconds += time.monotonic() - started
        report(progress, float(np.mean(losses)))
        if progress.step >= next_evaluation or progress.step >= recipe.num_steps:
            next_evaluation += recipe.steps_an_evaluation
            accuracy = {name: accuracy_of(average.network, tokenizer, some) for name, some in slices.items()}
            mean = sum(accuracy.values()) / max(1, len(accuracy))
            progress.history.append({"step": progress.step, "loss": float(np.mean(losses)), "mean": mean, **accuracy})
            progress.evaluations_since_best += 1
            if (part := recipe.part_of(progress.step)) > progress.part:
                progress.best, progress.part = 0.0, part
            if mean > progress.best:
                progress.best, progress.evaluations_since_best = mean, 0
                save_network(average.network, best, tokenizer_file)
            _save(network, average, optimizer, progress, last, tokenizer_file)
        elif progress.num_pools % recipe.pools_a_checkpoint == 0:
            _save(network, average, optimizer, progress, last, tokenizer_file)
    return progress


def accuracy_of(network: Any, tokenizer: Any, pairs: Sequence[Pair]) -> float:
    """The share of pairs whose best label is theirs."""
    gold = np.array([LABELS.index(pair.label) for pair in pairs])
    return float((score(network, tokenizer, pairs).argmax(axis=1) == gold).mean())


def _optimizer(network: Any, recipe: Recipe) -> Any:
    import torch

    trained = [(name, value) for name, value in network.named_parameters() if value.requires_grad]
    plain = [value for name, value in trained if value.ndim < 2]
    decayed = [value for name, value in trained if value.ndim >= 2]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)


def _step(network: Any, optimizer: Any, batch: Batch, recipe: Recipe, step: int) -> float:
    import torch

    for group in optimizer.param_groups:
        group["lr"] = recipe.rate_at(step)
    with autocast():
        output = network(
            input_ids=torch.from_numpy(batch.input_ids),
            attention_mask=torch.from_numpy(batch.attention_mask),
            token_type_ids=torch.from_numpy(batch.token_type_ids),
        )
    loss = torch.nn.functional.cross_entropy(output.logits.float(), torch.from_numpy(batch.labels))
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.max_gradient)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(loss.detach())


class _Average:
    """The moving average of a network's weights; the network itself until the first update."""

    def __init__(self, network: Any, decay: float) -> None:
        self._network, self._decay = network, decay
        self._averaged: Any = None

    @property
    def network(self) -> Any:
        return self._network if self._averaged is None else self._averaged.module

    def update(self) -> None:
        if self._averaged is None:
            self._start()
        self._averaged.update_parameters(self._network)

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        if self._averaged is not None:
            weights = {name: value.contiguous() for name, value in self._averaged.state_dict().items()}
            save_file(weights, folder / AVERAGE_FILE)

    def load(self, folder: Path) -> None:
        from safetensors.torch import load_file

        self._start()
        self._averaged.load_state_dict(load_file(folder / AVERAGE_FILE))

    def _start(self) -> None:
        from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

        self._averaged = AveragedModel(self._network, multi_avg_fn=get_ema_multi_avg_fn(self._decay))
        self._averaged.eval()


def _save(
    network: Any, average: _Average, optimizer: Any, progress: Progress, last: Path, tokenizer_file: Path
) -> None:
    """Write the checkpoint, progress last: a torn write is seen as the older step with newer weights at worst."""
    from safetensors.torch import save_file

    save_network(network, last, tokenizer_file)
    moments = {}
    for name, value in network.named_parameters():
        if value in optimizer.state:
            moments[f"mean.{name}"] = optimizer.state[value]["exp_avg"].contiguous()
            moments[f"square.{name}"] = optimizer.state[value]["exp_avg_sq"].contiguous()
    save_file(moments, last / "moments.safetensors")
    average.save(last)
    (last / "progress.json").write_text(json.dumps(asdict(progress), indent=1) + "\n", encoding="utf-8")


def _restore_moments(optimizer: Any, network: Any, path: Path, step: int) -> None:
    import torch
    from safetensors.torch import load_file

    moments = load_file(path)
    for name, value in network.named_parameters():
        if f"mean.{name}" in moments:
            optimizer.state[value] = {
                "step": torch.tensor(float(step)),
                "exp_avg": moments[f"mean.{name}"],
                "exp_avg_sq": moments[f"square.{name}"],
            }
