"""Time that moves only when a test says so."""

import anyio
import pytest
from anyio.lowlevel import checkpoint

from agentkit.testing import FakeClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "trio", {"clock": CLOCK.clock}


CLOCK = FakeClock()


async def sleeper(seconds: float, woken: list[float]) -> None:
    await anyio.sleep(seconds)
    woken.append(seconds)


async def test_nothing_that_waits_goes_on_before_its_time() -> None:
    woken: list[float] = []
    async with anyio.create_task_group() as tasks:
        for seconds in (10, 20):
            tasks.start_soon(sleeper, seconds, woken)
        await CLOCK.advance(9.5)
        assert woken == []
        await CLOCK.advance(0.5)
        assert woken == [10]
        await CLOCK.advance(10)
        assert woken == [10, 20]


async def test_it_stands_still_by_itself() -> None:
    before = CLOCK.now
    for _ in range(3):
        await checkpoint()
    assert before == CLOCK.now


async def test_it_does_not_go_backwards() -> None:
    with pytest.raises(ValueError, match="backwards"):
        await CLOCK.advance(-1)


async def test_a_clock_that_runs_by_itself_jumps_to_what_is_due() -> None:
    CLOCK.run_by_itself()
    before = CLOCK.now
    await anyio.sleep(3600)
    assert CLOCK.now - before == pytest.approx(3600)
