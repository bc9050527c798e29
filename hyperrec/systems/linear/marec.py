"""MARec (Monteil et al., RecSys 2024, arXiv 2404.13298), a closed form.

EASE whose weights also have to predict what the items' features predict. With
X [U, V] the users' items, F the features and G [V, V] a likeness of items made
of them,

    A = strength X G D,    G = sum_k mu_k G_k + sum_{k <= l} mu_kl G_k * G_l
    P = (X'X + l0 F'F + l2 I + X'A)^-1
    T = P (X'X + l0 F'F + X'A)
    B = T - P diag(T) / diag(P) = I - P diag(1 / diag P).

The last step follows from T = I - l2 P. G_k is the cosine of the k-th view of
the items, such as the columns of one text encoder, and * multiplies entries. D
is diagonal; it falls with an item's interactions to 0, so that popular items
are left to EASE. mu is a regression of X on X G_k and X (G_k * G_l).

The paper adds a constant to the lengths in its cosine, for counts of
attributes. Here rows of features have length 1 or 0, where such a constant
would only scale G, and the regression takes every scale out again. The paper's
two factors alpha of A and beta of D enter as a product alone: it is `strength`.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse
from jaxtyping import Float

from hyperrec import config as config_lib
from hyperrec import features as features_lib
from hyperrec import method as method_lib
from hyperrec.cost import counts, memory
from hyperrec.systems.linear import item_item, linear_autoencoder

Cost = method_lib.Cost
Csr = scipy.sparse.csr_matrix
Model = method_lib.Model
Outcome = method_lib.Outcome

# Predictions of users times items that are held at once, for each term.
_BLOCK = 2**22
# Larger catalogues are computed in float32, which halves the memory.
_MOST_DOUBLE = 10_000


@dataclasses.dataclass(frozen=True)
class MarecConfig:
  """Hyperparameters of MARec.

  Attributes:
    l2: Ridge lambda_1, such as 100.
    l2_features: Weight lambda_0 of F'F, the features as rows beside the users.
      It is above 0, since it alone serves catalogues without interactions.
    strength: How far rare items follow the likeness of features; alpha times
      beta in the paper's letters.
    percentile: Percentile of the items' interactions at which D reaches 0; the
      paper takes 10. Items with no interaction always have the full strength.
    unobserved: Weight of an entry without interaction in the regression for
      mu; entries with one weigh 1.
  """

  l2: float = config_lib.field(above=0)
  l2_features: float = config_lib.field(above=0)
  strength: float = config_lib.field(above=0)
  percentile: float = config_lib.field(10.0, least=0, most=100)
  unobserved: float = config_lib.field(0.2, above=0, most=1)

  def __post_init__(self):
    config_lib.check(self)


def marec(views: features_lib.Views, **hyperparameters: Any) -> Model:
  """MARec on the views of the items.

  Args:
    views: interactions -> features of their catalogue, a table [V, F_k] for
      each view, with rows of length 1 or 0.
    **hyperparameters: fields of `MarecConfig`.
  """
  config = MarecConfig(**hyperparameters)

  def fit(data):
    x_UxV, tables = data.csr(), views(data)
    memory.check_memory(
      _peak_bytes(data.num_items, len(tables)),
      f'MARec on {data.num_items} items with {len(tables)} views',
    )
    dtype = _dtype(data.num_items)
    tables = [np.asarray(table, dtype) for table in tables]
    mu = regress(x_UxV, tables, config.unobserved)
    likeness_VxV = likeness(tables, mu)
    likeness_VxV *= np.asarray(
      config.strength * rarity(x_UxV, config.percentile), dtype
    )
    all_VxF = np.concatenate(tables, axis=1)
    features_gram_VxV = all_VxF @ all_VxF.T
    features_gram_VxV *= config.l2_features / len(tables)
    weights = solve(x_UxV, likeness_VxV, features_gram_VxV, config.l2)
    of_text = sum(counts.matmul(len(t), *t.shape) for t in tables)
    operations = _fit_flops(x_UxV, _num_terms(len(tables)))
    return Outcome(weights, Cost(of_text + operations, of_text=of_text))

  return item_item.closed_form('marec', config, fit, needs_interactions=False)


def likenesses(
  tables: list[Float[np.ndarray, 'V _']], items: slice
) -> Iterator[Float[np.ndarray, 'V B']]:
  """Columns of each G_k and of each product G_k * G_l.

  The diagonal is 0: with the item itself among its likes, X G would predict X
  from X.

  Args:
    tables: features of the items in each view, with rows of length 1 or 0.
    items: the B columns to make.
  """
  cosines = [table @ table[items].T for table in tables]
  pairs = itertools.combinations_with_replacement(cosines, 2)
  own = np.arange(len(tables[0]))[items], np.arange(cosines[0].shape[1])
  for cosine in cosines:
    cosine[own] = 0
    yield cosine
  for left, right in pairs:
    yield left * right


def likeness(
  tables: list[Float[np.ndarray, 'V _']], mu: Float[np.ndarray, ' T']
) -> Float[np.ndarray, 'V V']:
  """G, the sum of the terms of `likenesses` with the weights mu."""
  num_items = len(tables[0])
  total = np.zeros((num_items, num_items), tables[0].dtype)
  for items in _blocks(num_items, num_items):
    for weight, term in zip(mu, likenesses(tables, items), strict=True):
      total[:, items] += float(weight) * term
  return total


def regress(
  x: Csr, tables: list[Float[np.ndarray, 'V _']], unobserved: float
) -> Float[np.ndarray, ' T']:
  """Fits mu, a weighted regression of X on each X G, with an intercept.

  Args:
    x: [U, V], binary.
    tables: as `likenesses` takes them; they make the T matrices G.
    unobserved: weight of the entries that are 0; the others weigh 1.

  Returns:
    mu; all 0 where there are no interactions.
  """
  size = _num_terms(len(tables)) + 1
  normal, target = np.zeros((size, size)), np.zeros(size)
  x = x.astype(tables[0].dtype)
  columns = x.tocsc()
  for items in _blocks(*x.shape):
    predicted = [(x @ term).ravel() for term in likenesses(tables, items)]
    predicted = np.stack([*predicted, np.ones_like(predicted[0])])
    observed = predicted[:, columns[:, items].toarray().ravel() > 0]
    normal += unobserved * predicted @ predicted.T
    normal += (1 - unobserved) * observed @ observed.T
    target += observed.sum(axis=1)
  return np.linalg.lstsq(normal, target, rcond=1e-10)[0][:-1]


def _blocks(num_rows: int, num_items: int) -> Iterator[slice]:
  width = max(1, _BLOCK // max(1, num_rows))
  for start in range(0, num_items, width):
    yield slice(start, min(start + width, num_items))


def _num_terms(num_views: int) -> int:
  return num_views + num_views * (num_views + 1) // 2


def rarity(x: Csr, percentile: float) -> Float[np.ndarray, ' V']:
  """D without its factor: 1 for items with no interaction, falling to 0.

  It falls linearly and reaches 0 at a percentile of the items' interactions,
  which counts as 1 where it is less.
  """
  taken_V = x.getnnz(0)
  end = max(1.0, np.percentile(taken_V, percentile))
  return np.maximum(0.0, 1 - taken_V / end)


def solve(
  x: Csr,
  aligned: Float[np.ndarray, 'V V'],
  features_gram: Float[np.ndarray, 'V V'],
  l2: float,
) -> Float[np.ndarray, 'V V']:
  """B, float32, with a zero diagonal.

  Args:
    x: [U, V].
    aligned: strength G D.
    features_gram: l0 F'F; overwritten.
    l2: the ridge.

  Raises:
    LinAlgError: the matrix has no inverse, or one with a zero on its diagonal.
  """
  gram = linear_autoencoder.gram(x, features_gram.dtype)
  system = features_gram
  system += gram
  system += gram @ aligned
  system[np.diag_indices(len(system))] += l2
  inverse = scipy.linalg.inv(system, overwrite_a=True, check_finite=False)
  with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
    weights = (inverse * (-1 / np.diagonal(inverse))).astype(np.float32)
  if not np.isfinite(weights).all():
    raise np.linalg.LinAlgError(
      'the system of MARec cannot be solved; raise l2 or lower strength'
    )
  np.fill_diagonal(weights, 0)
  return weights


def _peak_bytes(num_items: int, num_views: int) -> int:
  size = np.dtype(_dtype(num_items)).itemsize
  # The system, its two parts, and what LAPACK or their product needs beside.
  square = 5 * size * num_items**2
  return square + (_num_terms(num_views) + 2) * size * _BLOCK


def _dtype(num_items: int):
  return np.float64 if num_items <= _MOST_DOUBLE else np.float32


def _fit_flops(x: Csr, num_terms: int) -> float:
  """Operations of all that needs interactions."""
  users, items = x.shape
  rows_U = x.getnnz(1)
  regression = 2.0 * num_terms * x.nnz * items
  regression += counts.matmul(num_terms + 1, num_terms + 1, users * items)
  likeness = 3.0 * num_terms * items**2
  alignment = counts.gram(rows_U) + counts.matmul(items, items, items)
  # LAPACK getrf and getri: 2 n^3.
  return regression + likeness + alignment + 2.0 * items**3 + items**2
