"""register() and unregister(): idle, Pillow does what it always did."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image, ImageFile

import pillow_gesso
from gesso.errors import InputError
from gesso_hooks import hosts

Photo = Callable[..., Image.Image]
Encoded = Callable[..., bytes]
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F")


def tables() -> list[dict[Any, Any] | list[Any]]:
    there = (Image.OPEN, Image.SAVE, Image.SAVE_ALL, Image.EXTENSION, Image.MIME)
    return [Image.ID.copy(), *(table.copy() for table in there)]


def outcome(encoded: Encoded, image: Image.Image, name: str, **params: Any) -> bytes | str:
    try:
        return encoded(image, name, **params)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def everything(photo: Photo, encoded: Encoded) -> dict[tuple[str, str, bool], bytes | str]:
    """Every format in every mode, single and with all frames."""
    stamps = {"creationDate": time.gmtime(0), "modDate": time.gmtime(0)}  # PDF's clock
    return {
        (name, mode, all_frames): outcome(
            encoded, photo("L").convert(mode), name, save_all=all_frames, **stamps
        )
        for name in Image.SAVE
        if name != "GSL"  # ours, and not there before
        for mode in MODES
        for all_frames in (False, True)
        if not all_frames or name in Image.SAVE_ALL
    }


def test_idle_every_save_has_the_stock_bytes(photo: Photo, encoded: Encoded) -> None:
    Image.init()
    before = everything(photo, encoded)
    pillow_gesso.register()
    during = everything(photo, encoded)
    pillow_gesso.unregister()
    assert during == before
    assert sum(isinstance(saved, bytes) for saved in before.values()) > 100


def test_idle_every_option_has_the_stock_bytes(photo: Photo, encoded: Encoded) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    cases: list[tuple[str, dict[str, Any]]] = [
        ("JPEG", {"quality": 12, "optimize": True, "exif": exif, "subsampling": 0}),
        ("JPEG", {"quality": "web_low", "progressive": True, "comment": b"c"}),
        ("WEBP", {"lossless": True, "exact": True}),
        ("WEBP", {"quality": 30.5, "method": 6, "save_all": True, "append_images": [photo()]}),
        ("AVIF", {"quality": 40, "speed": 9, "append_images": [photo(seed=1)]}),
        ("PNG", {"compress_level": 1}),
        ("TIFF", {"compression": "jpeg", "save_all": True, "append_images": [photo()]}),
        ("GIF", {"save_all": True, "append_images": [photo(seed=1)], "duration": 40}),
    ]
    before = [outcome(encoded, photo(), name, **params) for name, params in cases]
    assert all(isinstance(saved, bytes) for saved in before)
    pillow_gesso.register()
    assert [outcome(encoded, photo(), name, **params) for name, params in cases] == before


def test_unregister_restores_exactly_what_was_there() -> None:
    Image.init()
    before, save = tables(), Image.Image.save
    pillow_gesso.register()
    assert Image.Image.save is not save
    pillow_gesso.register()
    during = tables()
    pillow_gesso.register()
    assert tables() == during
    pillow_gesso.unregister()
    assert tables() == before
    assert all(a is b for a, b in zip(Image.OPEN.values(), before[1].values(), strict=True))  # type: ignore[union-attr]
    assert Image.Image.save is save
    pillow_gesso.unregister()
    assert tables() == before


def test_only_opening_changes_and_gsl_comes_after_the_stock_formats() -> None:
    Image.init()
    before: Any = tables()
    pillow_gesso.register()
    after: Any = tables()
    assert after[0] == [*before[0], "GSL"]
    new = [
        {k: t[k] for k in t.keys() - b.keys()} for b, t in list(zip(before, after, strict=True))[1:]
    ]
    enhanced = {f"ENHANCED-{name}" for name in ("JPEG", "WEBP", "AVIF", "GSL")}
    assert set(new[0]) == enhanced | {"GSL"}
    assert not enhanced & set(Image.ID)
    assert list(new[1]) == ["GSL"] and not new[2]
    assert new[3:] == [{".gsl": "GSL"}, {"GSL": "image/x-gesso-latent"}]
    for was, now in zip(before[2:], after[2:], strict=True):
        assert was.items() <= now.items()


def test_others_may_wrap_us_and_keep_working(
    plug: Callable[..., Any], photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.preinit()
    monkeypatch.setattr(Image.Image, "save", Image.Image.save)  # to be undone to stock
    monkeypatch.setitem(Image.OPEN, "JPEG", Image.OPEN["JPEG"])
    pillow_gesso.register()
    model = plug(lambda frame: frame)
    ours, (factory, accept) = Image.Image.save, Image.OPEN["JPEG"]
    called = []

    def save(self: Image.Image, *args: Any, **params: Any) -> None:
        called.append("save")
        ours(self, *args, **params)

    def opener(fp: Any, filename: str | bytes) -> ImageFile.ImageFile:
        called.append("open")
        return factory(fp, filename)

    monkeypatch.setattr(Image.Image, "save", save)
    monkeypatch.setitem(Image.OPEN, "JPEG", (opener, accept))
    pillow_gesso.unregister()
    assert Image.Image.save is save
    assert Image.OPEN["JPEG"] == (opener, accept)
    stream = io.BytesIO()
    photo().save(stream, "JPEG", preprocess=True)  # as stock Pillow: ignored
    Image.open(stream).load()
    assert called == ["save", "open"]
    assert not model.asked

    # Registered anew on top of what is there, each picture is treated once.
    with pillow_gesso.using(enhance=True):
        photo().save(stream, "JPEG", preprocess=True)
        Image.open(stream).load()
    assert called == ["save", "open"] * 2
    assert len(model.asked) == 2
    pillow_gesso.unregister()
    assert Image.Image.save is save


def test_import_and_discovery_need_neither_pillow_nor_torch() -> None:
    script = (
        "import sys, pillow_gesso, pillow_gesso.plugin; "
        "assert not {'PIL', 'torch', 'numpy'} & set(sys.modules), sorted(sys.modules); "
        "assert pillow_gesso.__all__ == sorted(pillow_gesso.__all__) == dir(pillow_gesso); "
        "pillow_gesso.register(); assert 'torch' not in sys.modules; "
        "from PIL import Image; "
        "stock = ['BMP', 'DIB', 'GIF', 'JPEG', 'PPM', 'PNG', 'WEBP', 'AVIF']; "
        "assert Image.ID == [*stock, 'GSL'], Image.ID; "
        "Image.new('L', (8, 8)).save('/dev/null', 'JPEG'); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_public_names_are_pinned() -> None:
    assert pillow_gesso.__all__ == [
        "Enhance", "Latent", "Preprocess", "Repair", "register", "unregister", "using",
    ]  # fmt: skip
    assert all(hasattr(pillow_gesso, name) for name in pillow_gesso.__all__)
    with pytest.raises(AttributeError, match="unheard"):
        _ = pillow_gesso.unheard


def test_the_host_registers_and_unregisters() -> None:
    host = hosts()["pillow"]
    assert (host.needs, host.extra, host.installed) == ("PIL", "pillow", True)
    host.register()
    assert "ENHANCED-JPEG" in Image.OPEN
    host.unregister()
    assert "ENHANCED-JPEG" not in Image.OPEN


def test_register_checks_what_it_is_given() -> None:
    with pytest.raises(InputError, match="enhance must be True, False, a preset's name"):
        pillow_gesso.register(enhance=3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="preset must be one of fast, medium, slow"):
        pillow_gesso.register(enhance="best")
    with pytest.raises(InputError, match="latent must be a Latent, got 64"):
        pillow_gesso.register(latent=64)  # type: ignore[arg-type]
    assert "ENHANCED-JPEG" not in Image.OPEN
