"""Turbo-CF: a polynomial of the similarity of items, without a decomposition.

With R = Du^-a X Di^-(1-a), the similarity P has the elements of R'R, each to
the power s. Histories x [B, V] are scored by x h(P), where h is a polynomial:

    order 1: P
    order 2: 2 P - P^2
    order 3: P + 0.01 (-P^3 + 10 P^2 - 29 P), close to an ideal low-pass filter

P [V, V] is sparse: it has an element for each pair of items with a user in
common. Powers of P are never formed.
"""

import dataclasses
import functools
from typing import Any

import numpy as np
import scipy.sparse
from jaxtyping import Float

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec.cost import counts
from hyperrec.systems.graph import spectrum
from hyperrec.systems.linear import weights_program

Cost = method_lib.Cost
Model = method_lib.Model
Outcome = method_lib.Outcome

# The coefficients of P, P^2, P^3.
_POLYNOMIALS = {1: (1.0,), 2: (2.0, -1.0), 3: (0.71, 0.1, -0.01)}


@dataclasses.dataclass(frozen=True)
class TurboCfConfig:
  """Hyperparameters of Turbo-CF.

  Attributes:
    user_power: Exponent a of the users' degrees, from 0 to 1, such as 0.6;
      that of the items' degrees is 1 - a.
    power: Exponent s of each similarity, such as 0.7; below 1 it makes them
      more alike.
    order: Degree of the polynomial, from 1 to 3.
  """

  user_power: float = config_lib.field(0.5, least=0, most=1)
  power: float = config_lib.field(1.0, above=0)
  order: int = config_lib.field(1, least=1, most=3)

  def __post_init__(self):
    config_lib.check(self)


def turbo_cf(**hyperparameters: Any) -> Model:
  """Turbo-CF (Park et al., SIGIR 2024, arXiv 2404.14243).

  Args:
    **hyperparameters: fields of `TurboCfConfig`.
  """
  config = TurboCfConfig(**hyperparameters)

  def fit(data, key, start=None, run=None):
    del key, start, run
    x_UxV = data.csr()
    similarity = similarities(x_UxV, config.user_power, config.power)
    operations = counts.gram(x_UxV.getnnz(1)) + similarity.nnz
    return Outcome(similarity, Cost(operations))

  def score(similarity, histories):
    return filtered(histories.csr(), similarity, _POLYNOMIALS[config.order])

  def program(similarity):
    if config.order == 1:
      return weights_program.of_weights(similarity)
    # Powers of P are dense.
    return weights_program.of_scores(
      functools.partial(score, similarity), similarity.shape[0]
    )

  return Model(
    'turbo_cf', config, fit, score, program=program, needs_history=True
  )


def similarities(
  x: scipy.sparse.csr_matrix, user_power: float, power: float
) -> scipy.sparse.csr_matrix:
  """P, sparse float32 [V, V]."""
  normalised = spectrum.normalise(x, user_power, 1 - user_power)
  similarity = normalised.T.tocsr() @ normalised
  similarity.data **= np.float32(power)
  return similarity


def filtered(
  x: scipy.sparse.csr_matrix,
  similarity: scipy.sparse.csr_matrix,
  polynomial: tuple[float, ...],
) -> Float[np.ndarray, 'B V']:
  """Scores x h(P), by one product with P for each degree."""
  current = (x @ similarity).toarray()
  scores = np.float32(polynomial[0]) * current
  for coefficient in polynomial[1:]:
    current = current @ similarity
    scores += np.float32(coefficient) * current
  return scores
