"""How VQ-Rec learns: pre-training or from scratch, two-stage fine-tuning."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperrec.data import interactions as interactions_lib
from hyperrec.data import sequences as sequences_lib
from hyperrec.methods import next_item, vqrec_index, vqrec_stages
from hyperrec.models import permutation, vqrec

Config = vqrec_stages.Config
Fitted = vqrec_index.Fitted
Interactions = interactions_lib.Interactions
Sequences = sequences_lib.Sequences
Table = vqrec_index.Table
Made = vqrec_index.Made


def pretrain(
  config: Config,
  domains: Sequence[Interactions],
  tables: Sequence[Table],
  key: jax.Array,
  *,
  made: Made | None = None,
  **run: Any,
) -> Fitted:
  """An index of all domains' items, and a network trained on their users.

  Batches mix the domains, so negatives come from all of them.

  Args:
    config: hyper-parameters.
    domains: the sources.
    tables: features of each one's items, in one space.
    key: a typed key.
    made: the index of all of them, where it is made already.
    **run: see `vqrec_stages.train`.

  Raises:
    CannotServe: no user has two items, or fewer distinct items than codes.
    DataError: features of different widths, or not finite.
  """
  table = vqrec_index.stacked(tables, [d.name for d in domains])
  index_key, init_key, train_key = jax.random.split(key, 3)
  index, index_flops = made or _index(config, table, index_key)
  fitted = Fitted(
    init(config, init_key),
    index,
    vqrec_index.codes_of(index, table),
    np.concatenate([next_item.popularity(d) for d in domains]),
    domains[0].item_ids if len(domains) == 1 else None,
    index_flops,
  )
  fitted = _started(config, fitted)
  stage = vqrec_stages.pretraining(config)
  return vqrec_stages.train(
    config,
    stage,
    fitted,
    fitted.params,
    sequences=_joined([Sequences.of(d) for d in domains]),
    key=train_key,
    **run,
  )


def from_scratch(
  config: Config,
  data: Interactions,
  table: Table,
  key: jax.Array,
  *,
  made: Made | None = None,
  **run: Any,
) -> Fitted:
  """An index and a network of one catalogue, by the softmax over all of it.

  The paper's "w/o pre-training", but with everything trained: the published
  code freezes the random blocks there.

  Args:
    config: hyper-parameters.
    data: the users' items.
    table: features of the items.
    key: a typed key.
    made: their index, where it is made already.
    **run: see `vqrec_stages.train`.

  Raises:
    CannotServe: no user has two items, or fewer distinct items than codes.
    DataError: features that are not finite.
  """
  index_key, init_key, train_key = jax.random.split(key, 3)
  index, index_flops = made or _index(config, table, index_key)
  fitted = Fitted(init(config, init_key), index, None, None, None, index_flops)
  fitted = vqrec_index.look_up(fitted, data, table)
  fitted = _started(config, fitted)
  stage = vqrec_stages.catalogue(config, len(table), config.epochs, config.lr)
  return vqrec_stages.train(
    config,
    stage,
    fitted,
    fitted.params,
    sequences=Sequences.of(data),
    key=train_key,
    **run,
  )


def finetune(
  config: Config,
  source: Fitted,
  data: Interactions,
  table: Table,
  key: jax.Array,
  *,
  made: Made | None = None,
  **run: Any,
) -> Fitted:
  """The paper's two stages (section 3.3): align codes, then embeddings.

  Where the catalogue is the source's own there is nothing to align.

  Args:
    config: hyper-parameters.
    source: what to start from.
    data: the evidence.
    table: features of its items.
    key: a typed key.
    made: their own index, where it is made already.
    **run: of the second stage, see `vqrec_stages.train`.

  Raises:
    CannotServe: no user has two items.
    DataError: features that the index cannot code.
  """
  index_key, align_key, train_key = jax.random.split(key, 3)
  sequences = Sequences.of(data)
  is_new = not np.array_equal(source.item_ids, data.item_ids)
  source = source._replace(flops=0.0)
  if is_new and config.index == 'target':
    index, index_flops = made or _index(config, table, index_key)
    source = source._replace(index=index, flops=index_flops)
  fitted = vqrec_index.look_up(source, data, table)
  if is_new:
    fitted = align(config, fitted, sequences, align_key)
  trained = fitted.params
  if not config.finetune_all:
    norm = fitted.params['encoder']['input_norm']
    trained = {**fitted.params, 'encoder': {'input_norm': norm}}
  stage = vqrec_stages.catalogue(
    config, len(table), config.finetune_epochs, config.finetune_lr
  )
  return vqrec_stages.train(
    config, stage, fitted, trained, sequences=sequences, key=train_key, **run
  )


def align(
  config: Config, fitted: Fitted, sequences: Sequences, key: jax.Array
) -> Fitted:
  """Permutes the embeddings of each group's codes, as `alignment` says."""
  if config.alignment == 'identity':
    return fitted
  G, M = config.num_groups, config.num_codes
  init_key, train_key = jax.random.split(key)
  if config.alignment == 'random':
    keys = jax.random.split(init_key, G)
    chosen_GxM = jax.vmap(jax.random.permutation, (0, None))(keys, M)
  else:
    logits = {'logits': 0.01 * jax.random.normal(init_key, (G, M, M))}
    stage = vqrec_stages.alignment(config, len(fitted.codes))
    learned = vqrec_stages.train(
      config, stage, fitted, logits, sequences=sequences, key=train_key
    )
    fitted = fitted._replace(flops=learned.flops)
    weights = permutation.sinkhorn(
      learned.params['logits'] / config.align_temperature
    )
    chosen_GxM = jnp.asarray(permutation.rounded(weights))
  codes = jnp.take_along_axis(
    fitted.params['codes'], chosen_GxM[..., None], axis=1
  )
  return fitted._replace(params={**fitted.params, 'codes': codes})


def _index(config: Config, table: Table, key: jax.Array) -> Made:
  return vqrec_index.make(
    table, key, num_groups=config.num_groups, num_codes=config.num_codes
  )


def _started(config: Config, fitted: Fitted) -> Fitted:
  """With code embeddings as `start` says."""
  if config.start == 'random':
    return fitted
  codes = vqrec_index.embeddings_of(fitted.index, fitted.codes, config.dim)
  return fitted._replace(params={**fitted.params, 'codes': codes})


def init(config: Config, key: jax.Array):
  """Fresh parameters, see `models.vqrec.init`."""
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
