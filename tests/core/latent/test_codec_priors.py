"""Which prior repairs which autoencoder's latents, in the codec and in its command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMPipeline
from PIL import Image
from safetensors.torch import save_file
from skimage import data
from tests.core.checkpoints.conftest import tiny_controlnet, tiny_unet, write_latent
from tests.core.conftest import own_autoencoder
from typer.testing import CliRunner

from gesso import cards
from gesso.cards import get_model
from gesso.errors import ModelError
from gesso.latent.codec import LatentCodec
from gesso.latent.repair import RepairOptions
from gesso.runtime import Runtime
from gesso_cli.app import build

from .conftest import own_prior

FP32 = Runtime("cpu", "fp32")
PHOTO = Image.fromarray(data.astronaut()[20:84, 160:240])
REPAIR = RepairOptions(steps=2, strength=0.3, start=0.5)


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "_registry", {})


def write_stable(folder: Path) -> Path:
    """A Stable Diffusion folder with the embedding of its prompt."""
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False
    )
    place = write_latent(folder, scheduler)
    prompt = torch.randn(1, 7, 12, generator=torch.Generator().manual_seed(4))
    save_file({"prompt_embeds": prompt}, place / "prompt_embeds.safetensors")
    return place


@pytest.fixture
def stable(tmp_path: Path) -> Path:
    return write_stable(tmp_path / "sd")


@pytest.fixture
def controlnet(tmp_path: Path) -> Path:
    tiny_controlnet().save_pretrained(tmp_path / "canny")
    return tmp_path / "canny"


def test_a_stable_diffusion_folder_codes_and_repairs(stable: Path, controlnet: Path) -> None:
    plain = LatentCodec(str(stable), runtime=FP32)
    file = plain.encode(PHOTO, 32)
    repaired = replace(plain, prior=str(stable), repair=REPAIR)
    edged = replace(repaired, controlnet=str(controlnet), repair=replace(REPAIR, edges=1.0))
    shown = [np.asarray(codec.decode(file)).astype(int) for codec in (plain, repaired, edged)]
    assert {picture.shape for picture in shown} == {(64, 80, 3)}
    assert np.abs(shown[0] - shown[1]).max() > 0 and np.abs(shown[1] - shown[2]).max() > 0


def test_the_prior_alone_tells_whose_file_it_is(stable: Path) -> None:
    file = LatentCodec(str(stable), runtime=FP32).encode(PHOTO, 32)
    cards._registry.clear()
    codec = LatentCodec(prior=str(stable), runtime=FP32)
    assert codec.autoencoder(codec.unpacked(file).header).name == str(stable / "vae")
    assert codec.decode(file).size == PHOTO.size


def test_the_command_decodes_by_such_a_folder(
    stable: Path, controlnet: Path, tmp_path: Path
) -> None:
    source, out = tmp_path / "a.gsl", tmp_path / "a.png"
    source.write_bytes(LatentCodec(str(stable), runtime=FP32).encode(PHOTO, 32))
    wish = ("--prior", stable, "--controlnet", controlnet, "--steps", 2, "--device", "cpu")
    result = CliRunner().invoke(build(), [str(a) for a in ("decode", source, "-o", out, *wish)])
    assert result.exit_code == 0, result.output
    with Image.open(out) as found:
        assert found.size == PHOTO.size


def _other_autoencoder(root: Path) -> Path:
    own_autoencoder(root / "other", seed=1)
    return own_prior(root / "of-other", get_model(str(root / "other"), "autoencoder"))


def _stable(root: Path) -> Path:
    return write_stable(root / "theirs")


def _pixels(root: Path) -> Path:
    DDPMPipeline(unet=tiny_unet(), scheduler=DDIMScheduler()).save_pretrained(root / "pixels")
    return root / "pixels"


def _shipped(root: Path) -> Path:
    return Path("prior")


@pytest.mark.parametrize(
    ("prior", "says"),
    [
        (_other_autoencoder, "of-other' models the latents of .*other', and these are of .*own'"),
        (_stable, "theirs' models the latents of .*vae', and these are of"),
        (_pixels, "models pixels, not the latents"),
        (_shipped, "does not say whose latents it models, if any"),
    ],
)
def test_another_prior_is_refused(tmp_path: Path, prior: Callable[[Path], Path], says: str) -> None:
    own_autoencoder(tmp_path / "own")
    codec = LatentCodec(str(tmp_path / "own"), runtime=FP32)
    file = codec.encode(PHOTO, 16)
    wrong = replace(codec, prior=str(prior(tmp_path)), repair=REPAIR)
    with pytest.raises(ModelError, match=says):
        wrong.decode(file)
