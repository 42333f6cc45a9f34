import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]

CONFIG = """\
version: 1
preset: voice
agent:
  name: concierge
  instructions: |
    You help visitors of {{city}}.
    Answer in one sentence.
  variables: {city: "${CITY:-Turin}"}
provider: {use: local}
session:
  voice: marin
tools:
  - python: ./tools.py:add
    timeout: 3s
"""


@pytest.fixture
def config(folder: Path) -> Path:
    path = folder / "agent.yaml"
    path.write_text(CONFIG)
    return path


def test_the_merged_configuration_is_a_configuration_again(
    run: Callable[..., Done], folder: Path, config: Path
) -> None:
    done = run("show")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "provider:\n  use: local\nsession:\n  output: audio\n  turn:\n    mode: server_vad\n  voice: marin\n"
        "version: 1\nagent:\n  name: concierge\n  instructions: |\n    You help visitors of {{city}}.\n"
        "    Answer in one sentence.\n  variables:\n    city: Turin\n"
        "tools:\n  - python: ./tools.py:add\n    timeout: 3s\n"
    )
    (folder / "again.yaml").write_text(done.stdout)
    assert run("check", "again.yaml").returncode == 0
    assert run("show", "again.yaml").stdout == done.stdout


def test_what_origin_shows_is_a_configuration_too(run: Callable[..., Done], folder: Path, config: Path) -> None:
    (folder / "again.yaml").write_text(run("show", "--origin").stdout)
    assert run("check", "again.yaml").returncode == 0
    first, again = (json.loads(run("show", name, "--json", "--origin").stdout) for name in ("agent.yaml", "again.yaml"))
    assert again["config"] == first["config"]
    assert "default" not in {origin["kind"] for origin in again["origins"].values()}


def test_origin_says_where_each_value_is_from(run: Callable[..., Done], config: Path) -> None:
    done = run("show", "--only", "session", "--origin", "--set", "session.turn.silence_ms=650")
    lines = [line.split("  # ") for line in done.stdout.splitlines()]
    assert [(line[0].strip(), line[-1]) for line in lines if len(line) > 1] == [
        ("output: audio", f"preset voice (agentkit-realtime {_version()})"),
        ("mode: server_vad", f"preset voice (agentkit-realtime {_version()})"),
        ("silence_ms: 650", "--set"),
        ("voice: marin", "agent.yaml:11"),
    ]
    assert "  # $CITY unset (agent.yaml:8)\n" in run("show", "--origin").stdout
    assert "  # $CITY (agent.yaml:8)\n" in run("show", "--origin", env={"CITY": "Rome"}).stdout
    assert "  # default\n" in run("show", "--origin").stdout
    assert "#" not in run("show").stdout


def _version() -> str:
    import agentkit

    return agentkit.__version__


def test_comments_stand_in_one_column(run: Callable[..., Done], config: Path) -> None:
    columns = {line.index("  # ") for line in run("show", "--origin").stdout.splitlines() if "  # " in line}
    assert len(columns) == 1


def test_one_key_is_shown_with_the_way_to_it(run: Callable[..., Done], config: Path) -> None:
    assert run("show", "--only", "session.turn.mode").stdout == "session:\n  turn:\n    mode: server_vad\n"
    assert run("show", "--only", "tools[0].timeout").stdout == "tools:\n  - timeout: 3s\n"
    assert run("show", "--only", "tools.0.timeout").stdout == "tools:\n  - timeout: 3s\n"
    assert run("show", "--only", "limits.on_limit").stdout == "limits:\n  on_limit: close\n"


@pytest.mark.parametrize(
    "key, code, said, hint",
    [
        ("sesion", 2, "the configuration has no `sesion`", "did you mean `session`?"),
        ("session.voise", 2, "`session` has no `voise`", "did you mean `session.voice`?"),
        ("session.speed", 1, "nothing is said of `session.speed`, and it has no default", ""),
        ("tools[4]", 2, "`tools` has 1 item, so there is no [4]", "they count from 0 to 0"),
        ("session.voice.x", 2, "`session.voice` is a single value and has no keys", ""),
        ("preset", 2, "`preset` is taken in", "agentkit show --origin"),
        ("", 2, "--only names a key", ""),
    ],
)
def test_a_key_that_is_not_there_is_said_with_the_nearest(
    run: Callable[..., Done], config: Path, key: str, code: int, said: str, hint: str
) -> None:
    done = run("show", "--only", key)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert hint in done.stderr


def test_json_has_the_values_and_where_they_are_from(run: Callable[..., Done], config: Path) -> None:
    told = json.loads(run("show", "--json").stdout)
    assert told["v"] == 1
    assert told["config"]["session"] == {"output": "audio", "turn": {"mode": "server_vad"}, "voice": "marin"}
    assert "origins" not in told
    told = json.loads(run("show", "--json", "--origin", "--only", "agent.variables").stdout)
    assert told["config"] == {"agent": {"variables": {"city": "Turin"}}}
    assert told["origins"] == {
        "agent.variables.city": {
            "kind": "file",
            "text": "$CITY unset (agent.yaml:8)",
            "file": "agent.yaml",
            "line": 8,
            "col": 21,
            "variables": ["CITY"],
        }
    }


def test_secrets_are_masked(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text(
        "agent: {}\nprovider:\n  use: openai\n  with:\n    api_key: ${MY_KEY}\n"
        '    headers: {x-token: "${MY_KEY}", x: "say ${MY_KEY}"}\n'
    )
    for flags in (["--origin"], ["--json"], ["--json", "--origin"], []):
        done = run("show", *flags, env={"MY_KEY": "hush-hush-hush"})
        assert done.returncode == 0
        assert "hush" not in done.stdout + done.stderr
        assert "***" in done.stdout


def test_the_demo_and_a_preset_are_shown_as_in_a_run(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text("agent: {}\nprovider: {use: openai, with: {api_key: '${NOT_SET}'}}\n")
    assert run("show").returncode == 2
    assert run("show", "--demo").stdout == "agent: {}\nprovider:\n  use: local\n"
    assert "output: text" in run("show", "--demo", "--preset", "text").stdout
    assert "use: local  # --demo\n" in run("show", "--demo", "--origin", "--only", "provider.use").stdout


def test_a_configuration_with_mistakes_is_not_shown_but_they_are(run: Callable[..., Done], folder: Path) -> None:
    (folder / "agent.yaml").write_text("agent: {nme: x}\nprovider: {use: local}\n")
    done = run("show")
    assert (done.returncode, done.stdout) == (2, "")
    assert "error[AK101]" in done.stderr
    assert "did you mean `name`?" in done.stderr


# The chain


def test_the_chain_is_shown_in_passing_order(run: Callable[..., Done], folder: Path, guard: dict[str, str]) -> None:
    with (folder / "agent.yaml").open("a") as file:
        file.write("middleware:\n  - use: no-add\n  - {use: logger, with: {path: x.jsonl}}\n  - use: house:no-add\n")
    done = run("show", "--chain", env=guard)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:5] == [
        "client events   application > wire",
        "server events   wire > house:no-add > no-add > application",
        "session events  session > application",
        "tool calls      model > no-add > house:no-add > tool",
        "wire tap        each frame, both ways > logger",
    ]
    assert lines[lines.index("no-add") + 2] == "  ResponseDone, wrap_tool_call"


def test_the_chain_is_json_too(run: Callable[..., Done], folder: Path) -> None:
    with (folder / "agent.yaml").open("a") as file:
        file.write("middleware: [{use: logger}]\n")
    told = json.loads(run("show", "--chain", "--json").stdout)
    assert told["v"] == 1
    assert [way["way"] for way in told["chain"]][-1] == "wire tap"
    assert told["chain"][-1]["layers"][0]["where"] == "agent.yaml:13:20"


def test_the_chain_is_not_mixed_with_values(run: Callable[..., Done]) -> None:
    for flags in (["--origin"], ["--only", "agent"]):
        assert run("show", "--chain", *flags).returncode == 2


def test_guardrails_stand_where_they_have_the_last_word_and_are_marked(
    run: Callable[..., Done], folder: Path, guard: dict[str, str]
) -> None:
    with (folder / "agent.yaml").open("a") as file:
        file.write("middleware: [{use: no-add}]\nguardrails: [{use: first}, {use: second}]\n")
    lines = run("show", "--chain", env=guard).stdout.splitlines()
    assert lines[:4] == [
        "client events   application > first* > second* > wire",
        "server events   wire > no-add > application",
        "session events  session > application",
        "tool calls      model > no-add > first* > second* > tool",
    ]
    assert lines[lines.index("first*  a guardrail") + 2] == "  ConversationItemCreate, wrap_tool_call"
    told = json.loads(run("show", "--chain", "--json", env=guard).stdout)
    assert [layer["guardrail"] for layer in told["chain"][3]["layers"]] == [False, True, True]


def test_another_order_of_the_list_is_another_order_of_the_chain(
    run: Callable[..., Done], folder: Path, guard: dict[str, str]
) -> None:
    with (folder / "agent.yaml").open("a") as file:
        file.write("guardrails: [{use: second}, {use: first}]\n")
    assert "tool calls      model > second* > first* > tool\n" in run("show", "--chain", env=guard).stdout


def test_layers_of_one_name_are_told_apart_by_their_lines(
    run: Callable[..., Done], folder: Path, guard: dict[str, str]
) -> None:
    with (folder / "agent.yaml").open("a") as file:
        file.write("guardrails:\n  - use: first\n  - use: first\n")
    assert "model > first:14* > first:15* > tool" in run("show", "--chain", env=guard).stdout
