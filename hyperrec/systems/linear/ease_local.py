"""EASE and L3AE on nearest items, for catalogues of up to a million items.

Each item has weights at a few neighbours only: items that share users with it,
and for L3AE items with similar features too. See `local_solve`.
"""

import dataclasses
from typing import Any

import numpy as np
import scipy.sparse
from jaxtyping import Int

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec.cost import counts
from hyperrec.data import joining
from hyperrec.systems.linear import (
  item_item,
  local_kernel,
  local_solve,
  near_items,
  sparse_autoencoder,
)

Cost = method_lib.Cost
Csr = scipy.sparse.csr_matrix
Features = method_lib.Features
Model = method_lib.Model
Outcome = method_lib.Outcome


@dataclasses.dataclass(frozen=True)
class EaseLocalConfig:
  """Hyperparameters of EASE on nearest items.

  Attributes:
    l2: Ridge lambda, above 0.
    neighbours: Largest number of weights of an item.
  """

  l2: float = config_lib.field(100.0, above=0)
  neighbours: int = config_lib.field(64, least=1)

  def __post_init__(self):
    config_lib.check(self)


@dataclasses.dataclass(frozen=True)
class L3aeLocalConfig:
  """Hyperparameters of L3AE on nearest items.

  Attributes:
    l2: Total ridge, above 0.
    l2_features: Ridge of the kernel regression between items, above 0.
    trust: Share of the ridge that pulls towards this regression, from 0 to 1.
      On few items each has a larger share than on all, so less trust is best
      than in `l3ae`.
    sharpness: Sharpness of the kernel, above 0.
    neighbours: Neighbours of an item by shared users.
    similar: Neighbours of an item by features.
    candidates: Items that each one is compared with to find these.
  """

  l2: float = config_lib.field(100.0, above=0)
  l2_features: float = config_lib.field(3.0, above=0)
  trust: float = config_lib.field(0.1, least=0, most=1)
  sharpness: float = config_lib.field(1.0, above=0)
  neighbours: int = config_lib.field(64, least=1)
  similar: int = config_lib.field(64, least=1)
  candidates: int = config_lib.field(4096, least=1)

  def __post_init__(self):
    config_lib.check(self)


def ease_local(**hyperparameters: Any) -> Model:
  """EASE on nearest items; the weights are those of `ease_sparse`.

  An update is exact: the neighbours stay, and the weights are those that all
  interactions would give them. Only the columns that change are solved.

  Args:
    **hyperparameters: fields of `EaseLocalConfig`.
  """
  config = EaseLocalConfig(**hyperparameters)

  def fit(data):
    x_UxV = data.csr()
    near_VxM = near_items.by_users(x_UxV, config.neighbours)
    counted = local_solve.together(x_UxV)
    values = local_solve.solve(counted, near_VxM, config.l2)
    weights = local_solve.as_matrix(near_VxM, values, data.num_items)
    operations = sparse_autoencoder.neighbour_flops(x_UxV, config.neighbours)
    return Outcome(weights, Cost(operations))

  def update(state, source, evidence):
    before, after = _changed(source, evidence)
    x_UxV = source.csr()
    near_VxM = neighbours_of(state, config.neighbours)
    counted = local_solve.together(x_UxV).changed(before, after)
    # Where a user's items change, so do the pairs of all items of the user.
    chosen = local_solve.touched(near_VxM, np.unique(after.indices))
    values = local_solve.solve(counted, near_VxM, config.l2, chosen=chosen)
    is_old = np.ones(source.num_items, bool)
    is_old[chosen] = False
    kept = state @ scipy.sparse.diags(is_old.astype(np.float32))
    solved = scipy.sparse.csr_matrix(
      (np.ones(len(chosen), np.float32), (np.arange(len(chosen)), chosen)),
      (len(chosen), source.num_items),
    )
    made = local_solve.as_matrix(near_VxM[chosen], values, source.num_items)
    weights = (kept + made @ solved).tocsr()
    width = min(config.neighbours, source.num_items)
    per_column = counts.cholesky(width) + 2 * counts.triangular_solve(width, 1)
    operations = counts.gram(x_UxV.getnnz(1)) + len(chosen) * per_column
    return Outcome(weights, Cost(operations))

  made = item_item.closed_form('ease_local', config, fit)
  return dataclasses.replace(made, update=update)


def l3ae_local(features: Features, **hyperparameters: Any) -> Model:
  """L3AE on nearest items, with a kernel relation between features.

  If all other items are neighbours, it is `l3ae` with the same sharpness.

  Args:
    features: gives the item features, rows of length 1.
    **hyperparameters: fields of `L3aeLocalConfig`.
  """
  config = L3aeLocalConfig(**hyperparameters)

  def fit(data):
    x_UxV = data.csr()
    table = np.asarray(features(data), np.float32)
    similar = min(config.similar, data.num_items - 1)
    near_VxM = near_items.joined(
      near_items.by_users(x_UxV, config.neighbours),
      near_items.by_features(
        table, near_items.groups(table), table, similar, config.candidates,
        is_known=True,
      ),
    )  # fmt: skip
    prior = local_kernel.columns(
      table, near_VxM, table, config.sharpness, config.l2_features
    )
    counted = local_solve.together(x_UxV)
    values = local_solve.solve(
      counted, near_VxM, config.l2, config.trust * prior
    )
    weights = local_solve.as_matrix(near_VxM, values, data.num_items)
    operations = sparse_autoencoder.neighbour_flops(
      x_UxV, config.neighbours + similar
    )
    width = table.shape[1]
    of_text = data.num_items * local_kernel.flops(
      config.neighbours + config.similar,
      width,
      search=counts.matmul(1, config.candidates, width),
    )
    return Outcome(weights, Cost(operations + of_text, of_text=of_text))

  return item_item.closed_form(
    'l3ae_local', config, fit, needs_interactions=False
  )


def neighbours_of(weights: Csr, width: int) -> Int[np.ndarray, 'V m']:
  """The items that have a weight in each column; -1 where there are fewer."""
  columns = weights.tocsc()
  counts_V = np.diff(columns.indptr)
  near_VxM = np.full((columns.shape[1], width), -1, np.int32)
  near_VxM[np.arange(width) < counts_V[:, None]] = columns.indices
  return near_VxM


def _changed(source, evidence) -> tuple[Csr, Csr]:
  """Rows of X of the users of the evidence, before and after it."""
  grown = joining.grown_users(source, evidence)
  row = {name: i for i, name in enumerate(source.user_ids.tolist())}
  known = np.array([row.get(name, -1) for name in grown.user_ids.tolist()])
  old = source.csr()[np.maximum(known, 0)]
  is_known = scipy.sparse.diags((known >= 0).astype(np.float32))
  return (is_known @ old).tocsr(), grown.csr()
