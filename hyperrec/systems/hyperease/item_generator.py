"""HyperEASE for items, trained: each old item is a task.

The closed form of `item_columns` gives a new item j the column c_j. A network
reads the item's features and what the closed form knows of it, and corrects the
column:

    g_j = exp(s_j) c_j + C_j m_j + E t_j,    (s_j, m_j, t_j) = net(f_j)

The columns of C_j [V, K] are other closed forms for the same item, by other
kernels and other smoothing (`column_mixture`). E [V, r] holds the items in a
space of few dimensions. The network starts at 0, which is the closed form.

It is trained on old items. Each step hides a quarter of the items, and each of
them has the column that a catalogue without this one item gives it
(`hidden_columns.generate`). Users keep the other items as their histories, and
the loss is the multinomial likelihood of the hidden items that they took up,
among all hidden items.

A network that fits its users and items says little about others, so some items
and some users are kept from training. (The weights of the old catalogue know
these users' rows all the same; test users are in neither.) By one half of them
the training stops; the other half judges. A small part of the correction is
made unless it surely loses there, and a larger part only if it surely gains.
Several networks are averaged; each has other users, and mostly other items,
kept from training.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
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
from hyperrec.data import interactions as interactions_lib
from hyperrec.systems.graph import spectrum
from hyperrec.systems.hyperease import (
  column_mixture,
  hidden_columns,
  hidden_items,
  item_columns,
)
from hyperrec.systems.mult_vae import variational_autoencoder
from hyperrec.training import loop, optimizers
from hyperrec.training import step as step_lib

CentredFeatures = method_lib.CentredFeatures
Cost = method_lib.Cost
Csr = scipy.sparse.csr_matrix
Interactions = method_lib.Interactions
Model = method_lib.Model
Outcome = method_lib.Outcome
Program = method_lib.Program

# Share of the training items that a step hides, and how many at most.
HIDDEN_SHARE, MOST_HIDDEN = 0.25, 256
# Parts of a correction that validation chooses from, the smallest first.
STRENGTHS = (0.3, 0.6, 1.0)


CONDITIONINGS = ('item', 'shuffled', 'constant')


@dataclasses.dataclass(frozen=True)
class ItemGeneratorConfig(item_columns.ItemColumnsConfig):
  """Hyperparameters of trained columns, beside those of the closed form.

  Of these, `neighbours` must be 0.

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
    patience: Number of standard errors that the smallest part of a correction
      may lose on those who judge and is still made.
    caution: Number of standard errors that a larger part has to gain.
    conditioning: What the networks are told of an item: about the 'item'
      itself, or, for controls, about another one ('shuffled') or nothing
      ('constant').
  """

  rank: int = config_lib.field(64, least=2)
  hidden_dim: int = config_lib.field(256, least=1)
  dropout: float = config_lib.field(0.5, least=0, below=1)
  members: int = config_lib.field(4, least=1)
  steps: int = config_lib.field(400, least=1)
  batch_size: int = config_lib.field(192, least=1)
  lr: float = config_lib.field(2e-3, above=0)
  weight_decay: float = config_lib.field(1e-2, least=0)
  validation_share: float = config_lib.field(0.2, above=0, below=1)
  evaluate_every: int = config_lib.field(50, least=1)
  patience: float = 1.0
  caution: float = config_lib.field(2.0, least=0)
  conditioning: str = config_lib.field('item', choices=CONDITIONINGS)

  def __post_init__(self):
    super().__post_init__()
    if self.neighbours:
      raise interactions_lib.DataError(
        f'neighbours={self.neighbours} must be 0: the networks are trained on '
        'kernel regressions on all old items; take item_columns for a '
        'regression on few'
      )


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


class State(NamedTuple):
  """A catalogue, and the generator of the columns of items that arrive.

  Attributes:
    catalogue: weights and kernel of the old items.
    mixture: what the other columns of new items are made of.
    loadings: E [V, r].
    log_counts: [V], log of each item's interactions plus 1.
    scale: see `Scale`.
    members: parameters of the networks.
    strength: the part of their corrections that is made; 0 leaves the closed
      form as it is.
  """

  catalogue: item_columns.Catalogue
  mixture: column_mixture.Mixture
  loadings: Float[np.ndarray, 'V r']
  log_counts: Float[np.ndarray, ' V']
  scale: Scale
  members: tuple[Any, ...]
  strength: float


class Tables(NamedTuple):
  """All old items as tasks: what is known of them, and their columns.

  The column of item j is row j here, so that a step reads the columns of its
  items from adjacent memory; at 3,000 items this is 7 times as fast.

  Attributes:
    known: see `Known`.
    columns: [V, V], each of a catalogue without its item.
    mixed: [K, V, V], other columns of the same items.
    loadings: E [V, r].
  """

  known: Known
  columns: Float[Array, 'V V']
  mixed: Float[Array, 'K V V']
  loadings: Float[Array, 'V r']


class Correction(NamedTuple):
  """How columns are corrected; all numbers are 0 at the start.

  Attributes:
    coefficients: t.
    mixing: m.
    scale: s.
  """

  coefficients: Float[Array, 'N r']
  mixing: Float[Array, 'N K']
  scale: Float[Array, ' N']


class Net(nn.Module):
  """Tells how the column of each item is corrected."""

  rank: int
  num_mixed: int
  hidden_dim: int
  dropout: float

  @nn.compact
  def __call__(self, known: Known, *, is_training: bool = False) -> Correction:
    """The correction of N items."""
    drop = nn.Dropout(self.dropout, deterministic=not is_training)
    hidden = jnp.concatenate([drop(known.table), known.facts], axis=-1)
    for _ in range(2):
      hidden = drop(nn.gelu(nn.Dense(self.hidden_dim)(hidden)))
    zeros = nn.initializers.zeros
    width = self.rank + self.num_mixed + 1
    found = nn.Dense(width, kernel_init=zeros)(hidden)
    cuts = (self.rank, self.rank + self.num_mixed)
    coefficients, mixing, scale = jnp.split(found, cuts, axis=-1)
    return Correction(coefficients, mixing, scale[..., 0])


def item_generator(
  features: CentredFeatures,
  views: Callable[..., list[np.ndarray]] | None = None,
  **hyperparameters: Any,
) -> Model:
  """EASE whose columns of new items are generated by trained networks.

  Args:
    features: (interactions, known=None) -> features of the items, rows of
      length 1, centred over the known items alone.
    views: the same of each view of the text apart; None has one view.
    **hyperparameters: fields of `ItemGeneratorConfig`.
  """
  config = ItemGeneratorConfig(**hyperparameters)

  def all_views(data, known=None):
    apart = [] if views is None else views(data, known)
    return [features(data, known), *apart]

  def fit_to(data, key, start=None, run=None):
    del start
    return fit(config, data, all_views(data), key, run or loop.Run())

  def grow(state, data, known):
    tables = all_views(data, known)
    new = np.setdiff1d(np.arange(data.num_items), known)
    parts = [(table[known], table[new]) for table in tables]
    old, table = parts[0]
    made = item_columns.generate(config, state.catalogue, old, table)
    nearest = (table @ old.T).max(axis=1)
    told = tell(
      config, table, facts(made, state.log_counts, nearest, state.scale)
    )
    weights = state.catalogue.weights
    mixed, of_mixed = column_mixture.of_new(
      config, state.mixture, weights, made.shares, parts
    )
    columns, of_correction = correct(config, state, told, made.columns, mixed)
    of_correction += of_mixed
    grown, operations = item_columns.take_in(
      config, state.catalogue, columns, data, known
    )
    return Outcome(grown, made.cost + Cost(of_correction + operations))

  return Model(
    'item_generator', config, fit_to, score, grow=grow, program=program
  )


def score(
  state: State | item_columns.Grown, histories: method_lib.Histories
) -> Float[np.ndarray, 'B V']:
  """Scores [B, V], as those of `item_columns`."""
  if isinstance(state, State):
    state = state.catalogue
  return item_columns.score(state, histories)


def program(state: State | item_columns.Grown) -> Program:
  """The program of the weights; see `item_columns.program`."""
  if isinstance(state, State):
    state = state.catalogue
  return item_columns.program(state)


def fit(
  config: ItemGeneratorConfig,
  data: Interactions,
  views: Sequence[Float[np.ndarray, 'V F']],
  key: jax.Array,
  run: loop.Run = loop.Run(),
) -> Outcome:
  """The closed form of a catalogue, and the networks that correct it.

  Args:
    config: hyperparameters.
    data: what users did in the catalogue.
    views: features of the items: of all views together, then of each.
    key: of all draws.
    run: where the networks are saved while they are trained; each has its own
      folder there.

  Raises:
    CannotServe: too few items or users are left to train and to validate on.
  """
  x_UxV, table = data.csr(), views[0]
  log_counts = np.log(x_UxV.getnnz(0) + 1.0)
  popularity = (log_counts - log_counts.mean()) / (log_counts.std() + 1e-6)
  precision, operations = item_columns.fit_precision(config, data)
  columns, shares, of_columns = hidden_columns.generate(
    config, precision, table
  )
  hidden = item_columns.Generated(columns, shares, Cost())
  mixed, mixture, of_mixed = column_mixture.of_old(
    config, precision, views, hidden, popularity.astype(np.float32)
  )
  catalogue, of_catalogue = item_columns.catalogue(
    config, data, precision, table
  )
  operations += of_columns + of_mixed + of_catalogue
  loadings, of_loadings = item_loadings(config, x_UxV, catalogue.weights)
  nearest = hidden_items.nearest_other(table)
  raw = facts(hidden, log_counts, nearest)
  scale = Scale(raw.mean(axis=0), raw.std(axis=0) + 1e-6)
  known = tell(config, table, facts(hidden, log_counts, nearest, scale))
  # One at a time and in place, since a copy of all takes much memory.
  for one_VxV in mixed:
    one_VxV[...] = one_VxV.T.copy()
  tables = Tables(known, np.ascontiguousarray(columns.T), mixed, loadings)
  tasks = hidden_items.distinct(nearest)
  members, changes, of_members = [], [], 0.0
  for member, member_key in enumerate(jax.random.split(key, config.members)):
    parts = hidden_items.divide(
      data, tasks, config.validation_share, member_key
    )
    params, change, spent = train(
      config, x_UxV, tables, parts, member_key, run=run.part(f'member_{member}')
    )
    members.append(params)
    changes.append(change)
    of_members += spent
  state = State(
    catalogue,
    mixture,
    loadings,
    log_counts,
    scale,
    tuple(members),
    chosen_strength(config, changes),
  )
  return Outcome(state, Cost(operations + of_loadings + of_members))


def chosen_strength(
  config: ItemGeneratorConfig, changes: list[list[hidden_items.Change]]
) -> float:
  """The part of the correction that gains most, of those that are allowed.

  The smallest part is allowed unless it surely loses, the others only if they
  surely gain; 0 if none is allowed.
  """
  allowed = {0.0: -np.inf}
  for strength, of_members in zip(
    STRENGTHS, zip(*changes, strict=True), strict=True
  ):
    gain, error = hidden_items.gain(of_members)
    is_smallest = strength == STRENGTHS[0]
    needed = -config.patience if is_smallest else config.caution
    if gain > needed * error:
      allowed[strength] = gain
  return max(allowed, key=allowed.__getitem__)


def item_loadings(
  config: ItemGeneratorConfig, x: Csr, weights: Float[np.ndarray, 'V V']
) -> tuple[Float[np.ndarray, 'V r'], float]:
  """E: leading singular vectors, smoothed by the weights, and a constant.

  Scores of users have a deviation of 1 in each dimension. The constant, of
  which a user's sum is about 1, makes an item popular with all users.
  """
  found = spectrum.low_frequencies(spectrum.normalise(x), config.rank - 1)
  vectors = found.vectors + weights @ found.vectors
  vectors /= np.asarray(x @ vectors).std() or 1.0
  constant = np.full((x.shape[1], 1), 1 / max(1.0, x.getnnz(1).mean()))
  operations = counts.matmul(*vectors.shape, x.shape[1])
  loadings = np.concatenate([vectors, constant], axis=1).astype(np.float32)
  return loadings, found.operations + operations


def tell(
  config: ItemGeneratorConfig,
  table: Float[np.ndarray, 'N F'],
  facts_Nx4: Float[np.ndarray, 'N 4'],
) -> Known:
  """What the networks are told of items, or of others in their place."""
  known = Known(table.astype(np.float32), facts_Nx4)
  if config.conditioning == 'constant':
    return jax.tree.map(np.zeros_like, known)
  if config.conditioning == 'shuffled':
    order = np.random.default_rng(0).permutation(len(table))
    return jax.tree.map(lambda rows: rows[order], known)
  return known


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


def train(
  config: ItemGeneratorConfig,
  x: Csr,
  tables: Tables,
  parts: hidden_items.Parts,
  key: jax.Array,
  *,
  run: loop.Run,
) -> tuple[Any, list[hidden_items.Change], float]:
  """Trains one network.

  Returns:
    The parameters as they were when they gained most on validation; what they
    changed there by each of the strengths; the operations.
  """
  stopping, judging = (
    hidden_items.make_judge(x, tables.columns.T, *kept)
    for kept in (
      (parts.stopping_items, parts.stopping_users),
      (parts.judging_items, parts.judging_users),
    )
  )
  draw_key, init_key, step_key = jax.random.split(key, 3)
  task_at = tasks_of(config, x, parts, int(jax.random.bits(draw_key)))
  tables = jax.tree.map(jnp.asarray, tables)

  def batch_at(step):
    return tables, task_at(step)

  def likelihood(params):
    return -float(_mean_loss(config, params, tables, stopping.task))

  some = jax.tree.map(lambda leaf: leaf[:1], tables.known)
  params = {
    'net': _net(config, *_widths(tables)).init(init_key, some)['params'],
    # The loss is a softmax of the scores times the exponential of this.
    'log_sharpness': jnp.log(10.0),
  }
  step_fn, tx = train_step(config)
  result = loop.train(
    step_fn,
    step_lib.init_state(params, tx, step_key),
    batch_at,
    config.steps,
    dataclasses.replace(
      run,
      evaluate=lambda found: {'likelihood': likelihood(found)},
      best_metric='likelihood',
      evaluate_every=config.evaluate_every,
    ),
  )
  state = step_lib.init_state(params, tx, step_key)
  operations = config.steps * counts.program(step_fn, state, batch_at(0))
  looks = 1 + config.steps // config.evaluate_every
  operations += looks * counts.program(
    functools.partial(_mean_loss, config), state.params, tables, stopping.task
  )
  num_out, num_judged = sum(_widths(tables)), len(parts.judging_items)
  of_judging = counts.matmul(len(tables.columns), num_judged, num_out)
  of_judging += _net_flops(config, num_judged, tables.known, num_out)
  of_judging += judging.flops
  params = jax.device_get(result.best.params)
  changes = _changes(config, params, tables, judging)
  return params, changes, operations + len(STRENGTHS) * of_judging


def tasks_of(
  config: ItemGeneratorConfig, x: Csr, parts: hidden_items.Parts, seed: int
) -> Callable[[int], hidden_items.Task]:
  """Step -> its hidden items and its users, drawn from those of training."""
  size = min(config.batch_size, len(parts.users))
  num_hidden = max(1, int(HIDDEN_SHARE * len(parts.items)))
  num_hidden = min(num_hidden, MOST_HIDDEN)

  def task_at(step):
    random = np.random.default_rng((seed, step))
    rows = loop.batch_rows(step, size, len(parts.users), seed)
    hidden = random.choice(parts.items, num_hidden, replace=False)
    absent = parts.kept_items
    return hidden_items.make_task(x[parts.users[rows]], np.sort(hidden), absent)

  return task_at


def _changes(
  config, params, tables: Tables, judge: hidden_items.Judge
) -> list[hidden_items.Change]:
  """How NDCG changes by each of the strengths of a correction."""
  items = judge.task.items
  return [
    judge.change(columns_of(config, params, tables, items, strength))
    for strength in STRENGTHS
  ]


@functools.lru_cache(maxsize=16)
def train_step(config: ItemGeneratorConfig):
  """The jitted step and its optimizer; cached."""

  def loss_fn(params, batch, key, step):
    del step
    return _loss(config, params, *batch, key), {}

  tx = optimizers.cosine_adamw(config.lr, config.steps, config.weight_decay)
  return step_lib.make_train_step(loss_fn, tx), tx


@functools.partial(jax.jit, static_argnames='config')
def _mean_loss(config, params, tables: Tables, task: hidden_items.Task):
  """The loss without dropout."""
  return _loss(config, params, tables, task)


def _loss(config, params, tables: Tables, task: hidden_items.Task, key=None):
  """The loss of the corrected columns; with a key there is dropout."""
  correction = _correction(config, params, tables, task.items, key)
  mixed_NxV = _mix(
    tables.columns[task.items], tables.mixed[:, task.items], correction
  )
  # Users in r dimensions: E t for all items would take longer.
  users_Bxr = task.histories @ tables.loadings
  scores_BxN = task.histories @ mixed_NxV.T
  scores_BxN += users_Bxr @ correction.coefficients.T
  return loss_of_scores(params['log_sharpness'], scores_BxN, task)


def loss_of_scores(
  log_sharpness: Float[Array, ''],
  scores: Float[Array, 'B N'],
  task: hidden_items.Task,
) -> Float[Array, '']:
  """Multinomial loss per target; users with targets and histories count."""
  logits_BxN = jnp.exp(log_sharpness) * scores
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
  strength: float = 1.0,
) -> Float[Array, 'V N']:
  """The columns of old items, corrected to a part."""
  correction = _correction(config, params, tables, items)
  return _corrected(
    tables.columns[items],
    tables.mixed[:, items],
    tables.loadings,
    jax.tree.map(lambda leaf: strength * leaf, correction),
  ).T


def _correction(config, params, tables: Tables, items, key=None) -> Correction:
  """The correction of old items; with a key for dropout in training."""
  return _net(config, *_widths(tables)).apply(
    {'params': params['net']},
    jax.tree.map(lambda leaf: leaf[items], tables.known),
    is_training=key is not None,
    rngs=None if key is None else {'dropout': key},
  )


def _corrected(columns_NxV, mixed_KxNxV, loadings_Vxr, correction: Correction):
  """exp(s) c + C m + E t; a row for each item."""
  mixed_NxV = _mix(columns_NxV, mixed_KxNxV, correction)
  return mixed_NxV + correction.coefficients @ loadings_Vxr.T


def _mix(columns_NxV, mixed_KxNxV, correction: Correction):
  """exp(s) c + C m; a row for each item."""
  mixed_NxV = jnp.einsum('knv,nk->nv', mixed_KxNxV, correction.mixing)
  return columns_NxV * jnp.exp(correction.scale)[:, None] + mixed_NxV


def correct(
  config: ItemGeneratorConfig,
  state: State,
  known: Known,
  columns: Float[np.ndarray, 'V N'],
  mixed: Float[np.ndarray, 'K V N'],
) -> tuple[Float[np.ndarray, 'V N'], float]:
  """The columns of new items, corrected by all networks; the operations.

  The corrections of the networks are averaged.
  """
  rank, num_mixed = state.loadings.shape[1], len(mixed)
  net = _net(config, rank, num_mixed)
  found = [
    net.apply({'params': params['net']}, known) for params in state.members
  ]
  mean = jax.tree.map(
    lambda *leaves: state.strength * sum(leaves) / len(leaves), *found
  )
  corrected_NxV = _corrected(
    columns.T, np.swapaxes(mixed, 1, 2), state.loadings, mean
  )
  of_net = _net_flops(config, columns.shape[1], known, rank + num_mixed)
  of_one = 2.0 * columns.size * (rank + num_mixed + 1)
  return np.array(corrected_NxV.T), len(found) * of_net + of_one


def _net_flops(config, num_items: int, known: Known, num_out: int) -> float:
  """Operations of a network for so many items."""
  width = known.table.shape[1] + known.facts.shape[1]
  hidden = config.hidden_dim
  return counts.layers(num_items, width, hidden, hidden, num_out)


def _widths(tables: Tables) -> tuple[int, int]:
  """The numbers r and K."""
  return tables.loadings.shape[1], len(tables.mixed)


def _net(config, rank: int, num_mixed: int) -> Net:
  return Net(rank, num_mixed, config.hidden_dim, config.dropout)
