"""Simulated users: some of their ratings answer questions, others judge."""

import dataclasses
from typing import NamedTuple

import numpy as np
import scipy.sparse

from hyperrec.data import interactions as interactions_lib
from hyperrec.evaluation import ranking
from hyperrec.systems.pref import pref, preference_pairs

Interactions = interactions_lib.Interactions

# Pairs of a user that the AUC is of, and how many are drawn for each of them.
_PAIRS, _DRAWN = 500, 20
# Share of the scale from where on ratings are likes.
_UPPER = 0.75


class People(NamedTuple):
  """Training users, and test users in two halves.

  Attributes:
    train: other users, over the same catalogue.
    answers: ratings [B, V] that answer questions; stored where there is one,
      also where it is 0.
    targets: ratings [B, V] that methods are judged on, likewise.
    liked: the targets of at least the `liked` rating, binary.
    judged: [B'] users who rated two targets unlike.
    pairs: [B', P, 2] random targets of theirs, the better one first.
  """

  train: Interactions
  answers: scipy.sparse.csr_matrix
  targets: scipy.sparse.csr_matrix
  liked: scipy.sparse.csr_matrix
  judged: np.ndarray
  pairs: np.ndarray


def draw(
  data: Interactions, *, num_test: int, min_rows: int, liked: float, seed: int
) -> People:
  """Test users drawn at random; a random half of each one's ratings answers.

  Args:
    data: with ratings. Of a repeated pair the last row counts, so that no pair
      both answers and judges.
    num_test: users.
    min_rows: items with fewer training rows are left out.
    liked: least rating of what is to be recommended.
    seed: of both draws.

  Raises:
    DataError: no ratings, too few users or items, or nobody to judge by.
  """
  _check_ratings(data)
  data = pref.one_rating_a_pair(data)
  if not 0 < num_test < data.num_users:
    raise interactions_lib.DataError(
      f'--num_test={num_test}: {data.name} has {data.num_users} users, so '
      f'choose 1..{data.num_users - 1}'
    )
  rng = np.random.default_rng(seed)
  order = rng.permutation(data.num_users)
  train = data.take_users(np.sort(order[num_test:]))
  items = np.flatnonzero(train.item_counts() >= min_rows)
  if len(items) < 2:
    raise interactions_lib.DataError(
      f'{data.name}: {len(items)} items have --min_rows={min_rows} ratings of '
      f'the {train.num_users} users who are not tested, and a question is of '
      'two; choose a smaller --min_rows or --num_test'
    )
  train = train.take_items(items)
  test = data.take_items(items).take_users(np.sort(order[:num_test]))
  is_answer = rng.random(len(test)) < 0.5
  rows = test.rows(~is_answer)
  targets = pref.rating_matrix(rows)
  likes = rows.rows(rows.ratings >= liked)
  judged, pairs = unlike_pairs(targets, rng)
  if len(likes) == 0:
    raise interactions_lib.DataError(
      f'{data.name}: none of the held-back ratings of the {num_test} test '
      f'users (--num_test) is at least {liked:g} (--liked)'
    )
  if len(judged) == 0:
    raise interactions_lib.DataError(
      f'{data.name}: none of the {num_test} test users (--num_test) gave two '
      'different held-back ratings'
    )
  return People(
    train,
    pref.rating_matrix(test.rows(is_answer)),
    targets,
    likes.csr(),
    judged,
    pairs,
  )


def _check_ratings(data: Interactions) -> None:
  if data.ratings is None:
    raise interactions_lib.DataError(
      f'{data.name}: answers are made of ratings; this source has none (with '
      '--source=table name their column: --rating_column)'
    )


def least_liked(data: Interactions) -> float:
  """Where the upper quarter of the scale of ratings begins.

  4 of 1 to 5 stars, 5 of -10 to 10, and the thumb up of 0 and 1. The scale is
  from the least to the largest rating.

  Raises:
    DataError: no ratings, or all are alike.
  """
  _check_ratings(data)
  least, largest = float(data.ratings.min()), float(data.ratings.max())
  if least == largest:
    raise interactions_lib.DataError(
      f'{data.name}: all ratings are {least:g}, so nobody can say which of two '
      'items is better; choose another --rating_column'
    )
  return least + _UPPER * (largest - least)


def unlike_pairs(
  targets: scipy.sparse.csr_matrix, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """Random pairs of each user's targets, as `People` has them."""
  judged, pairs = [], []
  for user in range(targets.shape[0]):
    row = targets[user]
    if row.nnz == 0:
      continue
    first, other = rng.integers(row.nnz, size=(2, _DRAWN * _PAIRS))
    is_better = row.data[first] > row.data[other]
    found = np.stack([first, other], 1)[is_better]
    if len(found):
      judged.append(user)
      pairs.append(row.indices[np.resize(found, (_PAIRS, 2))])
  return np.array(judged, int), np.array(pairs, int).reshape(-1, _PAIRS, 2)


def some_likes(
  people: People, count: int, liked: float, seed: int
) -> Interactions:
  """At most `count` random likes of each user's answering half."""
  rng = np.random.default_rng(seed)
  rows, columns = [], []
  for user in range(people.answers.shape[0]):
    row = people.answers[user]
    likes = rng.permutation(row.indices[row.data >= liked])[:count]
    rows += [user] * len(likes)
    columns += likes.tolist()
  return dataclasses.replace(
    people.train,
    users=np.array(rows, np.int32),
    items=np.array(columns, np.int32),
    num_users=people.answers.shape[0],
    user_ids=None,
    ratings=None,
    timestamps=None,
  )


def judge(
  choice: np.ndarray, taste: np.ndarray, people: People, metric: str
) -> dict[str, np.ndarray]:
  """The ranking metric and the pairwise AUC of every user who has them.

  Args:
    choice: scores [B, V] that rank the catalogue.
    taste: scores [B, V] that order pairs of rated items.
    people: who is judged.
    metric: of the ranking.
  """
  found = ranking.evaluate(
    lambda users: choice[users],
    preference_pairs.likes_of(people.answers, -np.inf),
    people.liked,
    metrics=(metric,),
  )
  return {metric: found.values[metric], 'auc': aucs(taste, people)}


def aucs(scores: np.ndarray, people: People) -> np.ndarray:
  """Share [B'] of pairs in the right order; equal scores count a half."""
  better, worse = np.moveaxis(people.pairs, -1, 0)
  rows = people.judged[:, None]
  gap = scores[rows, better] - scores[rows, worse]
  return ((gap > 0) + 0.5 * (gap == 0)).mean(axis=1)
