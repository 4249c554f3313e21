"""Symbols to bytes and back by constriction's range coder.

R. Bamler, "Understanding Entropy Coding With Asymmetric Numeral Systems (ANS): a Statistician's
Perspective", arXiv:2201.01741. Probabilities are integers in float64 whose sums over symbols are
powers of two up to 2^24. constriction scales their running sums by (2^24 - K) / sum, which
float64 holds exactly, drops the fraction, and gives every symbol 2^-24 more: nothing is rounded
that another machine could round otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesso.errors import InputError

__all__ = ["Decoder", "Encoder"]

WORD = 4  # bytes


class Encoder:
    """Takes symbols, gives bytes."""

    def __init__(self) -> None:
        self._coder, self._family = _constriction("RangeEncoder")

    def put(self, symbols: NDArray[Any], shares: NDArray[np.float64]) -> None:
        """Append symbols (n,), each of its own probabilities (n, K), K >= 2."""
        self._coder.encode(symbols.astype(np.int32), self._family, shares)

    def payload(self) -> bytes:
        """All so far, without the zeros at the end, which the decoder adds by itself."""
        words: NDArray[np.uint32] = self._coder.get_compressed()
        return words.astype(">u4").tobytes().rstrip(b"\0")


class Decoder:
    """Gives back, in the same order with the same probabilities, what the encoder took."""

    def __init__(self, payload: bytes) -> None:
        whole = payload.ljust(-(-len(payload) // WORD) * WORD, b"\0")
        words = np.frombuffer(whole, ">u4").astype(np.uint32)
        self._coder, self._family = _constriction("RangeDecoder", words)

    def take(self, shares: NDArray[np.float64]) -> NDArray[np.int64]:
        """The next symbols (n,), of probabilities (n, K).

        Raises:
            InputError: bytes that no encoder makes.
        """
        try:
            found: NDArray[np.int32] = self._coder.decode(self._family, shares)
        except AssertionError as error:
            raise InputError(
                "the coded symbols are none that an encoder makes; the file is damaged"
            ) from error
        return found.astype(np.int64)


def _constriction(kind: str, *arguments: Any) -> tuple[Any, Any]:
    import constriction

    coder = getattr(constriction.stream.queue, kind)(*arguments)
    return coder, constriction.stream.model.Categorical(perfect=False)
