import pytest

from tests.talk import mara


@pytest.fixture(scope="session")
def sheet(tmp_path_factory):
    return mara(tmp_path_factory.mktemp("sheet"))
