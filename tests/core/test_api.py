"""The public face: pinned names, and an import that waits for nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import gesso


def test_the_public_names_are_pinned() -> None:
    assert gesso.__all__ == [
        "Codec",
        "EnhanceOptions",
        "Frame",
        "GessoError",
        "InputError",
        "LatentCodec",
        "ModelCard",
        "ModelError",
        "PreprocessOptions",
        "RepairOptions",
        "Runtime",
        "Target",
        "__version__",
        "enhance",
        "load",
        "models",
        "preprocess",
    ]
    assert dir(gesso) == sorted(gesso.__all__)


@pytest.mark.parametrize("name", gesso.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(gesso, name)
    assert name == "__version__" or value.__doc__


def test_operations_stay_callable_whatever_was_imported_first() -> None:
    code = "import gesso.enhancer, gesso.preprocessor, gesso; assert callable(gesso.enhance)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_names_raise() -> None:
    with pytest.raises(AttributeError, match="'gesso' has no attribute 'paint'"):
        _ = gesso.paint  # type: ignore[attr-defined]


def test_importing_gesso_waits_for_nothing_heavy() -> None:
    code = (
        "import sys, gesso; gesso.InputError; "
        "heavy = {'torch', 'numpy', 'PIL', 'diffusers'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
