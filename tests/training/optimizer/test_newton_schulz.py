import pytest
import torch

from training.optimizer.newton_schulz import COEFFICIENTS, JORDAN, POLAR_EXPRESS, orthogonalise


@pytest.mark.parametrize("coefficients", list(COEFFICIENTS))
@pytest.mark.parametrize("shape", [(3, 24, 40), (2, 40, 24), (1, 32, 32)])
def test_singular_values_go_to_one_and_vectors_stay(coefficients: str, shape: tuple[int, int, int]) -> None:
    u, _, vt = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    values = torch.linspace(0.05, 1.0, u.shape[-1])
    result = orthogonalise(u * values @ vt, COEFFICIENTS[coefficients], torch.float32)
    # In the bases of the input the result is diagonal, with every entry near 1.
    core = u.mT @ result @ vt.mT
    diagonal = core.diagonal(dim1=1, dim2=2)
    low, high = (0.6, 1.25) if coefficients == "jordan" else (0.8, 1.15)
    assert low < diagonal.min()
    assert diagonal.max() < high
    torch.testing.assert_close(core, torch.diag_embed(diagonal), rtol=0, atol=1e-4)


def test_a_batch_is_its_matrices_one_by_one_at_any_scale() -> None:
    x = torch.randn(4, 12, 20) * torch.tensor([1e-6, 1.0, 1e3, 1e6])[:, None, None]
    together = orthogonalise(x, POLAR_EXPRESS, torch.float32)
    singly = torch.cat([orthogonalise(x[i : i + 1], POLAR_EXPRESS, torch.float32) for i in range(4)])
    torch.testing.assert_close(together, singly, rtol=1e-4, atol=1e-5)
    assert together.abs().amax(dim=(1, 2)).min() > 0.1


def test_root_mean_square_that_the_update_scale_relies_on() -> None:
    def rms(coefficients: str) -> float:
        result = orthogonalise(torch.randn(4, 96, 160), COEFFICIENTS[coefficients]).float()
        return (result.pow(2).mean().sqrt() * 160**0.5).item()

    assert rms("polar_express") == pytest.approx(1.0, abs=0.05)
    assert rms("jordan") == pytest.approx(0.9, abs=0.12)


def test_bfloat16_stays_near_float32() -> None:
    x = torch.randn(2, 48, 64)
    exact = orthogonalise(x, JORDAN, torch.float32)
    assert (orthogonalise(x, JORDAN).float() - exact).norm() / exact.norm() < 0.1


def test_zero_stays_zero_and_shapes_are_checked() -> None:
    assert orthogonalise(torch.zeros(1, 3, 4), POLAR_EXPRESS).abs().max() == 0
    with pytest.raises(ValueError, match=r"\(3, 4\)"):
        orthogonalise(torch.zeros(3, 4), POLAR_EXPRESS)
