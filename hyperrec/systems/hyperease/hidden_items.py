"""Old items as tasks of a generator: they are hidden, as if they had not come.

A generator of columns is trained on some of the items and users of a catalogue.
On others, which are kept from training, it is judged how sure it is that a
change of the columns ranks hidden items better.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
import scipy.sparse
from jaxtyping import Array, Float, Int

from hyperrec import method as method_lib

Csr = scipy.sparse.csr_matrix
Interactions = method_lib.Interactions

# An item is no task if another one is this similar: a new item would be left
# out of the ranking.
_NEAR = 0.9
# Users at most who judge a change, and the length of their lists.
_MOST_JUDGED, _DEPTH = 3000, 100


class Task(NamedTuple):
  """Users whose items are partly hidden.

  Attributes:
    histories: the items that are shown.
    items: numbers of the N hidden items.
    targets: which of these a user took up.
  """

  histories: Float[Array, 'B V']
  items: Int[Array, ' N']
  targets: Float[Array, 'B N']


def nearest_other(table: Float[np.ndarray, 'V F']) -> np.ndarray:
  """The greatest cosine of each item to another one."""
  cosines = table @ table.T
  np.fill_diagonal(cosines, -1)
  return cosines.max(axis=1)


def distinct(nearest: Float[np.ndarray, ' V']) -> np.ndarray:
  """Items without a near-duplicate; all items where these are less than half.

  Args:
    nearest: greatest cosine of each item to another one.
  """
  found = np.flatnonzero(nearest <= _NEAR)
  return found if 2 * len(found) >= len(nearest) else np.arange(len(nearest))


class Parts(NamedTuple):
  """Items and users to train on, and those that are kept from training.

  One half of those kept tells when to stop. The other half tells whether that
  was a gain: a choice among many steps flatters where it was made.
  """

  items: np.ndarray
  users: np.ndarray
  stopping_items: np.ndarray
  stopping_users: np.ndarray
  judging_items: np.ndarray
  judging_users: np.ndarray

  @property
  def kept_items(self) -> np.ndarray:
    """All items that are kept from training."""
    return np.append(self.stopping_items, self.judging_items)


def divide(
  data: Interactions, tasks: np.ndarray, share: float, key: jax.Array
) -> Parts:
  """Keeps some items and users from training.

  Args:
    data: interactions.
    tasks: items that may be hidden.
    share: of the items, and of the users, that are kept.
    key: of the draws. Where times are known, the items are the latest ones.

  Raises:
    CannotServe: nothing is left to train on, or to validate on.
  """
  random = np.random.default_rng(int(jax.random.bits(key)))
  order = random.permutation(tasks)
  first = data.first_times()
  if first is not None:
    order = tasks[np.argsort(-first[tasks], kind='stable')]
  cut = int(share * len(order))
  # Halves of the latest items are random halves.
  kept = random.permutation(order[:cut])
  users = random.permutation(np.flatnonzero(data.csr().getnnz(1) > 1))
  cut_users = int(share * len(users))
  parts = Parts(
    np.sort(order[cut:]),
    users[cut_users:],
    np.sort(kept[: cut // 2]),
    users[: cut_users // 2],
    np.sort(kept[cut // 2 :]),
    users[cut_users // 2 : cut_users],
  )
  if min(map(len, parts)) < 1 or len(parts.items) < 2:
    raise method_lib.CannotServe(
      'a generator of items keeps a part of the items and of the users from '
      f'training; {data.name or "the source"} has {len(tasks)} items and '
      f'{len(users)} users with two of them'
    )
  return parts


def make_task(x: Csr, hidden: np.ndarray, absent: np.ndarray) -> Task:
  """Hides items of users; items that are absent are in no history either."""
  histories = x.toarray()
  targets = histories[:, hidden]
  histories[:, hidden] = 0
  histories[:, absent] = 0
  return Task(histories, hidden.astype(np.int32), targets)


class Change(NamedTuple):
  """How NDCG@100 changes by other columns.

  Attributes:
    of_users: [U], the change of each user; 0 of those who do not judge.
    of_items: [V], the part of each hidden item in the same sum.
    num_users: number of users who judge.
  """

  of_users: Float[np.ndarray, ' U']
  of_items: Float[np.ndarray, ' V']
  num_users: int


class Judge(NamedTuple):
  """Users who judge the columns of hidden items.

  Attributes:
    task: what they took up of the hidden items.
    users: their numbers.
    before: [B, N], what each target adds to the NDCG@100 of its user, as the
      columns are before any change.
    num_users: U, of the data.
  """

  task: Task
  users: np.ndarray
  before: Float[np.ndarray, 'B N']
  num_users: int

  def change(self, columns: Float[np.ndarray, 'V N']) -> Change:
    """How NDCG changes by other columns of the hidden items."""
    change_BxN = _contributions(self.task, columns) - self.before
    of_users = np.zeros(self.num_users)
    of_items = np.zeros(self.task.histories.shape[1])
    of_users[self.users] = change_BxN.sum(axis=1)
    of_items[self.task.items] = change_BxN.sum(axis=0)
    return Change(of_users, of_items, len(self.users))

  @property
  def flops(self) -> float:
    """Operations of `change`."""
    users, items = self.before.shape
    shown = 2.0 * np.count_nonzero(self.task.histories) * items
    return shown + users * items * np.log2(max(2, items))


def make_judge(
  x: Csr,
  columns: Float[np.ndarray, 'V V'],
  items: np.ndarray,
  users: np.ndarray,
) -> Judge:
  """Users of whom some items are hidden, to judge how these are ranked.

  Args:
    x: [U, V] interactions.
    columns: [V, V], those of all items before any change.
    items: items that are hidden.
    users: at most 3,000 of those who have one of them judge.
  """
  rows = users[x[users][:, items].getnnz(1) > 0][:_MOST_JUDGED]
  task = make_task(x[rows], items, np.zeros(0, np.int64))
  before = _contributions(task, columns[:, items])
  return Judge(task, rows, before, x.shape[0])


def gain(changes: Sequence[Change]) -> tuple[float, float]:
  """The mean change over all users, and its standard error.

  Users and items both are a sample: the variance is the sum of that over users
  and that over items (Cameron, Gelbach & Miller, 2011, without the term of
  both, which is smaller). Changes may share users and items.
  """
  num_users = sum(change.num_users for change in changes)
  if not num_users:
    return 0.0, 0.0
  of_users = np.sum([change.of_users for change in changes], axis=0)
  of_items = np.sum([change.of_items for change in changes], axis=0)
  error = np.sqrt(_variance(of_users) + _variance(of_items))
  return float(of_users.sum()) / num_users, float(error) / num_users


def _contributions(task: Task, columns) -> Float[np.ndarray, 'B N']:
  """What each target adds to the NDCG@100 of its user; ties count against."""
  scores_BxN = task.histories @ np.asarray(columns)
  # Targets come last among equal scores.
  order_BxN = np.lexsort((task.targets, -scores_BxN), axis=1)
  rank_BxN = np.empty_like(order_BxN)
  places = np.arange(1, order_BxN.shape[1] + 1)
  np.put_along_axis(rank_BxN, order_BxN, places[None, :], axis=1)
  discounts = 1 / np.log2(places + 1.0)
  discounts[_DEPTH:] = 0
  ideal = np.append(0.0, np.cumsum(discounts))
  num_targets_B = task.targets.sum(axis=1).astype(int)
  ideal_B = np.maximum(ideal[num_targets_B], 1e-9)
  return task.targets * discounts[rank_BxN - 1] / ideal_B[:, None]


def _variance(parts: np.ndarray) -> float:
  """A variance of a sum of independent parts.

  The mean is not taken off: a gain that one item makes alone is in doubt.
  """
  return float(np.square(parts).sum())
