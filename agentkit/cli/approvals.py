"""Who decides where a call waits for approval: nobody, the command line for all of them, or the person at the terminal.

Rule: what a person sees of a call is exactly what would run; nothing of it is cut, and only an answer that was typed
after the question counts.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

import anyio
import msgspec

from agentkit.cli.terminal import Look, cells
from agentkit.errors import LocalProtocolError, ToolArgumentsError
from agentkit.events import ApprovalDecided, ApprovalRequested

if TYPE_CHECKING:
    from agentkit.session import Session

Choice: TypeAlias = Literal["ask", "all", "none"]
"""What ``--approve`` can say."""

DANGEROUS: Final = "a dangerous tool needs a person's approval of exactly this call, and --approve all is none"
NOT_ANY_MORE: Final = "nobody can be asked for approval any more"
NONE_WANTED: Final = "the user approves no calls in this session"
REFUSED: Final = "the user has refused it"
_ANSWERS: Final = {"y": "yes", "n": "no", "a": "always", "e": "edit"}


class QuestionClosed(Exception):  # noqa: N818  # not an error: it needs no answer any more
    """A question was taken back."""


class Notice(Protocol):
    """Tells a person something."""

    def __call__(self, level: str, code: str, message: str, *, hint: str | None = None) -> None:
        """Take a level, a code, a message, and what to do."""


class Asker(Protocol):
    """Asks a person for one line, whatever else is on the screen."""

    async def question(self, text: str, *, default: str = "") -> str | None:
        """Return what was typed; None where nobody will type any more.

        Raises:
            QuestionClosed: ``close_question`` was called meanwhile.
        """

    def close_question(self) -> None:
        """Take the question back, where one is asked."""


class Approver(Protocol):
    """Decides."""

    def attach(self, session: "Session", notice: Notice) -> None:
        """Take the session whose calls wait."""

    def told(self, event: ApprovalRequested | ApprovalDecided) -> None:
        """A call waits for approval, or waits no more."""

    async def run(self) -> None:
        """Do what waits, for as long as the session lasts."""

    def pause(self) -> None:
        """Take what is asked off the screen, before it is refused."""

    def refuse(self) -> tuple[str, ...]:
        """Refuse whatever is asked now, for a Ctrl-C; return the calls' ids."""


class Nobody:
    """Every request is refused, and the model is told why: there is nobody to ask, or the user wants none approved."""

    def __init__(self, *, chosen: bool = False) -> None:
        """Make it; ``chosen`` is whether the user wants it so."""
        self._chosen = chosen

    def attach(self, session: "Session", notice: Notice) -> None:
        """Let the session refuse."""
        self._session = session
        session.approvals.answerable = self._chosen
        self._notice = notice

    def told(self, event: ApprovalRequested | ApprovalDecided) -> None:
        """Say that the call was refused."""
        if isinstance(event, ApprovalDecided):
            return
        if self._chosen:
            message = f"tool {event.name} needs approval, and none is given, so it was refused"
            try:
                self._session.approvals.reject(event.call_id, NONE_WANTED)
            except LocalProtocolError:
                return  # it was decided, or given up, meanwhile
        else:
            message = f"tool {event.name} needs approval, and nobody can be asked, so it was refused"
        hint = "--approve all approves what is not dangerous; a terminal can be asked"
        self._notice("warning", "not_approved", message, hint=hint)

    async def run(self) -> None:
        """Do nothing."""

    def pause(self) -> None:
        """Nothing is asked."""

    def refuse(self) -> tuple[str, ...]:
        """Nothing is asked."""
        return ()


class Everything:
    """The command line has approved every call, except those of dangerous tools, whose arguments nobody has seen."""

    def attach(self, session: "Session", notice: Notice) -> None:
        """Take the session."""
        self._session = session
        self._notice = notice

    def told(self, event: ApprovalRequested | ApprovalDecided) -> None:
        """Approve a call, or refuse a dangerous one."""
        if isinstance(event, ApprovalDecided):
            return
        try:
            if event.effects == "dangerous":
                self._session.approvals.reject(event.call_id, DANGEROUS)
                message = f"tool {event.name} was refused: {DANGEROUS}"
                self._notice("warning", "not_approved", message, hint="run it at a terminal, which can be asked")
            else:
                self._session.approvals.approve(event.call_id)
        except LocalProtocolError:
            pass  # it was decided, or given up, meanwhile

    async def run(self) -> None:
        """Do nothing: each is decided as it comes."""

    def pause(self) -> None:
        """Nothing is asked."""

    def refuse(self) -> tuple[str, ...]:
        """Nothing is asked."""
        return ()


class Asking:
    """The person at the terminal is asked, one call after the other."""

    def __init__(self, asker: Asker, tell: Callable[[str], None], look: Look) -> None:
        """Make it.

        Args:
            asker: Asks one question.
            tell: Shows lines to the person.
            look: How wide the terminal is.
        """
        self._asker = asker
        self._tell = tell
        self._look = look
        self._queue: list[ApprovalRequested] = []
        self._paused: list[ApprovalRequested] = []
        self._wake = anyio.Event()

    def attach(self, session: "Session", notice: Notice) -> None:
        """Take the session."""
        self._session = session

    def told(self, event: ApprovalRequested | ApprovalDecided) -> None:
        """Ask for a call, or stop asking for it."""
        if isinstance(event, ApprovalRequested):
            self._queue.append(event)
            self._wake.set()
            return
        asked = self._queue[0].call_id if self._queue else None
        self._queue = [each for each in self._queue if each.call_id != event.call_id]
        if asked == event.call_id:
            self._asker.close_question()

    async def run(self) -> None:
        """Ask, for as long as the session lasts."""
        while True:
            while self._queue:
                try:
                    await self._ask(self._queue[0])
                except QuestionClosed:
                    pass  # whoever closed it has taken it from the queue
            self._wake = anyio.Event()
            await self._wake.wait()

    def pause(self) -> None:
        """Take what is asked off the screen; ``refuse`` follows."""
        if self._queue:
            self._paused += self._queue
            self._queue = []
            self._asker.close_question()

    def refuse(self) -> tuple[str, ...]:
        """Refuse everything that is asked or waits to be."""
        self.pause()
        call_ids = tuple(each.call_id for each in self._paused)
        self._paused = []
        for call_id in call_ids:
            self._decide(partial(self._session.approvals.reject, call_id, REFUSED))
        return call_ids

    async def _ask(self, request: ApprovalRequested) -> None:
        """Ask until a call is decided."""
        approvals, call_id = self._session.approvals, request.call_id
        while request in self._queue:
            answer = await self._asker.question(self._words(request))
            if answer is None:
                approvals.answerable = False
                self._done(request, lambda: approvals.reject(call_id, NOT_ANY_MORE))
                return
            word, _, reason = answer.strip().partition(" ")
            match _ANSWERS.get(word.lower(), word.lower()):
                case "yes":
                    self._done(request, lambda: approvals.approve(call_id))
                case "no":
                    said = reason.strip() or REFUSED
                    self._done(request, lambda: approvals.reject(call_id, said))  # noqa: B023  # called at once
                case "always":
                    self._done(request, lambda: approvals.approve(call_id, remember=True))
                case "edit" if request.server_label is None:
                    await self._edit(request)
                case _:
                    more = ", or e" if request.server_label is None else ""
                    self._tell(f"  write y, n (and why), a{more}; Ctrl-C is no, and stops the reply")

    async def _edit(self, request: ApprovalRequested) -> None:
        """Let the arguments be changed; what does not fit is said, and asked again."""
        text = request.arguments
        while request in self._queue:
            answer = await self._asker.question("arguments > ", default=text)
            if answer is None or not answer.strip():
                return
            try:
                self._session.approvals.approve(request.call_id, arguments=answer)
            except ToolArgumentsError as exc:
                self._tell(f"  {exc}")
                text = answer
            except LocalProtocolError:
                self._queue.remove(request)  # it was given up meanwhile
            else:
                self._queue.remove(request)

    def _done(self, request: ApprovalRequested, decide: Callable[[], None]) -> None:
        if request in self._queue:
            self._queue.remove(request)
        self._decide(decide)

    def _decide(self, decide: Callable[[], None]) -> None:
        try:
            decide()
        except LocalProtocolError:
            pass  # it was decided, or given up, meanwhile

    def _words(self, request: ApprovalRequested) -> str:
        """Return the question; what does not fit into its line is told above it."""
        kind = "dangerous tool" if request.effects == "dangerous" else "tool"
        by = f" of {exact(request.server_label)}" if request.server_label else ""
        call = f"{kind} {exact(request.name)}({shown_arguments(request.arguments)}){by} needs approval"
        always = "[a]lways with these" if request.effects == "dangerous" else "[a]lways this session"
        edit = " [e]dit" if request.server_label is None else ""
        choices = f"[y]es [n]o {always}{edit} > "
        width = self._look.width
        if width is None or cells(call) + cells(choices) + 1 < width:
            return f"{call} {choices}"
        self._tell(call)
        return choices


class Switch:
    """Who approves can be chosen meanwhile; ``all`` asks for dangerous calls, since a person is there."""

    def __init__(self, choice: Choice, asking: Asking) -> None:
        """Make it.

        Args:
            choice: Who approves to begin with.
            asking: Asks the person.
        """
        self._choice = choice
        self._asking = asking
        self._everything = Everything()
        self._nobody = Nobody(chosen=True)

    def attach(self, session: "Session", notice: Notice) -> None:
        """Take the session."""
        self._session = session
        self._everything.attach(session, notice)
        self._asking.attach(session, notice)
        self._nobody.attach(session, notice)
        self.choose(self._choice)

    def choose(self, choice: Choice) -> None:
        """Let somebody else approve from now on; what is asked already stays asked."""
        self._choice = choice

    def told_choice(self) -> str:
        """Say who approves, and what waits."""
        who = {
            "ask": "you are asked for each call that needs approval",
            "all": "calls are approved without asking, but for those of dangerous tools",
            "none": "every call that needs approval is refused",
        }[self._choice]
        waiting = [f"  {each.name}({shown_arguments(each.arguments)})" for each in self._session.approvals.pending]
        return "\n".join([who, *(["these wait:", *waiting] if waiting else [])])

    def told(self, event: ApprovalRequested | ApprovalDecided) -> None:
        """Decide, or let the person."""
        if isinstance(event, ApprovalDecided) or self._choice == "ask":
            self._asking.told(event)
        elif self._choice == "none":
            self._nobody.told(event)
        elif event.effects == "dangerous":
            self._asking.told(event)
        else:
            self._everything.told(event)

    async def run(self) -> None:
        """Ask, for as long as the session lasts."""
        await self._asking.run()

    def pause(self) -> None:
        """Take what is asked off the screen; ``refuse`` follows."""
        self._asking.pause()

    def refuse(self) -> tuple[str, ...]:
        """Refuse everything that is asked or waits to be."""
        return self._asking.refuse()


def shown_arguments(text: str) -> str:
    """Write the arguments of a call as ``name=value``, each value as JSON, with nothing left out or invisible."""
    try:
        arguments = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return exact(text)
    if not isinstance(arguments, dict):
        return exact(text)
    return exact(", ".join(f"{name}={msgspec.json.encode(value).decode()}" for name, value in arguments.items()))


def exact(text: str) -> str:
    """Write a text on one line, with what would not be seen as it is escaped."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
