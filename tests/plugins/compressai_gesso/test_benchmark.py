"""What other processes of CompressAI's bench are sent."""

from __future__ import annotations

import pickle

from compressai_gesso.asking import using
from compressai_gesso.library import library


def test_codecs_can_be_sent_to_other_processes() -> None:
    library("zoo")
    from compressai_gesso.benchmark import CODECS

    assert [codec.__name__ for codec in CODECS] == [
        f"gesso-{name}" for name in ("jpeg", "webp", "avif", "hevc", "vvc", "latent")
    ]
    with using(preset="medium"):
        codec = CODECS[0](None)
    sent = pickle.loads(pickle.dumps(codec))
    assert (sent.name, sent.sides) == ("gesso-jpeg", {"preset": "medium"})
