"""The orthogonal factor of a matrix by Newton–Schulz iteration: only matrix products, so it runs in bfloat16.

Shapes: N matrices in a batch, n rows, m columns.
"""

import torch
from torch import Tensor

Coefficients = tuple[tuple[float, float, float], ...]

# Keller Jordan's Muon: five equal steps that raise small singular values fast and leave all in about [0.7, 1.2].
JORDAN: Coefficients = ((3.4445, -4.7750, 2.0315),) * 5

# Polar Express (arXiv 2505.16932): each step is the optimal quintic for the output of the previous step. Divided by a
# safety factor, as in the paper, so that bfloat16 rounding cannot push a singular value out of the convergent range.
_SAFETY = 1.05
POLAR_EXPRESS: Coefficients = tuple(
    (a / _SAFETY, b / _SAFETY**3, c / _SAFETY**5)
    for a, b, c in (
        (8.28721201814563, -23.595886519098837, 17.300387312530933),
        (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
        (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
        (3.3184196573706015, -2.488488024314874, 0.51004894012372),
        (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    )
)

COEFFICIENTS: dict[str, Coefficients] = {"jordan": JORDAN, "polar_express": POLAR_EXPRESS}


def orthogonalise(x_Nnm: Tensor, coefficients: Coefficients, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """U Vᵀ of each matrix U S Vᵀ, approximately, in `dtype`; an all-zero matrix stays zero.

    `X₀ = X/‖X‖_F`, then `A = X Xᵀ; X ← aX + (bA + cA²)X` for each (a, b, c). Wide matrices are cheaper than tall ones,
    so tall ones are transposed before and after.
    """
    if x_Nnm.ndim != 3:
        raise ValueError(f"expected a batch of matrices (N, n, m), got shape {tuple(x_Nnm.shape)}")
    is_tall = x_Nnm.shape[1] > x_Nnm.shape[2]
    x = x_Nnm.mT if is_tall else x_Nnm
    # The norm is computed in float32: in bfloat16, a sum of many small squares loses them.
    norms = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True, dtype=torch.float32)
    x = (x / norms.clamp(min=1e-7)).to(dtype)
    for a, b, c in coefficients:
        gram = torch.bmm(x, x.mT)
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x.mT if is_tall else x


def newton_schulz_flops(n: int, m: int) -> int:
    """Floating-point operations of one step for a matrix (n, m): of two products with it and one of its Gram matrix."""
    short, long = sorted((n, m))
    return 4 * short**2 * long + 2 * short**3
