"""`npc-engine demo`: a scripted talk with the merchant over ZeroMQ, with what it took."""

from __future__ import annotations

from statistics import median
from typing import Annotated

import typer


def demo(
    *,
    model: Annotated[
        str, typer.Option(help="base (1.1 GB, answers from the sheet) or tiny (92 MB, only shows that it runs).")
    ] = "base",
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    threads: Annotated[int | None, typer.Option(help="Inference threads.")] = None,
) -> None:
    """Install what is missing, start a server, play a scripted talk over ZeroMQ, and print it with its figures."""
    from npc_engine.cli.console import out
    from npc_engine.cli.local import local_client, wait_until_warm
    from npc_engine.config import load_config
    from npc_engine.playtest.demo import CHARACTER, play_demo
    from npc_engine.sheets.library import shipped_sheets_dir

    sheet = shipped_sheets_dir() / f"{CHARACTER}.yaml"
    settings = load_config(model=model, device=device, threads=threads, seed=1, sheets=(sheet,))
    with local_client(settings, ask=False) as client:
        wait_until_warm(client)
        health = client.health().engine
        reason = f" ({health['fallback_reason']})" if health["fallback_reason"] else ""
        out.print(
            f"model {health['model']} ({health['precision']}) on {health['provider']}{reason}, "
            f"{health['threads']} threads\n",
            markup=False,
            highlight=False,
        )
        heard = play_demo(client, console=out)
    speeds = [turn.tokens_per_s for turn in heard if turn.tokens_per_s]
    out.print(
        f"\n{len(heard)} turns: time to first word p50 {median(t.time_to_first_token_s for t in heard):.2f} s"
        + (f", {median(speeds):.1f} tokens/s" if speeds else ""),
        markup=False,
        highlight=False,
    )
    out.print("Next: npc-engine play hesta; npc-engine serve; the sheets are in character_sheets/", markup=False)
