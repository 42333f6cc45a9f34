"""How long recordings are kept: what the recorder has made goes when it is old, and nothing else ever does."""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from agentkit_observe.configs import RecorderConfig
from agentkit_observe.keeping import Removal, remove_older
from agentkit_observe.recorder import Recorder

from agentkit.audio import write_wav

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Open

DAY = 86_400.0
EVENTS = b'{"at":0.000123,"time":"2026-01-02T03:04:05.000006Z","seq":1,"direction":"in","event":{}}\n'


def wav(channels: int) -> bytes:
    file = io.BytesIO()
    write_wav(file, bytes(400), channels=channels)
    return file.getvalue()


AUDIO = wav(2)


def put(path: Path, data: bytes, days: float = 40) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    then = time.time() - days * DAY
    os.utime(path, (then, then))
    return path


def left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def age(folder: Path, pattern: str, days: float = 40) -> None:
    then = time.time() - days * DAY
    for path in folder.glob(pattern):
        os.utime(path, (then, then))


def remove(folder: Path, template: str = "{date}-{session}", days: float = 30) -> int:
    done = remove_older(str(folder / template), time.time() - days * DAY)
    assert not done.errors
    return done.removed


def test_both_files_of_an_old_recording_go_and_those_of_a_newer_one_stay(tmp_path: Path) -> None:
    for name, days in (("2026-01-01-ak00000001", 40), ("2026-01-01-ak00000001-2", 40), ("2026-02-02-ak00000002", 20)):
        put(tmp_path / f"{name}.jsonl", EVENTS, days)
        put(tmp_path / f"{name}.wav", AUDIO, days)
    assert remove(tmp_path) == 4
    assert left(tmp_path) == ["2026-02-02-ak00000002.jsonl", "2026-02-02-ak00000002.wav"]


def test_a_recording_is_as_old_as_its_last_write(tmp_path: Path) -> None:
    put(tmp_path / "2026-01-01-ak00000001.jsonl", EVENTS, 40)
    put(tmp_path / "2026-01-01-ak00000001.wav", AUDIO, 1)
    assert remove(tmp_path) == 0


@pytest.mark.parametrize(
    "name, data",
    [
        ("2026-01-01-ak00000001.jsonl", b'{"at":"noon"}\n'),  # another program's
        ("2026-01-01-ak00000001.jsonl", b""),
        ("2026-01-01-ak00000001.wav", wav(1)),  # of one channel
        ("2026-01-01-ak00000001.md", EVENTS),
        ("2026-01-01-ak00000001.jsonl.bak", EVENTS),
        ("2026-01-01-interview.jsonl", EVENTS),
        ("mine-2026-01-01-ak00000001.jsonl", EVENTS),
        ("deeper/2026-01-01-ak00000001.jsonl", EVENTS),
    ],
)
def test_what_the_recorder_has_not_made_stays(name: str, data: bytes, tmp_path: Path) -> None:
    put(tmp_path / name, data)
    assert remove(tmp_path) == 0
    assert left(tmp_path) == [name]


def test_no_link_is_followed(tmp_path: Path) -> None:
    mine = put(tmp_path / "mine.jsonl", EVENTS)
    folder = tmp_path / "recordings"
    folder.mkdir()
    (folder / "2026-01-01-ak00000001.jsonl").symlink_to(mine)
    elsewhere = put(tmp_path / "elsewhere" / "ak00000001.jsonl", EVENTS)
    (folder / "2026-01-01").symlink_to(elsewhere.parent, target_is_directory=True)
    assert remove(folder) == remove(folder, "{date}/{session}") == 0
    assert mine.exists()
    assert elsewhere.exists()


def test_without_a_session_in_the_name_audio_alone_may_be_anybodys(tmp_path: Path) -> None:
    put(tmp_path / "talk.wav", AUDIO)
    assert remove(tmp_path, "talk") == 0
    put(tmp_path / "talk.jsonl", EVENTS)
    assert remove(tmp_path, "talk") == 2


def test_an_empty_file_goes_only_with_the_other_of_its_recording(tmp_path: Path) -> None:
    put(tmp_path / "2026-01-01-ak00000001.jsonl", EVENTS)
    for name in ("2026-01-01-ak00000001.wav", "2026-01-01-ak00000002.wav"):
        put(tmp_path / name, b"")
    assert remove(tmp_path) == 2
    assert left(tmp_path) == ["2026-01-01-ak00000002.wav"]


def test_the_folders_of_the_template_are_looked_through(tmp_path: Path) -> None:
    put(tmp_path / "2026-01-01" / "ak00000001.jsonl", EVENTS)
    put(tmp_path / "letters" / "ak00000001.jsonl", EVENTS)
    assert remove(tmp_path, "{date}/{session}") == 1
    assert left(tmp_path) == ["letters/ak00000001.jsonl"]


def test_a_folder_that_is_not_there_has_nothing_to_remove(tmp_path: Path) -> None:
    assert remove(tmp_path / "no") == remove(tmp_path / "no", "{date}/{session}") == 0


def three(folder: Path) -> None:
    for number in range(3):
        put(folder / f"2026-01-01-ak0000000{number}.jsonl", EVENTS)


def test_what_another_session_has_removed_meanwhile_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    three(tmp_path)
    real = os.scandir

    def scan(folder: Path) -> object:
        entries = real(folder)
        (tmp_path / "2026-01-01-ak00000001.jsonl").unlink(missing_ok=True)
        return entries

    monkeypatch.setattr(os, "scandir", scan)
    assert remove(tmp_path) == 2
    assert not left(tmp_path)


def test_what_goes_as_it_is_opened_or_removed_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    three(tmp_path)
    real_open, real_unlink = os.open, type(tmp_path).unlink

    def open_(path: Path, flags: int) -> int:
        if path.stem.endswith("0"):
            path.unlink()
        return real_open(path, flags)

    def unlink(path: Path, missing_ok: bool = False) -> None:
        real_unlink(path, missing_ok)
        if path.stem.endswith("1"):
            real_unlink(path)

    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(type(tmp_path), "unlink", unlink)
    assert remove(tmp_path) == 1
    assert not left(tmp_path)


@pytest.mark.parametrize("where", ["unlink", "open"])
def test_one_that_cannot_be_removed_does_not_stop_the_others(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    three(tmp_path)
    kept = str(tmp_path / "2026-01-01-ak00000001.jsonl")
    holder: object = type(tmp_path) if where == "unlink" else os
    real = getattr(holder, where)

    def refuse(path: Path, *args: object) -> object:
        if str(path) == kept:
            raise PermissionError(13, "Permission denied", kept)
        return real(path, *args)

    monkeypatch.setattr(holder, where, refuse)
    done = remove_older(str(tmp_path / "{date}-{session}"), time.time())
    assert done.removed == 2
    assert [error.filename for error in done.errors] == [kept]


def test_a_folder_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in (1, 2, 3):
        put(tmp_path / f"2026-01-0{day}" / "ak00000001.jsonl", EVENTS)
    closed = str(tmp_path / "2026-01-02")
    real = os.scandir

    def scan(folder: Path) -> object:
        if str(folder) == closed:
            raise PermissionError(13, "Permission denied", closed)
        return real(folder)

    monkeypatch.setattr(os, "scandir", scan)
    done = remove_older(str(tmp_path / "{date}/{session}"), time.time())
    assert done.removed == 2
    assert [error.filename for error in done.errors] == [closed]


@pytest.mark.skipif(sys.platform == "win32", reason="an open file is not removed there")
@pytest.mark.anyio
async def test_what_a_session_still_records_is_not_removed_by_another(opened: Open, tmp_path: Path) -> None:
    path = str(tmp_path / "{session}")
    async with opened(Recorder(RecorderConfig(path=path))) as first:
        await first.server.plays(AUDIO)
        await first.handled()
        age(tmp_path, "*")
        assert len(left(tmp_path)) == 2
        async with opened(Recorder(RecorderConfig(path=path, keep=30 * DAY))) as second:
            await second.handled()
        assert {name for name in left(tmp_path) if first.session.id in name} == {
            f"{first.session.id}.jsonl",
            f"{first.session.id}.wav",
        }
    age(tmp_path, f"{first.session.id}.*")
    async with opened(Recorder(RecorderConfig(path=path, keep=30 * DAY))):
        pass
    assert not [name for name in left(tmp_path) if first.session.id in name]


@pytest.mark.anyio
async def test_removing_does_not_hold_up_the_event_loop(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def look(template: str, before: float) -> Removal:
        threads.append(threading.get_ident())
        return Removal()

    monkeypatch.setattr("agentkit_observe.recorder.remove_older", look)
    async with opened(Recorder(RecorderConfig(path=str(tmp_path / "r"), keep=DAY))):
        pass
    assert len(threads) == 1
    assert threads != [threading.get_ident()]


@pytest.mark.anyio
async def test_a_session_that_begins_removes_what_is_too_old(opened: Open, tmp_path: Path) -> None:
    config = RecorderConfig(path=str(tmp_path / "{session}"), audio=False, keep=30 * DAY)
    async with opened(Recorder(config)) as first:
        made = tmp_path / f"{first.session.id}.jsonl"
    then = time.time() - 40 * DAY
    os.utime(made, (then, then))
    put(tmp_path / "notes.jsonl", EVENTS)
    async with opened(Recorder(config)) as second:
        pass
    assert left(tmp_path) == sorted([f"{second.session.id}.jsonl", "notes.jsonl"])


@pytest.mark.parametrize(
    "count, told",
    [
        (1, "an older recording cannot be removed: 'old0.jsonl': Permission denied"),
        (3, "3 older recordings cannot be removed: 'old0.jsonl': Permission denied, and others"),
    ],
)
@pytest.mark.anyio
async def test_those_that_cannot_be_removed_are_told_once(
    count: int, told: str, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(template: str, before: float) -> Removal:
        return Removal(errors=[PermissionError(13, "Permission denied", f"old{each}.jsonl") for each in range(count)])

    monkeypatch.setattr("agentkit_observe.recorder.remove_older", refuse)
    config = RecorderConfig(path=str(tmp_path / "{session}"), audio=False, keep=DAY)
    async with opened(Recorder(config)) as it:
        await it.told("recording_kept")
        await it.handled()
        assert it.of("recording_kept") == [told]
    assert len(left(tmp_path)) == 1
