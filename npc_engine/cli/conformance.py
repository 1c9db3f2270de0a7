"""`npc-engine conformance-server`: a scripted server for tests of client libraries."""

from __future__ import annotations

import json


def conformance_server() -> None:
    """Serve scripted characters, sound and faulty, for tests of client libraries: bindings/CONFORMANCE.md."""
    from npc_engine.server.conformance.run import run_conformance_server

    # One line, at once, also into a pipe.
    run_conformance_server(lambda addresses: print(json.dumps(addresses), flush=True))
