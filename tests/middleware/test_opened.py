"""What a layer holds open: its faults are named, and hide nothing of the session's."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import pytest

from agentkit.errors import ConfigError, MiddlewareError
from agentkit.middleware import Middleware
from agentkit.middleware.opened import opened

pytestmark = pytest.mark.anyio


class Holds(Middleware):
    """Runs what it is given around the session."""

    def __init__(self, running: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        self._running = running

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self._running():
            yield


def fail(error: Exception) -> None:
    raise error


@asynccontextmanager
async def breaks_at_first() -> AsyncIterator[None]:
    fail(ValueError("no disk"))
    yield


@asynccontextmanager
async def breaks_at_last() -> AsyncIterator[None]:
    try:
        yield
    finally:
        raise ValueError("no disk")


@asynccontextmanager
async def hides() -> AsyncIterator[None]:
    try:
        yield
    except Exception:  # noqa: BLE001  # what is tested
        pass


@asynccontextmanager
async def groups() -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep_forever)
        yield
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def has_a_task_that_fails() -> AsyncIterator[None]:
    async def task() -> None:
        fail(ValueError("mine"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(task)
        yield


@asynccontextmanager
async def gives_up() -> AsyncIterator[None]:
    with anyio.CancelScope() as scope:
        scope.cancel()
        yield


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


async def test_a_layer_that_cannot_start_is_named() -> None:
    with pytest.raises(MiddlewareError, match="middleware Holds could not start: ValueError: no disk") as caught:
        async with opened(Holds(breaks_at_first)):
            raise AssertionError("not reached")
    assert (caught.value.layer, caught.value.event_type) == ("Holds", "running")
    assert isinstance(caught.value.__cause__, ValueError)


async def test_a_layer_whose_running_is_no_context_manager_is_named() -> None:
    class Odd(Middleware):
        def running(self) -> None:  # type: ignore[override]  # what is tested
            return None

    with pytest.raises(MiddlewareError, match="middleware Odd could not start: AttributeError"):
        async with opened(Odd()):
            raise AssertionError("not reached")


async def test_what_a_layer_says_of_its_configuration_is_left_as_it_is() -> None:
    class Odd(Middleware):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            fail(ConfigError("cannot write", file="agent.yaml", line=3))
            yield

    with pytest.raises(ConfigError, match=r"agent\.yaml:3: cannot write"):
        async with opened(Odd()):
            raise AssertionError("not reached")


async def test_a_layer_that_cannot_close_is_logged_by_name(caplog: pytest.LogCaptureFixture) -> None:
    async with opened(Holds(breaks_at_last)):
        pass
    assert logged(caplog) == ["middleware Holds failed as it was closed"]


@pytest.mark.parametrize("running", [breaks_at_last, hides, groups])
async def test_the_sessions_error_goes_on_as_it_is(
    running: Callable[[], AbstractAsyncContextManager[None]], caplog: pytest.LogCaptureFixture
) -> None:
    error = RuntimeError("the session's")
    with pytest.raises(RuntimeError, match="the session's") as caught:
        async with opened(Holds(running)):
            raise error
    assert caught.value is error
    assert logged(caplog) == (["middleware Holds failed as it was closed"] if running is breaks_at_last else [])


@pytest.mark.parametrize("running", [breaks_at_last, hides, groups])
async def test_a_cancellation_from_outside_goes_on(
    running: Callable[[], AbstractAsyncContextManager[None]],
) -> None:
    with anyio.CancelScope() as scope:
        async with opened(Holds(running)):
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught


async def test_a_cancellation_that_nobody_asked_for_is_the_layers_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @asynccontextmanager
    async def leaks_at_last() -> AsyncIterator[None]:
        yield
        escaped: BaseException | None = None
        with anyio.CancelScope() as scope:
            scope.cancel()
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class() as exc:
                escaped = exc
                raise
        assert escaped is not None
        raise escaped

    async with opened(Holds(leaks_at_last)):
        pass
    assert logged(caplog) == ["middleware Holds failed as it was closed"]


async def test_a_context_manager_of_a_layers_own_may_raise_the_sessions_error_again() -> None:
    class Again:
        async def __aenter__(self) -> None: ...

        async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
            assert error is not None
            raise error

    class Odd(Middleware):
        def running(self) -> Again:  # type: ignore[override]  # a context manager all the same
            return Again()

    with pytest.raises(RuntimeError, match="the session's"):
        async with opened(Odd()):
            raise RuntimeError("the session's")


async def test_a_layer_that_takes_its_time_to_close_can_be_cancelled() -> None:
    @asynccontextmanager
    async def waits_at_last() -> AsyncIterator[None]:
        yield
        scope.cancel()
        await anyio.sleep_forever()

    with anyio.CancelScope() as scope:
        async with opened(Holds(waits_at_last)):
            pass
        raise AssertionError("not reached")
    assert scope.cancelled_caught


async def test_a_layers_own_task_that_fails_ends_the_session_by_an_error_that_names_the_layer() -> None:
    with pytest.raises(MiddlewareError, match="middleware Holds ended the session: ValueError: mine"):
        async with opened(Holds(has_a_task_that_fails)):
            await anyio.sleep_forever()


async def test_a_layer_that_gives_the_session_up_is_named() -> None:
    with pytest.raises(MiddlewareError, match="middleware Holds ended the session"):
        async with opened(Holds(gives_up)):
            await anyio.sleep_forever()


async def test_layers_around_one_that_fails_are_closed_and_not_blamed(caplog: pytest.LogCaptureFixture) -> None:
    closed: list[str] = []

    @asynccontextmanager
    async def tidy() -> AsyncIterator[None]:
        try:
            yield
        finally:
            closed.append("tidy")

    with pytest.raises(MiddlewareError, match="Holds ended the session: ValueError: mine"):
        async with opened(Holds(tidy)), opened(Holds(has_a_task_that_fails)), opened(Holds(tidy)):
            await anyio.sleep_forever()
    assert closed == ["tidy", "tidy"]
    assert logged(caplog) == []
