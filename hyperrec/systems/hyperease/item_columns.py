"""HyperEASE for items: the weights of an item are generated when it arrives.

EASE predicts item j by a column of weights b_j, one for each item of a history.
A new item j has no column yet, but it has text. Its column is generated from
the columns of the catalogue, by a kernel regression over text,

    c_j = (a I + B) (K + l2 I)^-1 k_j,    k(i, j) = exp(s (f_i . f_j - 1))

with B the catalogue's own weights, K the kernel between its items, and k_j that
to the new item. The term a I lets an item of a history speak for items like it,
B lets it speak for items like those that it is consumed with. A column costs
two triangular solves and a product, O(V^2), where a refit costs O(V^3).

The interactions that the item has then update its column by ridge regression
around the generated one. Users who did not take the item up may not have seen
it yet, so they have a smaller weight g, or none:

    min_w  sum_(u took it) (1 - x_u w)^2 + g sum_(other u) (x_u w)^2
           + l2_update ||w - c_j||^2

The update is exact. With (g X'X + l2_update I)^-1 at hand, it takes a product
and a system as large as the number of the item's interactions.

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
from hyperrec.systems.hyperease import local_regression, old_ranking
from hyperrec.systems.linear import (
  item_item,
  linear_autoencoder,
  spd_inverse,
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
  """

  weights: Float[np.ndarray, 'V V']
  factor: Float[np.ndarray, 'V V'] | None
  watched: old_ranking.Watched
  absent: Float[np.ndarray, 'V V'] | None = None


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
  factor = absent = None
  if not config.neighbours:
    factor = kernel_factor(table, config.sharpness, config.l2_kernel)
    operations += kernel_flops(*table.shape)
  if config.updates and config.absent_weight:
    absent = linear_autoencoder.precision_cheapest(
      x_UxV * np.float32(np.sqrt(config.absent_weight)),
      np.full(data.num_items, float(config.l2_update)),
    )
    operations += linear_autoencoder.precision_flops(
      x_UxV.getnnz(1), data.num_items
    )
  return Catalogue(weights, factor, watched, absent), operations


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


def kernel(
  left: Float[np.ndarray, 'M F'],
  right: Float[np.ndarray, 'N F'],
  sharpness: float,
) -> Float[np.ndarray, 'M N']:
  """exp(s (f . g - 1)) between rows of length 1, float32."""
  product = left.astype(np.float32) @ right.T.astype(np.float32)
  product -= 1
  product *= np.float32(sharpness)
  return np.exp(product, out=product)


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
  k_VxV = kernel(table, table, sharpness)
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
    kernel(known, new, sharpness),
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
      operations = update(columns, x_known, x_new, config.l2_update)
    else:
      operations = update_with_absent(
        config, columns, x_known, x_new, state.absent
      )
  factor, of_factor = old_ranking.longest(
    state.watched, columns, config.most_lost, _LONGEST
  )
  columns *= np.float32(factor)
  weights = np.empty((len(known), data.num_items), np.float32)
  weights[:, known], weights[:, new] = state.weights, columns
  return Grown(weights, known), operations + of_factor


def hidden_columns(
  config: ItemColumnsConfig,
  precision: Float[np.ndarray, 'V V'],
  table: Float[np.ndarray, 'V F'],
) -> tuple[Float[np.ndarray, 'V V'], Float[np.ndarray, 'V V'], float]:
  """The column of each item as it is generated where that item is unknown.

  Column i is that of a catalogue without item i, whose weights and kernel are
  fitted without it: both inverses are downdated exactly, so that all columns
  together cost a few products of [V, V] matrices.

  Args:
    config: hyperparameters.
    precision: P = (X'X + l2 I)^-1 of the whole catalogue.
    table: features of its items.

  Returns:
    The columns, with a diagonal of 0; the shares of the kernel regression that
    they are made of; the operations.
  """
  shares_VxV, operations = hidden_shares(
    table, config.sharpness, config.l2_kernel
  )
  if not config.use_weights:
    return shares_VxV.copy(), shares_VxV, operations
  columns_VxV, of_product = hidden_smoothing(precision, shares_VxV)
  columns_VxV += np.float32(config.identity) * shares_VxV
  return columns_VxV, shares_VxV, operations + of_product


def hidden_shares(
  table: Float[np.ndarray, 'V F'], sharpness: float, l2: float
) -> tuple[Float[np.ndarray, 'V V'], float]:
  """The kernel regression of each item on all others, and the operations."""
  num_items = len(table)
  diagonal = np.diag_indices(num_items)
  k_VxV = kernel(table, table, sharpness)
  k_VxV[diagonal] += np.float32(l2)
  # A row of an inverse tells the regression of that item on all others.
  shares_VxV = spd_inverse.spd_inverse(k_VxV)
  shares_VxV /= -np.diagonal(shares_VxV)
  shares_VxV[diagonal] = 0
  return shares_VxV, kernel_flops(*table.shape) + counts.spd_inverse(num_items)


def hidden_smoothing(
  precision: Float[np.ndarray, 'V V'], shares: Float[np.ndarray, 'V V']
) -> tuple[Float[np.ndarray, 'V V'], float]:
  """B s_i for each item, with B the weights of a catalogue without item i.

  Args:
    precision: P of the whole catalogue.
    shares: s_i are its columns; the diagonal is 0.

  Returns:
    The products, with a diagonal of 0, and the operations.
  """
  num_items = len(shares)
  diagonal = np.diag_indices(num_items)
  own_V = np.diagonal(precision)
  without_VxV = own_V[:, None] - precision**2 / own_V
  without_VxV[diagonal] = 1
  product_VxV = precision @ (shares / without_VxV)
  product_VxV -= precision * (np.diagonal(product_VxV) / own_V)
  smoothed_VxV = shares - product_VxV
  smoothed_VxV[diagonal] = 0
  return smoothed_VxV, counts.matmul(num_items, num_items, num_items)


def update(
  columns: Float[np.ndarray, 'V N'],
  x_known: scipy.sparse.csr_matrix,
  x_new: scipy.sparse.csr_matrix,
  l2: float,
) -> float:
  """Takes the interactions of new items into their columns, in place.

  With rows X of the n users who took an item up, the minimum is at
  c + X' (X X' + l2 I)^-1 (1 - X c), of which only an n x n system is solved.

  Args:
    columns: generated; overwritten.
    x_known: [U, V] interactions with known items.
    x_new: [U, N] interactions with new items.
    l2: ridge.

  Returns:
    The operations.
  """
  operations = 0.0
  by_item = x_new.tocsc()
  for item in range(by_item.shape[1]):
    users = by_item.indices[by_item.indptr[item] : by_item.indptr[item + 1]]
    if not len(users):
      continue
    rows = x_known[users]
    gram = (rows @ rows.T).toarray().astype(np.float64)
    gram[np.diag_indices(len(users))] += l2
    missing = 1.0 - rows @ columns[:, item]
    dual = scipy.linalg.solve(gram, missing, assume_a='pos')
    columns[:, item] += rows.T @ dual
    operations += 2.0 * len(users) * rows.nnz + counts.cholesky(len(users))
  return operations


def update_with_absent(
  config: ItemColumnsConfig,
  columns: Float[np.ndarray, 'V N'],
  x_known: scipy.sparse.csr_matrix,
  x_new: scipy.sparse.csr_matrix,
  absent: Float[np.ndarray, 'V V'],
) -> float:
  """The same where users who did not take an item up have a weight g, too.

  The system is that of all users with the weight g, of which the inverse is
  known, plus 1 - g for each of the n users who took the item up (Woodbury).

  Args:
    config: hyperparameters.
    columns: generated; overwritten where items have interactions.
    x_known: [U, V] interactions with known items.
    x_new: [U, N] interactions with new items.
    absent: see `Catalogue`.

  Returns:
    The operations.
  """
  by_item, more = x_new.tocsc(), 1 - config.absent_weight
  updated = np.flatnonzero(np.diff(by_item.indptr))
  start_VxN = absent @ (np.float32(config.l2_update) * columns[:, updated])
  operations = counts.matmul(len(absent), len(updated), len(absent))
  for item, start_V in zip(updated, start_VxN.T, strict=True):
    users = by_item.indices[by_item.indptr[item] : by_item.indptr[item + 1]]
    rows = x_known[users]
    own_nxV = rows @ absent
    column_V = start_V + own_nxV.sum(axis=0)
    if more:
      inner = (rows @ own_nxV.T).astype(np.float64)
      inner[np.diag_indices(len(users))] += 1 / more
      dual = scipy.linalg.solve(inner, rows @ column_V, assume_a='pos')
      column_V = column_V - dual @ own_nxV
    columns[:, item] = column_V
    operations += 2.0 * rows.nnz * (len(absent) + len(users))
    operations += counts.cholesky(len(users)) + 3.0 * own_nxV.size
  return operations


def _scale(old, new, scale: float) -> np.float32:
  """The factor that brings new columns to a multiple of the old ones' length.

  Both lengths are medians over columns.
  """
  lengths = [np.median(np.linalg.norm(part, axis=0)) for part in (old, new)]
  return np.float32(scale * lengths[0] / lengths[1] if lengths[1] else 1.0)
