"""Finds the plug-ins, loads them one by one, and fills the core's registries.

Two environment variables: ``GESSO_PLUGINS=a,b`` loads only the plug-ins of these
entry-point names (``embedded`` always), ``GESSO_TRACE_PLUGINS=1`` prints every hook call.
"""

from __future__ import annotations

import os
import reprlib
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pluggy

from gesso.cards import ModelCard, register_model
from gesso.codec import Codec, register_codec
from gesso.errors import ModelError
from gesso_hooks import specs
from gesso_hooks.host import Host

if TYPE_CHECKING:
    import typer

    from gesso.evaluation.pipeline import Peer
    from gesso.frame import Frame
    from gesso.options import EnhanceOptions, PreprocessOptions
    from gesso.runtime import Runtime
    from gesso.target import Target

__all__ = [
    "PluginWarning",
    "add_commands",
    "after_decode",
    "before_encode",
    "hosts",
    "load",
    "manager",
    "peers",
]

GROUP = "gesso"
ALWAYS = "embedded"
MEND = "update or uninstall it, or leave it out with GESSO_PLUGINS"

Named = TypeVar("Named", "Host", "Peer")

_lock = threading.RLock()
_manager: pluggy.PluginManager | None = None
_ready = False


class PluginWarning(UserWarning):
    """A plug-in was left out, in whole or in part; the message names it and the mend."""


def load() -> None:
    """Load every plug-in and fill the core's registries; only the first call does work.

    A plug-in that is broken is left out with a :class:`PluginWarning`. Safe to call from
    any thread: all calls return when the plug-ins are there.
    """
    global _manager, _ready
    if _ready:
        return
    with _lock:
        # Another thread was faster, or a plug-in asks while it is being loaded.
        if _manager is not None:
            return
        problems: list[str] = []
        _manager = pluggy.PluginManager(GROUP)
        try:
            _manager.add_hookspecs(specs)
            if os.environ.get("GESSO_TRACE_PLUGINS", "0") not in ("", "0"):
                _manager.add_hookcall_monitoring(_trace_call, _trace_outcome)
            _register_entry_points(_manager, problems)
            _check_pending(_manager, problems)
            _fill_registries(_manager, problems)
        except BaseException:
            _manager = None
            raise
        _ready = True
    _report(problems)


def manager() -> pluggy.PluginManager:
    """pluggy's manager, with every plug-in loaded."""
    load()
    return cast(pluggy.PluginManager, _manager)


def before_encode(
    frame: Frame, target: Target, options: PreprocessOptions, runtime: Runtime | None = None
) -> Frame:
    """The frame to encode, as the plug-ins make it; hosts call this once per picture."""
    hook = manager().hook.gesso_before_encode
    answer = _answered(hook, frame=frame, target=target, options=options, runtime=runtime)
    return cast("Frame", answer)


def after_decode(
    frame: Frame, target: Target | None, options: EnhanceOptions, runtime: Runtime | None = None
) -> Frame:
    """The frame to show, as the plug-ins make it; hosts call this once per picture."""
    hook = manager().hook.gesso_after_decode
    answer = _answered(hook, frame=frame, target=target, options=options, runtime=runtime)
    return cast("Frame", answer)


def hosts() -> dict[str, Host]:
    """The host adapters there are, by name; of two of one name the first loaded stays."""
    return _by_name("gesso_hosts", Host, "host")


def peers() -> dict[str, Peer]:
    """What gesso can be measured against, by name; of two of one name the first loaded stays."""
    from gesso.evaluation.pipeline import Peer

    return _by_name("gesso_peers", Peer, "peer")


def add_commands(app: typer.Typer) -> None:
    """Let every plug-in add its sub-commands to ``app``."""
    problems: list[str] = []
    _ask_each(manager(), "gesso_commands", problems, app=app)
    _report(problems)


def _register_entry_points(manager: pluggy.PluginManager, problems: list[str]) -> None:
    # The order of a folder listing must not decide which plug-in comes first.
    found = sorted(metadata.entry_points(group=GROUP), key=_order)
    names = {entry.name for entry in found}
    listed = os.environ.get("GESSO_PLUGINS")
    wanted = names if listed is None else {name.strip() for name in listed.split(",")} - {""}
    for name in sorted(wanted - names):
        problems.append(
            f"GESSO_PLUGINS names {name!r}, which is not installed; "
            f"there are: {', '.join(sorted(names))}"
        )
    for entry in found:
        if entry.name not in wanted | {ALWAYS}:
            continue
        if manager.has_plugin(entry.name):
            problems.append(f"{_describe(entry)}: another one has that name already; {MEND}")
            continue
        try:
            manager.register(entry.load(), entry.name)
        except Exception as error:
            problems.append(f"{_describe(entry)} is left out: {_one_line(error)}; {MEND}")


def _check_pending(manager: pluggy.PluginManager, problems: list[str]) -> None:
    """Leave out plug-ins with a hook that does not exist; nothing else catches a slip."""
    while True:
        try:
            return manager.check_pending()
        except pluggy.PluginValidationError as error:
            name = manager.get_name(error.plugin)
            slips = [
                caller.name
                for caller in manager.get_hookcallers(error.plugin) or []
                if not caller.has_spec()
            ]
            there = sorted(name for name in vars(specs) if name.startswith(f"{GROUP}_"))
            manager.unregister(error.plugin)
            problems.append(
                f"plug-in {name!r} is left out: no hook is called {', '.join(slips)}; "
                f"there are: {', '.join(there)}"
            )


def _fill_registries(manager: pluggy.PluginManager, problems: list[str]) -> None:
    kinds: tuple[tuple[str, Any, Any], ...] = (
        ("gesso_models", ModelCard, register_model),
        ("gesso_codecs", Codec, register_codec),
    )
    for hook, kind, register in kinds:
        for plugin, answer in _ask_each(manager, hook, problems):
            for item in answer:
                try:
                    if not isinstance(item, kind):
                        raise TypeError(f"{item!r} is not a {kind.__name__}")
                    register(item)
                except Exception as error:
                    problems.append(f"plug-in {plugin!r}, {hook}: {_one_line(error)}; {MEND}")


def _ask_each(
    manager: pluggy.PluginManager, hook: str, problems: list[str], **arguments: object
) -> list[tuple[str, list[Any]]]:
    """What each plug-in answers to a collecting hook; one that fails spoils no other's."""
    answers: list[tuple[str, list[Any]]] = []
    asked = [
        i for i in getattr(manager.hook, hook).get_hookimpls() if not (i.wrapper or i.hookwrapper)
    ]
    for impl in asked:
        caller = manager.subset_hook_caller(hook, [i.plugin for i in asked if i is not impl])
        try:
            answers.append((impl.plugin_name, [x for each in caller(**arguments) for x in each]))
        except Exception as error:
            problems.append(f"plug-in {impl.plugin_name!r}, {hook}: {_one_line(error)}; {MEND}")
    return answers


def _by_name(hook: str, kind: type[Named], noun: str) -> dict[str, Named]:
    """What a collecting hook gives; answers of another kind or a taken name are reported."""
    problems: list[str] = []
    there: dict[str, Named] = {}
    for plugin, answer in _ask_each(manager(), hook, problems):
        for item in answer:
            if not isinstance(item, kind):
                problems.append(f"plug-in {plugin!r}: {item!r} is not a {kind.__name__}; {MEND}")
            elif there.setdefault(item.name, item) != item:
                problems.append(
                    f"plug-in {plugin!r}: there is a {noun} named {item.name!r} already; {MEND}"
                )
    _report(problems, depth=4)
    return there


def _answered(hook: pluggy.HookCaller, **arguments: object) -> object:
    frame = hook(**arguments)
    if frame is None:
        raise ModelError(
            f"no plug-in answered {hook.name}; reinstall gesso, whose plug-in {ALWAYS!r} is missing"
        )
    return frame


def _order(entry: metadata.EntryPoint) -> tuple[bool, str, bool, str]:
    """The core's own first, so that others are asked before it; then by name."""
    distribution = entry.dist.name if entry.dist else ""
    return entry.name != ALWAYS, entry.name, distribution != GROUP, distribution


def _describe(entry: metadata.EntryPoint) -> str:
    origin = f" of {entry.dist.name} {entry.dist.version}" if entry.dist else ""
    return f"plug-in {entry.name!r}{origin}"


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _report(problems: list[str], depth: int = 3) -> None:
    # Last, so that warnings turned into errors find the plug-ins loaded.
    for problem in problems:
        warnings.warn(problem, PluginWarning, stacklevel=depth)


def _trace_call(
    hook: str, impls: Sequence[pluggy.HookImpl], arguments: Mapping[str, object]
) -> None:
    asked = ", ".join(impl.plugin_name for impl in reversed(impls)) or "nobody"
    print(f"gesso: {hook}({', '.join(arguments)}) asks {asked}", file=sys.stderr)


def _trace_outcome(
    outcome: pluggy.Result[Any],
    hook: str,
    impls: Sequence[pluggy.HookImpl],
    arguments: Mapping[str, object],
) -> None:
    gave = outcome.exception or outcome.get_result()
    print(f"gesso: {hook} gave {reprlib.repr(gave)}", file=sys.stderr)
