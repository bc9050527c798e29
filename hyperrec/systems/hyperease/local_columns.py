"""Columns of new items in catalogues of a million items.

They are the columns of `item_columns` with `neighbours`, but weights and
columns are sparse, and the nearest items are looked for among groups of similar
ones. So time and memory grow with the number of new items, and not with V^2.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Float

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec.cost import counts, memory
from hyperrec.systems.hyperease import old_ranking
from hyperrec.systems.linear import (
  item_item,
  local_kernel,
  local_solve,
  near_items,
  sparse_autoencoder,
  weights_program,
)
from hyperrec.training import mesh as mesh_lib

CentredFeatures = method_lib.CentredFeatures
Cost = method_lib.Cost
Csr = scipy.sparse.csr_matrix
Model = method_lib.Model
Outcome = method_lib.Outcome

# Watched users are left out of the fit; at most this share of all users.
_WATCHED_SHARE, _MOST_WATCHED = 0.01, 500
# Watched users that are scored at once, numbers in a batch of small systems,
# and how many times longer than `scale` says new columns are at most.
_SCORED, _NUMBERS, _LONGEST = 16, 2**22, 3.0


@dataclasses.dataclass(frozen=True)
class LocalColumnsConfig:
  """Hyperparameters of generated columns in large catalogues.

  Attributes:
    l2: Ridge of EASE on the old items, above 0.
    neighbours: Largest number of weights of an old item.
    l2_kernel: Ridge of the kernel regression, above 0.
    sharpness: Sharpness s of the kernel, above 0.
    similar: Old items, the most similar ones, on which the kernel regression of
      a new item is done.
    candidates: Old items that a new one is compared with to find these.
    identity: Weight a of the identity beside the catalogue's weights.
    l2_update: Ridge of the update by interactions of new items, above 0.
    scale: Median length of new columns as a multiple of that of old columns.
    most_lost: Share of the NDCG@100 of old targets that new items may cost in
      the ranking of the whole catalogue.
  """

  l2: float = config_lib.field(100.0, above=0)
  neighbours: int = config_lib.field(64, least=1)
  l2_kernel: float = config_lib.field(3.0, above=0)
  sharpness: float = config_lib.field(1.0, above=0)
  similar: int = config_lib.field(64, least=1)
  candidates: int = config_lib.field(4096, least=1)
  identity: float = 1.0
  l2_update: float = config_lib.field(100.0, above=0)
  scale: float = config_lib.field(1.0, above=0)
  most_lost: float = config_lib.field(0.025, least=0, below=1)

  def __post_init__(self):
    config_lib.check(self)


class Catalogue(NamedTuple):
  """A catalogue that items may arrive in.

  Attributes:
    weights: sparse [V, V], EASE between its items.
    groups: its items by similarity of features.
    watched: users by whom the length of new columns is chosen.
  """

  weights: Csr
  groups: near_items.Groups
  watched: old_ranking.Watched


def local_columns(features: CentredFeatures, **hyperparameters: Any) -> Model:
  """Sparse EASE whose columns of new items are generated.

  A state of a grown catalogue is its sparse weights between all items; rows of
  new items are 0.

  Args:
    features: (interactions, known=None) -> features of the items, rows of
      length 1, centred over the known items alone.
    **hyperparameters: fields of `LocalColumnsConfig`.
  """
  config = LocalColumnsConfig(**hyperparameters)

  def fit(data, key, start=None, run=None):
    del key, start, run
    x_UxV = data.csr()
    random = np.random.default_rng(0)
    most = min(_MOST_WATCHED, int(_WATCHED_SHARE * x_UxV.shape[0]))
    rows = old_ranking.draw(random, x_UxV, most)
    shown_BxV, user, item = old_ranking.hide(random, x_UxV[rows])
    x_UxV = x_UxV[np.setdiff1d(np.arange(x_UxV.shape[0]), rows)]
    near_VxM = near_items.by_users(x_UxV, config.neighbours)
    values = local_solve.solve(local_solve.together(x_UxV), near_VxM, config.l2)
    weights = local_solve.as_matrix(near_VxM, values, data.num_items)
    watched = watch(weights, shown_BxV, user, item)
    table = np.asarray(features(data), np.float32)
    state = Catalogue(weights, near_items.groups(table), watched)
    operations = sparse_autoencoder.neighbour_flops(x_UxV, config.neighbours)
    return Outcome(state, Cost(operations))

  def grow(state, data, known):
    table = np.asarray(features(data, known), np.float32)
    new = np.setdiff1d(np.arange(data.num_items), known)
    rows_NxV = generate(config, state, table[known], table[new])
    x_UxV = data.csr()
    rows_NxV = take_in(config, state, rows_NxV, x_UxV[:, known], x_UxV[:, new])
    operations = generate_flops(config, len(new), table.shape[1])
    operations += update_flops(x_UxV[:, new], rows_NxV.nnz)
    return Outcome(grown(state.weights, rows_NxV, known, new), Cost(operations))

  return Model('local_columns', config, fit, score, grow=grow, program=program,
    sparse_weights=weights_of,
  )  # fmt: skip


def score(state: Catalogue | Csr, histories: method_lib.Histories):
  """Scores [B, V] = x B; new items of a history say nothing yet."""
  return item_item.score(weights_of(state), histories)


def program(state: Catalogue | Csr) -> method_lib.Program:
  """The program of the weights."""
  return weights_program.of_weights(weights_of(state))


def weights_of(state: Catalogue | Csr) -> Csr:
  """The sparse weights between all items of a state."""
  return state.weights if isinstance(state, Catalogue) else state


def watch(weights: Csr, shown: Csr, user, item) -> old_ranking.Watched:
  """Ranks the hidden items of users who took no part in the fit.

  Args:
    weights: B [V, V].
    shown: [B, V], what these users show.
    user: [T], the user of each hidden item, in order.
    item: [T], the hidden item.
  """
  scores_T = np.zeros(len(user), np.float32)
  ranks_T = np.zeros(len(user), np.int64)
  for first in range(0, shown.shape[0], _SCORED):
    part = shown[first : first + _SCORED]
    scores_BxV = (part @ weights).toarray()
    here = np.flatnonzero((user >= first) & (user < first + _SCORED))
    scores_T[here] = scores_BxV[user[here] - first, item[here]]
    scores_BxV[part.nonzero()] = -np.inf
    for place in here:
      above = scores_BxV[user[place] - first] >= scores_T[place]
      ranks_T[place] = above.sum()
  return old_ranking.Watched(shown, user, scores_T, ranks_T)


def generate(
  config: LocalColumnsConfig,
  state: Catalogue,
  known: Float[np.ndarray, 'V F'],
  new: Float[np.ndarray, 'N F'],
) -> Csr:
  """Columns of new items from their features, as sparse rows [N, V]."""
  similar = min(config.similar, len(known))
  near_NxM = near_items.by_features(
    known, state.groups, new, similar, config.candidates
  )
  shares_NxM = local_kernel.columns(
    known, near_NxM, new, config.sharpness, config.l2_kernel
  )
  shares_VxN = local_solve.as_matrix(near_NxM, shares_NxM, len(known))
  columns = state.weights @ shares_VxN + config.identity * shares_VxN
  return columns.T.tocsr().astype(np.float32)


def generate_flops(
  config: LocalColumnsConfig, num_new: int, width: int
) -> float:
  """Operations of `generate`."""
  search = counts.matmul(1, config.candidates, width)
  per_item = local_kernel.flops(config.similar, width, search)
  per_item += counts.matmul(1, config.similar, config.neighbours)
  return num_new * per_item


def take_in(
  config: LocalColumnsConfig,
  state: Catalogue,
  rows: Csr,
  x_known: Csr,
  x_new: Csr,
) -> Csr:
  """Scales generated columns and updates them with interactions.

  Args:
    config: hyperparameters.
    state: the old items.
    rows: generated columns, as sparse rows [N, V].
    x_known: [U, V] interactions with old items.
    x_new: [U, N] interactions with new items.
  """
  old = np.median(_lengths(state.weights.T.tocsr()))
  new = np.median(_lengths(rows))
  rows = rows * np.float32(config.scale * old / new if new else 1.0)
  rows = update(rows, x_known, x_new, config.l2_update)
  factor, _ = old_ranking.longest(
    state.watched, rows.T.tocsr(), config.most_lost, _LONGEST
  )
  return rows * np.float32(factor)


def _lengths(rows: Csr) -> np.ndarray:
  return np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())


def update(rows: Csr, x_known: Csr, x_new: Csr, l2: float) -> Csr:
  """Takes the interactions of new items into their columns, exactly.

  It is `column_update.update` for sparse columns: the systems of items with
  similarly many users are solved together.

  Args:
    rows: columns of new items, as sparse rows [N, V].
    x_known: [U, V] interactions with old items.
    x_new: [U, N] interactions with new items.
    l2: ridge.

  Raises:
    InsufficientMemoryError: the largest system does not fit.
  """
  by_item = x_new.tocsc()
  ends, number_N = by_item.indptr, np.diff(by_item.indptr)
  item_P = np.repeat(np.arange(len(number_N)), number_N)
  x_PxV = x_known[by_item.indices]
  told_P = np.asarray(x_PxV.multiply(rows[item_P]).sum(axis=1)).ravel()
  missing_P = (1 - told_P).astype(np.float32)
  dual_P = np.zeros(len(item_P), np.float32)
  size_N = 1 << np.ceil(np.log2(np.maximum(number_N, 1))).astype(int)
  memory.check_memory(
    # The system, with its ridge and scaled, and its factor.
    4 * 4 * int(size_N.max(initial=1)) ** 2,
    f'the update by an item with {number_N.max(initial=0)} interactions',
    'give fewer interactions of new items, or fit anew with them',
  )
  for size in np.unique(size_N[number_N > 0]):
    items = np.flatnonzero((size_N == size) & (number_N > 0))
    place = np.arange(size)

    def make(chosen, items=items, size=size, place=place):
      grams = np.zeros((len(chosen), size, size), np.float32)
      missing = np.zeros((len(chosen), size), np.float32)
      for row, item in enumerate(items[chosen]):
        part = slice(ends[item], ends[item + 1])
        own, number = x_PxV[part], number_N[item]
        grams[row, :number, :number] = (own @ own.T).toarray()
        missing[row, :number] = missing_P[part]
      return grams, missing

    batch = max(1, min(256, _NUMBERS // size**2))
    duals = mesh_lib.map_items(
      len(items), int(size), batch, make, _solve, np.float32(l2)
    )
    is_user = place < number_N[items][:, None]
    at = ends[items][:, None] + place
    dual_P[at[is_user]] = duals[is_user]
  pairs = np.arange(len(item_P))
  dual_NxP = scipy.sparse.csr_matrix(
    (dual_P, (item_P, pairs)), (len(number_N), len(item_P))
  )
  return (rows + dual_NxP @ x_PxV).tocsr()


def _solve(l2, grams_BxNxN, missing_BxN):
  ridge = l2 * jnp.eye(missing_BxN.shape[1])
  return jax.vmap(local_solve.scaled_solve)(
    grams_BxNxN + ridge[None], missing_BxN
  )


def update_flops(x_new: Csr, entries: int) -> float:
  """Operations of `update`, of columns with so many entries."""
  number_N = x_new.getnnz(0).astype(np.float64)
  return float((number_N**3 / 3 + 2 * number_N**2).sum()) + 2.0 * entries


def grown(weights: Csr, rows: Csr, known, new) -> Csr:
  """Sparse weights [V, V] between old and new items.

  Args:
    weights: between the old items.
    rows: columns of the new items, as sparse rows over the old ones.
    known: places of the old items among all.
    new: places of the new ones.
  """
  num_items = len(known) + len(new)
  old, added = weights.tocoo(), rows.tocoo()
  parts = (
    np.concatenate([old.data, added.data]).astype(np.float32),
    (
      np.concatenate([known[old.row], known[added.col]]),
      np.concatenate([known[old.col], new[added.row]]),
    ),
  )
  return scipy.sparse.csr_matrix(parts, (num_items, num_items))
