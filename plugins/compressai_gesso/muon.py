"""Muon for convolutions, Adam for the rest, in one optimiser (Jordan et al. 2024)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["MuonAdam"]

MOMENTUM = 0.95
# Of the update, as in Moonlight (Liu et al. 2025): an Adam step's root mean square, so that
# one learning rate serves both.
SIZE = 0.2


class MuonAdam(torch.optim.Adam):
    """Adam, but ``matrices`` are updated by their orthogonalised momentum.

    Groups 0, 1, 2 of ``param_groups`` are ``matrices``, ``others``, ``auxiliary``.
    """

    def __init__(
        self, matrices: Iterable[Tensor], others: Iterable[Tensor], auxiliary: Iterable[Tensor]
    ) -> None:
        super().__init__([{"params": list(each)} for each in (matrices, others, auxiliary)])

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # it takes none
        """One update from the gradients there are."""
        group = self.param_groups[0]
        for parameter in group["params"]:
            gradient, state = parameter.grad, self.state[parameter]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(parameter)
                state["step"] = torch.zeros(())  # which Adam asks every state for
            momentum = state["momentum"].lerp_(gradient, 1 - MOMENTUM)
            ahead = gradient.lerp(momentum, MOMENTUM)
            turn = orthogonal(ahead.flatten(1)).view_as(parameter)
            parameter.add_(turn, alpha=-group["lr"] * SIZE * max(ahead.flatten(1).shape) ** 0.5)
            # Adam leaves alone what has no gradient.
            parameter.grad = None
        super().step()


def orthogonal(matrix: Tensor) -> Tensor:
    """About the nearest semi-orthogonal matrix, by five Newton-Schulz steps of order five.

    The coefficients are Jordan's; singular values come out between 0.7 and 1.2.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    turn: Tensor = (x.T if tall else x).to(matrix.dtype)
    return turn
