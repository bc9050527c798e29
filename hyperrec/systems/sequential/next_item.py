"""Batches, scores and padding that all next-item models share."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from hyperrec import method as method_lib
from hyperrec import padding
from hyperrec.data import interactions, sequences
from hyperrec.training import loop

Histories = method_lib.Histories
Program = method_lib.Program


class Batches(NamedTuple):
  """Batches of a training run.

  Attributes:
    at: Pure function from a step's number to its batch of packed rows.
    num_steps: Number of training steps.
    size: Number of rows in a batch.
  """

  at: Callable[[int], sequences.PackedRows]
  num_steps: int
  size: int


def batches(
  users: sequences.Sequences,
  *,
  length: int,
  from_the_end: bool,
  batch_size: int,
  epochs: int,
  key: jax.Array,
  shuffled: bool = False,
) -> Batches:
  """Packs the users' sequences into rows and divides the rows into batches.

  Every prefix of a sequence is an input whose target is the item that follows.

  Args:
    users: the items of each user, in the order of time.
    length: number of positions in a row.
    from_the_end: place the last item of each sequence at `length` - 1, instead
      of the first item at 0.
    batch_size: rows in a batch; if there are fewer rows, a batch has them all.
    epochs: passes over the rows.
    key: random key for the order of the rows.
    shuffled: put each user's items into a new random order at every pass.

  Raises:
    CannotServe: no user has two items.
  """
  if not (users.lengths() > 1).any():
    raise method_lib.CannotServe(
      'a sequential model needs a user with two items or more'
    )
  seed = int(jax.random.bits(key))
  packed = sequences.pack(users, length)
  num_rows = len(packed.inputs)
  size = min(batch_size, num_rows)

  @functools.lru_cache(maxsize=2)  # a batch spans at most two passes
  def rows_of(epoch):
    rows = packed
    if shuffled:
      random = np.random.default_rng((seed, epoch, 1))
      # The number of rows stays the same, since packing depends only on the
      # lengths of the sequences.
      rows = sequences.pack(users.shuffled(random), length)
    return rows.from_the_end() if from_the_end else rows

  def at(step):
    index = loop.batch_rows(step, size, num_rows, seed)
    if not shuffled:
      return rows_of(0).rows(index)
    passes = (step * size + np.arange(size)) // num_rows
    parts = [rows_of(p).rows(index[passes == p]) for p in np.unique(passes)]
    return sequences.PackedRows(*map(np.concatenate, zip(*parts, strict=True)))

  return Batches(at, math.ceil(epochs * num_rows / size), size)


def popularity(data: interactions.Interactions) -> Float[np.ndarray, ' V']:
  """Scores for a user with an empty history: log(1 + count) of each item."""
  return np.log1p(data.item_counts()).astype(np.float32)


def program(
  hidden: Callable[[Any, Array, Array], Array],
  table: Callable[[Any], Array],
  params: dict[str, Any],
  length: int,
  popularity: Float[np.ndarray, ' V'],
) -> Program:
  """The program of a network that predicts the next item.

  An empty history is read as one item, and scored by popularity instead.

  Args:
    hidden: maps parameters, items [B, L] and sizes [B] to states [B, D].
    table: maps parameters to item embeddings [V, D].
    params: the parameters of both.
    length: L, the number of history items that the network reads.
    popularity: scores for empty histories, log(1 + count) of each item.
  """

  def score(params, items_BxL, mask_BxL):
    sizes_B = mask_BxL.sum(axis=1)
    hidden_BxD = hidden(params, items_BxL, jnp.maximum(sizes_B, 1))
    scores_BxV = hidden_BxD @ table(params).T
    is_empty_Bx1 = (sizes_B == 0)[:, None]
    return jnp.where(is_empty_Bx1, params['popularity'][None], scores_BxV)

  return Program(
    {**params, 'popularity': popularity},
    score,
    length=length,
    counts=np.rint(np.expm1(np.asarray(popularity, np.float64))),
  )


def last_hidden(
  network: Callable[
    [Int[np.ndarray, 'N L'], Int[np.ndarray, ' N']], np.ndarray
  ],
  histories: Histories,
  length: int,
  dim: int,
) -> tuple[Float[np.ndarray, 'B D'], np.ndarray]:
  """The network's output at the last item of each history.

  Histories of similar length are processed together, so that few shapes are
  compiled and little padding is computed.

  Args:
    network: function from items [N, L], which start at column 0, and the number
      of items in each row [N], to outputs [N, D]. N is a power of two, and L is
      one of `sequences.buckets`.
    histories: histories of B users.
    length: number of items that are read, the last ones of a longer history.
    dim: D.

  Returns:
    The outputs, float32 [B, D], which are zero for an empty history; and a
    mask, bool [B], which is True for an empty history.
  """
  items_BxL, sizes_B = sequences.last_items(
    histories.items, histories.mask, length
  )
  hidden_BxD = np.zeros((len(items_BxL), dim), np.float32)
  shorter = 0
  for longest in sequences.buckets(length):
    users = np.flatnonzero((sizes_B > shorter) & (sizes_B <= longest))
    shorter = longest
    if len(users):
      more = padding.power_of_two(len(users)) - len(users)
      rows = np.concatenate([users, np.repeat(users[:1], more)])
      hidden = network(items_BxL[rows, :longest], sizes_B[rows])
      hidden_BxD[users] = np.asarray(hidden)[: len(users)]
  return hidden_BxD, sizes_B == 0
