"""What an application asks for, as the core's effects: applied in order, and wholly, whoever waits for it.

Rule: the core has changed when a command begins, so it counts on every effect, also where a guard stops one of them or
the caller is cancelled.
"""

from agentkit.errors import AgentkitError, LocalProtocolError
from agentkit.events import ResponseCreate
from agentkit.protocol import Effect, Propose
from agentkit.session.tooling import Tooling


class Commands(Tooling):
    """Applies commands."""

    async def _command(self, effects: list[Effect], *, go_on: bool = False) -> None:
        """Apply a command's effects for its caller, who waits until they are sent.

        Args:
            effects: What the core made of the command.
            go_on: Whether an effect that is refused leaves the others in force; the first error is raised at the end.
        """
        self._check_open()
        first: AgentkitError | None = None
        for index, effect in enumerate(effects):
            try:
                if isinstance(effect, Propose):
                    await self.send(effect.event)
                else:
                    await self._apply_one(effect)
            except AgentkitError as exc:
                await self._apply_whole(self._without(effect, exc))
                if not go_on:
                    await self._apply_whole(self._given_up(effects[index + 1 :], exc))
                    await self._apply_whole(
                        self._core.responses.release()
                    )  # others may have counted on what is left out
                    raise
                first = first or exc
            except BaseException:  # cancelled: the core counts on what it has asked for all the same
                if self.ended is None:
                    self.start_soon(self._go_on, effects[index:])
                raise
        if first is not None:
            raise first

    async def _go_on(self, effects: list[Effect]) -> None:
        """Apply what a cancelled caller left; the first effect may have been cut on its way through the layers."""
        first, *rest = effects
        # a response that only the caller wants is not asked for any more
        rest = [each for each in rest if not (isinstance(each, Propose) and isinstance(each.event, ResponseCreate))]
        if isinstance(first, Propose) and not self._outbound.holds(first.event):
            event = first.event
            if event.event_id is not None and self._core.origin(event.event_id) is None:
                cut = LocalProtocolError(f"the caller was cancelled before {event.wire_type} had passed the layers")
                rest = [*self._without(first, cut), *rest]
        await self._apply(rest)
        await self._apply(self._core.responses.release())  # others may have counted on what is left

    def _given_up(self, effects: list[Effect], error: AgentkitError) -> list[Effect]:
        """Return what is left of a command whose caller is told of an error: what the core does by itself."""
        left: list[Effect] = []
        for effect in effects:
            left += self._without(effect, error) if isinstance(effect, Propose) else [effect]
        return left

    def _without(self, effect: Effect, error: AgentkitError) -> list[Effect]:
        """Tell the core of a proposal that was not written; who asks for a response learns it by the error itself."""
        if not isinstance(effect, Propose) or isinstance(effect.event, ResponseCreate) or error is self._told:
            return []
        return self._core.dropped(effect.event, error)
