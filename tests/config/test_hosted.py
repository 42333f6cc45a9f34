"""MCP servers that the Realtime server calls, and reconnecting, as a file says them."""

import pytest

import agentkit
from agentkit.config.build import Agent, examine
from agentkit.config.diagnostics import Diagnostic
from agentkit.config.settings import hosted_of
from agentkit.events import ServerMcpTool
from agentkit.plugins import Plugins
from agentkit.session import Reconnect

BASE = "agent: {}\nprovider: {use: local}\ntools:\n"


def build(text: str) -> tuple[Agent | None, tuple[Diagnostic, ...]]:
    return examine("agent.yaml", text=text, environ={"TOKEN": "canary-token"}, plugins=Plugins.from_modules({}))


def test_a_server_is_declared_as_the_file_says() -> None:
    agent, diagnostics = build(
        BASE
        + "  - hosted_mcp:\n"
        + '      {label: docs, url: https://example.org/mcp, authorization: "${TOKEN}", headers: {X-Key: "${TOKEN}"},\n'
        + "       include: [find], description: The docs.}\n"
        + "  - hosted_mcp: {label: mail, connector: connector_mail, approve: never}\n"
        + "  - {hosted_mcp: {label: off, url: https://example.org}, when: false}\n"
    )
    assert agent is not None, diagnostics
    assert diagnostics == ()
    assert "canary" not in repr(agent.config)
    assert [hosted_of(server) for server in agent.hosted] == [
        ServerMcpTool(
            server_label="docs",
            server_url="https://example.org/mcp",
            authorization="canary-token",
            headers={"X-Key": "canary-token"},
            allowed_tools=["find"],
            require_approval="always",
            server_description="The docs.",
        ),
        ServerMcpTool(server_label="mail", connector_id="connector_mail", require_approval="never"),
    ]


@pytest.mark.anyio
async def test_a_server_that_cannot_call_mcp_servers_refuses_it_at_the_opening() -> None:
    agent, _ = build(BASE + "  - hosted_mcp: {label: docs, url: u}\n")
    assert agent is not None
    with pytest.raises(agentkit.ServerError, match="cannot call MCP servers"):
        async with agent.open():
            pass


@pytest.mark.parametrize(
    "item, code, column, words",
    [
        ("{hosted_mcp: {url: https://example.org}}", "AK103", 6, "label"),
        ("{hosted_mcp: {label: docs}}", "AK401", 6, "needs either `url` or `connector`"),
        ("{hosted_mcp: {label: docs, url: u, connector: c}}", "AK401", 6, "needs either `url` or `connector`"),
        ("{hosted_mcp: {label: docs, uri: u}}", "AK101", 32, "uri"),
        ("{hosted_mcp: {label: docs, url: u, approve: sometimes}}", "AK104", 49, "approve"),
        ("{hosted_mcp: {label: docs, url: u}, timeout: 5s}", "AK101", 41, "timeout"),
    ],
)
def test_a_server_that_cannot_be_is_an_error_at_its_place(item: str, code: str, column: int, words: str) -> None:
    agent, (found, *_) = build(f"{BASE}  - {item}\n")
    assert agent is None
    assert (found.code, found.line, found.column) == (code, 4, column)
    assert words in found.message


def test_two_servers_with_one_label_are_an_error() -> None:
    item = "  - hosted_mcp: {label: docs, url: u}\n"
    agent, (found,) = build(BASE + item * 2)
    assert agent is None
    assert (found.code, found.line) == ("AK404", 5)
    assert "agent.yaml:4" in found.notes[0]


@pytest.mark.parametrize(
    "said, expected",
    [
        ("", None),
        (", reconnect: {}", Reconnect()),
        (", reconnect: {attempts: 0}", Reconnect(attempts=0)),
        (
            ", reconnect: {attempts: 5, first_wait: 250ms, max_wait: 8s}",
            Reconnect(attempts=5, first_wait=0.25, max_wait=8),
        ),
    ],
)
def test_how_often_a_lost_connection_is_tried_is_said_by_the_file(said: str, expected: Reconnect | None) -> None:
    agent, _ = build(f"agent: {{}}\nprovider: {{use: local{said}}}\n")
    assert agent is not None
    assert agent.reconnect == expected
