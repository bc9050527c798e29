"""Item-item weights as programs: a score is a sum of rows of the weights.

Shapes: B users, L history items, V items, n items that have weights.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from hyperrec import method as method_lib
from hyperrec import program as program_lib
from hyperrec.cost import memory
from hyperrec.systems.linear import linear_autoencoder

Items = program_lib.Items
Mask = program_lib.Mask
Program = program_lib.Program
Scores = program_lib.Scores

# Elements of a sparse row that are added at once.
_CHUNK = 128
# Histories of one item that are scored together.
_BLOCK = 256


def of_weights(weights: Any) -> Program:
  """The program x B of weights in any of their forms.

  Raises:
    CannotServe: the state is none of the forms, such as a generator that has
      not generated weights yet.
  """
  if isinstance(weights, linear_autoencoder.FactoredWeights):
    if scipy.sparse.issparse(weights.left):
      return of_weights(weights.sparse())
    return Program(weights._asdict(), _factored, 'factored')
  if isinstance(weights, linear_autoencoder.SubsetWeights):
    tensors = {'weights': weights.weights, 'items': weights.items}
    return Program(
      tensors, functools.partial(_subset, weights.num_items), 'subset'
    )
  if scipy.sparse.issparse(weights):
    matrix = weights.tocsr()
    names = ('data', 'indices', 'indptr')
    return Program({n: getattr(matrix, n) for n in names}, _sparse, 'sparse')
  if isinstance(weights, np.ndarray | jax.Array) and weights.ndim == 2:
    return Program({'weights': weights}, _dense, 'dense')
  raise method_lib.CannotServe(
    'the state holds no weights between items; a generator has them after an '
    'adaptation has generated those of a catalogue'
  )


def of_scores(
  score: Callable[[method_lib.Histories], np.ndarray], num_items: int
) -> Program:
  """The program of dense weights, from the scores of each item alone.

  Args:
    score: histories -> scores [B, V], linear in the 0/1 histories.
    num_items: V.

  Raises:
    InsufficientMemoryError: weights [V, V] do not fit into memory.
  """
  memory.check_memory(
    4 * num_items**2, f'the weights between {num_items} items'
  )
  weights = np.empty((num_items, num_items), np.float32)
  for start in range(0, num_items, _BLOCK):
    items = np.arange(start, min(start + _BLOCK, num_items), dtype=np.int32)
    single = method_lib.Histories(
      items[:, None], np.ones((len(items), 1), bool), num_items
    )
    weights[items] = score(single)
  return of_weights(weights)


def _dense(params, items_BxL: Items, mask_BxL: Mask) -> Scores:
  return program_lib.sum_rows(params['weights'], items_BxL, mask_BxL)


def _factored(params, items_BxL: Items, mask_BxL: Mask) -> Scores:
  code_Bxr = program_lib.sum_rows(params['left'], items_BxL, mask_BxL)
  rows = jnp.arange(items_BxL.shape[0])[:, None]
  own_BxL = jnp.where(mask_BxL, params['diagonal'][items_BxL], 0)
  return (code_Bxr @ params['right']).at[rows, items_BxL].add(own_BxL)


def _subset(num_items: int, params, items_BxL: Items, mask_BxL: Mask) -> Scores:
  chosen = params['items']
  place_V = jnp.full(num_items, -1).at[chosen].set(jnp.arange(len(chosen)))
  places_BxL = place_V[items_BxL]
  scores_Bxn = program_lib.sum_rows(
    params['weights'], places_BxL, mask_BxL & (places_BxL >= 0)
  )
  scores_BxV = jnp.zeros((items_BxL.shape[0], num_items), scores_Bxn.dtype)
  return scores_BxV.at[:, chosen].set(scores_Bxn)


def _sparse(params, items_BxL: Items, mask_BxL: Mask) -> Scores:
  """Adds row after row, each in chunks, until the longest row has ended."""
  data, indices, indptr = (params[n] for n in ('data', 'indices', 'indptr'))
  num_users, num_items = items_BxL.shape[0], len(indptr) - 1
  users_Bx1 = jnp.arange(num_users)[:, None]
  total_BxV = jnp.zeros((num_users, num_items), data.dtype)
  if not len(data):
    return total_BxV

  def add_row(total_BxV, column):
    items_B, mask_B = column
    start_B = indptr[items_B]
    size_B = jnp.where(mask_B, indptr[items_B + 1] - start_B, 0)
    longest = size_B.max(initial=0)

    def add_chunk(carry):
      done, total_BxV = carry
      place_C = done + jnp.arange(_CHUNK)
      is_own_BxC = place_C[None] < size_B[:, None]
      at_BxC = jnp.where(is_own_BxC, start_B[:, None] + place_C[None], 0)
      values_BxC = jnp.where(is_own_BxC, data[at_BxC], 0)
      added_BxV = total_BxV.at[users_Bx1, indices[at_BxC]].add(values_BxC)
      return done + _CHUNK, added_BxV

    _, total_BxV = jax.lax.while_loop(
      lambda carry: carry[0] < longest, add_chunk, (0, total_BxV)
    )
    return total_BxV, None

  return jax.lax.scan(add_row, total_BxV, (items_BxL.T, mask_BxL.T))[0]
