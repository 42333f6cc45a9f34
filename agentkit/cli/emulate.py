"""``agentkit emulate``: a Realtime server on a socket, for any client."""

import sys
from typing import TYPE_CHECKING, Final

import click
from msgspec import Struct
from msgspec.structs import replace

from agentkit.cli.exits import Exit, Problem, say
from agentkit.cli.flags import Command, Flags, flags_of
from agentkit.cli.output import Out

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkit.local import Responder
    from agentkit.plugins import Plugins

DEFAULT_PORT: Final = 8788
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


@click.command("emulate", cls=Command, log_default="warning")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="0 takes any.")
@click.option("--dialect", type=click.Choice(["ga", "beta"]), help="What is spoken; else what each client asks for.")
@click.option("--responder", metavar="R", help="What answers: rules, chat, or a plugin's.  [default: rules]")
@click.option("--config", metavar="F", help="Take the responder and its options from this file's provider.")
@click.option("--speech", type=click.Choice(["tones"]), help="How it speaks and hears: in tones, a test signal.")
@click.option("--paced", is_flag=True, default=False, help="Send audio as fast as it plays, not as it is made.")
@click.option("--trust", is_flag=True, help="Let a configuration from stdin name code with python:.")
@click.pass_context
def command(
    context: click.Context,
    host: str,
    port: int,
    dialect: str | None,
    responder: str | None,
    config: str | None,
    speech: str | None,
    paced: bool,
    trust: bool,
) -> int:
    """Serve the Realtime protocol to any client, until Ctrl-C; the URL is printed once clients can connect."""
    import anyio

    from agentkit.events import Dialect

    flags = flags_of(context)
    if responder is not None and config is not None:
        raise Problem("--responder and --config exclude each other", hint="name the responder in the file")
    plugins = flags.load_plugins()
    if config is not None:
        served = _of_config(flags, plugins, config, trust=trust)
    else:
        served = _of_name(plugins, responder or "rules")
    served = replace(served, speech=speech or served.speech, paced=paced or served.paced)
    served.make()  # a responder that cannot be made is said now, not to the first client
    if host not in _LOOPBACK and flags.verbosity >= 0:
        message = f"listening on {host}: whoever reaches this machine can connect, every key is accepted"
        say(sys.stderr, flags.look(), message, level="warning")
    out = Out()
    stdout, sys.stdout = sys.stdout, sys.stderr
    try:
        return anyio.run(_serve, host, port, served, Dialect(dialect) if dialect else None, out, flags)
    finally:
        sys.stdout = stdout


class Served(Struct, frozen=True):
    """What answers each client."""

    build: "Callable[[], Responder]"
    name: str
    model: str | None = None
    paced: bool = False
    speech: str | None = None

    def make(self) -> "Responder":
        """Make what answers one client."""
        if self.speech is None:
            return self.build()
        from agentkit.local import Tones

        return Tones(self.build())


def _of_name(plugins: "Plugins", name: str) -> Served:
    factory = plugins.get("responders", name)
    try:
        options = None if factory.config is None else factory.config()
    except TypeError as exc:
        raise Problem(
            f"the responder {name} needs options ({exc})",
            hint="write provider: {use: local, with: {responder: ..., with: ...}} in a file and name it in --config",
        ) from exc
    return Served(lambda: factory.make(options), name)


def _of_config(flags: Flags, plugins: "Plugins", config: str, *, trust: bool) -> Served:
    from agentkit.cli.source import load_agent
    from agentkit.config import Block, ConfigErrors
    from agentkit.config.nodes import MapNode, find
    from agentkit.providers.local import LocalConfig

    agent = load_agent(flags, config, trust=trust)
    said = agent.config.provider
    options = None
    if plugins.get("providers", said.use).config is LocalConfig:
        options, problems = agent.loaded.convert(said.options, LocalConfig)
    if options is None:
        raise Problem(
            f"{config} uses the provider {said.use}, which has no responder",
            hint="name one that uses local, or --responder",
        )
    factory = plugins.get("responders", options.responder)
    if factory.config is None:
        return Served(factory.make, options.responder, options.model, options.paced, options.speech)
    path = ("provider", "with", "with")
    node = find(agent.loaded.root, path)
    given = isinstance(node, MapNode)
    block = Block(
        node if isinstance(node, MapNode) else MapNode(entries={}, place=said.options.node.place), path, given
    )
    own, problems = agent.loaded.convert(block, factory.config)
    if own is None:
        raise ConfigErrors(problems)
    return Served(lambda: factory.make(own), options.responder, options.model, options.paced, options.speech)


async def _serve(host: str, port: int, served: Served, dialect: "object", out: Out, flags: Flags) -> int:
    import signal

    import anyio

    from agentkit.cli.signals import signals_to
    from agentkit.events import Dialect
    from agentkit.local import serve_socket

    code = Exit.DONE
    scope = anyio.CancelScope()

    def stop(number: int) -> None:
        nonlocal code
        code = Exit.TERMINATED if number == signal.SIGTERM else Exit.INTERRUPTED
        scope.cancel()

    def ready(url: str) -> None:
        out.line(url)
        if flags.verbosity >= 0:
            say(sys.stderr, flags.look(), f"serving {served.name} at {url}; Ctrl-C ends it", level="info")

    with signals_to(stop), scope:
        try:
            await serve_socket(
                host,
                port,
                responder_factory=served.make,
                on_ready=ready,
                dialect=dialect if isinstance(dialect, Dialect) else None,
                model=served.model,
                paced=served.paced,
            )
        except OSError as exc:
            reason = exc.strerror or str(exc)
            raise Problem(
                f"cannot listen on {host}:{port}: {reason}", hint="--port 0 takes any free one", code=Exit.CONNECTION
            ) from exc
    return code
