"""FakeClock: time that moves only when a test says so.

It is trio's: asyncio has no clock that a test could put in the place of the event loop's, so what needs virtual time is
tested on trio, and runs on both. A worker thread takes real time, which such a clock does not see: use async tools with
it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio.testing import MockClock


class FakeClock:
    """The time of one trio run.

    With the pytest plugin, a test that takes the fixture ``fake_clock`` runs on trio with such a clock. Without it::

        clock = FakeClock()
        anyio.run(main, clock, backend="trio", backend_options={"clock": clock.clock})
    """

    def __init__(self, clock: "MockClock | None" = None) -> None:
        """Make a clock that stands still.

        Args:
            clock: The clock of a run that there is already; None makes one.

        Raises:
            ImportError: trio is not installed.
        """
        if clock is None:
            from trio.testing import MockClock

            clock = MockClock()
        self.clock = clock
        """What trio takes as its clock."""

    @property
    def now(self) -> float:
        """The time on the event loop's clock."""
        return self.clock.current_time()

    async def advance(self, seconds: float) -> None:
        """Let time pass, and return when every task that this woke has to wait again.

        Time stops at nothing on its way: what a task starts after half of it begins only at its end.

        Raises:
            ValueError: Time does not go backwards.
        """
        from trio.testing import wait_all_tasks_blocked

        if seconds < 0:
            raise ValueError(f"time does not go backwards: {seconds} s")
        await wait_all_tasks_blocked()
        self.clock.jump(seconds)
        await wait_all_tasks_blocked()

    def run_by_itself(self) -> None:
        """From now on, let time jump to the next thing that is due whenever every task waits."""
        self.clock.autojump_threshold = 0
