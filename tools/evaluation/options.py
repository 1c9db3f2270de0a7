"""What evaluations of the engine have in common: options, and settings under which a busy machine decides nothing."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from npc_engine.config import EngineConfig, load_config

# What is said and called must not depend on how busy the machine is: far beyond what any turn takes.
DEADLINE_S = 900.0


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """--device and --threads."""
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--threads", type=int, help="inference threads")


def add_reply_options(parser: argparse.ArgumentParser, *, seed_of: str) -> None:
    """--seed and --temperature.

    Args:
        parser: Is given the options.
        seed_of: What the seed is of.
    """
    parser.add_argument("--seed", type=int, default=1, help=f"of {seed_of}")
    parser.add_argument("--temperature", type=float, default=0.4, help="of replies")


def add_result_options(
    parser: argparse.ArgumentParser, *, records: str, of: str, json_help: str = "where to write the figures"
) -> None:
    """--records and --json.

    Args:
        parser: Is given the options.
        records: The default file of records.
        of: What a record is.
        json_help: What the JSON holds.
    """
    parser.add_argument("--records", type=Path, default=Path(records), help=f"{of}, JSON lines")
    parser.add_argument("--json", type=Path, help=json_help)


def evaluation_config(options: argparse.Namespace, **settings: Any) -> EngineConfig:
    """The engine's settings from the options, patient with a busy machine.

    Args:
        options: With --model, --device and --threads.
        settings: All others.

    Raises:
        ConfigError: A setting does not fit.
    """
    given: dict[str, Any] = {"turn_deadline_s": DEADLINE_S} | settings
    return load_config(model=options.model, device=options.device, threads=options.threads, **given)
