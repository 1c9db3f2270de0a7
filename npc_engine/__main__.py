"""`python -m npc_engine` is the command `npc-engine`."""

from npc_engine.cli.main import main

main()
