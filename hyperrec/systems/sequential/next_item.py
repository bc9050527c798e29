"""What methods that predict the next item share, in training and in scoring."""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from hyperrec import method as method_lib
from hyperrec.data import interactions, sequences
from hyperrec.training import loop

Histories = method_lib.Histories


class Batches(NamedTuple):
  """Batches of a training run.

  Attributes:
    at: step -> packed rows, a pure function.
    num_steps: of the run.
    size: rows of a batch.
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
  """Users packed in rows, each prefix of them predicting the item that follows.

  Args:
    users: what each of them touched, in the order of time.
    length: positions of a row.
    from_the_end: count places back from each user's last position.
    batch_size: rows of a batch; all of them where there are fewer.
    epochs: passes over the rows.
    key: of their order.
    shuffled: each pass has every user's items in another random order.

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

  @functools.lru_cache(maxsize=2)  # a batch is of two passes at most
  def rows_of(epoch):
    rows = packed
    if shuffled:
      random = np.random.default_rng((seed, epoch, 1))
      # Rows are as many in any order: lengths alone decide what goes where.
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
  """Scores of a user who has shown nothing: log(1 + count)."""
  return np.log1p(data.item_counts()).astype(np.float32)


def last_hidden(
  network: Callable[
    [Int[np.ndarray, 'N L'], Int[np.ndarray, ' N']], np.ndarray
  ],
  histories: Histories,
  length: int,
  dim: int,
) -> tuple[Float[np.ndarray, 'B D'], np.ndarray]:
  """What a network says after the last item of each history.

  Users go through it with others of about their length, so that few shapes are
  compiled and little padding is computed.

  Args:
    network: (items from position 0 on, how many of each) -> [N, D]. N is a
      power of two and L one of `sequences.buckets`.
    histories: of B users.
    length: the longest that counts; of a longer one the last items.
    dim: D.

  Returns:
    float32 [B, D], zeros where nothing was shown, and bool [B], True there.
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
      padding = (1 << (len(users) - 1).bit_length()) - len(users)
      rows = np.concatenate([users, np.repeat(users[:1], padding)])
      hidden = network(items_BxL[rows, :longest], sizes_B[rows])
      hidden_BxD[users] = np.asarray(hidden)[: len(users)]
  return hidden_BxD, sizes_B == 0
