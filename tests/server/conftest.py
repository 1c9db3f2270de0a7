import pytest

from tests.scripted import BareClient, RunningServer, free_port_config


@pytest.fixture
def server():
    with RunningServer(free_port_config()) as running:
        yield running


@pytest.fixture
def bare(server):
    """A bare client that has not said hello."""
    with BareClient(server.address) as client:
        yield client


@pytest.fixture
def client(bare):
    """A bare client after hello."""
    return bare.hello()
