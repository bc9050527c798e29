"""HyperEASE for items, trained: each old item is a task.

The closed form of `item_columns` gives a new item j the column c_j. A network
reads the item's features and what the closed form knows of it, and corrects the
column in a low rank:

    g_j = exp(s_j) c_j + E t_j,    (t_j, s_j) = net(features of j)

with E [V, r] the items in a space of few dimensions. The network starts at
t_j = 0 and s_j = 0, which is the closed form itself.

It is trained on old items. Each step hides a quarter of the items. Their
columns are those of a catalogue without them (`item_columns.hidden_columns`),
users keep the other items as their histories, and the loss is the multinomial
likelihood of the hidden items that they took up, among all hidden items.

A network that fits its users and items says little about others, so some items
and some users are kept from training. There, a correction has to gain more than
`caution` standard errors, or the closed form stays as it is. Several networks
are averaged; each has other users, and mostly other items, kept from training.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Array, Float, Int

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec.cost import counts
from hyperrec.evaluation import ranking
from hyperrec.systems.graph import spectrum
from hyperrec.systems.hyperease import item_columns
from hyperrec.systems.linear import linear_autoencoder
from hyperrec.systems.mult_vae import variational_autoencoder
from hyperrec.training import loop, optimizers
from hyperrec.training import step as step_lib

CentredFeatures = method_lib.CentredFeatures
Cost = method_lib.Cost
Csr = scipy.sparse.csr_matrix
Interactions = method_lib.Interactions
Model = method_lib.Model
Outcome = method_lib.Outcome

# Share of the training items that a step hides.
_HIDDEN_SHARE = 0.25
# Parts of a correction that validation chooses from.
_STRENGTHS = (0.3, 0.6, 1.0)
# An item is no task if another one is this similar: a new item would be left
# out of the ranking.
_NEAR = 0.9
# What a correction has to improve, and on how many users at most.
_METRIC, _MOST_JUDGED = 'ndcg@100', 3000


@dataclasses.dataclass(frozen=True)
class ItemGeneratorConfig(item_columns.ItemColumnsConfig):
  """Hyperparameters of trained columns, beside those of the closed form.

  Attributes:
    rank: Dimensions r of the correction.
    hidden_dim: Width of the two hidden layers of the network.
    dropout: Share of features and of hidden units that is dropped in training.
    members: Networks that are averaged, each with other validation items and
      users; where times are known the items are always the latest.
    steps: Training steps of each network.
    batch_size: Users of a step.
    lr: Learning rate of AdamW at the start; it falls to 0 along a cosine.
    weight_decay: Weight decay of AdamW.
    validation_share: Share of the items, and of the users, that are kept from
      training.
    evaluate_every: Steps between two validations.
    caution: Number of standard errors by which a correction has to gain.
  """

  rank: int = config_lib.field(64, least=2)
  hidden_dim: int = config_lib.field(256, least=1)
  dropout: float = config_lib.field(0.5, least=0, below=1)
  members: int = config_lib.field(4, least=1)
  steps: int = config_lib.field(800, least=1)
  batch_size: int = config_lib.field(192, least=1)
  lr: float = config_lib.field(1e-3, above=0)
  weight_decay: float = config_lib.field(1e-2, least=0)
  validation_share: float = config_lib.field(0.2, above=0, below=1)
  evaluate_every: int = config_lib.field(100, least=1)
  caution: float = config_lib.field(1.5, least=0)


class Known(NamedTuple):
  """What the network is told of items.

  Attributes:
    table: features, rows of length 1 or 0.
    facts: sum of the kernel regression's shares, mean log popularity of the
      items that they belong to, log length of the column, and greatest kernel
      value; standardised over the old items.
  """

  table: Float[Array, 'N F']
  facts: Float[Array, 'N 4']


class Scale(NamedTuple):
  """Mean and deviation of each fact over the old items."""

  mean: Float[np.ndarray, ' 4']
  deviation: Float[np.ndarray, ' 4']


class Member(NamedTuple):
  """One trained network; a strength of 0 leaves the closed form as it is."""

  params: Any
  strength: float


class State(NamedTuple):
  """A catalogue, and the generator of the columns of items that arrive.

  Attributes:
    catalogue: weights and kernel of the old items.
    loadings: E [V, r].
    log_counts: [V], log of each item's interactions plus 1.
    scale: see `Scale`.
    members: the networks.
  """

  catalogue: item_columns.Catalogue
  loadings: Float[np.ndarray, 'V r']
  log_counts: Float[np.ndarray, ' V']
  scale: Scale
  members: tuple[Member, ...]


class Tables(NamedTuple):
  """All old items as tasks: what is known of them, and their columns.

  Attributes:
    known: see `Known`.
    columns: [V, V], each of a catalogue without its item.
    loadings: E [V, r].
  """

  known: Known
  columns: Float[Array, 'V V']
  loadings: Float[Array, 'V r']


class Task(NamedTuple):
  """Users whose items are partly hidden.

  Attributes:
    histories: the items that are shown.
    items: numbers of the N hidden items.
    targets: which of these a user took up.
  """

  histories: Float[Array, 'B V']
  items: Int[Array, ' N']
  targets: Float[Array, 'B N']


class Net(nn.Module):
  """Coefficients t [r] and log scale s of a column, both 0 at the start."""

  rank: int
  hidden_dim: int
  dropout: float

  @nn.compact
  def __call__(self, known: Known, *, is_training: bool = False):
    """Coefficients [N, r] and log scales [N]."""
    drop = nn.Dropout(self.dropout, deterministic=not is_training)
    hidden = jnp.concatenate([drop(known.table), known.facts], axis=-1)
    for _ in range(2):
      hidden = drop(nn.gelu(nn.Dense(self.hidden_dim)(hidden)))
    zeros = nn.initializers.zeros
    found = nn.Dense(self.rank + 1, kernel_init=zeros)(hidden)
    return found[..., :-1], found[..., -1]


def item_generator(features: CentredFeatures, **hyperparameters: Any) -> Model:
  """EASE whose columns of new items are generated by trained networks.

  Args:
    features: (interactions, known=None) -> features of the items, rows of
      length 1, centred over the known items alone.
    **hyperparameters: fields of `ItemGeneratorConfig`.
  """
  config = ItemGeneratorConfig(**hyperparameters)

  def fit_to(data, key, start=None, run=None):
    del start, run
    return fit(config, data, features(data), key)

  def grow(state, data, known):
    table = features(data, known)
    new = np.setdiff1d(np.arange(data.num_items), known)
    old, table = table[known], table[new]
    made = item_columns.generate(config, state.catalogue, old, table)
    nearest = (table @ old.T).max(axis=1)
    told = Known(
      table.astype(np.float32),
      facts(made, state.log_counts, nearest, state.scale),
    )
    columns, of_correction = correct(config, state, told, made.columns)
    grown, operations = item_columns.take_in(
      config, state.catalogue, columns, data, known
    )
    return Outcome(grown, made.cost + Cost(of_correction + operations))

  return Model('item_generator', config, fit_to, score, grow=grow)


def score(
  state: State | item_columns.Grown, histories: method_lib.Histories
) -> Float[np.ndarray, 'B V']:
  """Scores [B, V], as those of `item_columns`."""
  if isinstance(state, State):
    state = state.catalogue
  return item_columns.score(state, histories)


def fit(
  config: ItemGeneratorConfig,
  data: Interactions,
  table: Float[np.ndarray, 'V F'],
  key: jax.Array,
) -> Outcome:
  """The closed form of a catalogue, and the networks that correct it.

  Raises:
    CannotServe: too few items or users are left to train and to validate on.
  """
  x_UxV, num_items = data.csr(), data.num_items
  ridge = np.full(num_items, float(config.l2))
  precision = linear_autoencoder.precision_cheapest(x_UxV, ridge)
  columns, shares, operations = item_columns.hidden_columns(
    config, precision, table
  )
  operations += linear_autoencoder.precision_flops(x_UxV.getnnz(1), num_items)
  weights = linear_autoencoder.weights_from_precision(precision)
  factor = item_columns.kernel_factor(table, config.sharpness, config.l2_kernel)
  loadings, of_loadings = item_loadings(config, x_UxV, weights)
  log_counts = np.log(x_UxV.getnnz(0) + 1.0)
  nearest = _nearest_other(table)
  hidden = item_columns.Generated(columns, shares, Cost())
  raw = facts(hidden, log_counts, nearest)
  scale = Scale(raw.mean(axis=0), raw.std(axis=0) + 1e-6)
  known = Known(
    np.asarray(table, np.float32), facts(hidden, log_counts, nearest, scale)
  )
  tables = Tables(known, columns, loadings)
  tasks = distinct(nearest)
  members, of_members = [], 0.0
  for member_key in jax.random.split(key, config.members):
    parts = divide(config, data, tasks, member_key)
    trained, spent = train(config, x_UxV, tables, parts, member_key)
    members.append(trained)
    of_members += spent
  state = State(
    item_columns.Catalogue(weights, factor),
    loadings,
    log_counts,
    scale,
    tuple(members),
  )
  return Outcome(state, Cost(operations + of_loadings + of_members))


def item_loadings(
  config: ItemGeneratorConfig, x: Csr, weights: Float[np.ndarray, 'V V']
) -> tuple[Float[np.ndarray, 'V r'], float]:
  """E: leading singular vectors, smoothed by the weights, and a constant.

  Scores of users have a deviation of 1 in each dimension. The constant, of
  which a user's sum is about 1, makes an item popular with all users.
  """
  found = spectrum.low_frequencies(spectrum.normalise(x), config.rank - 1)
  vectors = found.vectors + weights @ found.vectors
  vectors /= np.asarray(x @ vectors).std()
  constant = np.full((x.shape[1], 1), 1 / max(1.0, x.getnnz(1).mean()))
  operations = counts.matmul(*vectors.shape, x.shape[1])
  loadings = np.concatenate([vectors, constant], axis=1).astype(np.float32)
  return loadings, found.operations + operations


def facts(
  made: item_columns.Generated,
  log_counts: Float[np.ndarray, ' V'],
  nearest: Float[np.ndarray, ' N'],
  scale: Scale | None = None,
) -> Float[np.ndarray, 'N 4']:
  """What the closed form knows of items; see `Known`.

  Args:
    made: their columns and shares.
    log_counts: of the old items.
    nearest: greatest cosine of each item to another, old one.
    scale: standardises; None gives the numbers as they are.
  """
  total = made.shares.sum(axis=0)
  found = np.stack(
    [
      total,
      made.shares.T @ log_counts / np.maximum(total, 0.1),
      np.log(np.linalg.norm(made.columns, axis=0) + 1e-4),
      nearest,
    ],
    axis=1,
  )
  if scale is not None:
    found = (found - scale.mean) / scale.deviation
  return found.astype(np.float32)


def _nearest_other(table: Float[np.ndarray, 'V F']) -> np.ndarray:
  """The greatest cosine of each item to another one."""
  cosines = table @ table.T
  np.fill_diagonal(cosines, -1)
  return cosines.max(axis=1)


def distinct(nearest: Float[np.ndarray, ' V']) -> np.ndarray:
  """Items without a near-duplicate; all items where these are less than half.

  Args:
    nearest: greatest cosine of each item to another one.
  """
  found = np.flatnonzero(nearest <= _NEAR)
  return found if 2 * len(found) >= len(nearest) else np.arange(len(nearest))


class Parts(NamedTuple):
  """Items and users to train on and to validate on."""

  items: np.ndarray
  validation_items: np.ndarray
  users: np.ndarray
  validation_users: np.ndarray


def divide(
  config: ItemGeneratorConfig,
  data: Interactions,
  tasks: np.ndarray,
  key: jax.Array,
) -> Parts:
  """Keeps some items and users from training.

  Args:
    config: hyperparameters.
    data: interactions.
    tasks: items that may be hidden.
    key: of the draws. Where times are known, the items are the latest ones.

  Raises:
    CannotServe: nothing is left to train on, or to validate on.
  """
  random = np.random.default_rng(int(jax.random.bits(key)))
  order = random.permutation(tasks)
  first = data.first_times()
  if first is not None:
    order = tasks[np.argsort(-first[tasks], kind='stable')]
  cut = int(config.validation_share * len(order))
  users = random.permutation(np.flatnonzero(data.csr().getnnz(1) > 1))
  cut_users = int(config.validation_share * len(users))
  parts = Parts(
    np.sort(order[cut:]),
    np.sort(order[:cut]),
    users[cut_users:],
    users[:cut_users],
  )
  if min(map(len, parts)) < 2:
    raise method_lib.CannotServe(
      'a generator of items keeps a part of the items and of the users from '
      f'training; {data.name or "the source"} has {len(tasks)} items and '
      f'{len(users)} users with two of them'
    )
  return parts


def train(
  config: ItemGeneratorConfig,
  x: Csr,
  tables: Tables,
  parts: Parts,
  key: jax.Array,
) -> tuple[Member, float]:
  """Trains one network.

  Returns:
    The network as it was when it gained most on validation, with the strength
    that gained most; and the operations.
  """
  draw_key, init_key, step_key = jax.random.split(key, 3)
  seed = int(jax.random.bits(draw_key))
  size = min(config.batch_size, len(parts.users))
  num_hidden = max(1, int(_HIDDEN_SHARE * len(parts.items)))
  tables = jax.tree.map(jnp.asarray, tables)

  def batch_at(step):
    random = np.random.default_rng((seed, step))
    rows = loop.batch_rows(step, size, len(parts.users), seed)
    hidden = random.choice(parts.items, num_hidden, replace=False)
    absent = parts.validation_items
    task = make_task(x[parts.users[rows]], np.sort(hidden), absent)
    return tables, task

  gains = validation(config, x, tables, parts)
  some = jax.tree.map(lambda leaf: leaf[:1], tables.known)
  params = {
    'net': _net(config, tables.loadings).init(init_key, some)['params'],
    # The loss is a softmax of the scores times the exponential of this.
    'log_sharpness': jnp.log(10.0),
  }
  step_fn, tx = train_step(config)
  result = loop.train(
    step_fn,
    step_lib.init_state(params, tx, step_key),
    batch_at,
    config.steps,
    loop.Run(
      lambda found: {'gain': max(gains(found))},
      best_metric='gain',
      evaluate_every=config.evaluate_every,
    ),
  )
  best = gains(result.best.params)
  strength = _STRENGTHS[int(np.argmax(best))] if max(best) > 0 else 0.0
  state = step_lib.init_state(params, tx, step_key)
  operations = config.steps * counts.program(step_fn, state, batch_at(0))
  looks = 1 + config.steps // config.evaluate_every
  operations += looks * validation_flops(config, x, tables, parts)
  return Member(jax.device_get(result.best.params), strength), operations


def make_task(x: Csr, hidden: np.ndarray, absent: np.ndarray) -> Task:
  """Hides items of users; items that are absent are in no history either."""
  histories = x.toarray()
  targets = histories[:, hidden]
  histories[:, hidden] = 0
  histories[:, absent] = 0
  return Task(histories, hidden.astype(np.int32), targets)


def validation(config: ItemGeneratorConfig, x: Csr, tables, parts: Parts):
  """Makes the function that tells what parameters gain over the closed form.

  Returns:
    params -> for each of the strengths, the mean gain of NDCG over the
    validation users, less `caution` standard errors.
  """
  nothing = np.zeros(0, np.int64)
  items = parts.validation_items
  rows = parts.validation_users
  rows = rows[x[rows][:, items].getnnz(1) > 0][:_MOST_JUDGED]
  if not len(rows):
    return lambda params: [0.0] * len(_STRENGTHS)
  task = make_task(x[rows], items, nothing)

  def ndcg(columns):
    scores = task.histories @ np.asarray(columns)
    return ranking.evaluate(
      lambda users: scores[users],
      scipy.sparse.csr_matrix(task.targets.shape, dtype=np.float32),
      scipy.sparse.csr_matrix(task.targets),
      metrics=(_METRIC,),
    ).values[_METRIC]

  base = ndcg(tables.columns[:, items])

  def gains(params):
    found = []
    for strength in _STRENGTHS:
      gain = (
        ndcg(columns_of(config, params, tables, items, strength=strength))
        - base
      )
      error = gain.std() / np.sqrt(len(gain))
      found.append(float(gain.mean() - config.caution * error))
    return found

  return gains


def validation_flops(config, x: Csr, tables: Tables, parts: Parts) -> float:
  """Operations of one look at the validation users, for all strengths."""
  num_items = len(parts.validation_items)
  num_users = min(_MOST_JUDGED, len(parts.validation_users))
  rank = tables.loadings.shape[1]
  of_columns = counts.matmul(x.shape[1], num_items, rank)
  of_columns += _net_flops(config, num_items, tables.known, rank)
  of_scores = counts.matmul(num_users, num_items, x.shape[1])
  return len(_STRENGTHS) * (of_columns + of_scores)


@functools.lru_cache(maxsize=16)
def train_step(config: ItemGeneratorConfig):
  """The jitted step and its optimizer; cached."""

  def loss_fn(params, batch, key, step):
    del step
    return _loss(config, params, *batch, key), {}

  tx = optimizers.cosine_adamw(config.lr, config.steps, config.weight_decay)
  return step_lib.make_train_step(loss_fn, tx), tx


def _loss(config, params, tables: Tables, task: Task, key: jax.Array):
  """Multinomial loss per target; users with targets and histories count."""
  columns_VxN = columns_of(config, params, tables, task.items, key=key)
  scores_BxN = task.histories @ columns_VxN
  logits_BxN = jnp.exp(params['log_sharpness']) * scores_BxN
  num_targets_B = task.targets.sum(axis=1)
  nll_B = variational_autoencoder.multinomial_nll(logits_BxN, task.targets)
  counts_B = (num_targets_B > 0) & (task.histories.sum(axis=1) > 0)
  mean_B = nll_B / jnp.maximum(num_targets_B, 1)
  return (mean_B * counts_B).sum() / jnp.maximum(counts_B.sum(), 1)


@functools.partial(jax.jit, static_argnames='config')
def columns_of(
  config: ItemGeneratorConfig,
  params: Any,
  tables: Tables,
  items: Int[Array, ' N'],
  *,
  strength: float = 1.0,
  key: jax.Array | None = None,
) -> Float[Array, 'V N']:
  """The corrected columns of old items; with a key for dropout in training."""
  known = jax.tree.map(lambda leaf: leaf[items], tables.known)
  net = _net(config, tables.loadings)
  coefficients_Nxr, scale_N = net.apply(
    {'params': params['net']},
    known,
    is_training=key is not None,
    rngs=None if key is None else {'dropout': key},
  )
  return _corrected(
    tables.columns[:, items],
    tables.loadings,
    strength * coefficients_Nxr,
    strength * scale_N,
  )


def _corrected(columns_VxN, loadings_Vxr, coefficients_Nxr, scale_N):
  """exp(s) c + E t, for all columns."""
  return (
    columns_VxN * jnp.exp(scale_N)[None, :] + loadings_Vxr @ coefficients_Nxr.T
  )


def correct(
  config: ItemGeneratorConfig,
  state: State,
  known: Known,
  columns: Float[np.ndarray, 'V N'],
) -> tuple[Float[np.ndarray, 'V N'], float]:
  """The columns of new items, corrected by all networks; the operations.

  The corrected columns of the networks are averaged.
  """
  net = _net(config, state.loadings)
  found = []
  for params, strength in state.members:
    coefficients_Nxr, scale_N = net.apply({'params': params['net']}, known)
    found.append(
      _corrected(
        columns,
        state.loadings,
        strength * coefficients_Nxr,
        strength * scale_N,
      )
    )
  num_items, num_new = columns.shape
  rank = state.loadings.shape[1]
  of_one = _net_flops(config, num_new, known, rank)
  of_one += counts.matmul(num_items, num_new, rank) + 2 * columns.size
  return np.array(sum(found) / len(found)), len(found) * of_one


def _net_flops(config, num_items: int, known: Known, rank: int) -> float:
  """Operations of a network for so many items."""
  width = known.table.shape[1] + known.facts.shape[1]
  between = width + config.hidden_dim + rank
  return counts.matmul(num_items, config.hidden_dim, between)


def _net(config: ItemGeneratorConfig, loadings) -> Net:
  return Net(loadings.shape[1], config.hidden_dim, config.dropout)
