"""How fast a stream is still being learned: ADO's scaling law, fitted to the stream's loss so far.

`L(n) = ε + β·n^(−α)` over n training tokens of the whole run; the learning speed is `−dL/dn = α(L − ε)/n`, in nats per
token (Adaptive Data Optimization, arXiv 2410.11820, section 3).

A falling learning rate lowers the loss by itself, by up to a tenth in a WSD decay, and would read as learning. Only the
time at full rate is therefore given to the fit, and the speed is that at its end.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Candidates for the irreducible loss ε, as shares of the smallest loss seen.
_EPSILON_SHARES = np.linspace(0.0, 0.98, 50)
MIN_POINTS = 6


@dataclass(frozen=True, slots=True)
class PowerLaw:
    epsilon: float
    beta: float
    alpha: float

    def loss(self, n_tokens: float) -> float:
        return self.epsilon + self.beta * n_tokens**-self.alpha

    def speed(self, n_tokens: float) -> float:
        """The rate at which the loss falls at `n_tokens`, in nats per token; 0 if it does not."""
        return max(0.0, self.alpha * (self.loss(n_tokens) - self.epsilon) / n_tokens)


def fit_power_law(n_tokens: Floats, loss: Floats, weight: Floats) -> PowerLaw | None:
    """The weighted least-squares fit to points (n, L); None for fewer than `MIN_POINTS`.

    For each candidate ε, log(L − ε) is a straight line in log n; the ε with the smallest squared error in L wins.
    """
    if len(n_tokens) < MIN_POINTS:
        return None
    x = np.log(n_tokens)[None, :]
    epsilon = _EPSILON_SHARES[:, None] * loss.min()
    excess = loss[None, :] - epsilon
    y = np.log(excess)
    # An error δ of L is an error δ / (L − ε) of the logarithm.
    w = weight[None, :] * excess**2
    w = w / w.sum(axis=1, keepdims=True)
    x_mean, y_mean = (w * x).sum(axis=1, keepdims=True), (w * y).sum(axis=1, keepdims=True)
    variance = (w * (x - x_mean) ** 2).sum(axis=1, keepdims=True)
    alpha = -(w * (x - x_mean) * (y - y_mean)).sum(axis=1, keepdims=True) / variance
    log_beta = y_mean + alpha * x_mean
    error = (weight * (epsilon + np.exp(log_beta - alpha * x) - loss) ** 2).sum(axis=1)
    best = int(np.argmin(error))
    return PowerLaw(float(epsilon[best, 0]), float(np.exp(log_beta[best, 0])), float(alpha[best, 0]))


def learning_speed(n_tokens: Floats, loss: Floats, weight: Floats) -> tuple[float, float] | None:
    """The speed at the last point, and its standard error from a jackknife over points; None for too few points."""
    law = fit_power_law(n_tokens, loss, weight)
    if law is None:
        return None
    n_points, now = len(n_tokens), float(n_tokens[-1])
    kept = [np.arange(n_points) != left_out for left_out in range(n_points)]
    laws = [fit_power_law(n_tokens[k], loss[k], weight[k]) for k in kept] if n_points > MIN_POINTS else []
    speeds = np.array([other.speed(now) for other in laws if other is not None])
    error = float(np.sqrt((n_points - 1) * speeds.var())) if len(speeds) else float("nan")
    return law.speed(now), error
