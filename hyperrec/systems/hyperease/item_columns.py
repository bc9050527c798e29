"""HyperEASE for items: the weights of an item are generated when it arrives.

EASE predicts item j by a column of weights b_j, one for each item of a history.
A new item j has no column yet, but it has text. Its column is generated from
the columns of the catalogue, by a kernel regression over text,

    c_j = (a I + B) (K + l2 I)^-1 k_j,    k(i, j) = exp(s (f_i . f_j - 1))

with B the catalogue's own weights, K the kernel between its items, and k_j that
to the new item. The term a I lets an item of a history speak for items like it,
B lets it speak for items like those that it is consumed with. A column costs
two triangular solves and a product, O(V^2), where a refit costs O(V^3).

The interactions that the item has then update its column (`column_update`).

Last, all new columns are made as long as the ranking of the old items allows
(`old_ranking`), so that the whole catalogue can be ranked.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse
from jaxtyping import Float, Int

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec.cost import counts, memory
from hyperrec.systems.hyperease import (
  column_update,
  local_regression,
  old_ranking,
)
from hyperrec.systems.linear import (
  item_item,
  item_kernel,
  linear_autoencoder,
  weights_program,
)

Cost = method_lib.Cost
CentredFeatures = method_lib.CentredFeatures
Interactions = method_lib.Interactions
Model = method_lib.Model
Outcome = method_lib.Outcome
Program = method_lib.Program

# New columns are at most so much longer than `scale` says.
_LONGEST = 3.0


@dataclasses.dataclass(frozen=True)
class ItemColumnsConfig:
  """Hyperparameters of generated columns.

  Attributes:
    l2: Ridge of EASE on the old items, above 0.
    l2_kernel: Ridge of the kernel regression, above 0.
    sharpness: Sharpness s of the kernel, above 0; at 0 all items would be
      alike.
    identity: Weight a of the identity beside the catalogue's weights.
    use_weights: Whether the catalogue's weights B take part; without them the
      column is that of the kernel regression alone.
    updates: Whether interactions of new items update their columns.
    l2_update: Ridge of that update, above 0.
    absent_weight: Weight in that update of users who did not take the item up;
      0 leaves them out, 1 counts them as EASE does.
    scale: Length of generated columns when interactions update them, as a
      multiple of the median length of old columns; both lengths are medians.
    most_lost: Share of the NDCG@100 of old targets that new items may cost in
      the ranking of the whole catalogue.
    neighbours: Old items, the most similar ones, on which the kernel regression
      of a new item is done; 0 takes all of them, which needs a [V, V] factor.
  """

  l2: float = config_lib.field(100.0, above=0)
  l2_kernel: float = config_lib.field(3.0, above=0)
  sharpness: float = config_lib.field(1.0, above=0)
  identity: float = 1.0
  use_weights: bool = True
  updates: bool = True
  l2_update: float = config_lib.field(100.0, above=0)
  absent_weight: float = config_lib.field(0.0, least=0, most=1)
  scale: float = config_lib.field(1.0, above=0)
  most_lost: float = config_lib.field(0.025, least=0, below=1)
  neighbours: int = config_lib.field(0, least=0)

  def __post_init__(self):
    config_lib.check(self)


class Catalogue(NamedTuple):
  """A catalogue that items may arrive in.

  Attributes:
    weights: [V, V], EASE between its items.
    factor: [V, V], lower Cholesky factor of K + l2 I; None where a column is
      made from a few neighbours.
    watched: users by whom the length of new columns is chosen.
    absent: (g X'X + l2_update I)^-1, with g the weight of absent users; None
      if that is 0 or nothing is updated.
    users: the X of `absent`; None without it.
  """

  weights: Float[np.ndarray, 'V V']
  factor: Float[np.ndarray, 'V V'] | None
  watched: old_ranking.Watched
  absent: Float[np.ndarray, 'V V'] | None = None
  users: scipy.sparse.csr_matrix | None = None


class Grown(NamedTuple):
  """A catalogue in which items have arrived.

  Attributes:
    weights: [V_known, V], columns of all items over the items known before.
    known: [V_known], their places among all items.
  """

  weights: Float[np.ndarray, 'K V']
  known: Int[np.ndarray, ' K']


def item_columns(features: CentredFeatures, **hyperparameters: Any) -> Model:
  """EASE whose columns of new items are generated.

  Args:
    features: (interactions, known=None) -> features of the items, rows of
      length 1, centred over the known items alone.
    **hyperparameters: fields of `ItemColumnsConfig`.
  """
  config = ItemColumnsConfig(**hyperparameters)

  def fit(data, key, start=None, run=None):
    del key, start, run
    precision, operations = fit_precision(config, data)
    state, of_state = catalogue(config, data, precision, features(data))
    return Outcome(state, Cost(operations + of_state))

  def grow(state, data, known):
    table = features(data, known)
    new = np.setdiff1d(np.arange(data.num_items), known)
    made = generate(config, state, table[known], table[new])
    grown, operations = take_in(config, state, made.columns, data, known)
    return Outcome(grown, made.cost + Cost(operations))

  return Model('item_columns', config, fit, score, grow=grow, program=program)


def fit_precision(
  config: ItemColumnsConfig, data: Interactions
) -> tuple[Float[np.ndarray, 'V V'], float]:
  """P = (X'X + l2 I)^-1 of a catalogue, and the operations."""
  x_UxV = data.csr()
  ridge = np.full(data.num_items, float(config.l2))
  precision = linear_autoencoder.precision_cheapest(x_UxV, ridge)
  return precision, linear_autoencoder.precision_flops(
    x_UxV.getnnz(1), data.num_items
  )


def catalogue(
  config: ItemColumnsConfig,
  data: Interactions,
  precision: Float[np.ndarray, 'V V'],
  table: Float[np.ndarray, 'V F'],
) -> tuple[Catalogue, float]:
  """A catalogue that items may arrive in, and the operations.

  Args:
    config: hyperparameters.
    data: what users did in the catalogue.
    precision: that of `fit_precision`; overwritten.
    table: features of the items.
  """
  x_UxV = data.csr()
  watched, operations = old_ranking.watch(x_UxV, precision)
  weights = linear_autoencoder.weights_from_precision(precision)
  factor = absent = users = None
  if not config.neighbours:
    factor = kernel_factor(table, config.sharpness, config.l2_kernel)
    operations += kernel_flops(*table.shape)
  if config.updates and config.absent_weight:
    users = x_UxV
    absent, of_absent = column_update.inverse(
      x_UxV, config.absent_weight, config.l2_update
    )
    operations += of_absent
  return Catalogue(weights, factor, watched, absent, users), operations


def score(state: Catalogue | Grown, histories: method_lib.Histories):
  """Scores [B, V] = x B; new items of a history say nothing yet."""
  if isinstance(state, Catalogue):
    return item_item.score(state.weights, histories)
  return histories.csr()[:, state.known] @ state.weights


def program(state: Catalogue | Grown) -> Program:
  """The program of the weights; rows of new items are 0."""
  if isinstance(state, Catalogue):
    return weights_program.of_weights(state.weights)
  num_items = state.weights.shape[1]
  weights = np.zeros((num_items, num_items), np.float32)
  weights[state.known] = state.weights
  return weights_program.of_weights(weights)


def kernel_factor(
  table: Float[np.ndarray, 'V F'], sharpness: float, l2: float
) -> Float[np.ndarray, 'V V']:
  """The lower Cholesky factor of K + l2 I.

  Raises:
    InsufficientMemoryError: it does not fit.
  """
  num_items = len(table)
  memory.check_memory(
    3 * 4 * num_items**2, f'a kernel between {num_items} items'
  )
  k_VxV = item_kernel.kernel(table, table, sharpness)
  k_VxV[np.diag_indices(num_items)] += np.float32(l2)
  return scipy.linalg.cholesky(
    k_VxV, lower=True, overwrite_a=True, check_finite=False
  )


def kernel_flops(num_items: int, width: int) -> float:
  """Operations of `kernel_factor`."""
  return counts.matmul(num_items, num_items, width) + counts.cholesky(num_items)


class Generated(NamedTuple):
  """Columns of new items.

  Attributes:
    columns: over the old items.
    shares: those of the kernel regression that the columns are made of.
    cost: what it took.
  """

  columns: Float[np.ndarray, 'V N']
  shares: Float[np.ndarray, 'V N']
  cost: Cost


def generate(
  config: ItemColumnsConfig,
  state: Catalogue,
  known: Float[np.ndarray, 'V F'],
  new: Float[np.ndarray, 'N F'],
) -> Generated:
  """Columns of new items from their features."""
  shares_VxN, of_text = _shares(config, state, known, new)
  if not config.use_weights:
    return Generated(
      shares_VxN.copy(), shares_VxN, Cost(of_text, of_text=of_text)
    )
  per_item = config.neighbours or len(known)
  if config.neighbours:
    sparse = scipy.sparse.csr_matrix(shares_VxN.T)
    columns = np.ascontiguousarray((sparse @ state.weights.T).T)
  else:
    columns = state.weights @ shares_VxN
  columns += np.float32(config.identity) * shares_VxN
  product = counts.matmul(len(known), len(new), per_item)
  return Generated(
    columns, shares_VxN, Cost(of_text + product, of_text=of_text)
  )


def _shares(config, state: Catalogue, known, new):
  """(K + l2 I)^-1 k, for all old items or for the nearest; the operations."""
  if config.neighbours:
    return local_regression.shares(
      known, new, config.sharpness, config.l2_kernel, config.neighbours
    )
  return regression(state.factor, known, new, config.sharpness)


def regression(
  factor: Float[np.ndarray, 'V V'],
  known: Float[np.ndarray, 'V F'],
  new: Float[np.ndarray, 'N F'],
  sharpness: float,
) -> tuple[Float[np.ndarray, 'V N'], float]:
  """The kernel regression of new items on all old ones, and the operations.

  Args:
    factor: that of `kernel_factor`.
    known: features of the old items.
    new: features of the new ones.
    sharpness: of the kernel.
  """
  shares_VxN = scipy.linalg.cho_solve(
    (factor, True),
    item_kernel.kernel(known, new, sharpness),
    overwrite_b=True,
    check_finite=False,
  )
  num_items, num_new = shares_VxN.shape
  operations = counts.matmul(num_items, num_new, known.shape[1])
  operations += 2 * counts.triangular_solve(num_items, num_new)
  return shares_VxN, operations


def take_in(
  config: ItemColumnsConfig,
  state: Catalogue,
  columns: Float[np.ndarray, 'V N'],
  data: Interactions,
  known: Int[np.ndarray, ' V'],
) -> tuple[Grown, float]:
  """Puts new columns beside the old ones, with what is known of their items.

  Args:
    config: hyperparameters.
    state: the old items.
    columns: generated; overwritten.
    data: interactions with old and new items.
    known: places of the old items.

  Returns:
    The catalogue, and the operations.
  """
  new = np.setdiff1d(np.arange(data.num_items), known)
  columns *= _scale(state.weights, columns, config.scale)
  operations = 0.0
  if config.updates:
    x_UxV = data.csr()
    x_known, x_new = x_UxV[:, known], x_UxV[:, new]
    if state.absent is None:
      operations = column_update.update(
        columns, x_known, x_new, config.l2_update
      )
    elif x_new.nnz:
      of_absent = {'weight': config.absent_weight, 'l2': config.l2_update}
      absent, of_change = column_update.renew_inverse(
        state.absent, state.users, x_known, **of_absent
      )
      operations = of_change + column_update.update_with_absent(
        columns, x_known, x_new, absent, **of_absent
      )
  factor, of_factor = old_ranking.longest(
    state.watched, columns, config.most_lost, _LONGEST
  )
  columns *= np.float32(factor)
  weights = np.empty((len(known), data.num_items), np.float32)
  weights[:, known], weights[:, new] = state.weights, columns
  return Grown(weights, known), operations + of_factor


def _scale(old, new, scale: float) -> np.float32:
  """The factor that brings new columns to a multiple of the old ones' length.

  Both lengths are medians over columns.
  """
  lengths = [np.median(np.linalg.norm(part, axis=0)) for part in (old, new)]
  return np.float32(scale * lengths[0] / lengths[1] if lengths[1] else 1.0)
