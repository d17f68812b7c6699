"""Muon: matrices are moved by as much in every direction that their gradients have, not by as much in every number."""

import torch
from torch import Tensor, nn

COEFFICIENTS, STEPS = (3.4445, -4.7750, 2.0315), 5
"""Of the iteration that brings singular values near one: odd polynomials, steep at zero (Jordan et al. 2024, "Muon: An
optimizer for hidden layers in neural networks")."""

MOMENTUM = 0.95

SCALE = 0.2
"""Root mean square of an update over the learning rate; Adam's is about that, so that one rate suits both (Liu et al.
2025, "Muon is scalable for LLM training", section 2.2)."""


class Muon(torch.optim.Optimizer):
    """Muon for the weights of dense layers and of convolutions, Adam for embeddings, biases, norms and all others.

    A convolution is a matrix from all that a place sees to its outputs. precision: of the iteration; bfloat16 suffices
    for it. Of the betas of a group only Adam takes notice.
    """

    def __init__(self, module: nn.Module, lr: float, *, fused: bool, precision: torch.dtype) -> None:
        learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
        dense = {layer.weight for layer in module.modules() if isinstance(layer, nn.Linear | nn.Conv2d)}
        others, matrices = ([each for each in learning if (each in dense) is inside] for inside in (False, True))
        super().__init__([{"params": matrices}], {"lr": lr})
        self.precision = precision
        self.adam = torch.optim.Adam([{"params": others}], lr=lr, fused=fused)
        # One memory and one list of groups: who reads, saves or sets them need not know that there are two.
        self.adam.state = self.state
        self.param_groups = [*self.adam.param_groups, *self.param_groups]

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update by the gradients that are there."""
        self.adam.step()
        dense = self.param_groups[-1]
        shapes: dict[torch.Size, list[Tensor]] = {}
        for matrix in dense["params"]:
            if matrix.grad is not None:
                shapes.setdefault(matrix.shape, []).append(matrix)
        for alike in shapes.values():
            headings = torch.stack([self.heading(matrix) for matrix in alike])
            moves = orthogonal(headings.flatten(2).to(self.precision))
            size = SCALE * max(moves.shape[1:]) ** 0.5
            moved = moves.to(alike[0].dtype).reshape(headings.shape).unbind()
            torch._foreach_add_(alike, list(moved), alpha=-dense["lr"] * size)

    def heading(self, matrix: Tensor) -> Tensor:
        """The gradient of a matrix with Nesterov's momentum, which the state keeps."""
        assert matrix.grad is not None
        memory = self.state[matrix]
        if "momentum" not in memory:
            memory["momentum"] = torch.zeros_like(matrix)
        memory["momentum"].lerp_(matrix.grad, 1 - MOMENTUM)
        return matrix.grad.lerp(memory["momentum"], MOMENTUM)


def orthogonal(x: Tensor) -> Tensor:
    """Matrices (N, A, B) to such whose singular values lie about between 0.7 and 1.2, by Newton-Schulz iterations.

    Zero stays zero.
    """
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    first, third, fifth = COEFFICIENTS
    for _ in range(STEPS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=third, alpha=fifth), x, beta=first)
    return x.mT if tall else x
