"""What may be done with a tool: how long, how often, whether somebody is asked before, and what becomes of the result.

Rule: a policy is data that says what is allowed; agentkit.tools.running and agentkit.session keep to it.
"""

from collections.abc import Collection, Mapping
from typing import Any, Literal, TypeAlias, TypedDict, get_args

from msgspec import Struct

OnInterrupt: TypeAlias = Literal["finish", "cancel", "finish_silently"]
"""What becomes of a call that runs when the user cuts the agent off.

``finish``: it goes on, and its result is spoken once nobody else speaks; ``finish_silently``: it goes on, and the model
learns the result without being asked to speak; ``cancel``: it is given up, and the model is told so.
"""

Effects: TypeAlias = Literal["reads", "writes", "dangerous"]
"""``reads`` changes nothing, so it may be repeated; ``dangerous`` never runs without a person's approval."""

Reply: TypeAlias = Literal["wait", "speak", "silent"]
"""What follows a result.

``wait``: one response, when the results of all calls of the same response are in; ``speak``: a response of its own as
soon as it is in; ``silent``: none, the model knows it when it speaks next.
"""

Mode: TypeAlias = Literal["never", "ask", "always_ask_once"]
"""``ask``: before each call; ``always_ask_once``: before the first call, whose approval holds for the session, which no
``dangerous`` tool can say.
"""

Otherwise: TypeAlias = Literal["reject", "approve"]
"""What happens where nobody decides in time."""

Progress: TypeAlias = Literal["events", "context"]
"""Who is told of a call's progress.

``events``: the application; ``context``: the model as well, every two seconds at most.
"""

APPROVAL_SECONDS = 120.0
"""How long an approval is waited for, unless said otherwise."""


class Approval(Struct, frozen=True, kw_only=True):
    """Who decides whether a call runs, and what happens while they think."""

    mode: Mode = "ask"
    timeout: float = APPROVAL_SECONDS
    """Seconds; after them ``otherwise`` holds."""
    otherwise: Otherwise = "reject"
    """A ``dangerous`` tool can only be rejected."""
    filler: str | None = None
    """What the agent says while it waits."""

    def __post_init__(self) -> None:
        _check("approve", self.mode, Mode)
        _check("otherwise", self.otherwise, Otherwise)
        if not self.timeout > 0:
            raise TypeError(f"an approval's timeout is {self.timeout}, and must be above 0 seconds")


class PolicyOptions(TypedDict, total=False):
    """The fields of a ``Policy`` as keyword arguments, for ``tool`` and ``Tool.with_``."""

    timeout: float | None
    retries: int
    idempotent: bool
    effects: Effects
    approve: Mode | Approval | None
    concurrency: int | None
    on_interrupt: OnInterrupt
    reply: Reply
    background: bool
    progress: Progress
    filler: str | None
    max_result_bytes: int | None
    secret: Collection[str]


class Policy(Struct, frozen=True, kw_only=True):
    """What may be done with a tool."""

    timeout: float | None = None
    """Seconds that one run of the body may take; None leaves it to the session, `math.inf` means no limit."""
    retries: int = 0
    """How often a body that raised or timed out is run again; only for a tool that ``reads`` or is ``idempotent``."""
    idempotent: bool = False
    """Whether running it again with the same ``ToolContext.idempotency_key`` does nothing more."""
    effects: Effects = "writes"
    """What it does to the world."""
    approve: Approval | None = None
    """Who has to agree to a call; None asks for ``dangerous`` tools only."""
    concurrency: int | None = None
    """How many of its calls may run at once in a session; what goes on in a thread after its time is not counted."""
    on_interrupt: OnInterrupt = "finish"
    """What becomes of a call that runs when the user cuts the agent off."""
    reply: Reply = "wait"
    """What follows its result."""
    background: bool = False
    """Whether the turn goes on without it; its result is spoken when nobody speaks."""
    progress: Progress = "events"
    """Who is told of a call's progress."""
    filler: str | None = None
    """What the agent says while a background call begins."""
    max_result_bytes: int | None = None
    """How much UTF-8 of a result the model is told; None leaves it to the session."""
    secret: frozenset[str] = frozenset()
    """The arguments that are masked in events about tools, logs, recordings and traces.

    The conversation's own items have them, as the server and the model do; so have its exports and snapshots.
    """

    def __post_init__(self) -> None:
        _check("effects", self.effects, Effects)
        _check("on_interrupt", self.on_interrupt, OnInterrupt)
        _check("reply", self.reply, Reply)
        _check("progress", self.progress, Progress)
        if self.timeout is not None and not self.timeout > 0:
            raise TypeError(f"timeout is {self.timeout}, and must be above 0 seconds, or None")
        if self.retries < 0:
            raise TypeError(f"retries is {self.retries}, and must be 0 or more")
        for name, limit in (("concurrency", self.concurrency), ("max_result_bytes", self.max_result_bytes)):
            if limit is not None and limit < 1:
                raise TypeError(f"{name} is {limit}, and must be 1 or more, or None")
        if self.retries and not self.repeatable:
            raise TypeError('retries need a tool that may run twice: say effects="reads" or idempotent=True')
        if self.effects == "dangerous" and self.approve is not None:
            if self.approve.mode != "ask":
                raise TypeError(
                    'a dangerous tool is asked for before each call: say approve="ask", or effects="writes"'
                )
            if self.approve.otherwise == "approve":
                raise TypeError('a dangerous tool never runs because nobody answered: say otherwise="reject"')

    @property
    def repeatable(self) -> bool:
        """Whether the body may run again for the same call."""
        return self.effects == "reads" or self.idempotent

    @property
    def approval(self) -> Approval | None:
        """Who has to agree to a call; None where nobody has to."""
        if self.approve is None:
            return Approval() if self.effects == "dangerous" else None
        return None if self.approve.mode == "never" else self.approve

    def changed(self, options: PolicyOptions | Mapping[str, Any]) -> "Policy":
        """Return the policy with some fields changed.

        Raises:
            TypeError: A field that there is none of, or a value that does not fit.
        """
        unknown = options.keys() - set(self.__struct_fields__)
        if unknown:
            raise TypeError(f"a tool has no {', '.join(sorted(unknown))}; known: {', '.join(self.__struct_fields__)}")
        values = {name: getattr(self, name) for name in self.__struct_fields__} | dict(options)
        approve, secret = values["approve"], values["secret"]
        if isinstance(approve, str):
            values["approve"] = Approval(mode=approve)  # type: ignore[arg-type]  # its own check
        elif not (approve is None or isinstance(approve, Approval)):
            raise TypeError(f"approve is {approve!r}, and must be one of {', '.join(get_args(Mode))}, or an Approval")
        if isinstance(secret, str):
            raise TypeError("secret must be several names, not one str")
        values["secret"] = frozenset(secret)
        return Policy(**values)


def _check(name: str, value: object, choices: object) -> None:
    known = get_args(choices)
    if value not in known:
        raise TypeError(f"{name} is {value!r}, and must be one of {', '.join(known)}")
