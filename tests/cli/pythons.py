"""The Pythons of this machine whose programs memwatch is to mark."""

import pytest

from find_python import VERSIONS, find_python


@pytest.fixture(scope="module", params=VERSIONS)
def python(request):
    """Each Python in turn."""
    found = find_python(request.param)
    if not found:
        pytest.skip(f"there is no Python {request.param}")
    return found
