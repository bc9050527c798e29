"""Feature-aware implicit ALS: item factors around what their features predict.

The model of irspack's documentation (0.5, "Feature-aware iALS"). The objective
is that of `ials`, but for the penalty of the items, which pulls the factor h_i
towards a linear map of the features g_i instead of 0:

    l2 sum_i (|U_i| + alpha U)^nu |h_i - W'g_i|^2 + l2_map |W - W0|^2

W is fitted after each turn of the items, by ridge regression. Items without any
interaction are no part of the sum; their factors are W'g_i. W0 is 0, or in
fine-tuning the map of the source: so a new catalogue, and a new domain whose
features mean the same, begin with factors that their text predicts.

Items that arrive in a live catalogue leave the factors of the others as they
are. Their own are W'g_i, or, where users took them up, those that the sum gives
for these users: one exact solve.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec.cost import counts
from hyperrec.systems.factors import ials, least_squares, row_blocks

Cost = method_lib.Cost
Interactions = method_lib.Interactions
Model = method_lib.Model
Outcome = method_lib.Outcome


@dataclasses.dataclass(frozen=True)
class IalsFeaturesConfig(ials.IalsConfig):
  """Hyperparameters of feature-aware implicit ALS, beside those of `ials`.

  Attributes:
    l2_map: Ridge of the map from features to factors, such as 1.
    finetune_l2: Strength of the penalty in fine-tuning, which holds the items
      to what the source's map predicts; by default `l2`.
  """

  l2_map: float = config_lib.field(1.0, above=0)
  finetune_l2: float | None = config_lib.field(None, above=0)


class MappedFactors(NamedTuple):
  """The state: `ials.Factors`, and the map from features.

  Attributes:
    items: [V, D]; None of several domains.
    gram: [D, D], alpha times the Gram matrix of the items of the loss.
    num_trained: number of the items of the loss.
    map: [F + 1, D], W; its last row is of a constant feature.
    l2: strength of the penalty of the users who are folded in.
    gram_of_users: [D, D], alpha times the Gram matrix of the users; None where
      none were trained.
  """

  items: Float[np.ndarray, 'V D'] | None
  gram: Float[np.ndarray, 'D D'] | None
  num_trained: int
  map: Float[np.ndarray, 'F+1 D']
  l2: float
  gram_of_users: Float[np.ndarray, 'D D'] | None = None


class _Part(NamedTuple):
  """One domain: its N items that have interactions, and their features.

  Attributes:
    by_user: rows of X [U, N].
    by_item: rows of X' [N, U].
    table: [N, F + 1].
  """

  by_user: row_blocks.Blocks
  by_item: row_blocks.Blocks
  table: Float[np.ndarray, 'N F+1']


def ials_features(
  features: method_lib.CentredFeatures, **hyperparameters: Any
) -> Model:
  """Implicit ALS that serves items by their features too.

  Args:
    features: (interactions, known=None) -> features of the items, float [V, F],
      rows of length 1, centred over the known items alone. Their columns must
      mean the same in source and target.
    **hyperparameters: fields of `IalsFeaturesConfig`.
  """
  config = IalsFeaturesConfig(**hyperparameters)
  finetuned = config
  if config.finetune_l2 is not None:
    finetuned = dataclasses.replace(config, l2=config.finetune_l2)

  def fit(data, key, start=None, run=None):
    del run
    settings = config if start is None else finetuned
    domains = (data,) if isinstance(data, Interactions) else data
    tables = [_with_constant(features(domain)) for domain in domains]
    touched = [domain.csr().getnnz(0) > 0 for domain in domains]
    if not any(trained.any() for trained in touched):
      if start is None:
        raise method_lib.CannotServe(
          'feature-aware iALS cannot fit its map without interactions'
        )
      return _looked_up(config, tables[0], start.map)
    parts = [
      _part(config, domain, table, trained)
      for domain, table, trained in zip(domains, tables, touched, strict=True)
    ]
    prior = _no_map(config, tables[0]) if start is None else start.map
    if start is None:
      drawn = _random_map(config, key, tables[0])
      items = [part.table @ drawn for part in parts]
    else:
      items = [start.items[trained] for trained in touched]
    epochs = config.epochs if start is None else config.finetune_epochs
    items, users, weights, operations = _train(
      settings, parts, items, prior, epochs
    )
    if len(domains) > 1:
      state = MappedFactors(None, None, 0, weights, settings.l2)
    else:
      state = _completed(settings, items[0], tables[0], touched[0], weights)
      of_users = least_squares.gram(users[0], settings.unobserved)
      state = state._replace(gram_of_users=of_users)
    return Outcome(state, Cost(operations))

  def look_up(state, data):
    return _looked_up(config, _with_constant(features(data)), state.map)

  def update(state, source, evidence):
    # Of several domains there are no factors yet.
    of_source = look_up(state, source).state if state.items is None else state
    return ials.fold_in(config, of_source, evidence)

  def grow(state, data, known):
    own = dataclasses.replace(config, l2=state.l2)
    table = _with_constant(features(data, known))
    return _grown(own, state, data, known, table)

  def program(state):
    if state.items is None:
      raise method_lib.CannotServe(
        'feature-aware iALS was fitted on several domains and has no items; '
        'adapt it to a catalogue first'
      )
    return ials.program(dataclasses.replace(config, l2=state.l2), state)

  return Model(
    'ials_features',
    config,
    fit,
    lambda state, histories: ials.score(
      dataclasses.replace(config, l2=state.l2), state, histories
    ),
    look_up=look_up,
    carry=lambda state, data, key: look_up(state, data),
    update=update,
    grow=grow,
    program=program,
    takes_domains=True,
    needs_history=True,
    needs_interactions=False,
  )


def _train(config, parts, items, prior, epochs):
  """Factors of items and users of each domain, the map, and the operations."""
  weights, operations = prior, 0.0
  users = [
    np.zeros((len(part.by_user.lengths), config.dim), np.float32)
    for part in parts
  ]
  for _ in range(epochs):
    for place, part in enumerate(parts):
      users[place], of_users = ials.half_sweep(
        config, part.by_user, items[place], users[place]
      )
      items[place], of_items = ials.half_sweep(
        config, part.by_item, users[place], items[place], part.table @ weights
      )
      operations += of_users + of_items
      operations += counts.matmul(*part.table.shape, config.dim)
    weights, of_map = fit_map(config, parts, items, prior)
    operations += of_map
  return items, users, weights, operations


def fit_map(
  config: IalsFeaturesConfig,
  parts: list[_Part],
  items: list[Float[np.ndarray, 'N D']],
  prior: Float[np.ndarray, 'F+1 D'],
) -> tuple[Float[np.ndarray, 'F+1 D'], float]:
  """W, by a ridge regression around its prior, and the operations."""
  width, dim = prior.shape
  normal = config.l2_map * np.eye(width)
  target, operations = np.zeros((width, dim)), 0.0
  for part, found in zip(parts, items, strict=True):
    table = part.table.astype(np.float64)
    strength = ials.ridge(
      config, part.by_item.lengths, part.by_item.num_columns
    )
    weighted = table * strength[:, None]
    normal += weighted.T @ table
    target += weighted.T @ (found - table @ prior)
    operations += counts.matmul(width, width + 2 * dim, len(table))
  operations += counts.cholesky(width)
  operations += 2 * counts.triangular_solve(width, dim)
  change = np.linalg.solve(normal, target)
  return (prior + change).astype(np.float32), operations


def _looked_up(config, table, weights) -> Outcome:
  """Factors of a catalogue whose interactions are unknown."""
  items = table @ weights
  gram = least_squares.gram(items, config.unobserved)
  operations = counts.matmul(*table.shape, config.dim)
  operations += counts.matmul(config.dim, config.dim, len(items))
  return Outcome(
    MappedFactors(items, gram, len(items), weights, config.l2),
    Cost(operations, of_text=operations),
  )


def _completed(
  config: IalsFeaturesConfig,
  found: Float[np.ndarray, 'N D'],
  table: Float[np.ndarray, 'V F+1'],
  is_trained: Bool[np.ndarray, ' V'],
  weights: Float[np.ndarray, 'F+1 D'],
) -> MappedFactors:
  """The factors of all items: those that were trained, and mapped ones."""
  items = table @ weights
  items[is_trained] = found
  gram = least_squares.gram(found, config.unobserved)
  return MappedFactors(items, gram, len(found), weights, config.l2)


def _grown(
  config: IalsFeaturesConfig,
  state: MappedFactors,
  data: Interactions,
  known: Int[np.ndarray, ' V_known'],
  table: Float[np.ndarray, 'V F+1'],
) -> Outcome:
  """The factors of a catalogue with new items; those of the old ones stay.

  Those that users took up have the factors that the sum gives for these users,
  whose own are those by their old items.

  Args:
    config: with the penalty of the state.
    state: the factors of the old items.
    data: all interactions at hand.
    known: the old items, in their order.
    table: features of all items.
  """
  x_UxV = data.csr()
  new = np.setdiff1d(np.arange(data.num_items), known)
  found = table[new] @ state.map
  of_text = counts.matmul(*found.shape, table.shape[1])
  taken = np.flatnonzero(x_UxV[:, new].getnnz(0))
  gram, operations = state.gram, 0.0
  if len(taken):
    x_NxU = x_UxV[:, new[taken]].T.tocsr()
    who = np.unique(x_NxU.indices)
    old = ials.Factors(state.items, state.gram, state.num_trained)
    of_users = row_blocks.of(x_UxV[who][:, known], config.dim)
    of_items = row_blocks.of(x_NxU[:, who], config.dim)
    found[taken] = least_squares.solve_rows(
      of_items,
      ials.users_in(config, old, of_users),
      state.gram_of_users,
      ials.ridge(config, of_items.lengths, data.num_users),
      found[taken],
    )
    gram = gram + least_squares.gram(found[taken], config.unobserved)
    operations = least_squares.flops(of_users.lengths, config.dim)
    operations += least_squares.flops(of_items.lengths, config.dim)
  items = np.empty((data.num_items, config.dim), np.float32)
  items[known], items[new] = state.items, found
  grown = state._replace(
    items=items, gram=gram, num_trained=state.num_trained + len(taken)
  )
  return Outcome(grown, Cost(operations + of_text, of_text=of_text))


def _part(config, data, table, is_trained) -> _Part:
  x_UxN = data.csr()[:, np.flatnonzero(is_trained)]
  by_user = row_blocks.of(x_UxN, config.dim)
  by_item = row_blocks.of(x_UxN.T.tocsr(), config.dim)
  return _Part(by_user, by_item, table[is_trained])


def _with_constant(table):
  """The features, and one that is alike for all items."""
  table = np.asarray(table, np.float32)
  return np.concatenate([table, np.ones_like(table[:, :1])], axis=1)


def _no_map(config, table):
  return np.zeros((table.shape[1], config.dim), np.float32)


def _random_map(config, key: jax.Array, table):
  """A map whose factors have the lengths of the first factors of `ials`."""
  drawn = np.array(jax.random.normal(key, (table.shape[1], config.dim)))
  drawn[-1] = 0
  return drawn * np.float32(config.deviation / np.sqrt(config.dim))
