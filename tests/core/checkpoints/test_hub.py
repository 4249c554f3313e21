"""``hf:owner/name``: what would be fetched, with a hub that is a folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from diffusers import DDPMScheduler

import gesso.checkpoints.hub as hub
from gesso.cards import get_model
from gesso.errors import ModelError

# Laid out as Stable Diffusion's repositories are, with single files and pickles beside.
STABLE = [
    "README.md",
    "feature_extractor/preprocessor_config.json",
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.fp16.safetensors",
    "text_encoder/model.safetensors",
    "text_encoder/pytorch_model.bin",
    "tokenizer/merges.txt",
    "tokenizer/special_tokens_map.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.bin",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
    "v2-1_768-ema-pruned.safetensors",
    "v2-1_768-nonema-pruned.ckpt",
    "vae/config.json",
    "vae/diffusion_pytorch_model.fp16.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
]


@pytest.fixture(autouse=True)
def afresh() -> Iterator[None]:
    hub.fetch.cache_clear()
    yield
    hub.fetch.cache_clear()


class Folder:
    """Stands in for the hub: one repository, which is a folder here."""

    def __init__(self, folder: Path, place: Path) -> None:
        self.folder, self.place, self.asked = folder, place, 0
        self.fetched: list[str] = []

    def files(self) -> list[str]:
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return [str(path.relative_to(self.folder)) for path in paths]

    def list_repo_files(self, repo: str, *, revision: str | None) -> list[str]:
        self.asked += 1
        if repo != "owner/name" or revision not in (None, "v1"):
            raise OSError("404")
        return self.files()

    def snapshot_download(
        self,
        repo: str,
        *,
        revision: str | None,
        allow_patterns: list[str] | None = None,
        local_files_only: bool = False,
    ) -> str:
        if local_files_only and not self.place.exists():
            raise FileNotFoundError("no snapshot")
        for file in [] if local_files_only else self.files():
            if any(fnmatch(file, pattern) for pattern in allow_patterns or []):
                self.fetched.append(file)
                (self.place / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.folder / file, self.place / file)
        return str(self.place)


@pytest.fixture
def remote(pixel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    import huggingface_hub

    there = Folder(pixel(DDPMScheduler()), tmp_path / "snapshot")
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: there)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", there.snapshot_download)
    return there


def test_a_repository_becomes_a_folder(remote: Folder) -> None:
    unet = remote.folder / "unet"
    (unet / "diffusion_pytorch_model.bin").write_bytes(b"a pickle")
    (remote.folder / "huge.safetensors").write_bytes(b"another layout")
    card = get_model("hf:owner/name", "prior")
    assert card.name == str(remote.place.resolve())
    assert remote.fetched == [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
    ]
    # Once for the whole process, however often it is named.
    get_model("hf:owner/name", "prior")
    assert remote.asked == 1
    assert get_model("hf:owner/name@v1", "prior").name == card.name


def test_without_a_connection_an_earlier_snapshot_serves(
    remote: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> list[str]:
        raise ConnectionError("no route")

    monkeypatch.setattr(remote, "list_repo_files", refuse)
    with pytest.raises(ModelError, match=r"hf:owner/name cannot be had.*no route.*a download"):
        get_model("hf:owner/name", "prior")
    shutil.copytree(remote.folder, remote.place)
    assert get_model("hf:owner/name", "prior").name == str(remote.place.resolve())


def test_names_that_the_hub_cannot_know(remote: Folder) -> None:
    with pytest.raises(ModelError, match="cannot be had from the hub"):
        get_model("hf:owner/other", "prior")
    for name in ("hf:", "hf:name", "hf:a/b/c", "hf:../../x/y z"):
        with pytest.raises(ModelError, match=r"write hf:owner/name"):
            get_model(name, "prior")


def test_one_set_of_weights_of_stable_diffusion_is_needed() -> None:
    assert hub.needed(STABLE, "hf:x/y") == [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/merges.txt",
        "tokenizer/special_tokens_map.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    ]
    stored = hub.needed([*STABLE, "prompt_embeds.safetensors"], "hf:x/y")
    assert "prompt_embeds.safetensors" in stored and "text_encoder/model.safetensors" not in stored


def test_shards_are_fetched_with_their_index() -> None:
    stem = "unet/diffusion_pytorch_model"
    shards = [f"{stem}-0000{i}-of-00002.safetensors" for i in (1, 2)]
    index = f"{stem}.safetensors.index.json"
    needed = hub.needed(["unet/config.json", index, *shards], "hf:x/y")
    assert needed == sorted(["unet/config.json", index, *shards])


def test_a_repository_of_pickles_is_refused_before_anything_is_fetched() -> None:
    files = ["config.json", "diffusion_pytorch_model.bin", "scheduler_config.json"]
    with pytest.raises(ModelError, match=r"hf:x/y has its weights as .*\.bin only, a pickle"):
        hub.needed(files, "hf:x/y")
