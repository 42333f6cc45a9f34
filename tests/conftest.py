"""For every test: each async test runs on asyncio and on trio, and generated examples are not timed."""

import logging
from collections.abc import Iterator

import pytest
from hypothesis import settings

# A slow machine is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Undo what a command that ran in this process has set up."""
    root, ours = logging.getLogger(), logging.getLogger("agentkit")
    levels, handlers = (root.level, ours.level), list(root.handlers)
    yield
    if (root.level, ours.level) != levels:
        root.setLevel(levels[0])
        ours.setLevel(levels[1])
    if root.handlers != handlers:
        root.handlers[:] = handlers
