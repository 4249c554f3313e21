"""Discovery: what is found, what is left out, and what is said about it."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from types import ModuleType

import pytest

import gesso.codec
import gesso_hooks.manager
from gesso_hooks import PluginWarning, load
from gesso_hooks.manager import manager

Install = Callable[..., None]
Module = Callable[[str], ModuleType]

# A plug-in with the codec `toy`, which counts how often it is imported and asked.
TOY = """
    import dataclasses
    from gesso.codec import PillowCodec
    from gesso_hooks import hookimpl

    asked = []

    @hookimpl
    def gesso_codecs():
        asked.append(1)
        return [PillowCodec("toy", ".toy")]
"""


def loading() -> list[str]:
    """Load, and the warnings that came of it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load()
    assert all(w.category is PluginWarning for w in caught)
    messages = [str(w.message) for w in caught]
    assert all("\n" not in message for message in messages)
    return messages


def run_python(code: str) -> str:
    """The standard output of a new interpreter with every warning an error."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


HEAVY = (
    "print(*{'torch', 'numpy', 'PIL', 'diffusers', 'safetensors', 'typer', 'rich', 'imageio',"
    " 'compressai', 'av'} & set(sys.modules))"
)


@pytest.mark.parametrize(
    "code", ["import gesso", "import gesso_hooks", "import gesso_hooks; gesso_hooks.load()"]
)
def test_import_and_discovery_import_neither_torch_nor_a_host(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GESSO_PLUGINS")  # with every built-in plug-in
    assert run_python(f"import sys; {code}; {HEAVY}") == ""


def test_built_ins_come_through_the_entry_points_without_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GESSO_PLUGINS")
    code = "from gesso_hooks.manager import manager; print(manager().has_plugin('embedded'))"
    assert run_python(code) == "True"


def test_public_names_are_pinned() -> None:
    assert gesso_hooks.__all__ == [
        "Host",
        "PluginWarning",
        "add_commands",
        "after_decode",
        "before_encode",
        "hookimpl",
        "hosts",
        "load",
        "peers",
    ]
    assert all(hasattr(gesso_hooks, name) for name in gesso_hooks.__all__)


def test_third_party_fills_the_registry(install: Install) -> None:
    install("toy", TOY)
    assert "toy" not in gesso.codec.codecs()
    assert loading() == []
    assert gesso.codec.get_codec("toy").extension == ".toy"


def test_second_load_does_nothing(install: Install, module: Module) -> None:
    install("toy", TOY)
    load()
    load()
    assert len(module("toy").asked) == 1


def test_entry_point_may_name_an_object(install: Install) -> None:
    source = """
        from gesso.codec import PillowCodec
        from gesso_hooks import hookimpl

        class Plugin:
            @hookimpl
            def gesso_codecs(self):
                return [PillowCodec("toy", ".toy")]

        plugin = Plugin()
    """
    install("toy", source, value="third_toy:plugin")
    assert loading() == []
    assert "toy" in gesso.codec.codecs()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named"),
        ("1 / 0", "ZeroDivisionError"),
        ("def f(:", "SyntaxError"),
        (
            "from gesso_hooks import hookimpl\n@hookimpl\ndef gesso_models(pictures): ...",
            "{'pictures'} are declared in the hookimpl but can not be found",
        ),
    ],
)
def test_broken_plugin_is_named_and_kills_nothing(
    install: Install, source: str, reason: str
) -> None:
    install("broken", source)
    install("toy", TOY)
    [message] = loading()
    assert message.startswith("plug-in 'broken' of third-broken 1.0 is left out: ")
    assert reason in message
    assert message.endswith("update or uninstall it, or leave it out with GESSO_PLUGINS")
    assert "toy" in gesso.codec.codecs()
    assert not manager().has_plugin("broken")


def test_entry_point_to_a_missing_name_is_reported(install: Install) -> None:
    install("broken", "", value="third_broken:nothing")
    [message] = loading()
    assert "AttributeError" in message


def test_misspelt_hook_is_left_out_with_the_hooks_there_are(install: Install) -> None:
    source = TOY.replace("gesso_codecs", "gesso_codec")
    install("slip", source)
    install("toy", TOY)
    [message] = loading()
    assert message.startswith("plug-in 'slip' is left out: no hook is called gesso_codec; there")
    assert "gesso_codecs, gesso_commands, gesso_hosts, gesso_models" in message
    assert "toy" in gesso.codec.codecs()
    assert not manager().has_plugin("slip")


def test_hook_of_a_later_version_may_be_optional(install: Install) -> None:
    install("toy", TOY + "\n    @hookimpl(optionalhook=True)\n    def gesso_later(): ...\n")
    assert loading() == []
    assert "toy" in gesso.codec.codecs()


def test_of_two_plugins_of_one_name_the_first_stays(install: Install, module: Module) -> None:
    install("toy", TOY, distribution="third-b")
    install("toy", TOY.replace('"toy"', '"other"'), distribution="third-a")
    [message] = loading()
    assert message.startswith("plug-in 'toy' of third-b 1.0: another one has that name already")
    assert "other" in gesso.codec.codecs()
    assert "third_b" not in sys.modules


def test_third_party_cannot_take_the_place_of_the_core(install: Install) -> None:
    install("embedded", TOY, distribution="a-thief", value="third_a-thief", listing=False)
    [message] = loading()
    assert message.startswith("plug-in 'embedded' of a-thief 1.0: another one has that name")


def test_codec_of_a_taken_name_is_reported_and_the_first_stays(install: Install) -> None:
    install("a", TOY)
    install("b", TOY.replace('".toy"', '".boat"'))
    [message] = loading()
    assert message.startswith("plug-in 'b', gesso_codecs: InputError: a codec named 'toy' is")
    assert gesso.codec.get_codec("toy").extension == ".toy"


def test_answer_of_the_wrong_kind_is_reported_and_the_others_count(install: Install) -> None:
    install("toy", TOY.replace("return [", "return ['nonsense', "))
    [message] = loading()
    assert "plug-in 'toy', gesso_codecs: TypeError: 'nonsense' is not a Codec" in message
    assert "toy" in gesso.codec.codecs()


def test_answer_that_is_no_list_is_reported(install: Install) -> None:
    install("bad", TOY.replace("return [", "return 7 # "))
    install("toy", TOY)
    [message] = loading()
    assert message.startswith("plug-in 'bad', gesso_codecs: TypeError: 'int' object is not iter")
    assert "toy" in gesso.codec.codecs()


def test_hook_that_fails_is_reported_and_spoils_no_other(install: Install) -> None:
    install("bad", TOY.replace("asked.append(1)", "raise OSError('no\\nlicence')"))
    install("toy", TOY)
    [message] = loading()
    assert message.startswith("plug-in 'bad', gesso_codecs: OSError: no licence; update or")
    assert "toy" in gesso.codec.codecs()


def test_wrapper_of_a_collecting_hook_sees_every_answer(install: Install) -> None:
    wrapper = """
        from gesso_hooks import hookimpl

        @hookimpl(wrapper=True)
        def gesso_codecs():
            answers = yield
            return [[codec for codec in each if codec.name != "toy"] for each in answers]
    """
    install("policy", wrapper)
    install("toy", TOY)
    install("boat", TOY.replace('"toy"', '"boat"'))
    assert loading() == []
    assert "boat" in gesso.codec.codecs()
    assert "toy" not in gesso.codec.codecs()


def test_restriction_loads_only_the_listed_and_the_core(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("toy", TOY)
    install("boat", TOY.replace('"toy"', '"boat"'))
    monkeypatch.setenv("GESSO_PLUGINS", " boat ,")
    assert loading() == []
    assert {name for name, _ in manager().list_name_plugin()} == {"embedded", "boat"}
    assert "third_toy" not in sys.modules


def test_restriction_to_nothing_leaves_the_core() -> None:
    assert loading() == []  # GESSO_PLUGINS is empty
    assert [name for name, _ in manager().list_name_plugin()] == ["embedded"]


def test_restriction_to_an_unknown_name_says_which_there_are(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("toy", TOY)
    monkeypatch.setenv("GESSO_PLUGINS", "tpy")
    [message] = loading()
    assert message.startswith("GESSO_PLUGINS names 'tpy', which is not installed; there are: ")
    assert "embedded" in message and "toy" in message


def test_without_restriction_every_plugin_is_loaded(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("toy", TOY)
    monkeypatch.delenv("GESSO_PLUGINS")
    loading()
    assert manager().has_plugin("toy")


def test_trace_prints_each_call_to_stderr(
    install: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GESSO_TRACE_PLUGINS", "1")
    install("toy", TOY)
    load()
    captured = capsys.readouterr()
    assert "gesso: gesso_codecs() asks toy\n" in captured.err
    assert "gesso: gesso_codecs gave [[PillowCodec(" in captured.err
    assert captured.out == ""


def test_trace_prints_what_a_hook_raised(
    install: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GESSO_TRACE_PLUGINS", "1")
    install("bad", TOY.replace("asked.append(1)", "raise OSError('no licence')"))
    assert len(loading()) == 1
    assert "gesso: gesso_codecs gave OSError('no licence')" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["", "0"])
def test_no_trace_unless_asked(
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    value: str,
) -> None:
    monkeypatch.setenv("GESSO_TRACE_PLUGINS", value)
    install("toy", TOY)
    load()
    assert capsys.readouterr().err == ""


def test_threads_load_once_and_all_find_the_plugins(install: Install, module: Module) -> None:
    install("toy", "import time\ntime.sleep(0.1)\n" + TOY.replace("\n    ", "\n"))
    barrier = threading.Barrier(8)
    found: list[bool] = []

    def run() -> None:
        barrier.wait()
        load()
        found.append("toy" in gesso.codec.codecs())

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8
    assert len(module("toy").asked) == 1


def test_plugin_that_loads_plugins_itself_is_no_loop(install: Install) -> None:
    install("toy", "import gesso_hooks\ngesso_hooks.load()\n" + TOY.replace("\n    ", "\n"))
    assert loading() == []
    assert "toy" in gesso.codec.codecs()


def test_interrupted_load_starts_anew(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("toy", "import builtins\nbuiltins.third_stop()\n" + TOY.replace("\n    ", "\n"))

    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.third_stop", stop, raising=False)
    with pytest.raises(KeyboardInterrupt):
        load()
    monkeypatch.setattr("builtins.third_stop", lambda: None)
    assert loading() == []
    assert "toy" in gesso.codec.codecs()


def test_warning_as_error_finds_the_plugins_loaded(install: Install) -> None:
    install("broken", "1 / 0")
    install("toy", TOY)
    with pytest.raises(PluginWarning):
        load()
    assert "toy" in gesso.codec.codecs()
    assert loading() == []
