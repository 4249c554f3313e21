"""The runtime finds its device and dtype, or says what there is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gesso.errors import InputError
from gesso.runtime import Runtime


def test_auto_picks_what_the_machine_has() -> None:
    runtime = Runtime()
    assert runtime.device.type in ("cpu", "cuda", "mps")
    assert runtime.dtype in (torch.float32, torch.bfloat16)


def test_names_win_over_auto() -> None:
    runtime = Runtime("cpu", "fp32")
    assert (runtime.device.type, runtime.dtype) == ("cpu", torch.float32)
    assert Runtime("cpu", "bf16").dtype == torch.bfloat16


@pytest.mark.parametrize("name", ["cuda:99", "toaster"])
def test_a_missing_device_raises_with_the_mend(name: str) -> None:
    with pytest.raises(InputError, match="use 'auto' or 'cpu'"):
        _ = Runtime(name).device


def test_an_unknown_dtype_raises() -> None:
    with pytest.raises(InputError, match="auto, fp32 or bf16"):
        _ = Runtime("cpu", "fp8").dtype


class Twice(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def test_nothing_is_compiled_unless_it_is_asked_for() -> None:
    network = Twice()
    assert Runtime("cpu").prepare(network) is network
    assert network._compiled_call_impl is None


def test_a_network_is_compiled_in_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiler = tmp_path / "compiler"
    compiler.touch(mode=0o755)
    monkeypatch.setenv("CXX", str(compiler))
    network = Twice()
    assert Runtime("cpu", compiled=True).prepare(network) is network
    assert network._compiled_call_impl is not None


@pytest.mark.parametrize("named", ["", "/nowhere/c++"])
def test_a_missing_compiler_is_named_before_it_is_needed(
    monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CXX", named)
    with pytest.raises(InputError, match=r"needs a C\+\+ compiler; install one .* as CXX"):
        Runtime("cpu", compiled=True).prepare(Twice())
