"""GF-CF: a linear filter and an ideal low-pass filter on the graph of items.

For histories x [B, V], R = Du^-1/2 X Di^-1/2 and its top right singular vectors
V, the scores are

    x R'R + alpha x Di^-1/2 V V' Di^1/2
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from jaxtyping import Float

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.systems.graph import spectrum
from hyperrec.systems.linear import weights_program

Cost = method_lib.Cost
Histories = method_lib.Histories
Interactions = interactions_lib.Interactions
Model = method_lib.Model
Outcome = method_lib.Outcome


@dataclasses.dataclass(frozen=True)
class GfCfConfig:
  """Hyperparameters of GF-CF.

  Attributes:
    rank: Number of singular vectors that the ideal low-pass filter lets
      through, such as 256.
    low_pass: Weight alpha of the ideal low-pass filter beside the linear one,
      such as 0.3; 0 leaves it out.
  """

  rank: int = config_lib.field(256, least=1)
  low_pass: float = config_lib.field(0.3, least=0)

  def __post_init__(self):
    config_lib.check(self)


class State(NamedTuple):
  """What scoring needs.

  Attributes:
    normalised: R, sparse [U, V].
    degrees: float [V], users of each item.
    vectors: [V, r], see `spectrum.Spectrum`.
  """

  normalised: scipy.sparse.csr_matrix
  degrees: Float[np.ndarray, ' V']
  vectors: Float[np.ndarray, 'V r']


def gf_cf(**hyperparameters: Any) -> Model:
  """GF-CF (Shen et al., CIKM 2021, arXiv 2108.07567).

  Args:
    **hyperparameters: fields of `GfCfConfig`.
  """
  config = GfCfConfig(**hyperparameters)

  def fit(data, key, start=None, run=None):
    del key, start, run
    return decompose(data, config.rank)

  def score(state, histories):
    return filtered(state, histories, config.low_pass)

  def program(state):
    # Both filters are linear in the histories.
    return weights_program.of_scores(
      functools.partial(score, state), len(state.degrees)
    )

  return Model('gf_cf', config, fit, score, program=program, needs_history=True)


def decompose(data: Interactions, rank: int) -> Outcome:
  """The state of interactions, with singular vectors up to a rank."""
  x_UxV = data.csr()
  normalised = spectrum.normalise(x_UxV)
  low = spectrum.low_frequencies(normalised, rank)
  degrees = x_UxV.getnnz(0).astype(np.float32)
  state = State(normalised, degrees, low.vectors)
  return Outcome(state, Cost(low.operations + 2 * x_UxV.nnz))


def filtered(
  state: State, histories: Histories, low_pass: float
) -> Float[np.ndarray, 'B V']:
  """Scores [B, V] of the two filters."""
  x_BxV = histories.csr()
  linear_UxB = (state.normalised @ x_BxV.T).toarray()
  scores = (state.normalised.T @ linear_UxB).T
  signals = spectrum.scale(x_BxV, columns=spectrum.power(state.degrees, -0.5))
  smooth = spectrum.project(signals, state.vectors)
  smooth *= low_pass * spectrum.power(state.degrees, 0.5)
  return scores + smooth
