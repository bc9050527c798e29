"""Pairs of items of which a user prefers the first, made from ratings.

There are P pairs per user; unused rows have weight 0. In a matrix of ratings, a
stored 0 is a rating, and an absent entry is none.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Array, Float, Int

from hyperrec.systems.pref import reward_factorization as rf

Csr = scipy.sparse.csr_matrix


class Comparisons(NamedTuple):
  """Pairs of items, and which item of a pair each user preferred.

  Attributes:
    pairs: [U, P, 2], ids of the preferred item and of the other one.
    weights: [U, P], 1 for a pair, 0 for an unused row.
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
  """Draws pairs of two rated items, and pairs of a liked and another item.

  A draw that makes no pair, such as two equal ratings, gets weight 0.

  Args:
    ratings: [U, V]; a stored 0 is a rating, an absent entry is none.
    per_user: Number of pairs per user, P.
    unseen_share: Share of the pairs that compare a liked item with another one.
    liked: Least rating that counts as liked.
    rng: Generator that draws the pairs.
    against_rated: Which items a liked item is compared with; see
      `draw_disjoint`.
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
  """Draws the two kinds of pairs of `draw`, but without replacement.

  The first kind compares two rated items, and no item occurs in two such pairs.
  The second kind compares a liked item with a random other item, and no liked
  item occurs in two such pairs. If pairs shared an item, the error in its
  rating would count several times, and users would seem to differ more than
  they do.

  A draw that makes no pair, such as two equal ratings, gets weight 0.

  Args:
    ratings: [U, V]; a stored 0 is a rating, an absent entry is none.
    liked: Least rating that counts as liked.
    most: Largest number of pairs of each kind per user, P.
    rng: Generator that draws the pairs.
    against_rated: Whether the other item of the second kind is any item that
      the user does not like. Otherwise it is an item that she has not rated;
      few such items exist where everybody rates most items.

  Returns:
    Pairs of the first kind, and pairs of the second kind.
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
  """Splits the ratings [U, V] into two random halves."""
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
  """Draws pairs of a liked item and one that is not, neither asked about.

  A draw whose other item is liked or asked about gets weight 0.

  Args:
    ratings: [U, V]; a stored 0 is a rating, an absent entry is none.
    asked: [U, V], the part of the ratings that questions are asked about.
    hidden: [U, V], the other part, which the liked items are drawn from.
    liked: Least rating that counts as liked.
    most: Largest number of pairs per user, P.
    rng: Generator that draws the pairs.
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
  """Returns the pairs as answers [U, P, J], which all prefer the first item.

  Args:
    features: phi of every item.
    made: Pairs of item ids.
  """
  v_UxPxJ = features[made.pairs[..., 0]] - features[made.pairs[..., 1]]
  return rf.Answers(
    v_UxPxJ, jnp.ones(made.weights.shape), jnp.asarray(made.weights)
  )


def known(ratings: Csr) -> Float[np.ndarray, 'U V']:
  """Returns the ratings as a dense array, NaN where there is none."""
  dense = np.full(ratings.shape, np.nan, np.float32)
  rows = np.repeat(np.arange(ratings.shape[0]), np.diff(ratings.indptr))
  dense[rows, ratings.indices] = ratings.data
  return dense


def likes_of(ratings: Csr, liked: float) -> Csr:
  """Returns a binary matrix [U, V], 1 where a rating is at least `liked`."""
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
  """Writes the pairs of a user (first items, other items, weights)."""
  first, other, is_pair = made
  end = start + len(first)
  found.pairs[user, start:end] = np.stack([first, other], 1)
  found.weights[user, start:end] = is_pair


def _ordered(row, a, b):
  """Orders pairs of rated items by rating, the higher first; ties get weight 0.

  Args:
    row: [1, V], the ratings of one user.
    a: Indices into the stored ratings of the row.
    b: Indices of the items to compare with those of `a`.
  """
  is_turned = row.data[a] < row.data[b]
  first, other = np.where(is_turned, b, a), np.where(is_turned, a, b)
  is_pair = row.data[a] != row.data[b]
  return row.indices[first], row.indices[other], is_pair


def _with_others(likes, left_out, num_items, rng):
  """Pairs liked items with random ones; one in `left_out` gets weight 0."""
  other = rng.integers(num_items, size=len(likes))
  return likes, other, ~np.isin(other, left_out)
