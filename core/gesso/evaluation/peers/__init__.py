"""What a user might pick instead of gesso, and trivial filters that no model may lose to."""

from __future__ import annotations

from gesso.evaluation.peers.contest import Contest, choose, why_not
from gesso.evaluation.peers.deblocking import DEBLOCKING
from gesso.evaluation.peers.decoders import DECODERS
from gesso.evaluation.peers.encoders import ENCODERS
from gesso.evaluation.peers.networks import NETWORKS
from gesso.evaluation.peers.trivial import TRIVIAL
from gesso.evaluation.peers.tuned import at_strength
from gesso.evaluation.pipeline import Peer

__all__ = ["PEERS", "Contest", "at_strength", "choose", "why_not"]

PEERS: tuple[Peer, ...] = (*TRIVIAL, *DECODERS, *DEBLOCKING, *NETWORKS, *ENCODERS)
