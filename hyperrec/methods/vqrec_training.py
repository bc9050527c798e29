"""How VQ-Rec learns: its index, its parameters, and two-stage fine-tuning."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jaxtyping import Float, Int

from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.data import sequences as sequences_lib
from hyperrec.methods import vqrec_stages
from hyperrec.models import permutation, product_quantizer, vqrec

Config = vqrec_stages.Config
DataError = interactions_lib.DataError
Fitted = vqrec_stages.Fitted
Index = product_quantizer.ProductQuantizer
Interactions = interactions_lib.Interactions
Sequences = sequences_lib.Sequences
Table = Float[np.ndarray, 'V F']
# An index, and the operations that it took.
Made = tuple[Index, float]


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
  table = stacked(tables, [d.name for d in domains])
  index_key, init_key, train_key = jax.random.split(key, 3)
  index, index_flops = made or _index(config, table, index_key)
  fitted = Fitted(
    init(config, init_key),
    index,
    codes_of(index, table),
    np.concatenate([popularity(d) for d in domains]),
    domains[0].item_ids if len(domains) == 1 else None,
    index_flops,
  )
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
  params = init(config, init_key)
  fitted = Fitted(params, index, None, None, None, index_flops)
  fitted = look_up(fitted, data, table)
  stage = vqrec_stages.catalogue(config, len(table), config.epochs, config.lr)
  return vqrec_stages.train(
    config,
    stage,
    fitted,
    params,
    sequences=Sequences.of(data),
    key=train_key,
    **run,
  )


def look_up(source: Fitted, data: Interactions, table: Table) -> Fitted:
  """Another catalogue, coded by the source's index; nothing is trained.

  Raises:
    DataError: features that the index cannot code.
  """
  flops = product_quantizer.encode_flops(source.index, len(table))
  return source._replace(
    codes=codes_of(source.index, table),
    popularity=popularity(data),
    item_ids=data.item_ids,
    flops=source.flops + flops,
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
  fitted = look_up(source, data, table)
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


def popularity(data: Interactions) -> np.ndarray:
  """Scores [V] of a user who has shown nothing: log(1 + count)."""
  return np.log1p(data.item_counts()).astype(np.float32)


def make_index(
  table: Table, key: jax.Array, *, num_groups: int, num_codes: int
) -> Made:
  """An index (optimised product quantization) of items, and its operations.

  Args:
    table: features; filled up with columns of zeros to a multiple of G.
    key: of its seeds.
    num_groups: G.
    num_codes: M.

  Raises:
    CannotServe: fewer distinct items than codes.
    DataError: features that are not finite.
  """
  table = _filled(table, num_groups)
  try:
    index = product_quantizer.fit(
      key, table, num_groups=num_groups, num_codes=num_codes
    )
  except product_quantizer.TooFewVectorsError as error:
    raise method_lib.CannotServe(f'VQ-Rec has no index: {error}') from error
  except ValueError as error:
    raise DataError(f'no index can be made of the items: {error}') from error
  return index, product_quantizer.fit_flops(index, len(table))


def codes_of(index: Index, table: Table) -> Int[np.ndarray, 'V G']:
  """The codes of items, in the smallest type that holds them.

  Items without text, whose features are zeros, share one code; a warning says
  how many they are.

  Raises:
    DataError: features of another width than those of the index, or not
      finite.
  """
  num_groups, num_codes, _ = index.codebooks.shape
  table = _filled(table, num_groups)
  if table.shape[1] != len(index.mean):
    raise DataError(
      f'{table.shape[1]} features an item, but the index is of '
      f'{len(index.mean)}: make both with the same text encoder'
    )
  bad = np.flatnonzero(~np.isfinite(table).all(axis=1))
  if len(bad):
    raise DataError(
      f'the features of {len(bad)} items, the first of them item {bad[0]}, are '
      'not finite; encode their texts anew'
    )
  empty = int((np.abs(table).max(axis=1) == 0).sum())
  if empty:
    logging.warning('%d items have no text: they share one code', empty)
  codes = np.asarray(product_quantizer.encode(index, jnp.asarray(table)))
  return codes.astype(np.min_scalar_type(num_codes - 1))


def stacked(tables: Sequence[Table], names: Sequence[str]) -> Table:
  """The features of several domains' items, one after the other.

  Raises:
    DataError: they are not of one width.
  """
  widths = {
    name: table.shape[1] for name, table in zip(names, tables, strict=True)
  }
  if len(set(widths.values())) > 1:
    raise DataError(
      f'features of the domains differ in width: {widths}; make all of them '
      'with the same text encoder'
    )
  return np.concatenate(tables)


def _filled(table: Table, num_groups: int) -> Table:
  """With columns of zeros up to a multiple of the groups."""
  return np.pad(table, ((0, 0), (0, -table.shape[1] % num_groups)))


def _index(config: Config, table: Table, key: jax.Array) -> Made:
  return make_index(
    table, key, num_groups=config.num_groups, num_codes=config.num_codes
  )


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
