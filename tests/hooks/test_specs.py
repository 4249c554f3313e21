"""Each hook does what it says, and is documented and tested."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import gesso.cards
import gesso.codec
from gesso import EnhanceOptions, Frame, ModelError, PreprocessOptions, Runtime, Target
from gesso.evaluation.pipeline import Peer
from gesso_hooks import (
    Host,
    PluginWarning,
    add_commands,
    after_decode,
    before_encode,
    hosts,
    peers,
    specs,
)
from gesso_hooks.manager import manager

Install = Callable[..., None]
Module = Callable[[str], ModuleType]

HOOKS = sorted(name for name in vars(specs) if name.startswith("gesso_"))
README = (Path(__file__).parents[2] / "hooks" / "README.md").read_text(encoding="utf-8")
TARGET = Target("jpeg", 30)
UNCHANGED = EnhanceOptions(tradeoff=0)


def grey(level: float) -> Frame:
    """A small frame of one level."""
    return Frame.of(np.full((4, 6, 3), level, np.float32))


def level(frame: Frame) -> float:
    """The level of such a frame."""
    return float(frame.rgb.mean())


def answering(hook: str, body: str, *, marker: str = "hookimpl", arguments: str = "frame") -> str:
    """The source of a plug-in whose ``hook`` has that body."""
    return f"""
from gesso_hooks import hookimpl
seen = []

@{marker}
def {hook}({arguments}):
    {body}
"""


def test_every_hook_is_documented_with_its_exact_signature() -> None:
    documented = dict(re.findall(r"^### `(\w+)\((.*)\)`$", README, re.MULTILINE))
    exact = {name: ", ".join(inspect.signature(getattr(specs, name)).parameters) for name in HOOKS}
    assert documented == exact
    assert all(getattr(specs, name).__doc__ for name in HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_tested(hook: str) -> None:
    assert any(name.startswith(f"test_{hook}_") for name in globals())


def test_gesso_models_adds_a_card(install: Install) -> None:
    source = """
        from pathlib import Path
        from gesso.cards import ModelCard
        from gesso_hooks import hookimpl

        @hookimpl
        def gesso_models():
            sha = "0" * 64
            return [ModelCard("toy", "prior", "third_toy:make", Path(), "w.safetensors", sha)]

        def make(card, runtime):
            return f"made from {card.name}"
    """
    install("toy", source)
    manager()
    assert gesso.cards.get_model("toy", "prior").factory == "third_toy:make"
    assert gesso.cards.load("toy", "prior") == "made from toy"


def test_gesso_models_of_the_core_are_its_embedded_cards() -> None:
    [cards] = manager().hook.gesso_models()
    assert tuple(cards) == gesso.cards.embedded()


def test_gesso_codecs_example_of_the_documentation_works(install: Install) -> None:
    from PIL import Image

    source = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
    [(name, module)] = re.findall(r"entry-points.gesso\]\n(\w+) = \"(\w+)\"", README)
    assert module == f"gesso_{name}"
    install(name, source)
    manager()
    codec = gesso.codec.get_codec("jpeg2000")
    assert isinstance(codec, gesso.codec.Codec)
    picture = Image.effect_mandelbrot((96, 64), (-3, -2.5, 2, 2.5), 100).convert("RGB")
    for quality in (30.0, 40.0):
        decoded = codec.decode(codec.encode(picture, quality))
        error = np.asarray(decoded, float) - np.asarray(picture, float)
        assert 20 * np.log10(255 / np.sqrt(np.mean(error**2))) == pytest.approx(quality, abs=1.5)
    assert Target("jpeg2000", 40).qp == pytest.approx(22.9, abs=0.1)


PEER = """
from gesso.evaluation.pipeline import Peer
from gesso_hooks import hookimpl

@hookimpl
def gesso_peers():
    return [Peer({name!r}, "enhance", "of plug-in {plugin}")]
"""


def test_gesso_peers_collects_the_core_s_and_others(install: Install) -> None:
    install("a", PEER.format(name="varnish", plugin="a"))
    there = peers()
    assert {"blur", "unsharp", "jpegqs", "varnish"} <= set(there)
    assert all(isinstance(peer, Peer) and name == peer.name for name, peer in there.items())


def test_gesso_peers_of_the_documentation_works(install: Install) -> None:
    from PIL import Image, ImageFilter

    examples = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    install("median", next(source for source in examples if "def gesso_peers" in source))
    picture = Image.effect_noise((16, 16), 50).convert("RGB")
    jpeg = gesso.codec.get_codec("jpeg")
    shown = peers()["median"].pipeline(jpeg).run(picture, 30)
    assert shown.picture == shown.decoded.filter(ImageFilter.MedianFilter(3))


def test_gesso_peers_of_a_taken_name_is_reported(install: Install) -> None:
    install("a", PEER.format(name="varnish", plugin="a"))
    install("b", PEER.format(name="varnish", plugin="b"))
    said = r"plug-in 'b': there is a peer named 'varnish' already"
    with pytest.warns(PluginWarning, match=said) as caught:
        there = peers()
    assert there["varnish"].about == "of plug-in a"
    # the warning points at whoever asked
    assert caught[0].filename == __file__


def test_gesso_peers_answer_of_the_wrong_kind_is_reported(install: Install) -> None:
    install("a", PEER.format(name="varnish", plugin="a").replace("[Peer", "['oil', Peer"))
    with pytest.warns(PluginWarning, match="plug-in 'a': 'oil' is not a Peer"):
        assert "varnish" in peers()


def test_gesso_before_encode_first_answer_counts(install: Install) -> None:
    install("a", answering("gesso_before_encode", "return None"))
    install("b", answering("gesso_before_encode", "return frame.with_rgb(frame.rgb / 2)"))
    assert level(before_encode(grey(0.5), TARGET, PreprocessOptions())) == 0.25


def test_gesso_before_encode_passes_every_argument(install: Install, module: Module) -> None:
    body = "seen.append((frame, target, options, runtime)); return frame"
    arguments = "frame, target, options, runtime"
    install("a", answering("gesso_before_encode", body, arguments=arguments))
    frame, options, runtime = grey(0.5), PreprocessOptions(strength=0.5), Runtime(tile=512)
    assert before_encode(frame, TARGET, options, runtime) is frame
    [seen] = module("a").seen
    assert seen[0] is frame and seen[1:] == (TARGET, options, runtime)


def test_gesso_after_decode_passes_every_argument(install: Install, module: Module) -> None:
    body = "seen.append((frame, target, options, runtime)); return frame"
    arguments = "frame, target, options, runtime"
    install("a", answering("gesso_after_decode", body, arguments=arguments))
    frame, options, runtime = grey(0.5), EnhanceOptions(tradeoff=0.5), Runtime(tile=512)
    assert after_decode(frame, None, options, runtime) is frame
    [seen] = module("a").seen
    assert seen[0] is frame and seen[1:] == (None, options, runtime)


def test_gesso_before_encode_of_the_core_names_the_models_there_are() -> None:
    with pytest.raises(ModelError, match="no preprocessor named 'nonesuch'; there are"):
        before_encode(grey(0.5), TARGET, PreprocessOptions(model="nonesuch"))


def test_gesso_after_decode_of_the_core_is_asked_last(install: Install, module: Module) -> None:
    body = "seen.append(1); return None"
    # z comes after `embedded` by name, a before; both are asked before the core answers.
    install("a", answering("gesso_after_decode", body))
    install("z", answering("gesso_after_decode", body))
    frame = grey(0.5)
    assert after_decode(frame, TARGET, UNCHANGED) is frame
    assert module("a").seen == module("z").seen == [1]


def test_gesso_after_decode_answer_spares_the_core(install: Install) -> None:
    install("a", answering("gesso_after_decode", "return frame.with_rgb(frame.rgb / 2)"))
    assert level(after_decode(grey(0.5), None, EnhanceOptions(model="nonesuch"))) == 0.25


def test_gesso_after_decode_wrapper_changes_the_answer(install: Install) -> None:
    install(
        "wrap",
        answering(
            "gesso_after_decode",
            "answer = yield; return answer.with_rgb(answer.rgb + 0.25)",
            marker="hookimpl(wrapper=True)",
        ),
    )
    install("a", answering("gesso_after_decode", "return frame.with_rgb(frame.rgb / 2)"))
    assert level(after_decode(grey(0.5), TARGET, UNCHANGED)) == 0.5


def test_gesso_after_decode_wrapper_mends_an_error(install: Install) -> None:
    body = "try: return (yield)\n    except RuntimeError: return frame"
    install("wrap", answering("gesso_after_decode", body, marker="hookimpl(wrapper=True)"))
    frame = grey(0.5)
    assert after_decode(frame, TARGET, EnhanceOptions(model="nonesuch")) is frame


def test_gesso_after_decode_error_reaches_the_host(install: Install) -> None:
    install("a", answering("gesso_after_decode", "raise ZeroDivisionError"))
    with pytest.raises(ZeroDivisionError):
        after_decode(grey(0.5), TARGET, UNCHANGED)


def test_gesso_after_decode_wrapper_of_the_documentation_works(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    install("timer", next(source for source in examples if "wrapper=True" in source))
    frame = grey(0.5)
    assert after_decode(frame, TARGET, UNCHANGED) is frame
    assert re.fullmatch(r"fast: \d+\.\d\d s\n", capsys.readouterr().out)


def test_gesso_after_decode_without_any_answer_names_the_mend() -> None:
    manager().unregister(name="embedded")
    with pytest.raises(ModelError, match="no plug-in answered gesso_after_decode; reinstall"):
        after_decode(grey(0.5), TARGET, UNCHANGED)


HOST = """
from gesso_hooks import Host, hookimpl
state = []

@hookimpl
def gesso_hosts():
    return [Host("easel", lambda: state.append(1), state.clear, needs={needs!r}, extra="easel")]
"""


def test_gesso_hosts_collects_adapters(install: Install, module: Module) -> None:
    install("a", HOST.format(needs="PIL"))
    there = hosts()
    assert list(there) == ["easel"]
    there["easel"].register()
    assert module("a").state == [1]
    there["easel"].unregister()
    assert module("a").state == []
    assert there["easel"].installed


def test_gesso_hosts_tells_an_absent_host(install: Install) -> None:
    install("a", HOST.format(needs="nowhere_to_be_found"))
    assert not hosts()["easel"].installed


def test_gesso_hosts_of_a_taken_name_is_reported(install: Install) -> None:
    install("a", HOST.format(needs="PIL"))
    install("b", HOST.format(needs="numpy"))
    with pytest.warns(PluginWarning, match=r"plug-in 'b': there is a host named 'easel' already"):
        there = hosts()
    assert there["easel"].needs == "PIL"


def test_gesso_hosts_answer_of_the_wrong_kind_is_reported(install: Install) -> None:
    install("a", HOST.format(needs="PIL").replace("[Host", "['oil', Host"))
    with pytest.warns(PluginWarning, match="plug-in 'a': 'oil' is not a Host"):
        assert list(hosts()) == ["easel"]


def test_gesso_hosts_are_data() -> None:
    host = Host("easel", print, print, "PIL", "easel")
    with pytest.raises(AttributeError):
        host.name = "other"  # type: ignore[misc]


COMMAND = """
from gesso_hooks import hookimpl

@hookimpl
def gesso_commands(app):
    @app.command()
    def {name}():
        print("from {name}")
"""


def test_gesso_commands_adds_a_sub_command(install: Install) -> None:
    install("a", COMMAND.format(name="sketch"))
    install("b", COMMAND.format(name="varnish"))
    app = typer.Typer()
    add_commands(app)
    assert CliRunner().invoke(app, ["varnish"]).stdout == "from varnish\n"
    assert CliRunner().invoke(app, ["sketch"]).stdout == "from sketch\n"


def test_gesso_commands_that_fails_spoils_no_other(install: Install) -> None:
    install("a", COMMAND.format(name="sketch").replace("@app.command()", "1 / 0"))
    install("b", COMMAND.format(name="varnish"))
    install("c", COMMAND.format(name="frame"))
    app = typer.Typer()
    with pytest.warns(PluginWarning, match="plug-in 'a', gesso_commands: ZeroDivisionError"):
        add_commands(app)
    assert [command.callback.__name__ for command in app.registered_commands] == [  # type: ignore[union-attr]
        "varnish",
        "frame",
    ]
