"""How VQ-Rec learns: pre-training or from scratch, two-stage fine-tuning."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.data import sequences as sequences_lib
from hyperrec.systems.sequential import next_item
from hyperrec.systems.vqrec import index as vqrec_index
from hyperrec.systems.vqrec import network as vqrec
from hyperrec.systems.vqrec import permutation
from hyperrec.systems.vqrec import stages as vqrec_stages

VqrecConfig = vqrec_stages.VqrecConfig
Cost = method_lib.Cost
Interactions = interactions_lib.Interactions
MakeIndex = vqrec_index.MakeIndex
Outcome = method_lib.Outcome
Run = method_lib.Run
Sequences = sequences_lib.Sequences
Table = vqrec_index.Table
VqrecState = vqrec_index.VqrecState


def pretrain(
  config: VqrecConfig,
  domains: Sequence[Interactions],
  tables: Sequence[Table],
  *,
  key: jax.Array,
  make_index: MakeIndex,
  run: Run,
) -> Outcome:
  """An index of all domains' items, and a network trained on their users.

  Batches mix the domains, so negatives come from all of them.

  Args:
    config: hyperparameters.
    domains: the sources.
    tables: features of each one's items, in one space.
    key: a typed key.
    make_index: makes the index of all items.
    run: see `vqrec_stages.train`.

  Raises:
    CannotServe: no user has two items, or fewer distinct items than codes.
    DataError: features of different widths, or not finite.
  """
  index_key, init_key, train_key = jax.random.split(key, 3)
  table = vqrec_index.stacked(tables, [d.name for d in domains])
  popularity = np.concatenate([next_item.popularity(d) for d in domains])
  index = make_index(table, index_key)
  start = _untrained(config, index.state, table, popularity, init_key)
  trained = vqrec_stages.train(
    config,
    vqrec_stages.pretraining(config),
    start,
    start.params,
    sequences=_joined([Sequences.of(d) for d in domains]),
    key=train_key,
    run=run,
  )
  encoding = vqrec_index.encoding_cost(index.state, len(table))
  return Outcome(trained.state, index.cost + encoding + trained.cost)


def from_scratch(
  config: VqrecConfig,
  data: Interactions,
  table: Table,
  *,
  key: jax.Array,
  make_index: MakeIndex,
  run: Run,
) -> Outcome:
  """An index and a network of one catalogue, by the softmax over all of it.

  The paper's "w/o pre-training", but with everything trained: the published
  code freezes the random blocks there.

  Args:
    config: hyperparameters.
    data: the users' items.
    table: features of the items.
    key: a typed key.
    make_index: makes the index of the items.
    run: see `vqrec_stages.train`.

  Raises:
    CannotServe: no user has two items, or fewer distinct items than codes.
    DataError: features that are not finite.
  """
  index_key, init_key, train_key = jax.random.split(key, 3)
  index = make_index(table, index_key)
  popularity = next_item.popularity(data)
  start = _untrained(config, index.state, table, popularity, init_key)
  trained = vqrec_stages.train(
    config,
    vqrec_stages.catalogue(config, len(table), config.epochs, config.lr),
    start,
    start.params,
    sequences=Sequences.of(data),
    key=train_key,
    run=run,
  )
  encoding = vqrec_index.encoding_cost(index.state, len(table))
  return Outcome(trained.state, index.cost + encoding + trained.cost)


def carry(
  config: VqrecConfig,
  state: VqrecState,
  data: Interactions,
  table: Table,
  *,
  key: jax.Array,
  make_index: MakeIndex,
) -> Outcome:
  """The paper's first stage on another catalogue (section 3.3): align codes.

  Data without a next item, which teach no alignment, are looked up alone.

  Args:
    config: hyperparameters.
    state: what to start from.
    data: the evidence.
    table: features of its items.
    key: a typed key, the same as that of `finetune`.
    make_index: makes the catalogue's own index, if it is to have one.

  Raises:
    CannotServe: fewer distinct items than codes.
    DataError: features that the index cannot code.
  """
  if not _has_next_item(data):
    return vqrec_index.look_up(state, data, table)
  # The third key is that of the second stage, `finetune`.
  index_key, align_key, _ = jax.random.split(key, 3)
  index = Outcome(state.index)
  if config.index == 'target':
    index = make_index(table, index_key)
  looked_up = vqrec_index.look_up(
    state._replace(index=index.state), data, table
  )
  aligned = align(config, looked_up.state, Sequences.of(data), align_key)
  return Outcome(aligned.state, index.cost + looked_up.cost + aligned.cost)


def finetune(
  config: VqrecConfig,
  start: VqrecState,
  data: Interactions,
  *,
  key: jax.Array,
  run: Run,
) -> Outcome:
  """The paper's second stage: trains the embeddings of aligned codes.

  Data without a next item train nothing.

  Args:
    config: hyperparameters.
    start: the network over the catalogue of `data`.
    data: the evidence.
    key: a typed key, the same as that of `carry`.
    run: see `vqrec_stages.train`.
  """
  if not _has_next_item(data):
    return Outcome(start)
  # The first two keys are those of the first stage, `carry`.
  _, _, train_key = jax.random.split(key, 3)
  trained = start.params
  if not config.finetune_all:
    norm = start.params['encoder']['input_norm']
    trained = {**start.params, 'encoder': {'input_norm': norm}}
  stage = vqrec_stages.catalogue(
    config, len(start.codes), config.finetune_epochs, config.finetune_lr
  )
  return vqrec_stages.train(
    config,
    stage,
    start,
    trained,
    sequences=Sequences.of(data),
    key=train_key,
    run=run,
  )


def align(
  config: VqrecConfig, state: VqrecState, sequences: Sequences, key: jax.Array
) -> Outcome:
  """Permutes the embeddings of each group's codes, as `alignment` says."""
  if config.alignment == 'identity':
    return Outcome(state)
  G, M = config.num_groups, config.num_codes
  init_key, train_key = jax.random.split(key)
  cost = Cost()
  if config.alignment == 'random':
    keys = jax.random.split(init_key, G)
    chosen_GxM = jax.vmap(jax.random.permutation, (0, None))(keys, M)
  else:
    logits = {'logits': 0.01 * jax.random.normal(init_key, (G, M, M))}
    stage = vqrec_stages.alignment(config, len(state.codes))
    learned, cost = vqrec_stages.train(
      config,
      stage,
      state,
      logits,
      sequences=sequences,
      key=train_key,
      run=Run(),
    )
    weights = permutation.sinkhorn(
      learned.params['logits'] / config.align_temperature
    )
    chosen_GxM = jnp.asarray(permutation.rounded(weights))
  codes = jnp.take_along_axis(
    state.params['codes'], chosen_GxM[..., None], axis=1
  )
  aligned = state._replace(params={**state.params, 'codes': codes})
  return Outcome(aligned, cost)


def _has_next_item(data: Interactions) -> bool:
  return bool(data.user_counts().max(initial=0) > 1)


def _untrained(config, index, table, popularity, key) -> VqrecState:
  """Fresh parameters over a catalogue, its code embeddings as `start` says."""
  params = init(config, key)
  codes = vqrec_index.codes_of(index, table)
  if config.start == 'text':
    embeddings = vqrec_index.embeddings_of(index, codes, config.dim)
    params = {**params, 'codes': embeddings}
  return VqrecState(params, index, codes, popularity)


def init(config: VqrecConfig, key: jax.Array):
  """Fresh parameters, see `network.init`."""
  return _init(
    config.encoder(),
    key,
    num_groups=config.num_groups,
    num_codes=config.num_codes,
    dim=config.dim,
  )


# Compiled once for all configurations of the same sizes.
_init = jax.jit(
  vqrec.init, static_argnames=('encoder', 'num_groups', 'num_codes', 'dim')
)


def _joined(parts: Sequence[Sequences]) -> Sequences:
  """Sequences of several domains, their items numbered one after the other."""
  first_items = np.cumsum([0, *(p.num_items for p in parts)])
  first_rows = np.cumsum([0, *(len(p.items) for p in parts)])
  items = [p.items + f for p, f in zip(parts, first_items, strict=False)]
  ends = [p.ends + f for p, f in zip(parts, first_rows, strict=False)]
  return Sequences(
    np.concatenate(items).astype(np.int32),
    np.concatenate(ends),
    int(first_items[-1]),
  )
