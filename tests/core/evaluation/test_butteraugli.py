"""Butteraugli by libjxl's program: the real one where it is installed, a stand-in elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from gesso.errors import InputError
from gesso.evaluation import butteraugli as module
from gesso.evaluation.butteraugli import butteraugli, missing_butteraugli
from gesso.programs import ProgramError

Pairs = dict[str, tuple[torch.Tensor, torch.Tensor]]
installed = pytest.mark.skipif(missing_butteraugli() is not None, reason=str(missing_butteraugli()))


# butteraugli_main of libjxl 0.7.0, called by hand on PNG files of the pairs
@installed
@pytest.mark.parametrize(
    ("name", "value"), [("astronaut", 6.031606), ("coffee", 6.210355), ("bands", 3.699790)]
)
def test_gives_the_3_norm_of_libjxl(pairs: Pairs, name: str, value: float) -> None:
    assert butteraugli(*pairs[name]).item() == pytest.approx(value, rel=0.05)


@installed
def test_an_equal_picture_is_at_distance_zero(pairs: Pairs) -> None:
    assert butteraugli(pairs["coffee"][0], pairs["coffee"][0]).item() == 0


def stand_in(monkeypatch: pytest.MonkeyPatch, folder: Path, body: str) -> None:
    script = folder / module.PROGRAM
    script.write_text(f"#!{sys.executable}\nimport sys\nfrom PIL import Image\n{body}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_hands_over_the_reference_first_and_every_pixel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    body = """
one, two = (Image.open(name).getpixel((0, 0))[0] for name in sys.argv[1:])
print("99.5\\n3-norm:", one + two / 1000)
"""
    stand_in(monkeypatch, tmp_path, body)
    reference = torch.tensor([10.0, 20.0]).view(2, 1, 1, 1).expand(2, 3, 8, 8) / 255
    picture = torch.tensor([30.0, 40.0]).view(2, 1, 1, 1).expand(2, 3, 8, 8) / 255
    assert butteraugli(reference, picture).tolist() == pytest.approx([10.030, 20.040])


def test_a_program_that_prints_something_else_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pairs: Pairs
) -> None:
    stand_in(monkeypatch, tmp_path, "print('1.5')")
    with pytest.raises(ProgramError, match=r"printed no 3-norm: 1\.5"):
        butteraugli(*pairs["coffee"])


def test_a_missing_program_is_named_with_its_mend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pairs: Pairs
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    reason = "butteraugli_main is not installed; install libjxl-devtools"
    assert str(missing_butteraugli()).startswith(reason)
    with pytest.raises(InputError, match=reason):
        butteraugli(*pairs["coffee"])
