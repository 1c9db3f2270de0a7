import pytest

from tests.scripted import RunningServer, free_port_config


@pytest.fixture
def server():
    with RunningServer(free_port_config()) as running:
        yield running
