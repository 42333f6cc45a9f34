import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from agentkit.cli.exits import Problem
from agentkit.cli.store import Meta, Store, state_folder

SNAPSHOT = b'{"v":1,"settings":null,"entries":[]}'
POSIX = pytest.mark.skipif(os.name != "posix", reason="Windows has other permissions")


def meta(session_id: str, updated: float = 100.0, **changed: Any) -> Meta:
    given = {"agent": "tester", "config": "/agent.yaml", "provider": "local", "model": None, "turns": 1, "seconds": 1.0}
    return Meta(id=session_id, started=updated, updated=updated, **{**given, **changed})


def filled(folder: Path, *ids: str) -> Store:
    store = Store(folder, now=lambda: 1000.0)
    for index, session_id in enumerate(ids):
        store.write(meta(session_id, 100.0 + index), SNAPSHOT, mark=None)
    return store


def test_a_conversation_is_read_as_it_was_written(tmp_path: Path) -> None:
    store = filled(tmp_path / "kept", "ak1")
    (kept,) = store.all()
    assert kept.meta == meta("ak1")
    assert kept.snapshot().entries == ()


def test_the_newest_comes_first(tmp_path: Path) -> None:
    assert [kept.meta.id for kept in filled(tmp_path, "ak1", "ak2", "ak3").all()] == ["ak3", "ak2", "ak1"]


@POSIX
def test_only_its_user_can_read_it(tmp_path: Path) -> None:
    filled(tmp_path / "state/kept", "ak1")
    assert stat.S_IMODE((tmp_path / "state/kept").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state/kept/ak1.json").stat().st_mode) == 0o600


def test_nothing_is_left_of_what_could_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path, "ak1")

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="No space"):
        store.write(meta("ak2"), SNAPSHOT, mark=None)
    assert [path.name for path in tmp_path.iterdir()] == ["ak1.json"]


def test_what_another_program_has_changed_is_not_written_over(tmp_path: Path) -> None:
    store = filled(tmp_path, "ak1")
    (kept,) = store.all()
    there = store.write(meta("ak1", turns=2), SNAPSHOT, mark=kept.mark)
    assert there is not None
    assert store.write(meta("ak1", turns=9), SNAPSHOT, mark=kept.mark) is None
    assert store.write(meta("ak1", turns=9), SNAPSHOT, mark=None) is None
    assert store.find("ak1").meta.turns == 2


@pytest.mark.parametrize("name", ["broken.json", "ak7.json"])
@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"v":2,"meta":{},"snapshot":null}', b"\xff\xfe"])
def test_a_file_that_is_no_conversation_is_passed_over(tmp_path: Path, name: str, data: bytes) -> None:
    store = filled(tmp_path, "ak1")
    (tmp_path / name).write_bytes(data)
    assert [kept.meta.id for kept in store.all()] == ["ak1"]


@pytest.mark.parametrize(
    "changed", [{"started": 1e300}, {"updated": -1.0}, {"seconds": 1e300}, {"turns": -1}, {"cost_usd": 1e300}]
)
def test_a_file_with_impossible_numbers_is_passed_over(tmp_path: Path, changed: dict[str, float]) -> None:
    store = filled(tmp_path, "ak1", "ak2")
    file = json.loads((tmp_path / "ak2.json").read_text())
    file["meta"] |= changed
    (tmp_path / "ak2.json").write_text(json.dumps(file))
    assert [kept.meta.id for kept in store.all()] == ["ak1"]


def test_a_file_that_is_too_large_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path, "ak1")
    size = (tmp_path / "ak1.json").stat().st_size
    monkeypatch.setattr("agentkit.cli.store.MAX_BYTES", size)
    assert len(store.all()) == 1
    monkeypatch.setattr("agentkit.cli.store.MAX_BYTES", size - 1)
    assert store.all() == []


@POSIX
def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    store = filled(tmp_path / "kept", "ak1")
    os.mkfifo(tmp_path / "kept/ak2.json")
    (tmp_path / "kept/ak3.json").symlink_to("/dev/zero")
    (tmp_path / "kept/ak4.json").mkdir()
    assert [kept.meta.id for kept in store.all()] == ["ak1"]


@POSIX
def test_clearing_takes_all_that_is_ours(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    store = filled(kept, "ak1")
    store.write(meta("ak00000002", 5000.0), SNAPSHOT, mark=None)
    (kept / "ak00000003.json").write_text("{")
    (kept / "ak00000004.json").write_text('{"v":2,"meta":{},"snapshot":null}')
    (tmp_path / "target").write_text("mine")
    (kept / "ak00000005.json").symlink_to(tmp_path / "target")
    os.mkfifo(kept / "ak00000006.json")
    (kept / "ak00000007.json").mkdir()
    (kept / "notes.json").write_text("mine")
    every = ["ak00000002", "ak1", "ak00000003", "ak00000004", "ak00000005", "ak00000006"]
    assert store.clear(dry=True) == every
    assert (kept / "ak00000003.json").exists()
    assert store.clear() == every
    assert sorted(path.name for path in kept.iterdir()) == ["ak00000007.json", "notes.json"]
    assert (tmp_path / "target").read_text() == "mine"


def test_a_conversation_is_found_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    store = filled(tmp_path, "ak1234", "ak1299", "ak77")
    assert store.find("ak123").meta.id == "ak1234"
    assert store.find("77").meta.id == "ak77"
    assert store.find("last").meta.id == "ak77"


def test_an_id_is_found_though_it_begins_another(tmp_path: Path) -> None:
    assert filled(tmp_path, "ak12", "ak123").find("ak12").meta.id == "ak12"


def test_an_ambiguous_id_names_them(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="2 sessions begin with ak12: ak1299, ak1234"):
        filled(tmp_path, "ak1234", "ak1299", "ak77").find("ak12")


@pytest.mark.parametrize("wanted", ["ak9", "", "../ak1", "k1"])
def test_an_unknown_id_is_said(tmp_path: Path, wanted: str) -> None:
    with pytest.raises(Problem, match="there is no session"):
        filled(tmp_path, "ak1").find(wanted)


def test_an_empty_store_says_how_a_conversation_is_kept(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="no conversation is kept") as raised:
        Store(tmp_path / "none").find("last")
    assert raised.value.hint is not None


def test_the_last_one_with_an_agent_of_a_file(tmp_path: Path) -> None:
    store = filled(tmp_path, "ak1", "ak2")
    store.write(meta("ak3", 500.0, config="/other.yaml"), SNAPSHOT, mark=None)
    store.write(meta("ak4", 600.0, agent="another"), SNAPSHOT, mark=None)
    found = store.last_of("/agent.yaml", "tester")
    assert found is not None
    assert found.meta.id == "ak2"
    assert store.last_of(None, "tester") is None


def test_old_ones_are_pruned(tmp_path: Path) -> None:
    store = filled(tmp_path, "ak1", "ak2", "ak3")
    assert [each.id for each in store.prune(older=899.5, dry=True)] == ["ak1"]
    assert len(store.all()) == 3
    assert [each.id for each in store.prune(older=899.5)] == ["ak1"]
    assert [each.id for each in store.prune(count=1)] == ["ak2"]
    assert [kept.meta.id for kept in store.all()] == ["ak3"]


def test_the_state_folder_is_the_platforms_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    assert state_folder({}) == Path("/home/me/.local/state/agentkit")
    assert state_folder({"XDG_STATE_HOME": "/var/state"}) == Path("/var/state/agentkit")
    assert state_folder({"XDG_STATE_HOME": "relative"}) == Path("/home/me/.local/state/agentkit")
    assert state_folder({"AGENTKIT_STATE_DIR": "/here", "XDG_STATE_HOME": "/var"}) == Path("/here")
    monkeypatch.setattr("sys.platform", "darwin")
    assert state_folder({}) == Path("/home/me/Library/Application Support/agentkit")
    monkeypatch.setattr("sys.platform", "win32")
    assert state_folder({"LOCALAPPDATA": "C:/Local"}) == Path("C:/Local/agentkit")
