"""register() and unregister(): idle, ImageIO does what it always did."""

from __future__ import annotations

import builtins
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from imageio.config import known_extensions, known_plugins
from imageio.config.plugins import PluginConfig

import imageio_gesso
from gesso.errors import InputError
from gesso_hooks import Host
from imageio_gesso.plugin import gesso_hosts


def test_it_stands_last_and_no_extension_leads_to_it() -> None:
    names = list(known_plugins)
    extensions = {
        key: [(known.name, list(known.priority)) for known in value]
        for key, value in known_extensions.items()
    }
    imageio_gesso.register()
    imageio_gesso.register()
    assert list(known_plugins) == [*names, "gesso"]
    assert extensions == {
        key: [(known.name, list(known.priority)) for known in value]
        for key, value in known_extensions.items()
    }
    imageio_gesso.unregister()
    imageio_gesso.unregister()
    assert list(known_plugins) == names


def test_without_plugin_nothing_changes(model: Any, coded: Callable[..., bytes]) -> None:
    data = coded(".jpg", quality=30)
    pixels = iio.imread(data)
    imageio_gesso.unregister()
    assert np.array_equal(iio.imread(data), pixels)
    with pytest.raises(ValueError, match="`gesso` is not a registered plugin name"):
        iio.imread(data, plugin="gesso")
    assert not model.asked


def test_what_no_plug_in_opens_has_imageio_s_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no picture")
    # In a process of its own: ImageIO imports, and warns of, all plug-ins that there are.
    script = (
        "import imageio.v3 as iio, imageio_gesso, sys\n"
        "if sys.argv[1:]: imageio_gesso.register()\n"
        "try: iio.imread('a.txt')\n"
        "except OSError as error: print(error)"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", script, *arguments],
            check=True,
            capture_output=True,
            text=True,
            cwd=tmp_path,
        ).stdout
        for arguments in ([], ["register"])
    ]
    assert said[0] == said[1] and said[0].startswith("Could not find a backend")


def test_another_plug_in_of_that_name_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    other = PluginConfig(name="gesso", class_name="Other", module_name="other")
    monkeypatch.setitem(known_plugins, "gesso", other)
    with pytest.raises(InputError, match="another plug-in named 'gesso' already; take it out"):
        imageio_gesso.register()
    imageio_gesso.unregister()
    assert known_plugins["gesso"] is other


def test_without_imageio_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found: Any = builtins.__import__

    def absent(name: str, *rest: Any, **kwargs: Any) -> Any:
        if name.startswith("imageio.config"):
            raise ImportError("No module named 'imageio'")
        return found(name, *rest, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(InputError, match=r"run: pip install 'gesso\[imageio\]'"):
        imageio_gesso.register()


def test_import_and_discovery_need_neither_imageio_nor_torch() -> None:
    script = (
        "import sys, imageio_gesso, imageio_gesso.plugin; "
        "imageio_gesso.plugin.gesso_hosts()[0].installed; "
        "assert not {'imageio', 'PIL', 'torch', 'numpy'} & set(sys.modules), sorted(sys.modules); "
        "assert imageio_gesso.__all__ == sorted(imageio_gesso.__all__) == dir(imageio_gesso); "
        "imageio_gesso.register(); import imageio.v3 as iio, numpy; "
        "x = numpy.zeros((8, 8), numpy.uint8); "
        "iio.imread(iio.imwrite('<bytes>', x, plugin='gesso', extension='.jpg'), plugin='gesso'); "
        "assert 'torch' not in sys.modules and 'av' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_public_names_are_pinned() -> None:
    names = ["Enhance", "Latent", "Preprocess", "Repair", "register", "unregister"]
    assert imageio_gesso.__all__ == names
    assert all(hasattr(imageio_gesso, name) for name in imageio_gesso.__all__)
    with pytest.raises(AttributeError, match="unheard"):
        _ = imageio_gesso.unheard


def test_the_host_registers_and_unregisters() -> None:
    [host] = gesso_hosts()
    assert isinstance(host, Host)
    assert (host.name, host.needs, host.extra, host.installed) == (*["imageio"] * 3, True)
    host.register()
    assert "gesso" in known_plugins
    host.unregister()
    assert "gesso" not in known_plugins
