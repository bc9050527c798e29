"""The index of VQ-Rec, which gives items codes, and the state of the model."""

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
# (item features, key) -> `Outcome` whose state is the index.
MakeIndex = Callable[[Table, jax.Array], Outcome]


class VqrecState(NamedTuple):
  """A network and the codes of one catalogue, or of several domains.

  Attributes:
    params: parameters of the network; see `network.init`.
    index: quantizer that maps the features of items to codes.
    codes: int [V, G], the code of each item in each group.
    popularity: float32 [V], log(1 + count), the scores for users with empty
      histories.
  """

  params: Any
  index: Index
  codes: np.ndarray
  popularity: np.ndarray


def make(
  table: Table, key: jax.Array, *, num_groups: int, num_codes: int
) -> Outcome:
  """Learns an index of items by optimised product quantization.

  Args:
    table: features [V, F] of the items; columns of zeros fill them up to a
      multiple of G.
    key: key of the first centroids.
    num_groups: G, the number of codes of an item.
    num_codes: M, the number of codes in each group.

  Raises:
    CannotServe: there are fewer distinct items than codes in a group.
    DataError: features are not finite, or there are no items.
  """
  table = _filled(table, num_groups)
  try:
    index = product_quantizer.fit(
      key, table, num_groups=num_groups, num_codes=num_codes
    )
  except product_quantizer.TooFewVectorsError as error:
    raise method_lib.CannotServe(f'VQ-Rec has no index: {error}') from error
  except ValueError as error:
    raise DataError(f'the items cannot get an index: {error}') from error
  operations = product_quantizer.fit_flops(index, len(table))
  return Outcome(index, Cost(operations, of_text=operations))


def codes_of(index: Index, table: Table) -> Int[np.ndarray, 'V G']:
  """The codes of items, in the smallest integer type that holds them.

  Items without text have features of zeros, so they all have the same codes; a
  warning gives their number.

  Raises:
    DataError: the features have another width than those of the index, or are
      not finite.
  """
  num_groups, num_codes, _ = index.codebooks.shape
  table = _filled(table, num_groups)
  if table.shape[1] != len(index.mean):
    raise DataError(
      f'items have {table.shape[1]} features, but the index needs '
      f'{len(index.mean)}; make both with the same text encoder'
    )
  bad = np.flatnonzero(~np.isfinite(table).all(axis=1))
  if len(bad):
    raise DataError(
      f'the features of {len(bad)} items, the first of them item {bad[0]}, are '
      'not finite; encode their texts again'
    )
  empty = int((np.abs(table).max(axis=1) == 0).sum())
  if empty:
    logging.warning(
      '%d items have no text, so they all have the same codes', empty
    )
  codes = np.asarray(product_quantizer.encode(index, jnp.asarray(table)))
  return codes.astype(np.min_scalar_type(num_codes - 1))


def embeddings_of(
  index: Index, codes: Int[np.ndarray, 'V G'], dim: int
) -> Float[jax.Array, 'G M D']:
  """Code embeddings [G, M, D] that represent the text of each code.

  The mean of the embeddings of an item's codes is the vector that the codes
  decode to, on the first D principal axes of the catalogue and scaled. If the
  vectors have fewer than D axes, columns of zeros fill the embeddings up.

  Args:
    index: index of the codes.
    codes: codes of the catalogue that gives the principal axes.
    dim: D, the width of the embeddings.
  """
  G, _, E = index.codebooks.shape
  parts_GxMxE = np.asarray(index.codebooks)
  decoded_VxF = parts_GxMxE[np.arange(G), codes].reshape(len(codes), G * E)
  centred_VxF = decoded_VxF - decoded_VxF.mean(axis=0)
  _, _, axes_FxF = np.linalg.svd(centred_VxF, full_matrices=False)
  axes_GxExD = axes_FxF[:dim].T.reshape(G, E, -1)
  embeddings_GxMxD = np.einsum('gme,ged->gmd', parts_GxMxE, axes_GxExD)
  spread = (decoded_VxF @ axes_FxF[:dim].T).std(axis=0)
  # Item vectors get the same scale as with random embeddings; see
  # `network.init`.
  embeddings_GxMxD *= 0.02 * G / np.sqrt(np.square(spread).mean())
  missing = dim - embeddings_GxMxD.shape[-1]
  padded = np.pad(embeddings_GxMxD, ((0, 0), (0, 0), (0, missing)))
  return jnp.asarray(padded, jnp.float32)


def look_up(state: VqrecState, data: Interactions, table: Table) -> Outcome:
  """Encodes another catalogue with the index of the state, without training.

  Args:
    state: state whose network and index stay the same.
    data: interactions of the other catalogue, which give the popularity.
    table: features [V, F] of its items.

  Raises:
    DataError: the index cannot encode the features; see `codes_of`.
  """
  looked_up = state._replace(
    codes=codes_of(state.index, table), popularity=next_item.popularity(data)
  )
  return Outcome(looked_up, encoding_cost(state.index, len(table)))


def encoding_cost(index: Index, num_items: int) -> Cost:
  """The cost of `codes_of` for `num_items` items."""
  operations = product_quantizer.encode_flops(index, num_items)
  return Cost(operations, of_text=operations)


def stacked(tables: Sequence[Table], names: Sequence[str]) -> Table:
  """Joins the item features of several domains, one after the other.

  Args:
    tables: features [V, F] of each domain.
    names: names of the domains, for the error message.

  Raises:
    DataError: the features of the domains differ in width.
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
  """Fills features up with columns of zeros to a multiple of the groups."""
  return np.pad(table, ((0, 0), (0, -table.shape[1] % num_groups)))
