"""Columns of new items whose shares a network changes; see attention.py."""

import dataclasses
import functools
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from hyperrec import method as method_lib
from hyperrec.regimes import new_items
from hyperrec.systems.hyperease import (
  column_mixture,
  hidden_columns,
  hidden_items,
  item_columns,
  item_generator,
)
from hyperrec.training import loop, optimizers
from hyperrec.training import step as step_lib

# The most users of validation and of a test, as in the verdict.
_HELD_OUT = 300
# How shares change, and whether the rest of the generator is trained beside.
ARMS = {
  'trained + reweighted': ('reweighted', True),
  'trained + softmax': ('softmax', True),
  # A control: one more column with a gate, and no attention.
  'trained + fixed weights': ('fixed', True),
  'reweighted alone': ('reweighted', False),
}


class Pairs(NamedTuple):
  """Items, each with the m old items of the greatest shares.

  Attributes:
    places: numbers of these old items.
    shares: theirs in the kernel regression.
    told: what is known of each pair.
  """

  places: Int[Array, 'N m']
  shares: Float[Array, 'N m']
  told: Float[Array, 'N m P']


class Tables(NamedTuple):
  """All old items as tasks, with their pairs and P of the whole catalogue."""

  base: item_generator.Tables
  pairs: Pairs
  precision: Float[Array, 'V V']


class Attention(nn.Module):
  """Tells what is added to the shares of the nearest items; 0 at the start."""

  form: str
  dropout: float
  width: int = 32

  @nn.compact
  def __call__(
    self,
    known: item_generator.Known,
    pairs: Pairs,
    old: Float[Array, 'V F'],
    *,
    is_training: bool = False,
  ) -> Float[Array, 'N m']:
    """Added shares of N items, with `old` the features of the old ones."""
    drop = nn.Dropout(self.dropout, deterministic=not is_training)
    to_zero = functools.partial(nn.Dense, kernel_init=nn.initializers.zeros)
    table = drop(known.table)
    item_NxH = nn.Dense(self.width)(jnp.append(table, known.facts, axis=-1))
    pair_NxmxH = nn.gelu(nn.Dense(self.width)(pairs.told) + item_NxH[:, None])
    logits_Nxm = to_zero(1)(drop(pair_NxmxH))[..., 0]
    queries_NxH = to_zero(self.width, use_bias=False)(table)
    keys_VxH = nn.Dense(self.width, use_bias=False)(old)
    every_NxV = queries_NxH @ keys_VxH.T
    logits_Nxm += jnp.take_along_axis(every_NxV, pairs.places, axis=1)
    if self.form == 'reweighted':
      return pairs.shares * jnp.expm1(logits_Nxm)
    if self.form == 'fixed':
      logits_Nxm = jnp.zeros_like(logits_Nxm)
    gate_Nx1 = to_zero(1)(drop(nn.gelu(item_NxH)))
    start_Nxm = jnp.log(jnp.abs(pairs.shares) + 1e-6)
    return gate_Nx1 * nn.softmax(start_Nxm + logits_Nxm)


def pairs_of(
  made: item_columns.Generated,
  views: Sequence[tuple[np.ndarray, np.ndarray]],
  state: item_generator.State,
  num_neighbours: int,
) -> Pairs:
  """The pairs of N items.

  Each tells of the cosine in every view, of the share, of what the other shares
  say of that item, of its popularity and the length of its column in the whole
  catalogue, and of its rank.

  Args:
    made: columns and shares of the items.
    views: features of the old items and of the N.
    state: the old items.
    num_neighbours: the most pairs of an item.
  """
  num = min(num_neighbours, len(made.shares) - 1)
  places_Nxm = np.argsort(-np.abs(made.shares), axis=0)[:num].T
  take = lambda VxN: np.take_along_axis(VxN.T, places_Nxm, axis=1)  # noqa: E731
  lengths_V = np.linalg.norm(state.catalogue.weights, axis=0)
  lengths_V = (lengths_V - lengths_V.mean()) / (lengths_V.std() + 1e-6)
  unit = lambda VxN: VxN / (np.linalg.norm(VxN, axis=0) + 1e-6)  # noqa: E731
  root = np.sqrt(num)  # of a vector of length 1, each part is about 1 / root
  told = [
    *(3 * take(old @ new.T) for old, new in views),
    root * take(unit(made.shares)),
    root * take(unit(made.columns)),
    state.mixture.popularity[places_Nxm],
    lengths_V[places_Nxm],
    np.broadcast_to(np.linspace(-1, 1, num), places_Nxm.shape),
  ]
  told_NxmxP = np.stack(told, axis=-1).astype(np.float32)
  return Pairs(places_Nxm, take(made.shares), told_NxmxP)


def tables_of(
  config: item_generator.ItemGeneratorConfig,
  state: item_generator.State,
  data: method_lib.Interactions,
  views: Sequence[np.ndarray],
  num_neighbours: int,
) -> Tables:
  """The old items as tasks, each as if it were unknown."""
  precision, _ = item_columns.fit_precision(config, data)
  columns, shares, _ = hidden_columns.generate(config, precision, views[0])
  hidden = item_columns.Generated(columns, shares, method_lib.Cost())
  popularity = state.mixture.popularity
  mixed, *_ = column_mixture.of_old(
    config, precision, views, hidden, popularity
  )
  nearest = hidden_items.nearest_other(views[0])
  facts = item_generator.facts(hidden, state.log_counts, nearest, state.scale)
  base = item_generator.Tables(
    item_generator.tell(config, views[0], facts),
    columns.T,
    np.swapaxes(mixed, 1, 2),
    state.loadings,
  )
  pairs = pairs_of(hidden, [(one, one) for one in views], state, num_neighbours)
  return jax.tree.map(jnp.asarray, Tables(base, pairs, precision))


def added_scores(
  identity: float,
  left: Float[Array, 'B V'],
  tables: Tables,
  items: Int[Array, ' N'],
  added: Float[Array, 'N m'],
) -> Float[Array, 'B N']:
  """Scores by (a I + B_j) d_j, with d_j what is added to the shares of item j.

  B_j is of a catalogue without item j: P is downdated exactly, as in
  `hidden_columns.smooth`. The histories `left` do not hold the items.
  """
  own_V, places = jnp.diagonal(tables.precision), tables.pairs.places[items]
  cross_Nxm = tables.precision[items[:, None], places]
  without_Nxm = own_V[places] - cross_Nxm**2 / own_V[items][:, None]
  scaled_Nxm = added / without_Nxm
  back_N = (cross_Nxm * scaled_Nxm).sum(axis=1) / own_V[items]
  smooth_BxV = left @ tables.precision
  num_old = left.shape[1]
  scores_BxN = (1 + identity) * left @ _spread(added, places, num_old)
  scores_BxN -= smooth_BxV @ _spread(scaled_Nxm, places, num_old)
  return scores_BxN + smooth_BxV[:, items] * back_N[None]


def _spread(values, places, num_old: int) -> Float[Array, 'V N']:
  """Puts the numbers of each item in their places among all old items."""
  rows = jnp.arange(len(places))[:, None]
  return jnp.zeros((len(places), num_old)).at[rows, places].set(values).T


def _attend(config, form, params, tables: Tables, items, *, key=None):
  """What is added to the shares of old items; with a key for dropout."""
  known, pairs = jax.tree.map(
    lambda leaf: leaf[items], (tables.base.known, tables.pairs)
  )
  return Attention(form, config.dropout).apply(
    {'params': params['attention']},
    known,
    pairs,
    tables.base.known.table,
    is_training=key is not None,
    rngs=None if key is None else {'dropout': jax.random.fold_in(key, 1)},
  )


def loss(config, arm, params, tables: Tables, task, *, key=None):
  """That of `item_generator`, of scores with the added shares."""
  form, has_base = arm
  base, items = tables.base, task.items
  correction = _net(config, base).apply(
    {'params': params['net']},
    jax.tree.map(lambda leaf: leaf[items], base.known),
    is_training=key is not None,
    rngs=None if key is None else {'dropout': key},
  )
  correction = jax.tree.map(lambda leaf: has_base * leaf, correction)
  columns_NxV = base.columns[items] * jnp.exp(correction.scale)[:, None]
  columns_NxV += jnp.einsum(
    'knv,nk->nv', base.mixed[:, items], correction.mixing
  )
  scores_BxN = task.histories @ columns_NxV.T
  scores_BxN += (task.histories @ base.loadings) @ correction.coefficients.T
  added_Nxm = _attend(config, form, params, tables, items, key=key)
  scores_BxN += added_scores(
    config.identity, task.histories, tables, items, added_Nxm
  )
  return item_generator.loss_of_scores(
    params['log_sharpness'], scores_BxN, task
  )


def _net(config, base: item_generator.Tables) -> item_generator.Net:
  """The network of the trained generator."""
  widths = base.loadings.shape[1], len(base.mixed)
  return item_generator.Net(*widths, config.hidden_dim, config.dropout)


@functools.partial(jax.jit, static_argnames=('config', 'form'))
def columns_of(config, form, params, tables: Tables, *, items, strength=1.0):
  """The columns [V, N] of old items, corrected to a part."""
  base_VxN = item_generator.columns_of(
    config, params, tables.base, items, strength
  )
  added_Nxm = strength * _attend(config, form, params, tables, items)
  every = jnp.eye(len(base_VxN))
  return base_VxN + added_scores(
    config.identity, every, tables, items, added_Nxm
  )


def start(config, arm, tables: Tables, key: jax.Array) -> dict[str, Any]:
  """Parameters at the start of training, which leave the closed form."""
  some = jax.tree.map(lambda leaf: leaf[:1], (tables.base.known, tables.pairs))
  attention = Attention(arm[0], config.dropout)
  old = tables.base.known.table
  attention_key = jax.random.fold_in(key, 1)
  return {
    'net': _net(config, tables.base).init(key, some[0])['params'],
    'attention': jax.jit(attention.init)(attention_key, *some, old)['params'],
    'log_sharpness': jnp.float32(np.log(10.0)),
  }


def train(config, arm, x, tables: Tables, *, parts, key):
  """Trains one network as `item_generator.train` does, with the same draws.

  Returns:
    The parameters that gained most on validation, and what they changed there
    by each of the strengths.
  """
  columns = np.asarray(tables.base.columns).T
  stopping, judging = (
    hidden_items.make_judge(x, columns, *kept)
    for kept in (
      (parts.stopping_items, parts.stopping_users),
      (parts.judging_items, parts.judging_users),
    )
  )
  stopping_task = _padded(stopping.task)
  draw_key, init_key, step_key = jax.random.split(key, 3)
  seed = int(jax.random.bits(draw_key))
  task_at = item_generator.tasks_of(config, x, parts, seed)

  def batch_at(step):
    return tables, task_at(step)

  step_fn, mean_loss, tx = _programs(config, arm)
  result = loop.train(
    step_fn,
    step_lib.init_state(start(config, arm, tables, init_key), tx, step_key),
    batch_at,
    config.steps,
    loop.Run(
      evaluate=lambda params: {
        'likelihood': -float(mean_loss(params, tables, stopping_task))
      },
      best_metric='likelihood',
      evaluate_every=config.evaluate_every,
    ),
  )
  params, items = jax.device_get(result.best.params), judging.task.items
  return params, [
    judging.change(
      columns_of(config, arm[0], params, tables, items=items, strength=strength)
    )
    for strength in item_generator.STRENGTHS
  ]


def _padded(task: hidden_items.Task) -> hidden_items.Task:
  """The same with empty users, who do not count: fewer shapes to compile."""
  pad = lambda BxN: np.pad(BxN, ((0, -len(BxN) % 256), (0, 0)))  # noqa: E731
  return task._replace(histories=pad(task.histories), targets=pad(task.targets))


@functools.lru_cache(maxsize=8)
def _programs(config, arm):
  """The jitted step, the jitted loss without dropout, and the optimizer."""
  of_arm = functools.partial(loss, config, arm)

  def step_loss(params, batch, key, step):
    del step
    return of_arm(params, *batch, key=key), {}

  tx = optimizers.cosine_adamw(config.lr, config.steps, config.weight_decay)
  return step_lib.make_train_step(step_loss, tx), jax.jit(of_arm), tx


def trained(config, arm, data, tables: Tables, *, nearest, key):
  """All networks of an arm, and the strength of their corrections."""
  x, tasks = data.csr(), hidden_items.distinct(nearest)
  members, changes = [], []
  for member_key in jax.random.split(key, config.members):
    parts = hidden_items.divide(
      data, tasks, config.validation_share, member_key
    )
    params, change = train(config, arm, x, tables, parts=parts, key=member_key)
    members.append(params)
    changes.append(change)
  return tuple(members), item_generator.chosen_strength(config, changes)


class New(NamedTuple):
  """New items: closed form, other columns, and what networks are told."""

  made: item_columns.Generated
  mixed: Float[np.ndarray, 'K V N']
  known: item_generator.Known
  pairs: Pairs


def new_of(config, state: item_generator.State, views, num_neighbours) -> New:
  """What is known of new items, with features of old and new ones in views."""
  old, table = views[0]
  made = item_columns.generate(config, state.catalogue, old, table)
  nearest = (table @ old.T).max(axis=1)
  facts = item_generator.facts(made, state.log_counts, nearest, state.scale)
  mixed, _ = column_mixture.of_new(
    config, state.mixture, state.catalogue.weights, made.shares, views
  )
  return New(
    made,
    mixed,
    item_generator.tell(config, table, facts),
    pairs_of(made, views, state, num_neighbours),
  )


@functools.partial(jax.jit, static_argnames='form')
def _added_to_new(form, params, known, pairs, old):
  """What one network adds to the shares of new items."""
  return Attention(form, 0.0).apply({'params': params}, known, pairs, old)


def grown(config, form, state: item_generator.State, new: New, old):
  """The columns of new items; a form of None has no attention."""
  made = new.made
  columns, _ = item_generator.correct(
    config, state, new.known, made.columns, new.mixed
  )
  if form is None:
    return columns
  of_members = [
    _added_to_new(form, one['attention'], new.known, new.pairs, old)
    for one in state.members
  ]
  mean_Nxm = state.strength * sum(of_members) / len(of_members)
  added_VxN = np.asarray(_spread(mean_Nxm, new.pairs.places, len(old)))
  smoothed_VxN = state.catalogue.weights @ added_VxN
  return columns + smoothed_VxN + config.identity * added_VxN


def run(config, data, features, seed: int, *, arms, num_neighbours) -> dict:
  """All arms on one data set with one seed.

  Returns:
    Arm -> NDCG@100 of the hidden items, the strength, the seconds, and gains
    with their standard errors over users and items.
  """
  task = new_items.make_task(data, 0, seed, _HELD_OUT)
  # Without times the rehearsal hides random items.
  source = dataclasses.replace(task.source, timestamps=None)
  (task,) = new_items.rehearse(task._replace(source=source), seed)
  source, judged, key = task.source, task.test, jax.random.key(seed)
  every = judged.evidence
  is_old = np.isin(every.item_ids, source.item_ids)
  known = np.flatnonzero(is_old)
  all_views = lambda part, known=None: [  # noqa: E731
    features.units(part, known),
    *features.views(part, known),
  ]
  old_views = all_views(source)
  begin = time.perf_counter()
  state = item_generator.fit(config, source, old_views, key).state
  seconds = {'closed form': 0.0, 'trained': time.perf_counter() - begin}
  tables = tables_of(config, state, source, old_views, num_neighbours)
  views = [(one[is_old], one[~is_old]) for one in all_views(every, known)]
  new = new_of(config, state, views, num_neighbours)
  old = views[0][0].astype(np.float32)
  states = {'closed form': state._replace(strength=0.0), 'trained': state}
  nearest = hidden_items.nearest_other(old_views[0])
  for name in arms:
    arm, begin = ARMS[name], time.perf_counter()
    found = trained(config, arm, source, tables, nearest=nearest, key=key)
    states[name] = state._replace(members=found[0], strength=found[1])
    seconds[name] = time.perf_counter() - begin

  x_UxV = judged.histories.csr() + judged.targets.csr()
  users = np.arange(x_UxV.shape[0])

  def columns_in(place, strength=None):
    """Columns among all items, as the judge reads them."""
    one = states[place]
    if strength is not None:
      one = one._replace(strength=strength)
    form = ARMS[place][0] if place in ARMS else None
    whole = np.zeros(2 * (every.num_items,), np.float32)
    whole[np.ix_(is_old, ~is_old)] = grown(config, form, one, new, old)
    return whole

  judge_of = functools.partial(
    hidden_items.make_judge, x_UxV, items=judged.candidates, users=users
  )
  judges = {name: judge_of(columns_in(name)) for name in states}
  changes = lambda name, other: hidden_items.gain(  # noqa: E731
    [judges[other].change(columns_in(name)[:, judged.candidates])]
  )
  ndcg = lambda judge: float(judge.before.sum(axis=1).mean())  # noqa: E731
  return {
    name: {
      'ndcg@100': ndcg(judges[name]),
      'strength': one.strength,
      'seconds': seconds[name],
      'gain over the closed form': changes(name, 'closed form'),
      'gain over trained': changes(name, 'trained'),
      'ndcg@100 by strength': {
        str(part): ndcg(judge_of(columns_in(name, part)))
        for part in item_generator.STRENGTHS
      },
    }
    for name, one in states.items()
  }
