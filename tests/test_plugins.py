"""Plugins found from metadata, imported on use, each isolated from the others."""

import importlib
import json
import os
import re
import signal
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from agentkit.discovery import Record, cache_file, read_index, write_index
from agentkit.errors import DuplicateNameError, PluginError, PluginLoadError, UnknownNameError
from agentkit.hookspecs import hookimpl
from agentkit.plugins import PluginInfo, Plugins, load_plugins
from agentkit.registry import Owner

CODE = """
from agentkit.hookspecs import hookimpl
from agentkit.tools import tool

@tool
def {tool}() -> str:
    '''Do it.'''
    return "done"

@hookimpl
def register_tools():
    return [{tool}]
"""


class Site:
    """A folder on ``sys.path`` into which distributions are put by hand, and the user's cache folder."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.environ = {"XDG_CACHE_HOME": str(cache), "LOCALAPPDATA": str(cache), "HOME": str(cache)}

    def install(
        self,
        plugin: str,
        code: str | None = None,
        *,
        module: str | None = None,
        target: str | None = None,
        distribution: str | None = None,
        version: str = "1.0",
        editable: bool = False,
    ) -> Path:
        """Write one distribution with one plugin; by default its tool is called as the plugin is."""
        module = module or f"akp_{plugin}"
        name = distribution or f"dist-{plugin}"
        file = self.folder / module / "__init__.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(textwrap.dedent(CODE.format(tool=plugin) if code is None else code))
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[agentkit]\n{plugin} = {target or module}\n")
        (info / "RECORD").write_text(f"{module}/__init__.py,sha256=x,{file.stat().st_size}\n")
        if editable:
            (info / "direct_url.json").write_text('{"dir_info": {"editable": true}, "url": "file:///x"}')
        return file

    def load(self, only: str | None = None, **environ: str) -> Plugins:
        # A file written within the resolution of the folder's time would not be seen.
        importlib.invalidate_caches()
        return load_plugins(only, environ=self.environ | environ)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    # Only what a test installs is found: other plugins of this environment are not its business.
    monkeypatch.setattr(sys, "path", [str(folder), *(entry for entry in sys.path if "site-packages" not in entry)])
    # What the core itself brings is not what these tests are about.
    stand_in = ModuleType("agentkit.builtin")
    vars(stand_in)["register_tools"] = hookimpl(lambda: [])
    monkeypatch.setitem(sys.modules, "agentkit.builtin", stand_in)
    yield Site(folder, tmp_path / "cache")
    for name in set(sys.modules) - before:
        if name.startswith("akp_"):
            del sys.modules[name]


def forget(plugin: str) -> None:
    """Make the next import read the file again, as a new process would."""
    sys.modules.pop(f"akp_{plugin}", None)


def imported(plugin: str) -> bool:
    return f"akp_{plugin}" in sys.modules


def row(plugins: Plugins, name: str) -> PluginInfo:
    return next(info for info in plugins.report() if info.name == name)


def failure(plugins: Plugins, name: str | None) -> PluginError:
    return next(error for error in plugins.failures if error.plugin == name)


def in_memory(*, tool: str = "hello") -> ModuleType:
    module = ModuleType("in_memory")
    exec(CODE.format(tool=tool), vars(module))
    return module


# Discovery and lazy import


def test_finding_plugins_imports_none(site: Site) -> None:
    site.install("tides")
    site.load()
    assert not imported("tides")


def test_a_tool_is_found_by_its_name(site: Site) -> None:
    site.install("tides")
    assert site.load().get("tools", "tides").name == "tides"


def test_a_qualified_name_imports_its_plugin_only_even_without_an_index(site: Site) -> None:
    site.install("tides")
    site.install("moon")
    site.load().get("tools", "tides:tides")
    assert (imported("tides"), imported("moon")) == (True, False)


def test_with_the_index_a_plain_name_imports_its_plugin_only(site: Site) -> None:
    site.install("tides")
    site.install("moon")
    site.load().names("tools")
    forget("tides")
    forget("moon")
    site.load().get("tools", "moon")
    assert (imported("tides"), imported("moon")) == (False, True)


def test_with_the_index_names_and_owners_are_listed_without_any_import(site: Site) -> None:
    site.install("tides")
    site.load().names("tools")
    forget("tides")
    plugins = site.load()
    assert "tides" in plugins.names("tools")
    assert plugins.owner("tools", "tides") == Owner("tides", "dist-tides", "1.0")
    assert not imported("tides")


def test_a_command_needs_no_import_of_its_plugin(site: Site) -> None:
    code = """
    from agentkit.hookspecs import hookimpl
    from agentkit.registry import LazyCommand

    @hookimpl
    def register_commands():
        return [LazyCommand("tides", "Print the tides.", "akp_tides.cli:main")]
    """
    site.install("tides", code)
    assert site.load().get("commands", "tides").help == "Print the tides."
    forget("tides")
    assert site.load().get("commands", "tides").target == "akp_tides.cli:main"
    assert not imported("tides")


def test_an_attribute_of_a_module_can_be_the_plugin(site: Site) -> None:
    code = """
    from agentkit.hookspecs import hookimpl
    from agentkit.registry import Factory

    class Parrot:
        def respond(self, request): ...

    class Plugin:
        @hookimpl
        def register_responders(self):
            return [Factory("parrot", Parrot)]

    plugin = Plugin()
    """
    site.install("parrot", code, target="akp_parrot:plugin")
    assert site.load().get("responders", "parrot").make() is not None


def test_the_first_distribution_of_a_name_on_the_path_counts(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Site(tmp_path / "older", tmp_path / "cache")
    other.folder.mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(other.folder)])
    other.install("tides", version="0.9")
    site.install("tides", version="1.0")
    assert site.load().owner("tools", "tides").version == "1.0"


# The index between runs


def test_an_edited_file_of_an_editable_plugin_is_seen(site: Site) -> None:
    file = site.install("tides", editable=True)
    part = file.with_name("part.py")
    part.write_text("name = 'tides'\n")
    site.load().names("tools")
    forget("tides")
    part.write_text("name = 'tides, but longer'\n")
    file.write_text(CODE.format(tool="currents"))
    assert "currents" in site.load().names("tools")


def test_an_edited_part_of_an_editable_plugin_is_seen(site: Site) -> None:
    code = """
    from agentkit.hookspecs import hookimpl
    from agentkit.registry import Factory
    from akp_tides.part import NAME

    @hookimpl
    def register_tools():
        return [Factory(NAME, object)]
    """
    part = site.install("tides", code, editable=True).with_name("part.py")
    part.write_text("NAME = 'old'\n")
    assert "old" in site.load().names("tools")
    for module in ("akp_tides", "akp_tides.part"):
        del sys.modules[module]
    part.write_text("NAME = 'newer'\n")
    assert "newer" in site.load().names("tools")


def test_a_reinstalled_plugin_is_seen(site: Site) -> None:
    file = site.install("tides")
    site.load().names("tools")
    forget("tides")
    file.write_text(CODE.format(tool="ebbs_"))
    (site.folder / "dist_tides-1.0.dist-info" / "RECORD").write_text("akp_tides/__init__.py,sha256=y,1\n")
    assert "ebbs_" in site.load().names("tools")


def test_a_name_that_a_stale_index_lacks_is_still_found(site: Site) -> None:
    code = "import os\n" + CODE.format(tool="tides").replace(
        "return [tides]", "return [tides.renamed(os.environ['AKP'])]"
    )
    os.environ["AKP"] = "first"
    try:
        site.install("tides", code)
        site.load().names("tools")
        forget("tides")
        os.environ["AKP"] = "second"
        assert site.load().get("tools", "second").name == "second"
    finally:
        del os.environ["AKP"]


def test_a_name_that_only_a_stale_index_has_is_unknown(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import os\n" + CODE.format(tool="tides").replace(
        "return [tides]", "return [tides.renamed(os.environ['AKP'])]"
    )
    monkeypatch.setenv("AKP", "first")
    site.install("tides", code)
    site.load().names("tools")
    forget("tides")
    monkeypatch.setenv("AKP", "second")
    with pytest.raises(UnknownNameError, match="no tool is called `first`"):
        site.load().get("tools", "first")


def test_a_plugin_that_was_broken_is_tried_again(site: Site) -> None:
    site.install("tides", "import akp_missing\n" + CODE.format(tool="tides"))
    assert site.load().failures
    (site.folder / "akp_missing.py").write_text("")
    assert site.load().failures == ()


def test_a_plugin_that_broke_since_the_index_was_made_is_a_load_error(site: Site) -> None:
    site.install("tides", "import akp_needed\n" + CODE.format(tool="tides"))
    needed = site.folder / "akp_needed.py"
    needed.write_text("")
    site.load().names("tools")
    forget("tides")
    forget("needed")
    needed.unlink()
    with pytest.raises(PluginLoadError, match="akp_needed"):
        site.load().get("tools", "tides")


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"format": 99, "records": {}}', "[" * 50_000])
def test_a_corrupt_index_is_made_anew(site: Site, text: str) -> None:
    site.install("tides")
    file = cache_file(site.environ)
    assert file is not None
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert "tides" in site.load().names("tools")
    assert "tides" in read_index(file)


@pytest.mark.parametrize(
    "names",
    [{"tools": ["a b"]}, {"tools": ["x", "x"]}, {"skills": ["x"]}, {"commands": ["x"]}],
    ids=["no name", "a name twice", "no kind", "a command without its target"],
)
def test_a_record_that_no_plugin_can_have_made_is_made_anew(site: Site, names: dict[str, list[str]]) -> None:
    site.install("tides")
    site.load().names("tools")
    file = cache_file(site.environ)
    assert file is not None
    index = json.loads(file.read_bytes())
    index["records"]["tides"]["names"] = names
    file.write_text(json.dumps(index))
    assert site.load().names("tools") == ("tides",)
    assert read_index(file)["tides"].names["tools"] == ("tides",)


def test_an_index_that_cannot_be_written_is_harmless(site: Site, tmp_path: Path) -> None:
    site.install("tides")
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert "tides" in site.load().names("tools")


def test_a_failed_replacement_of_the_index_leaves_no_file_behind(tmp_path: Path) -> None:
    taken = tmp_path / "plugins.json"
    (taken / "in the way").mkdir(parents=True)
    write_index(taken, {"x": Record(fingerprint="f", names={}, import_ms=1.0)})
    assert [path.name for path in tmp_path.iterdir()] == ["plugins.json"]


def test_without_a_cache_folder_nothing_is_kept(site: Site) -> None:
    site.install("tides")
    plugins = load_plugins(environ={})
    assert "tides" in plugins.names("tools")


def test_the_index_of_a_plugin_that_is_switched_off_is_kept(site: Site) -> None:
    site.install("tides")
    site.install("moon")
    site.load().names("tools")
    forget("tides")
    site.load("moon").names("tools")
    site.load().names("tools")
    assert not imported("tides")


@pytest.mark.parametrize(
    "platform, variables, expected",
    [
        ("linux", {"XDG_CACHE_HOME": "c", "HOME": "h"}, "c/agentkit"),
        ("linux", {"HOME": "h"}, "h/.cache/agentkit"),
        ("darwin", {"HOME": "h", "XDG_CACHE_HOME": "c"}, "h/Library/Caches/agentkit"),
        ("win32", {"LOCALAPPDATA": "l"}, "l/agentkit"),
    ],
)
def test_the_index_is_in_the_platforms_cache_folder(
    tmp_path: Path, platform: str, variables: dict[str, str], expected: str
) -> None:
    file = cache_file({name: str(tmp_path / folder) for name, folder in variables.items()}, platform=platform)
    assert file is not None
    assert file.parent == tmp_path / expected


def test_a_relative_cache_folder_is_ignored(tmp_path: Path) -> None:
    file = cache_file({"XDG_CACHE_HOME": "relative", "HOME": str(tmp_path)}, platform="linux")
    assert file is not None
    assert file.parent == tmp_path / ".cache" / "agentkit"


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_a_user_without_folders_has_no_index(platform: str) -> None:
    assert cache_file({}, platform=platform) is None


# Broken plugins

BROKEN = [
    (
        "import akp_nothing_there",
        r"ModuleNotFoundError: No module named 'akp_nothing_there' \(akp_bad/__init__.py:1\)",
    ),
    ("def (", r"SyntaxError: .*\(akp_bad/__init__.py:1\)"),
    ("\nraise SystemExit(3)", r"SystemExit: 3 \(akp_bad/__init__.py:2\)"),
    ("raise KeyboardInterrupt", r"KeyboardInterrupt \(akp_bad/__init__.py:1\)"),
    ("import asyncio\nraise asyncio.CancelledError", "CancelledError"),
    ("raise ValueError('two\\nlines\\x1b[31m and colour')", r"ValueError: two lines \[31m and colour"),
    ("raise ValueError('x' * 10_000)", "x…$"),
    (
        "class E(Exception):\n    def __str__(self):\n        raise ValueError\nraise E",
        r"cannot be loaded: E \(akp_bad",
    ),
    ("1/0", "ZeroDivisionError: division by zero"),
    ("", "the module registers nothing: no function is marked with @hookimpl"),
    (
        "from agentkit.hookspecs import hookimpl\n@hookimpl\ndef register_tool(): ...",
        "did you mean `register_tools`",
    ),
    (
        "from agentkit.hookspecs import hookimpl\n@hookimpl\ndef register_tools(x): ...",
        "hooks take no arguments",
    ),
    (
        "from agentkit.hookspecs import hookimpl\n@hookimpl\ndef register_tools(): ...",
        "is a `return` missing",
    ),
    (
        "from agentkit.hookspecs import hookimpl\n@hookimpl\ndef register_tools(): return [1]",
        "an int as item 0",
    ),
    (
        "from agentkit.hookspecs import hookimpl\n@hookimpl\ndef register_tools(): return 1/0",
        r"ZeroDivisionError.*:3\)",
    ),
]


@pytest.mark.parametrize("code, cause", BROKEN)
def test_87_a_broken_plugin_is_one_line_and_the_others_load(site: Site, code: str, cause: str) -> None:
    site.install("bad", code)
    site.install("tides")
    plugins = site.load()
    assert plugins.get("tools", "tides").name == "tides"
    error = failure(plugins, "bad")
    assert isinstance(error, PluginLoadError)
    assert str(error).startswith("plugin bad (dist-bad 1.0) cannot be loaded: ")
    assert "\n" not in str(error)
    assert re.search(cause, str(error))
    assert (error.plugin, error.distribution) == ("bad", "dist-bad")


def test_87_a_broken_plugin_says_how_to_go_on_without_it(site: Site) -> None:
    site.install("bad", "1/0")
    site.install("tides")
    error = failure(site.load(), "bad")
    assert error.hint == "to go on without it: AGENTKIT_PLUGINS=tides, or pip uninstall dist-bad"


def test_87_the_only_plugin_that_is_broken_can_be_switched_off_too(site: Site) -> None:
    site.install("bad", "1/0")
    assert "AGENTKIT_PLUGINS=none" in str(failure(site.load(), "bad").hint)
    assert site.load("none").failures == ()


def test_87_a_name_of_a_broken_plugin_is_a_load_error_when_it_is_qualified(site: Site) -> None:
    site.install("bad", "1/0")
    with pytest.raises(PluginLoadError, match="ZeroDivisionError"):
        site.load().get("tools", "bad:anything")


def test_87_an_unknown_name_tells_of_broken_plugins_whose_names_are_missing(site: Site) -> None:
    site.install("bad", "1/0")
    with pytest.raises(UnknownNameError, match=r"names of `bad` are missing: see agentkit plugins"):
        site.load().get("tools", "anything")


def test_87_what_a_plugin_prints_at_import_goes_to_stderr(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.install("tides", "print('hello')\n" + CODE.format(tool="tides"))
    site.load().get("tools", "tides")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "hello\n")


def test_87_a_real_ctrl_c_during_an_import_reaches_the_program(site: Site) -> None:
    site.install("slow", "import signal\nsignal.raise_signal(signal.SIGINT)")
    plugins = site.load()
    with pytest.raises(KeyboardInterrupt):
        plugins.names("tools")


def test_87_a_real_ctrl_c_that_a_plugin_swallows_reaches_the_program(site: Site) -> None:
    code = """
    import signal
    try:
        signal.raise_signal(signal.SIGINT)
    except BaseException:
        raise ImportError("cannot be interrupted")
    """
    site.install("slow", code)
    plugins = site.load()
    with pytest.raises(KeyboardInterrupt):
        plugins.names("tools")


def test_87_a_real_ctrl_c_that_a_plugin_survives_reaches_the_program(site: Site) -> None:
    code = "import signal\ntry:\n    signal.raise_signal(signal.SIGINT)\nexcept KeyboardInterrupt:\n    pass\n"
    site.install("slow", code + CODE.format(tool="slow"))
    plugins = site.load()
    with pytest.raises(KeyboardInterrupt):
        plugins.names("tools")


def test_87_the_programs_own_signal_handler_is_back_after_an_import(site: Site) -> None:
    before = signal.getsignal(signal.SIGINT)
    site.install("tides")
    site.load().names("tools")
    assert signal.getsignal(signal.SIGINT) is before


def test_87_plugins_load_from_another_thread_too(site: Site) -> None:
    site.install("bad", "raise KeyboardInterrupt")
    site.install("tides")
    found: list[tuple[str, ...]] = []
    thread = threading.Thread(target=lambda: found.append(site.load().names("tools")))
    thread.start()
    thread.join()
    assert "tides" in found[0]


def test_88_an_entry_point_to_no_module_is_named(site: Site) -> None:
    site.install("bad", target="akp_nowhere.deep")
    assert "its entry point `akp_nowhere.deep` leads nowhere" in str(failure(site.load(), "bad"))


def test_88_an_entry_point_to_no_attribute_is_named(site: Site) -> None:
    site.install("bad", target="akp_bad:plugin")
    assert "its entry point `akp_bad:plugin` leads nowhere" in str(failure(site.load(), "bad"))


def test_88_an_entry_point_to_an_object_of_the_wrong_kind_is_named(site: Site) -> None:
    site.install("bad", "plugin = 3", target="akp_bad:plugin")
    assert "the object of type int registers nothing" in str(failure(site.load(), "bad"))


@pytest.mark.parametrize("target", ["akp bad", "1:2:3", "../x"])
def test_88_an_entry_point_that_is_no_path_is_named(site: Site, target: str) -> None:
    site.install("bad", target=target)
    site.install("tides")
    plugins = site.load()
    assert "is not of the form `module` or `module:attribute`" in str(failure(plugins, "bad"))
    assert row(plugins, "bad").state == "failed"
    assert "tides" in plugins.names("tools")


def test_88_a_plugin_name_that_cannot_be_qualified_is_refused(site: Site) -> None:
    site.install("a b", CODE.format(tool="tides"), module="akp_x", distribution="dist-x")
    assert "cannot be a plugin's name" in str(failure(site.load(), "a b"))


def test_89_two_distributions_with_one_plugin_name_are_both_named_and_neither_loads(site: Site) -> None:
    site.install("tides", distribution="first")
    site.install("tides", CODE.format(tool="other"), module="akp_other", distribution="second")
    plugins = site.load()
    error = failure(plugins, "tides")
    assert isinstance(error, DuplicateNameError)
    assert "first 1.0" in str(error)
    assert "second 1.0" in str(error)
    assert not {"tides", "other"} & set(plugins.names("tools"))
    assert row(plugins, "tides").state == "failed"


def test_89_a_tool_name_of_two_plugins_belongs_to_neither(site: Site) -> None:
    site.install("tides")
    site.install("moon", CODE.format(tool="tides"))
    plugins = site.load()
    with pytest.raises(DuplicateNameError, match=r"dist-(tides|moon) 1\.0.*write `\w+:tides` or"):
        plugins.get("tools", "tides")
    assert plugins.get("tools", "moon:tides").name == "tides"


def test_89_nobody_can_take_the_name_of_the_built_in_plugin(site: Site) -> None:
    site.install("agentkit", CODE.format(tool="evil"), module="akp_evil", distribution="evil")
    plugins = site.load()
    assert "the plugin name `agentkit` is reserved" in str(failure(plugins, "agentkit"))
    assert "evil" not in plugins.names("tools")


def test_94_a_dist_info_without_metadata_is_skipped_and_named(site: Site) -> None:
    site.install("tides")
    site.install("bad")
    (site.folder / "dist_bad-1.0.dist-info" / "METADATA").unlink()
    plugins = site.load()
    assert "plugin `bad` is skipped: its METADATA gives no name and version" in str(failure(plugins, "bad"))
    assert "dist_bad-1.0.dist-info" in str(failure(plugins, "bad"))
    assert "tides" in plugins.names("tools")


@pytest.mark.parametrize("raw", [b"[agentkit]\n\xff\xfe = x\n", b"[agentkit]\nno equals sign\n"])
def test_94_a_dist_info_with_garbled_entry_points_is_skipped_and_named(site: Site, raw: bytes) -> None:
    site.install("tides")
    site.install("bad")
    (site.folder / "dist_bad-1.0.dist-info" / "entry_points.txt").write_bytes(raw)
    plugins = site.load()
    assert "its entry_points.txt cannot be read" in str(failure(plugins, None))
    assert "tides" in plugins.names("tools")


def test_94_a_damaged_distribution_of_nobodys_interest_is_not_mentioned(site: Site) -> None:
    (site.folder / "~left_over-1.0.dist-info").mkdir()
    site.install("tides")
    assert site.load().failures == ()


# Switching plugins off


def test_none_leaves_the_built_in_plugin_alone(site: Site) -> None:
    site.install("tides")
    plugins = site.load("none")
    assert "tides" not in plugins.names("tools")
    assert row(plugins, "tides").state == "disabled"
    assert row(plugins, "agentkit").state != "disabled"
    assert not imported("tides")


def test_the_variable_names_the_plugins_to_use(site: Site) -> None:
    site.install("tides")
    site.install("moon")
    plugins = site.load(AGENTKIT_PLUGINS=" moon ,")
    assert ("moon" in plugins.names("tools"), imported("tides")) == (True, False)


def test_an_empty_variable_means_nothing(site: Site) -> None:
    site.install("tides")
    assert "tides" in site.load(AGENTKIT_PLUGINS="").names("tools")


def test_the_argument_wins_over_the_variable(site: Site) -> None:
    site.install("tides")
    assert "tides" in site.load("tides", AGENTKIT_PLUGINS="none").names("tools")


def test_a_plugin_that_is_not_installed_is_named_with_the_nearest(site: Site) -> None:
    site.install("tides")
    assert "no plugin is called `tide`; did you mean `tides`?" in str(failure(site.load("tide"), "tide"))


def test_a_name_of_a_plugin_that_is_switched_off_says_so(site: Site) -> None:
    site.install("tides")
    with pytest.raises(UnknownNameError, match="plugin `tides` is installed but switched off") as caught:
        site.load("none").get("tools", "tides:tides")
    assert caught.value.hint == "add tides to AGENTKIT_PLUGINS or --plugins"


def test_a_name_of_a_plugin_that_is_not_installed_says_so(site: Site) -> None:
    site.install("tides")
    with pytest.raises(UnknownNameError, match="no plugin is called `tide`; did you mean `tides`"):
        site.load().get("tools", "tide:tides")


def test_a_restriction_switches_everything_else_off(site: Site) -> None:
    site.install("tides")
    site.install("moon")
    plugins = site.load().restrict(["moon"])
    assert row(plugins, "tides").state == "disabled"
    assert plugins.get("tools", "moon").name == "moon"


def test_a_restriction_cannot_switch_on_what_was_off(site: Site) -> None:
    site.install("tides")
    site.install("moon")
    plugins = site.load("moon").restrict(["tides", "moon"])
    assert not imported("tides")
    assert "tides" not in plugins.names("tools")


def test_a_name_of_a_plugin_that_a_list_leaves_out_names_the_list(site: Site) -> None:
    site.install("tides")
    site.install("moon")
    plugins = site.load().restrict(["moon"])
    with pytest.raises(UnknownNameError, match="plugin `tides` is installed but switched off by `plugins:`") as caught:
        plugins.get("tools", "tides:tides")
    assert caught.value.hint == "add tides to `plugins:`"
    assert not imported("tides")


def test_a_plain_name_that_the_index_knows_names_the_list_that_leaves_its_plugin_out(site: Site) -> None:
    site.install("tides")
    site.load().names("tools")
    forget("tides")
    plugins = site.load().restrict([], where="`plugins:` of agent.yaml")
    with pytest.raises(UnknownNameError, match=r"switched off by `plugins:` of agent\.yaml, so `tides` cannot be used"):
        plugins.get("tools", "tides")
    assert not imported("tides")


def test_the_list_that_leaves_a_plugin_out_first_is_the_one_that_is_named(site: Site) -> None:
    site.install("tides")
    plugins = site.load("none").restrict(["tides"])
    with pytest.raises(UnknownNameError, match="switched off by AGENTKIT_PLUGINS or --plugins"):
        plugins.get("tools", "tides:tides")


def test_a_name_in_a_list_that_no_plugin_has_is_a_failure_that_names_the_list(site: Site) -> None:
    site.install("tides")
    error = failure(site.load().restrict(["tide"]), "tide")
    assert str(error) == "no plugin is called `tide`; did you mean `tides`?"
    assert error.hint == "correct the name in `plugins:`"


def test_a_list_is_checked_name_by_name_without_any_import(site: Site) -> None:
    site.install("tides")
    plugins = site.load("none")
    plugins.check_plugin_name("tides")
    plugins.check_plugin_name("agentkit")
    with pytest.raises(UnknownNameError, match=r"no plugin is called `tide`; did you mean `tides`\?"):
        plugins.check_plugin_name("tide")
    assert not imported("tides")


def test_a_list_that_names_a_plugin_which_can_never_be_loaded_says_why(site: Site) -> None:
    site.install("bad", target="../x")
    with pytest.raises(PluginLoadError, match="is not of the form"):
        site.load().check_plugin_name("bad")


def test_a_restriction_imports_nothing_twice(site: Site) -> None:
    site.install("tides")
    site.install("bad", "import akp_count\nakp_count.times += 1\n1 / 0")
    (site.folder / "akp_count.py").write_text("times = 0\n")
    plugins = site.load()
    plugins.names("tools")
    plugins.restrict(["bad", "tides"]).names("tools")
    assert sys.modules["akp_count"].times == 1


def test_one_plugin_is_loaded_whole_and_alone(site: Site) -> None:
    site.install("tides")
    site.install("moon")
    loaded = site.load().load("moon")
    assert list(loaded.values["tools"]) == ["moon"]
    assert loaded.plugin is sys.modules["akp_moon"]
    assert not imported("tides")


def test_a_plugin_that_is_switched_off_is_not_loaded(site: Site) -> None:
    site.install("tides")
    with pytest.raises(UnknownNameError, match=r"`tides` is installed but switched off .*, so it cannot be used"):
        site.load("none").load("tides")


# Names that are agentkit's own

OWN = """
from agentkit.hookspecs import hookimpl
from agentkit.middleware import Middleware
from agentkit.registry import Factory

class Layer(Middleware):
    async def wrap_tool_call(self, call, call_next):
        return await call_next(call)

@hookimpl
def register_middleware():
    return [Factory("logger", Layer, None, "Another logger.")]
"""


@pytest.fixture
def shadowed() -> Plugins:
    module = ModuleType("impostor")
    exec(OWN, vars(module))
    return Plugins.from_modules({"impostor": module})


def test_a_plain_name_of_agentkits_own_stays_its_own(shadowed: Plugins, caplog: pytest.LogCaptureFixture) -> None:
    assert shadowed.owner("middleware", "logger").plugin == "agentkit"
    assert shadowed.get("middleware", "logger").description != "Another logger."
    assert [record.message for record in caplog.records] == [
        "the middleware `logger` stays agentkit's own; the one of plugin impostor is `impostor:logger`"
    ]


def test_a_plugins_own_is_there_by_its_qualified_name(shadowed: Plugins) -> None:
    assert shadowed.get("middleware", "impostor:logger").description == "Another logger."
    assert {"logger", "impostor:logger"} <= set(shadowed.names("middleware"))


def test_a_plugin_that_gives_a_name_of_agentkits_own_has_a_notice_in_the_report(shadowed: Plugins) -> None:
    assert len(row(shadowed, "impostor").notices) == 1
    assert row(shadowed, "agentkit").notices == ()


# Where it comes from


@pytest.mark.parametrize(
    "text, origin",
    [
        ('{"url": "file:///src/tides", "dir_info": {"editable": true}}', "/src/tides (editable)"),
        ('{"url": "file:///src/my%20tides", "dir_info": {}}', "/src/my tides"),
        (
            '{"url": "https://me:hush@example.org/t.git", "vcs_info": {"vcs": "git", "commit_id": "0123456789abcd"}}',
            "git https://example.org/t.git at 0123456789ab",
        ),
        ('{"url": "https://token@example.org/tides.whl", "archive_info": {}}', "https://example.org/tides.whl"),
        ("", ""),
    ],
)
def test_the_report_says_where_a_plugin_was_installed_from_without_credentials(
    site: Site, text: str, origin: str
) -> None:
    site.install("tides")
    (site.folder / "dist_tides-1.0.dist-info" / "direct_url.json").write_text(text)
    assert row(site.load(), "tides").origin == origin


def test_a_plugin_of_an_index_says_so(site: Site) -> None:
    site.install("tides")
    (site.folder / "dist_tides-1.0.dist-info" / "INSTALLER").write_text("pip\n")
    assert row(site.load(), "tides").origin == "a package index"


# The report


def test_the_report_tells_what_is_loaded_and_what_is_not_imported(site: Site) -> None:
    site.install("tides")
    site.install("moon")
    site.load().names("tools")
    forget("tides")
    forget("moon")
    plugins = site.load()
    plugins.get("tools", "moon")
    assert (row(plugins, "moon").state, row(plugins, "tides").state) == ("loaded", "not imported")


def test_a_row_of_the_report_is_whole(site: Site) -> None:
    site.install("tides")
    info = row(site.load(), "tides")
    assert (info.distribution, info.version, info.registers) == ("dist-tides", "1.0", {"tools": ("tides",)})
    assert info.import_ms is not None
    assert info.problem is None


def test_a_failed_plugin_has_its_row_with_cause_and_hint(site: Site) -> None:
    site.install("bad", "1/0")
    info = row(site.load(), "bad")
    assert info.state == "failed"
    assert "ZeroDivisionError" in str(info.problem)
    assert "AGENTKIT_PLUGINS=none" in str(info.hint)


def test_the_built_in_plugin_comes_first_in_the_report(site: Site) -> None:
    site.install("abacus")
    assert [info.name for info in site.load().report()] == ["agentkit", "abacus"]


# Modules in memory


def test_modules_in_memory_are_plugins() -> None:
    plugins = Plugins.from_modules({"mine": in_memory()}, builtin=False)
    assert plugins.names("tools") == ("hello",)
    assert plugins.owner("tools", "hello") == Owner("mine")
    assert plugins.get("tools", "mine:hello") is plugins.get("tools", "hello")


def test_a_broken_module_in_memory_is_a_failure_like_any_other() -> None:
    plugins = Plugins.from_modules({"mine": in_memory(), "bad": object()}, builtin=False)
    assert str(failure(plugins, "bad")) == (
        "plugin bad cannot be loaded: the object of type object registers nothing: no function is marked with @hookimpl"
    )
    assert failure(plugins, "bad").hint == "to go on without it: AGENTKIT_PLUGINS=mine"


def test_the_built_in_plugin_is_there_beside_modules_in_memory() -> None:
    assert row(Plugins.from_modules({}), "agentkit").distribution == "agentkit-realtime"


def test_a_plugin_that_cannot_be_found_again_is_the_same_error_each_time() -> None:
    plugins = Plugins.from_modules({"bad": 3}, builtin=False)
    errors: list[PluginError] = []
    for _ in range(2):
        with pytest.raises(PluginLoadError) as caught:
            plugins.get("tools", "bad:x")
        errors.append(caught.value)
    assert errors[0] is errors[1]
