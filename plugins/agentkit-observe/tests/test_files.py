"""Files of recordings: new ones, of the owner's only, and where the configuration says."""

import os
import stat
from pathlib import Path

import pytest
from agentkit_observe.files import check_template, create

from agentkit import ConfigError


def made(template: str, *endings: str) -> list[Path]:
    files = create(template, endings or ("",), session_id="ak1", who="recorder")
    for handle in files.handles:
        os.close(handle)
    return list(files.paths)


def test_only_the_owner_may_read_a_file_and_the_folders_made_for_it(tmp_path: Path) -> None:
    (path,) = made(f"{tmp_path}/a/{{session}}/notes.md")
    assert path == tmp_path / "a" / "ak1" / "notes.md"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_is_there_is_never_written_to(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("mine")
    (path,) = made(f"{tmp_path}/notes.md")
    assert path.name == "notes-2.md"
    assert (tmp_path / "notes.md").read_text() == "mine"


def test_files_of_one_recording_have_one_name(tmp_path: Path) -> None:
    (tmp_path / "ak1.wav").write_text("")
    paths = made(f"{tmp_path}/{{session}}", ".jsonl", ".wav")
    assert [path.name for path in paths] == ["ak1-2.jsonl", "ak1-2.wav"]
    assert not (tmp_path / "ak1.jsonl").exists()


def test_a_link_in_the_files_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("mine")
    (tmp_path / "notes.md").symlink_to(tmp_path / "target")
    (path,) = made(f"{tmp_path}/notes.md")
    assert path.name == "notes-2.md"
    assert (tmp_path / "target").read_text() == "mine"


def test_a_folder_that_is_a_link_out_of_the_recordings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "ak1").symlink_to(tmp_path / "outside")
    with pytest.raises(ConfigError, match="a link leads out of"):
        made(f"{tmp_path}/recordings/{{session}}/notes.md")
    assert list((tmp_path / "outside").iterdir()) == []


def test_an_id_cannot_name_another_folder(tmp_path: Path) -> None:
    files = create(f"{tmp_path}/{{session}}.md", ("",), session_id="../../ünder", who="recorder")
    os.close(files.handles[0])
    assert files.paths[0] == tmp_path / "_______nder.md"


def test_a_path_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"the recorder cannot write .*file") as caught:
        made(f"{tmp_path}/file/notes.md")
    assert caught.value.hint == "give a path that can be written: {use: recorder, with: {path: ...}}"


@pytest.mark.parametrize(
    "template, says",
    [
        ("../notes.md", "`..`"),
        ("a/{date}/../notes.md", "`..`"),
        ("{user}.md", "{user}, and only {session} and {date}"),
        ("logs/", "is a folder"),
        ("logs/con.txt", "device on Windows"),
        ("a\0b", "control character"),
    ],
)
def test_a_template_that_could_lead_elsewhere_is_refused(template: str, says: str) -> None:
    with pytest.raises(ValueError, match="recorder") as caught:
        check_template(template, "recorder")
    assert says in str(caught.value)


@pytest.mark.parametrize("template", ["notes", "/abs/{date}/{session}.wav", "..notes.md", "a/console.md"])
def test_any_other_template_is_taken(template: str) -> None:
    check_template(template, "recorder")
