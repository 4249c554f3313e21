"""Which prior does a preset where the user names none, one, or several."""

from __future__ import annotations

from pathlib import Path

import pytest

from gesso.errors import InputError
from gesso.options import PRESETS
from gesso_cli.priors import priors_of


def test_a_preset_is_done_by_what_may_see_decodes_or_by_what_has_not() -> None:
    for free, name in ((False, "consistency-decoded"), (True, "consistency")):
        found, lacking = priors_of(PRESETS, None, training_free=free)
        assert {preset: card.name for preset, card in found.items()} == dict.fromkeys(PRESETS, name)
        assert not lacking


def test_the_first_model_that_has_a_preset_does_it(tiny: Path) -> None:
    found, lacking = priors_of(PRESETS, [str(tiny), "prior"])
    assert [found[preset].name for preset in PRESETS] == ["tiny", "tiny", "prior"]
    assert priors_of(["slow"], [str(tiny)]) == ({}, {"slow": "no such preset of tiny"})
    with pytest.raises(InputError, match="no preset 'swift'; there are fast, medium, slow"):
        priors_of(["swift"], None)
    assert not lacking
