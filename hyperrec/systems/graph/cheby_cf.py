"""ChebyCF: a polynomial filter over all frequencies of the graph of items.

For histories x [B, V], R = Du^-1/2 X Di^-1/2, its top right singular vectors V
and s = x Di^-beta, the scores are

    [sum_k c_k T_k(I - 2 R'R) s + alpha V V' s] Di^beta

T_k are Chebyshev polynomials. I - 2 R'R has eigenvalues t from -1, the lowest
frequency, to 1, the highest. The coefficients c_k make the sum close to the
plateau h(t) = (1 - sign(t) |t|^phi) / 2, which falls from 1 to 0.
"""

import dataclasses
import functools
from typing import Any

import numpy as np
import scipy.sparse
from jaxtyping import Float
from numpy.polynomial import chebyshev

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec.systems.graph import gf_cf, spectrum
from hyperrec.systems.linear import weights_program

Cost = method_lib.Cost
Histories = method_lib.Histories
Model = method_lib.Model
Outcome = method_lib.Outcome
State = gf_cf.State

# Users whose signals are filtered together, so that they stay in the cache.
_BLOCK = 64


@dataclasses.dataclass(frozen=True)
class ChebyCfConfig:
  """Hyperparameters of ChebyCF, by the paper's letters.

  Attributes:
    order: Degree K of the polynomial, such as 8.
    flatness: Exponent phi of the plateau, such as 1.5; 1 is a straight line.
    rank: Number eta of singular vectors that the ideal low-pass filter lets
      through, such as 512.
    low_pass: Weight alpha of the ideal low-pass filter beside the polynomial
      one, such as 0.2; 0 leaves it out.
    degree_power: Exponent beta of the items' degrees, such as 0.4; above 0 it
      counts frequent items less in a history, and more in the scores.
  """

  order: int = config_lib.field(8, least=1)
  flatness: float = config_lib.field(1.5, above=0)
  rank: int = config_lib.field(512, least=1)
  low_pass: float = config_lib.field(0.2, least=0)
  degree_power: float = config_lib.field(0.4, least=0)

  def __post_init__(self):
    config_lib.check(self)


def cheby_cf(**hyperparameters: Any) -> Model:
  """ChebyCF (Kim et al., SIGIR 2025, arXiv 2505.00552).

  Args:
    **hyperparameters: fields of `ChebyCfConfig`.
  """
  config = ChebyCfConfig(**hyperparameters)
  coefficients = plateau_coefficients(config.order, config.flatness)

  def fit(data, key, start=None, run=None):
    del key, start, run
    return gf_cf.decompose(data, config.rank)

  def score(state, histories):
    return filtered(state, histories, coefficients, config)

  def program(state):
    # Both filters are linear in the histories.
    return weights_program.of_scores(
      functools.partial(score, state), len(state.degrees)
    )

  return Model(
    'cheby_cf', config, fit, score, program=program, needs_history=True
  )


def plateau_coefficients(
  order: int, flatness: float
) -> Float[np.ndarray, ' K+1']:
  """The coefficients c_0, ..., c_K of the plateau in Chebyshev polynomials.

  The polynomial takes the plateau's values at the extrema of T_K, from -1 to 1,
  at the roots of T_(K+1), which lie a little closer to 0. This is what the
  authors' program does; the plateau is thereby stretched a little.

  Args:
    order: K.
    flatness: phi.
  """
  step = np.arange(order + 1)
  extrema = -np.cos(step * np.pi / order)
  roots = -np.cos((step + 0.5) * np.pi / (order + 1))
  plateau = (1 - np.sign(extrema) * np.abs(extrema) ** flatness) / 2
  return chebyshev.chebfit(roots, plateau, order)


def filtered(
  state: State,
  histories: Histories,
  coefficients: Float[np.ndarray, ' K+1'],
  config: ChebyCfConfig,
) -> Float[np.ndarray, 'B V']:
  """Scores [B, V] of the two filters."""
  before, after = (
    spectrum.power(state.degrees, sign * config.degree_power)
    for sign in (-1, 1)
  )
  signals = spectrum.scale(histories.csr(), columns=before)
  scores = spectrum.project(signals, state.vectors)
  scores *= np.float32(config.low_pass)
  for start in range(0, len(scores), _BLOCK):
    part = slice(start, start + _BLOCK)
    signals_VxB = signals[part].T.toarray()
    scores[part] += polynomial(state.normalised, signals_VxB, coefficients).T
  scores *= after
  return scores


def polynomial(
  normalised: scipy.sparse.csr_matrix,
  signals: Float[np.ndarray, 'V B'],
  coefficients: Float[np.ndarray, ' K+1'],
) -> Float[np.ndarray, 'V B']:
  """Computes sum_k c_k T_k(I - 2 R'R) signals by the three-term recurrence."""
  # The plateau less 1/2 is odd, so the last coefficient is 0 where K is even.
  trimmed = chebyshev.chebtrim(coefficients, 1e-9).astype(np.float32)
  last, current = 0, signals
  total = trimmed[0] * signals
  for k, coefficient in enumerate(trimmed[1:], start=1):
    times = 1 if k == 1 else 2
    new = times * (current - 2 * spectrum.similar(normalised, current)) - last
    last, current = current, new
    total += coefficient * current
  return total
