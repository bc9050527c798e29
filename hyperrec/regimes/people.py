"""Which users are judged.

The users of validation and of rehearsals are the same for all seeds, and no
seed draws them for a test: they are the first in a fixed random order of all
users, by a hash of their ids. So no hyperparameter is chosen on people whom a
test of any seed judges.
"""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from absl import logging
from jaxtyping import Float, Int

from hyperrec.data import interactions as interactions_lib

Interactions = interactions_lib.Interactions

# Share of the users that no test draws, beside those of validation.
RESERVED = 4


class Users(NamedTuple):
  """Numbers of users; those of training are in a random order."""

  train: Int[np.ndarray, ' T']
  validation: Int[np.ndarray, ' H']
  test: Int[np.ndarray, ' H']


def drawn(
  data: Interactions,
  seed: int,
  num_test: int,
  num_validation: int,
  among: Int[np.ndarray, ' n'] | None = None,
) -> Users:
  """Users of validation, who are fixed, and of a test, whom the seed draws.

  A quarter of the users follows those of validation in the fixed order, and is
  reserved for rehearsals; where too few are left for the test, none is, and a
  warning says so.

  Args:
    data: the data set.
    seed: seed of the test users, and of the order of training users.
    num_test: number of test users.
    num_validation: number of validation users.
    among: numbers of the users who may be judged; None means all.
  """
  order = fixed_order(data, among)
  rest = order[num_validation:]
  open_ = rest[len(order) // RESERVED :]
  random = np.random.default_rng(seed)
  if len(open_) < num_test:
    logging.warning(
      '%s: %d test users are too many to leave a quarter of the users to '
      'rehearsals, so some users serve for both',
      data.name, num_test,
    )  # fmt: skip
    open_ = rest
  test = random.permutation(open_)
  return _of(data, order[:num_validation], test[:num_test], random)


def rehearsing(
  data: Interactions,
  seed: int,
  most: int,
  among: Int[np.ndarray, ' n'] | None = None,
) -> Users:
  """The first users in the fixed order, a quarter of all and `most` at most.

  A rehearsal judges them; they stand in both fields, `validation` and `test`.
  """
  order = fixed_order(data, among)
  first = order[: max(1, min(most, len(order) // RESERVED))]
  return _of(data, first, first, np.random.default_rng(seed))


def _of(
  data: Interactions, validation: np.ndarray, test: np.ndarray, random
) -> Users:
  held_out = np.concatenate([validation, test])
  train = np.setdiff1d(np.arange(data.num_users), held_out)
  return Users(random.permutation(train), np.sort(validation), np.sort(test))


def fixed_order(
  data: Interactions, among: Int[np.ndarray, ' n'] | None = None
) -> Int[np.ndarray, ' n']:
  """Numbers of users in a random order that is the same in every run."""
  users = np.arange(data.num_users) if among is None else np.asarray(among)
  return users[np.argsort(uniform(data.user_ids[users], 'people'))]


def uniform(names: Iterable, salt: str) -> Float[np.ndarray, ' n']:
  """A number in [0, 1) of each name, whatever other names there are."""
  numbers = [
    int.from_bytes(
      hashlib.blake2b(f'{salt}:{name}'.encode(), digest_size=6).digest(), 'big'
    )
    for name in np.asarray(names).tolist()
  ]
  return np.array(numbers, np.float64) / 2**48
