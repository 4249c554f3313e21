"""Folders: what is read of them, what is refused and how the message mends it."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    CMStochasticIterativeScheduler,
    DDPMScheduler,
    EDMEulerScheduler,
    FlowMatchEulerDiscreteScheduler,
    LCMScheduler,
)
from safetensors.torch import load_file, save_file

import gesso
from gesso.cards import get_model
from gesso.checkpoints import CheckpointCard, card_of
from gesso.errors import ModelError
from gesso.runtime import Runtime

FP32 = Runtime("cpu", "fp32")


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def output(folder: Path) -> torch.Tensor:
    x = torch.linspace(-1, 1, 3 * 16 * 16).reshape(1, 3, 16, 16)
    with torch.inference_mode():
        out = gesso.load(str(folder), runtime=FP32)(x, torch.tensor([0.2]))
    assert isinstance(out, torch.Tensor)
    return out


def test_a_folder_is_a_model_by_its_path(pixel: Any) -> None:
    folder = pixel(DDPMScheduler())
    card = get_model(str(folder), "prior")
    assert isinstance(card, CheckpointCard)
    assert card.name == str(folder) and card.role == "prior" and card.path.is_file()
    assert card.verify() == folder / "unet" / "diffusion_pytorch_model.safetensors"
    assert set(card.settings["presets"]) == {"fast", "medium", "slow"}
    assert get_model(str(folder), "prior") is card
    with pytest.raises(ModelError, match="is no codec"):
        get_model(str(folder), "codec")


def test_a_relative_path_is_the_same_model(pixel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pixel(EDMEulerScheduler())
    monkeypatch.chdir(folder.parent)
    assert get_model(folder.name, "prior").name == str(folder)


def test_a_consistency_model_is_fast_only(pixel: Any) -> None:
    card = card_of(str(pixel(CMStochasticIterativeScheduler())))
    assert card is not None
    assert dict(card.settings["presets"]) == {"fast": {"steps": 1, "sampler": "one-step"}}


def test_a_name_that_is_no_folder_is_no_checkpoint(tmp_path: Path) -> None:
    assert card_of("prior") is None
    assert card_of(str(tmp_path / "nonesuch")) is None
    with pytest.raises(ModelError, match="no prior named"):
        get_model(str(tmp_path / "nonesuch"), "prior")


def test_a_folder_of_ours_is_one_too(tiny_folder: Path) -> None:
    card = get_model(str(tiny_folder), "prior")
    assert card.name == str(tiny_folder.resolve()) and card.factory == "gesso.denoiser:load_prior"


def test_the_flat_layout_of_old_pipelines(pixel: Any, tmp_path: Path) -> None:
    folder = pixel(DDPMScheduler())
    flat = tmp_path / "flat"
    shutil.copytree(folder / "unet", flat)
    with pytest.raises(ModelError, match=r"has no scheduler_config\.json.*model_index\.json"):
        card_of(str(flat))
    shutil.copy(folder / "scheduler" / "scheduler_config.json", flat)
    assert torch.equal(output(flat), output(folder))
    shutil.copy(folder / "model_index.json", flat)
    assert torch.equal(output(flat), output(folder))


@pytest.mark.parametrize("save", [{"variant": "fp16"}, {"max_shard_size": "8KB"}])
def test_variants_and_shards(pixel: Any, save: dict[str, Any]) -> None:
    expected = output(pixel(DDPMScheduler()))
    shutil.rmtree(pixel(DDPMScheduler()))
    folder = pixel(DDPMScheduler(), save=save)
    card = card_of(str(folder))
    assert isinstance(card, CheckpointCard)
    assert len([f for f in card.files if f.endswith(".safetensors")]) == (
        1 if "variant" in save else len(list((folder / "unet").glob("*.safetensors")))
    )
    torch.testing.assert_close(output(folder), expected)


def test_a_missing_shard_is_named(pixel: Any) -> None:
    folder = pixel(DDPMScheduler(), save={"max_shard_size": "8KB"})
    shard = sorted((folder / "unet").glob("*-00002-of-*.safetensors"))[0]
    shard.unlink()
    with pytest.raises(ModelError, match=f"{shard.name} is missing"):
        card_of(str(folder))
    index = folder / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    change(index, weight_map={"a": "../../elsewhere.safetensors"})
    with pytest.raises(ModelError, match="only safetensors beside it"):
        card_of(str(folder))
    index.write_text("[]")
    with pytest.raises(ModelError, match="no index of shards"):
        card_of(str(folder))


def test_pickles_are_never_loaded(pixel: Any) -> None:
    folder = pixel(DDPMScheduler(), save={"safe_serialization": False})
    assert list((folder / "unet").glob("*.bin"))
    with pytest.raises(ModelError, match=r"pickle.*never loaded; convert it with the package"):
        card_of(str(folder))


def test_another_file_is_another_digest(pixel: Any) -> None:
    folder = pixel(DDPMScheduler())
    first = card_of(str(folder))
    assert first is not None
    for name in ("unet/config.json", "scheduler/scheduler_config.json"):
        change(folder / name, _class_note="changed")
        with pytest.raises(ModelError, match="has changed"):
            first.verify()
        again = card_of(str(folder))
        assert again is not None and again.sha256 != first.sha256
        first = again


@pytest.mark.parametrize(
    ("file", "content", "word"),
    [
        ("model_index.json", "{", "cannot be read"),
        ("model_index.json", "[]", "no JSON object"),
        ("unet/config.json", "", "cannot be read"),
        ("scheduler/scheduler_config.json", "null", "no JSON object"),
    ],
)
def test_damaged_configs_are_named(pixel: Any, file: str, content: str, word: str) -> None:
    folder = pixel(DDPMScheduler())
    (folder / file).write_text(content)
    with pytest.raises(ModelError, match=rf"{file}.*{word}.*download it anew"):
        card_of(str(folder))


def test_a_pipeline_of_other_parts_is_named(pixel: Any) -> None:
    folder = pixel(DDPMScheduler())
    index = folder / "model_index.json"
    change(
        index,
        _class_name="FluxPipeline",
        transformer=["diffusers", "FluxTransformer2DModel"],
        text_encoder_2=["transformers", "T5EncoderModel"],
    )
    with pytest.raises(ModelError, match=r"FluxPipeline with .*FluxTransformer2DModel"):
        card_of(str(folder))
    index.write_text('{"_class_name": "LDMPipeline", "vqvae": ["diffusers", "VQModel"]}')
    with pytest.raises(ModelError, match=r"LDMPipeline with vqvae \(VQModel\)"):
        card_of(str(folder))


def test_a_network_of_another_class_is_named(pixel: Any) -> None:
    folder = pixel(DDPMScheduler())
    change(folder / "unet" / "config.json", _class_name="UNet1DModel")
    with pytest.raises(ModelError, match="holds a UNet1DModel; gesso runs UNet2DModel"):
        card_of(str(folder))


@pytest.mark.parametrize("scheduler", [LCMScheduler(), FlowMatchEulerDiscreteScheduler()])
def test_schedulers_of_other_families_are_named(pixel: Any, scheduler: Any) -> None:
    with pytest.raises(ModelError, match=rf"made for {type(scheduler).__name__}"):
        card_of(str(pixel(scheduler)))


def test_an_unknown_prediction_is_named(pixel: Any) -> None:
    folder = pixel(DDPMScheduler())
    change(folder / "scheduler" / "scheduler_config.json", prediction_type="flow_prediction")
    with pytest.raises(ModelError, match="predicts 'flow_prediction'"):
        card_of(str(folder))


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"in_channels": 1, "out_channels": 1}, "denoises 1 channels where RGB pictures have 3"),
        ({"in_channels": 9, "out_channels": 3}, "denoises 9 channels.*inpainting"),
        ({"out_channels": 4}, "gives 4 channels for 3"),
        ({"num_class_embeds": 10}, r'class-conditional.*"class_label": N.*\[0, 9\]'),
        ({"class_embed_type": "timestep"}, "embeds 'timestep' as its class"),
        ({"time_embedding_type": "fourier"}, "embeds noise levels"),
    ],
)
def test_networks_that_want_more_are_refused(pixel: Any, config: dict[str, Any], word: str) -> None:
    folder = pixel(DDPMScheduler(), **config)
    with pytest.raises(ModelError, match=word) as caught:
        gesso.load(str(folder), runtime=FP32)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("change_to", "word"),
    [
        ({"attention_legacy_order": True}, "states attention_legacy_order.*does not know"),
        ({"time_embedding_type": "adm"}, "do not fit their config"),
        ({"block_out_channels": [8, 32]}, "do not fit their config"),
        ({"add_attention": False}, "unexpected keys"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    pixel: Any, change_to: dict[str, Any], word: str
) -> None:
    folder = pixel(DDPMScheduler())
    change(folder / "unet" / "config.json", **change_to)
    with pytest.raises(ModelError, match=word):
        gesso.load(str(folder), runtime=FP32)


def test_a_missing_tensor_is_named(pixel: Any) -> None:
    folder = pixel(DDPMScheduler())
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    del tensors["conv_out.bias"]
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(ModelError, match=r"1 missing keys, such as conv_out\.bias"):
        gesso.load(str(folder), runtime=FP32)


@pytest.mark.parametrize("damage", ["cut", "text"])
def test_damaged_weights_are_refused(pixel: Any, damage: str) -> None:
    folder = pixel(DDPMScheduler())
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-50] if damage == "cut" else b"version https://git-lfs")
    with pytest.raises(ModelError, match="do not fit their config"):
        gesso.load(str(folder), runtime=FP32)


@pytest.mark.parametrize(
    ("wishes", "word"),
    [
        ('{"colour": 1}', "colour.*may hold class_label, prompt, noise_scale, presets"),
        ('{"class_label": "cat"}', "class_label must be a whole number"),
        ('{"noise_scale": 0}', "noise_scale must be a positive"),
        ('{"presets": {"medium": {"steps": 0}}}', "preset 'medium'"),
        ('{"presets": {"swift": {"steps": 3}}}', "preset 'swift'"),
        ("{", "cannot be read"),
    ],
)
def test_bad_wishes_are_named(pixel: Any, wishes: str, word: str) -> None:
    folder = pixel(DDPMScheduler())
    (folder / "gesso.json").write_text(wishes)
    with pytest.raises(ModelError, match=rf"gesso\.json.*{word}"):
        card_of(str(folder))


def test_wishes_reach_the_card(pixel: Any) -> None:
    folder = pixel(DDPMScheduler())
    plain = card_of(str(folder))
    (folder / "gesso.json").write_text('{"noise_scale": 1.5, "presets": {"fast": {"steps": 4}}}')
    card = card_of(str(folder))
    assert plain is not None and card is not None and card.sha256 != plain.sha256
    assert card.settings["noise_scale"] == {"decoded": 1.5, "posterior_mean": 1.5}
    assert card.settings["presets"] == {"fast": {"steps": 4}}


def test_a_class_that_nobody_asked_about_is_refused(pixel: Any) -> None:
    folder = pixel(DDPMScheduler())
    (folder / "gesso.json").write_text('{"class_label": 1}')
    with pytest.raises(ModelError, match="has no classes"):
        gesso.load(str(folder), runtime=FP32)


def test_a_folder_opens_no_connection(pixel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    folder = pixel(DDPMScheduler())

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a connection was asked for")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("hf_hub_download", "snapshot_download", "HfApi"):
        monkeypatch.setattr(huggingface_hub, name, refuse)
    assert output(folder).shape == (1, 3, 16, 16)
    with pytest.raises(ModelError, match="a connection was asked for"):
        get_model("hf:owner/name", "prior")
