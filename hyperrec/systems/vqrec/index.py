"""Catalogues as codes: the index of VQ-Rec, and its state over a catalogue."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jaxtyping import Float, Int

from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.systems.sequential import next_item
from hyperrec.systems.vqrec import product_quantizer

Cost = method_lib.Cost
DataError = interactions_lib.DataError
Index = product_quantizer.ProductQuantizer
Interactions = interactions_lib.Interactions
Outcome = method_lib.Outcome
Table = Float[np.ndarray, 'V F']
# (table, key) -> `Outcome` of an index.
MakeIndex = Callable[[Table, jax.Array], Outcome]


class VqrecState(NamedTuple):
  """A network over one catalogue, or over those of several domains.

  Attributes:
    params: see `network.init`.
    index: from an item's features to its codes.
    codes: [V, G].
    popularity: float32 [V], log(1 + count): the scores of a user who has
      shown nothing.
  """

  params: Any
  index: Index
  codes: np.ndarray
  popularity: np.ndarray


def make(
  table: Table, key: jax.Array, *, num_groups: int, num_codes: int
) -> Outcome:
  """An index (optimised product quantization) of items.

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
  operations = product_quantizer.fit_flops(index, len(table))
  return Outcome(index, Cost(operations, of_text=operations))


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


def embeddings_of(
  index: Index, codes: Int[np.ndarray, 'V G'], dim: int
) -> Float[jax.Array, 'G M D']:
  """Code embeddings whose mean, over an item's codes, is its text's vector.

  The vectors are those that the codes decode to, on their first D principal
  axes; with columns of zeros where the text has fewer numbers.

  Args:
    index: what the codes mean.
    codes: of a catalogue, whose axes are taken.
    dim: D.
  """
  G, _, E = index.codebooks.shape
  parts_GxMxE = np.asarray(index.codebooks)
  decoded_VxF = parts_GxMxE[np.arange(G), codes].reshape(len(codes), G * E)
  centred_VxF = decoded_VxF - decoded_VxF.mean(axis=0)
  _, _, axes_FxF = np.linalg.svd(centred_VxF, full_matrices=False)
  axes_GxExD = axes_FxF[:dim].T.reshape(G, E, -1)
  embeddings_GxMxD = np.einsum('gme,ged->gmd', parts_GxMxE, axes_GxExD)
  spread = (decoded_VxF @ axes_FxF[:dim].T).std(axis=0)
  # Items as large as those of random embeddings, see `network.init`.
  embeddings_GxMxD *= 0.02 * G / np.sqrt(np.square(spread).mean())
  missing = dim - embeddings_GxMxD.shape[-1]
  padded = np.pad(embeddings_GxMxD, ((0, 0), (0, 0), (0, missing)))
  return jnp.asarray(padded, jnp.float32)


def look_up(state: VqrecState, data: Interactions, table: Table) -> Outcome:
  """Another catalogue, coded by the state's index; nothing is trained.

  Raises:
    DataError: features that the index cannot code.
  """
  looked_up = state._replace(
    codes=codes_of(state.index, table), popularity=next_item.popularity(data)
  )
  return Outcome(looked_up, encoding_cost(state.index, len(table)))


def encoding_cost(index: Index, num_items: int) -> Cost:
  """What `codes_of` costs for `num_items`."""
  operations = product_quantizer.encode_flops(index, num_items)
  return Cost(operations, of_text=operations)


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
