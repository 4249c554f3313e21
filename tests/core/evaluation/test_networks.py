"""Networks are built once for each device, and serve as losses."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from gesso.evaluation import networks
from gesso.evaluation.networks import on_device

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def nothing_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "_built", {})


def test_threads_that_ask_at_once_share_one_network() -> None:
    built: list[int] = []

    def build() -> torch.nn.Module:
        built.append(1)
        time.sleep(0.05)
        return torch.nn.Linear(2, 2)

    found: list[torch.nn.Module] = []
    threads = [
        threading.Thread(target=lambda: found.append(on_device(build, CPU))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    assert len(found) == 4
    assert all(network is found[0] for network in found)


def test_what_is_built_in_inference_mode_is_frozen_yet_lets_slopes_through() -> None:
    def build() -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.5))

    with torch.inference_mode():
        network = on_device(build, CPU)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    x = torch.ones(1, 2, requires_grad=True)
    (slope,) = torch.autograd.grad(network(x).sum(), x)
    assert slope.abs().max() > 0


def test_building_leaves_the_random_numbers_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(4)
    torch.manual_seed(7)
    on_device(lambda: torch.nn.Linear(8, 8), CPU)
    assert torch.equal(torch.rand(4), expected)


def test_a_failure_is_not_remembered() -> None:
    ready = False

    def build() -> torch.nn.Module:
        if not ready:
            raise OSError("not yet")
        return torch.nn.Linear(2, 2)

    with pytest.raises(OSError, match="not yet"):
        on_device(build, CPU)
    ready = True
    assert on_device(build, CPU) is on_device(build, CPU)
