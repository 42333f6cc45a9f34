"""The questions of ``agentkit new agent`` in a terminal, each with an answer that Enter takes.

Rule: the questions are on stderr, and nothing is written before the last is answered.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import click
from msgspec import Struct, structs

from agentkit.cli.exits import Problem
from agentkit.cli.new.offers import Offers
from agentkit.cli.terminal import Look, clean

PROVIDERS: Final = {
    "local": "a server in this process; needs no key and no network",
    "openai": "OpenAI's Realtime API; needs a key",
    "compatible": "any other server that speaks the protocol",
}
"""The providers that can be chosen, each with what it is."""
DEFAULT_TOOLS: Final = ("now", "calculate")
"""What is offered of the installed tools where nothing is said."""


class Choices(Struct, frozen=True, kw_only=True):
    """What the new agent is to be; None where nobody has said it."""

    name: str | None = None
    provider: str | None = None
    voice: bool | None = None
    """Whether it speaks; otherwise it answers as text."""
    tools: tuple[str, ...] | None = None
    preset: str | None = None

    def completed(self, name: str, tools: Sequence[str]) -> "Choices":
        """Return them with the usual answer wherever nothing was said."""
        provider = self.provider
        if provider is None and self.preset is None:
            provider = "openai" if self.voice else "local"
        return structs.replace(
            self,
            name=self.name if self.name is not None else name,
            provider=provider,
            voice=bool(self.voice),
            tools=self.tools if self.tools is not None else tuple(tools),
        )


def ask(given: Choices, offers: Offers, look: Look, *, default_name: str, check_name: Callable[[str], str]) -> Choices:
    """Ask for what was not given.

    Args:
        given: What the flags say.
        offers: What is installed.
        look: How stderr is written.
        default_name: The name where Enter is pressed.
        check_name: Takes a name, or raises ``Problem``.

    Raises:
        Abort: The user has ended it.
    """
    name, provider, voice, tools = given.name, given.provider, given.voice, given.tools
    try:
        if name is None:
            name = _ask("name", default_name, check_name)
        if provider is None and given.preset is None and voice is None:
            _rows(PROVIDERS, look)
            provider = _ask("provider", "local", _one_of(PROVIDERS))
        if voice is None and provider in ("openai", "compatible"):
            voice = _ask("text or voice", "text", _one_of(("text", "voice"))) == "voice"
        if tools is None and offers.tools:
            _rows(offers.tools, look)
            usual = " ".join(each for each in DEFAULT_TOOLS if each in offers.tools) or "none"
            tools = tuple(_ask("tools, or none", usual, _some_of(offers.tools)).split())
    except click.Abort:
        click.echo("\nnothing was written", err=True)
        raise
    return structs.replace(given, name=name, provider=provider, voice=voice, tools=tools)


def _ask(question: str, default: str, check: Callable[[str], str]) -> str:
    def checked(text: str) -> str:
        try:
            return check(text)
        except Problem as exc:
            raise click.UsageError(f"{exc}; {exc.hint}" if exc.hint else str(exc)) from exc

    answer: str = click.prompt(question, default=default, value_proc=checked, err=True)
    return answer


def _one_of(choices: Iterable[str]) -> Callable[[str], str]:
    def check(text: str) -> str:
        wanted = text.strip().lower()
        found = [choice for choice in choices if choice.startswith(wanted)]
        if wanted in choices:
            return wanted
        if not wanted or len(found) != 1:
            raise Problem(f"it is one of {', '.join(choices)}")
        return found[0]

    return check


def _some_of(choices: Mapping[str, str]) -> Callable[[str], str]:
    def check(text: str) -> str:
        names = list(dict.fromkeys(text.replace(",", " ").split()))
        if names == ["none"]:
            return ""
        unknown = [name for name in names if name not in choices]
        if unknown:
            raise Problem(f"there is no tool {clean(unknown[0])}", hint="give the names with a space between them")
        return " ".join(names)

    return check


def _rows(rows: Mapping[str, str], look: Look) -> None:
    width = max(map(len, rows))
    for name, what in rows.items():
        click.echo(look.cut(f"  {name:{width}}  {what}".rstrip()), err=True)
