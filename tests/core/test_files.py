"""Atomic writes."""

from __future__ import annotations

import errno
import io
import os
import resource
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from gesso.errors import InputError
from gesso.files import replacing

OLD = b"the old file"


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    path.write_bytes(OLD)
    return path


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that an unprivileged user can reach (pytest's own are private)."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    folder.chmod(0o777)
    shutil.rmtree(folder)


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Root may write anywhere; act as nobody then."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file can grow beyond ``size`` bytes, as on a disk that is nearly full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def only(path: Path) -> bool:
    """Whether nothing but ``path`` is left in its folder."""
    return list(path.parent.iterdir()) == [path]


def test_new_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "new.bin"
    with replacing(path) as temporary:
        temporary.write_bytes(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert only(path)


def test_existing_file_is_old_until_the_block_ends(destination: Path) -> None:
    with replacing(str(destination)) as temporary:
        temporary.write_bytes(b"new")
        assert destination.read_bytes() == OLD
    assert destination.read_bytes() == b"new"
    assert only(destination)


def test_temporary_lies_beside_with_the_same_suffix(destination: Path) -> None:
    with replacing(destination) as temporary:
        assert temporary.parent == destination.parent
        assert temporary.suffix == ".png"
        assert temporary != destination
        Image.new("RGB", (3, 2)).save(temporary)
    with Image.open(destination) as image:
        assert image.size == (3, 2)


def test_relative_name_without_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with replacing("x.txt") as temporary:
        temporary.write_text("x")
    assert (tmp_path / "x.txt").read_text() == "x"


@pytest.mark.parametrize("raised", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_failure_keeps_the_old_file_and_leaves_no_other(
    destination: Path, raised: type[BaseException]
) -> None:
    with pytest.raises(raised), replacing(destination) as temporary:
        temporary.write_bytes(b"half")
        raise raised
    assert destination.read_bytes() == OLD
    assert only(destination)


def test_failure_of_a_new_file_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), replacing(tmp_path / "new") as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_failed_rename_keeps_the_old_file(
    destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: object, target: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError), replacing(destination) as temporary:
        temporary.write_bytes(b"new")
    monkeypatch.undo()
    assert destination.read_bytes() == OLD
    assert only(destination)


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o660, 0o755])
def test_permission_bits_of_an_existing_file_are_kept(destination: Path, mode: int) -> None:
    destination.chmod(mode)
    with replacing(destination) as temporary:
        # No bit that the destination does not grant, even while it is written.
        assert stat.S_IMODE(temporary.stat().st_mode) & ~mode == 0
        temporary.write_bytes(b"new")
    assert stat.S_IMODE(destination.stat().st_mode) == mode


def test_new_file_has_the_permission_bits_of_open(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    with replacing(tmp_path / "new"):
        pass
    assert (tmp_path / "new").stat().st_mode == plain.stat().st_mode


def test_symlink_stays_and_its_destination_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "a.png", tmp_path / "link.png"
    real.write_bytes(OLD)
    link.symlink_to(Path("real") / "a.png")
    with replacing(link) as temporary:
        assert temporary.parent == real.parent
        temporary.write_bytes(b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


def test_dangling_symlink_creates_what_it_points_to(tmp_path: Path) -> None:
    link = tmp_path / "link.png"
    link.symlink_to("later.png")
    with replacing(link) as temporary:
        temporary.write_bytes(b"new")
    assert link.is_symlink()
    assert (tmp_path / "later.png").read_bytes() == b"new"


def refused(path: str | os.PathLike[str]) -> str:
    """The one-line message with which ``path`` is refused before the block runs."""
    with pytest.raises(InputError) as caught, replacing(path):
        pytest.fail("the block ran")
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_folder_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path) == f"cannot write {tmp_path}: it is a folder; name a file in it"


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "no" / "a.png"
    assert refused(path).startswith(f"cannot write {path}: No such file")
    assert refused(path).endswith("create its folder first")


def test_file_as_folder_is_refused(destination: Path) -> None:
    assert "create its folder first" in refused(destination / "a.png")


def test_device_is_refused_and_survives() -> None:
    assert "not an ordinary file" in refused(os.devnull)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_symlink_loop_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert str(tmp_path / "a") in refused(tmp_path / "a")


def test_null_byte_is_refused() -> None:
    assert "mend the name" in refused("a\0b")


def test_name_too_long_is_refused(tmp_path: Path) -> None:
    assert "cannot write" in refused(tmp_path / ("x" * 300))


def test_unwritable_folder_is_refused(public_folder: Path, unprivileged: None) -> None:
    folder = public_folder / "closed"
    folder.mkdir(0o555)
    message = refused(folder / "a.png")
    assert message == (
        f"cannot write {folder / 'a.png'}: Permission denied; "
        "make its folder writable or choose another place"
    )
    assert list(folder.iterdir()) == []


def test_read_only_file_is_refused(public_folder: Path, unprivileged: None) -> None:
    path = public_folder / "a.png"
    path.write_bytes(OLD)
    path.chmod(0o444)
    assert "read-only" in refused(path)
    assert path.read_bytes() == OLD


def test_full_disk_keeps_the_old_file(destination: Path) -> None:
    with (
        largest_file(4096),
        pytest.raises(InputError, match=r"picture\.png: .*; free some space"),
        replacing(destination) as temporary,
    ):
        temporary.write_bytes(bytes(10_000))
    assert destination.read_bytes() == OLD
    assert only(destination)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("missing", [1, 10_000])
def test_full_disk_under_pillow_keeps_the_old_file(
    destination: Path, kind: str, missing: int
) -> None:
    noise = Image.effect_noise((256, 256), 64)
    whole = io.BytesIO()
    noise.save(whole, kind)
    with (
        largest_file(len(whole.getvalue()) - missing),
        pytest.raises(InputError, match="free some space"),
        replacing(destination) as temporary,
    ):
        noise.save(temporary, kind)
    assert destination.read_bytes() == OLD
    assert only(destination)


def test_disk_with_room_left_takes_the_whole_file(destination: Path) -> None:
    with largest_file(4096), replacing(destination) as temporary:
        temporary.write_bytes(bytes(4095))
    assert destination.read_bytes() == bytes(4095)


def test_other_errors_of_the_block_pass_unchanged(destination: Path) -> None:
    error = OSError(errno.EIO, "read failed")
    with pytest.raises(OSError) as caught, replacing(destination):
        raise error
    assert caught.value is error


def test_threads_writing_one_destination_never_mix(destination: Path) -> None:
    def write(letter: bytes) -> None:
        for _ in range(10):
            with replacing(destination) as temporary, temporary.open("wb") as stream:
                for _ in range(10):
                    stream.write(letter * 1000)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    whole = {OLD, b"a" * 10_000, b"b" * 10_000, b"c" * 10_000}
    while any(thread.is_alive() for thread in threads):
        assert destination.read_bytes() in whole
    for thread in threads:
        thread.join()
    assert destination.read_bytes() in whole
    assert only(destination)
