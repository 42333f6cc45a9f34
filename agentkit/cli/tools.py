"""``agentkit tools``: what an agent can do, where each tool comes from, and what may be done with it."""

import sys
from typing import TYPE_CHECKING

import click

from agentkit.cli.exits import Exit, say
from agentkit.cli.flags import Command, Flags, flags_of
from agentkit.cli.output import Out
from agentkit.cli.terminal import Look, clean, one_line

if TYPE_CHECKING:
    from agentkit.cli.opened import Listed, Missing
    from agentkit.config.build import Agent
    from agentkit.config.schema import HostedMcp
    from agentkit.tools import Policy


@click.command("tools", cls=Command)
@click.argument("config", required=False)
@click.option("--schema", is_flag=True, help="With the JSON Schema of the arguments.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, schemas included.")
@click.option("--trust", is_flag=True, help="Let a configuration from stdin name code with python:.")
@click.pass_context
def command(context: click.Context, config: str | None, schema: bool, as_json: bool, trust: bool) -> int:
    """List the tools of CONFIG (agent.yaml where none is named), with where they come from and their policies.

    What gives tools only once it is open, as an MCP server, is opened for that.
    """
    from agentkit.cli.signals import run_to_end
    from agentkit.cli.source import load_agent

    flags = flags_of(context)
    agent = load_agent(flags, config, trust=trust)
    listed, missing = run_to_end(_list, agent, flags)
    out = Out()
    every = [*agent.hosted, *(server for other in agent.agents for server in other.hosted)]
    hosted = {id(server): server for server in every}
    if as_json:
        out.json(
            {
                "v": 1,
                "tools": [_described(each) for each in listed],
                "hosted": [_hosted(server) for server in hosted.values()],
                "missing": [_absent(each) for each in missing],
                "agents": [{"name": name, "handoff": names} for name, names in _handoffs(agent).items()],
            }
        )
    else:
        look = flags.look(out.stream)
        if not listed and not missing and not hosted:
            out.line("this agent has no tools")
        width = max((len(each.tool.name) for each in listed), default=0)
        everybody = len(agent.agents) + 1
        for each in listed:
            _print(each, width, look, out, schema=schema, everybody=everybody)
        for server in hosted.values():
            where = one_line(str(_hosted(server)["url"] or server.connector))
            for line in look.wrapped(f"{server.label}  an MCP server that the Realtime server calls: {where}"):
                out.line(line)
        for name, names in _handoffs(agent).items() if agent.agents else ():
            for line in look.wrapped(f"{name} hands over to {', '.join(names) or 'nobody'}"):
                out.line(look.paint(line, "dim"))
    for lost in missing:
        level = "warning" if lost.optional else "error"
        say(sys.stderr, flags.look(), f"{lost.place}: {_why(lost)}", hint=lost.error.hint, level=level)
    return Exit.DONE if all(each.optional for each in missing) else Exit.NO


async def _list(agent: "Agent", flags: Flags) -> "tuple[list[Listed], list[Missing]]":
    from agentkit.cli.opened import opened

    async with opened(agent, Notices(flags)) as found:
        return found


class Notices:
    """What toolsets tell, on stderr."""

    def __init__(self, flags: Flags) -> None:
        self._flags = flags

    def notice(self, code: str, message: str, *, level: str = "warning", hint: str | None = None) -> None:
        """Say it; information only where it is asked for."""
        if level == "error" or self._flags.verbosity >= (0 if level == "warning" else 1):
            say(sys.stderr, self._flags.look(), message, hint=hint, level=level)


def _print(each: "Listed", width: int, look: Look, out: Out, *, schema: bool, everybody: int) -> None:
    import msgspec

    margin = " " * (width + 2)
    room = None if look.width is None else look.width - len(margin)
    first = one_line(each.tool.description.partition("\n\n")[0]) or "(no description)"
    out.line(look.paint(f"{each.tool.name:<{width}}", "bold") + "  " + (look.cut(first, room) if room else first))
    said = policy_in_words(each.tool.policy)
    owners = [f"of {' and '.join(each.agents)}"] if len(each.agents) < everybody else []
    for line in (f"{each.source}, {each.place}", *owners, *([", ".join(said)] if said else [])):
        out.line(margin + look.paint(look.cut(clean(line), room) if room else clean(line), "dim"))
    if schema:
        text = msgspec.json.format(msgspec.json.encode(each.tool.parameters), indent=2).decode()
        out.line("\n".join(margin + clean(line) for line in text.splitlines()))


def policy_in_words(policy: "Policy") -> list[str]:
    """Say what a policy says beside what goes without saying, as a configuration would."""
    from agentkit.config.describe import written
    from agentkit.values import Size, Timeout

    said: list[str] = [] if policy.effects == "writes" else [policy.effects]
    if policy.approval is not None:
        approval = policy.approval
        said.append(f"approve {approval.mode} (within {written(approval.timeout, Timeout)}, else {approval.otherwise})")
    if policy.timeout is not None:
        said.append(f"timeout {written(policy.timeout, Timeout)}")
    if policy.retries:
        said.append(f"retries {policy.retries}")
    if policy.concurrency is not None:
        said.append(f"concurrency {policy.concurrency}")
    if policy.max_result_bytes is not None:
        said.append(f"max_result {written(policy.max_result_bytes, Size)}")
    said += [name for name in ("idempotent", "background") if getattr(policy, name)]
    for name, usual in (("on_interrupt", "finish"), ("reply", "wait"), ("progress", "events")):
        value = getattr(policy, name)
        said += [f"{name} {value}"] if value != usual else []
    if policy.secret:
        said.append(f"secret {' '.join(sorted(policy.secret))}")
    return said


def _described(each: "Listed") -> dict[str, object]:
    policy = each.tool.policy
    return {
        "name": each.tool.name,
        "description": each.tool.description,
        "source": each.source,
        "where": str(each.place),
        "toolset": each.toolset,
        "agents": each.agents,
        "timeout": policy.timeout,
        "effects": policy.effects,
        "approve": policy.approval,
        "retries": policy.retries,
        "idempotent": policy.idempotent,
        "concurrency": policy.concurrency,
        "on_interrupt": policy.on_interrupt,
        "reply": policy.reply,
        "background": policy.background,
        "progress": policy.progress,
        "max_result": policy.max_result_bytes,
        "secret": sorted(policy.secret),
        "examples": each.tool.examples,
        "parameters": each.tool.parameters,
    }


def _hosted(server: "HostedMcp") -> dict[str, object]:
    from agentkit.transports.redact import safe_url

    return {
        "label": server.label,
        "url": safe_url(server.url) if server.url is not None else None,
        "connector": server.connector,
        "include": server.include,
        "approve": server.approve,
    }


def _handoffs(agent: "Agent") -> "dict[str, tuple[str, ...]]":
    """Return whom each agent may hand over to."""
    own = {agent.name: tuple(agent.config.agent.handoff)}
    return own | {each.name: each.handoff for each in agent.agents}


def _absent(lost: "Missing") -> dict[str, object]:
    return {"name": lost.name, "where": str(lost.place), "optional": lost.optional, "problem": _why(lost)}


def _why(lost: "Missing") -> str:
    return getattr(lost.error, "message", None) or str(lost.error)
