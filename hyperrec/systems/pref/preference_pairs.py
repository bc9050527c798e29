"""Pairs of items of which a user prefers the first, made of ratings.

P is the number of pairs of a user, padded with weight 0. A rating of 0 is one:
what a matrix stores counts, not what differs from 0.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Array, Float, Int

from hyperrec.systems.pref import reward_factorization as rf

Csr = scipy.sparse.csr_matrix


class Comparisons(NamedTuple):
  """Which of two items each user preferred.

  Attributes:
    pairs: [U, P, 2] the preferred item, and the other one.
    weights: [U, P] 0 where a user has no such pair.
  """

  pairs: Int[np.ndarray, 'U P 2']
  weights: Float[np.ndarray, 'U P']


def draw(
  ratings: Csr,
  *,
  per_user: int,
  unseen_share: float,
  liked: float,
  rng: np.random.Generator,
  against_rated: bool = True,
) -> Comparisons:
  """Random pairs of each user's rated items, and of liked and other ones.

  Args:
    ratings: [U, V], stored where there is one, also where it is 0.
    per_user: P.
    unseen_share: share of the pairs that set a liked item against one that is
      not liked; without `against_rated`, against an unseen one.
    liked: least rating of the preferred item of such a pair.
    rng: of the draws.
    against_rated: see `draw_disjoint`.
  """
  found = _empty(ratings.shape[0], per_user)
  num_others = round(per_user * unseen_share)
  for user in range(ratings.shape[0]):
    row = ratings[user]
    likes = row.indices[row.data >= liked]
    if len(likes):
      hidden = likes if against_rated else row.indices
      likes = rng.choice(likes, num_others)
      _put(found, user, 0, _with_others(likes, hidden, row.shape[1], rng))
    if len(row.data) > 1:
      both = rng.integers(len(row.data), size=(2, per_user - num_others))
      _put(found, user, num_others, _ordered(row, *both))
  return found


def draw_disjoint(
  ratings: Csr,
  *,
  liked: float,
  most: int,
  rng: np.random.Generator,
  against_rated: bool = True,
) -> tuple[Comparisons, Comparisons]:
  """Pairs of which no two of a user share a rated item.

  What is odd about one rating is in every pair of that item. Pairs that
  overlap repeat it, and users seem to differ more than they do.

  Args:
    ratings: [U, V], stored where there is one, also where it is 0.
    liked: least rating of the preferred item of the second kind.
    most: pairs of a user and a kind.
    rng: of the draws.
    against_rated: the other item of the second kind is any that the user does
      not like; otherwise it is one that she has not rated, of which there are
      few where everybody rates most items.

  Returns:
    Pairs of two rated items, and of a liked and a random other item.
  """
  rated = _empty(ratings.shape[0], most)
  others = _empty(ratings.shape[0], most)
  for user in range(ratings.shape[0]):
    row = ratings[user]
    half = min(most, len(row.data) // 2)
    order = rng.permutation(len(row.data))
    _put(rated, user, 0, _ordered(row, order[:half], order[half : 2 * half]))
    likes = row.indices[row.data >= liked]
    hidden = likes if against_rated else row.indices
    likes = rng.permutation(likes)[:most]
    _put(others, user, 0, _with_others(likes, hidden, row.shape[1], rng))
  return rated, others


def halves(ratings: Csr, rng: np.random.Generator) -> tuple[Csr, Csr]:
  """A random half of the stored ratings [U, V], and the others."""
  is_first = rng.random(ratings.nnz) < 0.5
  rows = np.repeat(np.arange(ratings.shape[0]), np.diff(ratings.indptr))
  return tuple(
    Csr(
      (ratings.data[part], (rows[part], ratings.indices[part])), ratings.shape
    )
    for part in (is_first, ~is_first)
  )


def draw_unasked(
  ratings: Csr,
  asked: Csr,
  hidden: Csr,
  *,
  liked: float,
  most: int,
  rng: np.random.Generator,
) -> Comparisons:
  """Pairs of a liked item and one that is not, neither of them asked about.

  Args:
    ratings: [U, V], stored where there is one, also where it is 0.
    asked: the part of them that questions are asked about.
    hidden: the other part.
    liked: least rating of what is liked.
    most: pairs of a user.
    rng: of the draws.
  """
  found = _empty(ratings.shape[0], most)
  for user in range(ratings.shape[0]):
    row, part = ratings[user], hidden[user]
    likes = rng.permutation(part.indices[part.data >= liked])[:most]
    left_out = np.concatenate(
      [asked[user].indices, row.indices[row.data >= liked]]
    )
    _put(found, user, 0, _with_others(likes, left_out, row.shape[1], rng))
  return found


def as_answers(features: Float[Array, 'V J'], made: Comparisons) -> rf.Answers:
  """The comparisons as answers [U, P, J]; all say "the first"."""
  v_UxPxJ = features[made.pairs[..., 0]] - features[made.pairs[..., 1]]
  return rf.Answers(
    v_UxPxJ, jnp.ones(made.weights.shape), jnp.asarray(made.weights)
  )


def known(ratings: Csr) -> Float[np.ndarray, 'U V']:
  """The stored ratings as a dense array, NaN where there is none."""
  dense = np.full(ratings.shape, np.nan, np.float32)
  rows = np.repeat(np.arange(ratings.shape[0]), np.diff(ratings.indptr))
  dense[rows, ratings.indices] = ratings.data
  return dense


def likes_of(ratings: Csr, liked: float) -> Csr:
  """A binary matrix [U, V] of the ratings of at least `liked`."""
  is_liked = (ratings.data >= liked).astype(np.float32)
  parts = is_liked, ratings.indices, ratings.indptr
  found = Csr(parts, ratings.shape, copy=True)
  found.eliminate_zeros()
  return found


def _empty(num_users: int, per_user: int) -> Comparisons:
  return Comparisons(
    np.zeros((num_users, per_user, 2), np.int32),
    np.zeros((num_users, per_user), np.float32),
  )


def _put(found, user, start, made):
  """Writes (first items, other items, is it a pair) into a row."""
  first, other, is_pair = made
  end = start + len(first)
  found.pairs[user, start:end] = np.stack([first, other], 1)
  found.weights[user, start:end] = is_pair


def _ordered(row, a, b):
  """Two places in a row as pairs, the higher rating first; ties are none."""
  is_turned = row.data[a] < row.data[b]
  first, other = np.where(is_turned, b, a), np.where(is_turned, a, b)
  is_pair = row.data[a] != row.data[b]
  return row.indices[first], row.indices[other], is_pair


def _with_others(likes, left_out, num_items, rng):
  """Likes and random items as pairs; those with an item left out are none."""
  other = rng.integers(num_items, size=len(likes))
  return likes, other, ~np.isin(other, left_out)
