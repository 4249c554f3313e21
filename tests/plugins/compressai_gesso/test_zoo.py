"""CompressAI's own architectures, from checkpoints in exactly its format, on this machine."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from compressai_gesso.codecs import ZOO, ZooCodec
from compressai_gesso.container import unpack
from compressai_gesso.library import library
from gesso.errors import ModelError

# N and M of the architectures, as small as they go.
TINY: dict[str, tuple[int, ...]] = {
    "bmshj2018-factorized": (8, 12),
    "bmshj2018-hyperprior": (8, 12),
    "mbt2018-mean": (8, 12),
    "mbt2018": (8, 12),
    "cheng2020-anchor": (8,),
    "cheng2020-attn": (8,),
}


def zoo_file(architecture: str, quality: int) -> str:
    """The name of a checkpoint in CompressAI's zoo."""
    url: str = library("zoo.image").model_urls[architecture]["mse"][quality]
    return url.rsplit("/", 1)[-1]


def zoo_network(architecture: str) -> Any:
    """A tiny network with random weights and the entropy coder's tables."""
    torch.manual_seed(0)
    network = library("zoo.image").model_architectures[architecture](*TINY[architecture])
    network.update(force=True)
    return network.eval()


def test_all_of_the_zoo_is_there() -> None:
    """Names and qualities, except the one that the zoo itself spells two ways."""
    urls = library("zoo.image").model_urls
    assert {codec.name for codec in ZOO} == set(TINY) == set(urls)
    for codec in ZOO:
        assert codec.qualities == (1, max(urls[codec.name]["mse"]))


@pytest.mark.parametrize("codec", ZOO, ids=lambda codec: codec.name)
def test_a_checkpoint_in_the_hub_s_cache_is_a_codec(
    codec: ZooCodec, hub: Path, photo: Image.Image
) -> None:
    """The pixels are those of CompressAI's own compress and decompress."""
    network = zoo_network(codec.name)
    torch.save(network.state_dict(), hub / zoo_file(codec.name, 2))
    data = codec.encode(photo, 2)
    decoded = codec.decode(data)
    assert decoded.size == photo.size and unpack(data).architecture == codec.name
    padded = np.pad(np.asarray(photo), ((0, 48), (0, 32), (0, 0)), "edge")
    x = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        coded = network.compress(x)
        expected = network.decompress(coded["strings"], coded["shape"])["x_hat"]
    assert [len(part[0]) for part in coded["strings"]] == [len(s) for s in unpack(data).strings]
    pixels = np.asarray(decoded) / 255
    expected = expected[0, :, :80, :96].permute(1, 2, 0).numpy()
    assert abs(pixels - expected).max() < 0.503 / 255


def test_a_folder_of_the_user_s_is_looked_into(
    hub: Path, tmp_path: Path, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = ZOO[0]
    named, given = tmp_path / "named", tmp_path / "given"
    for folder in (named, given):
        folder.mkdir()
    # As training scripts save it: nested, and without the entropy coder's tables.
    network = library("zoo.image").model_architectures[codec.name](8, 12)
    torch.save({"state_dict": network.state_dict(), "epoch": 3}, named / zoo_file(codec.name, 1))
    monkeypatch.setenv("GESSO_COMPRESSAI", str(named))
    data = codec.encode(photo, 1)
    assert codec.decode(data).size == photo.size
    torch.save(zoo_network(codec.name).state_dict(), given / zoo_file(codec.name, 1))
    first = ZooCodec(codec.name, codec.qualities, codec.anchors, folder=str(given))
    assert unpack(first.encode(photo, 1)).weights != unpack(data).weights


def test_missing_weights_and_the_mend_are_named(hub: Path, photo: Image.Image) -> None:
    codec = next(codec for codec in ZOO if codec.name == "cheng2020-attn")
    with pytest.raises(ModelError) as caught:
        codec.encode(photo, 6)
    said = str(caught.value)
    for part in ("cheng2020_attn-mse-6-730501f2.pth.tar", str(hub), "GESSO_COMPRESSAI"):
        assert part in said
    assert "the codec 'hyperprior', which needs none" in said


class Evil:
    """What an unrestricted unpickler would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('unpickled')",)


@pytest.mark.parametrize("kind", ["text", "cut", "evil", "other", "nothing"])
def test_damaged_and_foreign_checkpoints_are_refused(
    kind: str, hub: Path, photo: Image.Image
) -> None:
    codec, path = ZOO[0], hub / zoo_file(ZOO[0].name, 3)
    if kind == "text":
        path.write_text("no checkpoint")
    if kind == "cut":
        torch.save(zoo_network(codec.name).state_dict(), path)
        path.write_bytes(path.read_bytes()[:999])
    if kind == "evil":
        path.write_bytes(pickle.dumps(Evil(), protocol=2))
    if kind == "other":
        torch.save(zoo_network("cheng2020-anchor").state_dict(), path)
    if kind == "nothing":
        torch.save([1, 2], path)
    with pytest.raises(ModelError, match="holds no weights of 'bmshj2018-factorized'"):
        codec.encode(photo, 3)
