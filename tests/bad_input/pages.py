"""The examples of docs/errors/, played again: the same page with what the program answers today.

A block with a file's name after its language is that file. In a `console` block each `$` line is run and what follows
is what it prints; in a `wire` block `->` is what a client sends and `<-` the first reply to it. Other blocks are left
alone.
"""

import json
import os
import re
import shlex
from pathlib import Path

import msgpack

from tests.bad_input.boundary import run

_BLOCK = re.compile(r"^```(?P<language>\w+)(?: (?P<file>\S+))?\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
HOME = "/home/you"
TALK = "7f3a"
# The server's own choices differ from run to run; in a page each kind has one name.
_IDS = {
    re.compile(r'(?<="conversation_id": ")[0-9a-f]{16}(?=")'): "9c1e",
    re.compile(r'(?<="call_id": ")[0-9a-f]{12}(?=")'): "d1",
    re.compile(r'(?<="idempotency_key": ")[0-9a-f]{24}(?=")'): "e7",
}


def replay(text, *, home, player):
    """The page with real answers.

    Args:
        text: The page.
        home: An empty folder, the working folder; it is called `/home/you` in the page.
        player: A client with an open conversation, which is called `7f3a` in the page.
    """

    def answer(block):
        body, name = block["body"], block["file"]
        if name:
            path = home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body, encoding="utf-8")
        elif block["language"] == "console":
            body = "".join(_printed(line, home) for line in body.splitlines() if line.startswith("$ "))
        elif block["language"] == "wire":
            body = "".join(_spoken(line, player) for line in body.splitlines())
        return block[0].replace(block["body"], body)

    return _BLOCK.sub(answer, text)


def examples(text):
    """What is played of the page: its `console` and `wire` blocks."""
    return [block["body"] for block in _BLOCK.finditer(text) if block["language"] in ("console", "wire")]


def _printed(line, home: Path):
    program, *arguments = shlex.split(line.removeprefix("$ "))
    assert program == "npc-engine"
    done = run(*arguments)
    printed = (done.out + done.err).replace(str(home), HOME)
    if os.sep != "/":
        printed = printed.replace(os.sep, "/")
    return f"{line}\n{printed}"


def _spoken(line, player):
    arrow, _, body = line.partition(" ")
    if arrow == "->" and body.startswith("bytes "):
        player.socket.send(bytes.fromhex(body.removeprefix("bytes ")))
        player.asked = None
    elif arrow == "->":
        message = json.loads(body.replace(TALK, player.talk))
        player.socket.send(msgpack.packb(message))
        player.asked = message["request_id"]
    else:
        while (reply := player.receive())["request_id"] != player.asked:
            pass
        line = f"<- {json.dumps(reply, ensure_ascii=False)}".replace(player.talk, TALK)
        for ids, name in _IDS.items():
            line = ids.sub(name, line)
    return f"{line}\n"
