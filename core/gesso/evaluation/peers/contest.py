"""Which peers take part, and the report of those that did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gesso.codec import Codec
from gesso.errors import InputError, ModelError
from gesso.evaluation.pipeline import Peer, Side
from gesso.evaluation.report import Report

__all__ = ["Contest", "choose", "why_not"]

TRIAL = (96, 64)  # pixels


@dataclass(frozen=True)
class Contest(Report):
    """A :class:`Report` of more than two variants.

    Attributes:
        about: variant -> what it is, for peers.
        skipped: name -> why it is not among the variants.
    """

    about: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As of :class:`Report`, but the BD figures are variant -> metric -> value, and there
        are ``about`` and ``skipped``."""
        content = super().to_json()
        variants: dict[str, dict[str, Any]] = content["variants"]
        for key in ("bd_rate", "bd_metric", "bd_overlap"):
            content[key] = {name: found[key] for name, found in variants.items()}
        return {**content, "about": self.about, "skipped": self.skipped}


def choose(
    peers: Mapping[str, Peer],
    codec: Codec,
    side: Side,
    quality: float,
    only: Iterable[str] | None = None,
) -> tuple[dict[str, Peer], dict[str, str]]:
    """The peers that take part, and the names of those that cannot, with the reason.

    Args:
        peers: all there are, by name.
        codec: under test.
        side: where they work; of the other side, and for other codecs, none takes part.
        quality: one of ``codec``, for a trial.
        only: names; those that run only when asked for are asked for here.

    Raises:
        InputError: an unknown name.
    """
    named = None if only is None else list(only)
    for name in named or ():
        if name not in peers:
            raise InputError(f"no peer named {name!r}; there are {', '.join(sorted(peers))}")
    chosen, skipped = {}, {}
    for name, peer in peers.items():
        if named is not None and name not in named:
            continue
        if foreign := _foreign(peer, codec, side):
            # the many that are for something else are not worth a line, unless asked for
            if named is not None:
                skipped[name] = foreign
        elif peer.opt_in and named is None:
            skipped[name] = f"{peer.opt_in}; ask for it by name"
        elif reason := why_not(peer, codec, quality):
            skipped[name] = reason
        else:
            chosen[name] = peer
    return chosen, skipped


def why_not(peer: Peer, codec: Codec, quality: float) -> str | None:
    """Why a peer cannot run here for ``codec``, with the mend; None when it can.

    What it needs is looked for, then one small picture is sent through: a program that does
    not start, or weights that are damaged, would else fail on every picture in turn.
    """
    from PIL import Image

    try:
        peer.needs()
        picture = Image.radial_gradient("L").resize(TRIAL).convert("RGB")
        peer.pipeline(codec).run(picture, (peer.qualities or (quality,))[0])
    except (InputError, ModelError) as error:
        return str(error)
    return None


def _foreign(peer: Peer, codec: Codec, side: Side) -> str:
    if peer.name in ("plain", "gesso"):
        return "its name is that of a variant; its plug-in must rename it"
    if peer.side != side:
        return f"it works on the side {peer.side}"
    if peer.codecs and codec.name not in peer.codecs:
        return f"it is for {', '.join(peer.codecs)}, not for {codec.name}"
    return ""
