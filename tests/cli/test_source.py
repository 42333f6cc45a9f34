"""Which configuration a command takes, and what it says where there is none."""

from pathlib import Path

import pytest

from agentkit.cli.exits import Problem
from agentkit.cli.source import find_config


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("agent.yaml", "huge.yaml"):
        Path(name).write_text("agent: {}\n")


@pytest.mark.parametrize("name, hint", [("nothere.yaml", None), ("agnet.yml", "did you mean agent.yaml?")])
def test_a_missing_file_gets_only_a_name_that_is_near(name: str, hint: str | None) -> None:
    with pytest.raises(Problem, match=f"there is no file {name}") as caught:
        find_config(name)
    assert caught.value.hint == hint


def test_a_link_to_nothing_is_called_one() -> None:
    Path("link.yaml").symlink_to("gone.yaml")
    with pytest.raises(Problem, match="is a link to a file that is not there"):
        find_config("link.yaml")


def test_a_name_that_the_system_refuses_is_a_problem() -> None:
    with pytest.raises(Problem, match="cannot be read"):
        find_config("x" * 5000)
