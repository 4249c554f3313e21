"""The runtime finds its device and dtype, or says what there is."""

from __future__ import annotations

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
