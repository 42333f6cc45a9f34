"""Damaged metadata: whatever a file holds, the other distributions are found."""

import importlib.metadata
import tempfile
from pathlib import Path
from unittest import mock

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agentkit.discovery import discover

FILES = st.sampled_from(["METADATA", "entry_points.txt", "RECORD", "INSTALLER", "direct_url.json"])
LINES = st.sampled_from(
    [
        b"[agentkit]",
        b"x = y:z [",
        b"=",
        b"Name:",
        b"Version: ",
        b"Requires-Dist: agentkit-realtime>=",
        b"Requires-Dist: ;;;",
        b'{"url": "file://[", "dir_info": null}',
        b'{"url": "\xff"}',
    ]
)
CONTENTS = st.one_of(st.binary(max_size=60), st.lists(LINES, max_size=5).map(b"\n".join))


def install(folder: Path, plugin: str) -> Path:
    info = folder / f"dist_{plugin}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dist-{plugin}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[agentkit]\n{plugin} = akd_{plugin}\n")
    return info


@given(st.dictionaries(FILES, CONTENTS, min_size=1))
def test_no_content_of_a_dist_info_hides_the_other_plugins(contents: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        install(folder, "good")
        bad = install(folder, "bad")
        for file, content in contents.items():
            (bad / file).write_bytes(content)
        found = list(importlib.metadata.Distribution.discover(path=[name]))
        with mock.patch.object(importlib.metadata, "distributions", return_value=found):
            discovery = discover()
    assert discovery.sources["good"].owner.distribution == "dist-good"
    for error in discovery.failures:
        assert error.hint
        assert msgspec.json.encode(str(error))


def test_a_plugin_of_an_environment_without_agentkits_own_metadata_is_not_judged_by_version() -> None:
    with tempfile.TemporaryDirectory() as name:
        info = install(Path(name), "good")
        with (info / "METADATA").open("a") as file:
            file.write("Requires-Dist: agentkit-realtime>=99\n")
        found = list(importlib.metadata.Distribution.discover(path=[name]))
        missing = importlib.metadata.PackageNotFoundError("agentkit-realtime")
        with (
            mock.patch.object(importlib.metadata, "distributions", return_value=found),
            mock.patch.object(importlib.metadata, "version", side_effect=missing),
        ):
            assert "good" in discover().sources
