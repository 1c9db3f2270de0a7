"""The page over plain HTTP on the WebSocket door: what is handed out, and to whom."""

import http.client

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from npc_engine.playtest.web import page_files
from npc_engine.server.site import Site
from tests.scripted import RunningServer, free_port_config


@pytest.fixture
def server():
    class Served(RunningServer):
        async def _serve(self):
            import asyncio

            from npc_engine.server.server import Server

            self._loop = asyncio.get_running_loop()
            self._server = Server(self.dialogue, config=self.config, site=Site(page_files()))
            await self._server.startup()
            self._is_up.set()
            await self._server.serve()
            self.report = await self._server.shutdown()

    with Served(free_port_config(websocket_address="ws://127.0.0.1:0")) as running:
        yield running


def place(server):
    return server.websocket_address.removeprefix("ws://").rstrip("/")


def get(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection(place(server), timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read()


def test_files_come_with_their_types_and_a_policy(server):
    status, headers, body = get(server, "/")
    assert (status, body) == (200, page_files()["/index.html"])
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert f"ws://{place(server)}" in headers["Content-Security-Policy"]
    assert get(server, "/app.js?x=1")[1]["Content-Type"] == "text/javascript; charset=utf-8"
    assert get(server, "/style.css")[1]["Content-Type"] == "text/css; charset=utf-8"


@pytest.mark.parametrize(
    "path", ["/none", "/../server.py", "/__init__.py", "/%2e%2e/secret", "//index.html", "/index.html/"]
)
def test_nothing_else_is_there(server, path):
    assert get(server, path)[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", ""])
def test_a_foreign_name_is_turned_away(server, host):
    assert get(server, "/", Host=host)[0] == 403


def test_the_page_may_use_the_door_and_others_may_not(server):
    for origin in (f"http://{place(server)}", f"http://localhost:{place(server).rpartition(':')[2]}"):
        with connect(server.websocket_address, origin=origin):
            pass
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        with pytest.raises(InvalidStatus):
            connect(server.websocket_address, origin=origin)


def test_without_a_site_the_door_has_no_page():
    with RunningServer(free_port_config(websocket_address="ws://127.0.0.1:0")) as running:
        assert get(running, "/")[0] == 426
        with pytest.raises(InvalidStatus):
            connect(running.websocket_address, origin=f"http://{place(running)}")
