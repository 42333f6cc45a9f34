"""Files are written whole or not at all."""

import os
from pathlib import Path

import pytest

from agentkit.files import replace_file


def test_what_is_there_is_replaced_and_keeps_its_rights(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a")
    path.chmod(0o640)
    replace_file(path, b"b")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("b", 0o640)
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_rights_that_the_process_gives_or_those_asked_for(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        replace_file(tmp_path / "a", b"")
        replace_file(tmp_path / "b", b"", mode=0o600)
    finally:
        os.umask(mask)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "b")] == [0o640, 0o600]


def test_a_link_is_replaced_and_what_it_leads_to_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("a")
    (tmp_path / "link").symlink_to("elsewhere")
    replace_file(tmp_path / "link", b"b")
    assert (tmp_path / "elsewhere").read_text() == "a"
    assert not (tmp_path / "link").is_symlink()


def test_a_file_that_cannot_be_replaced_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a")

    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(OSError):  # noqa: PT011 - any of the operating system
        replace_file(path, b"b")
    assert path.read_text() == "a"
    assert list(tmp_path.iterdir()) == [path]
