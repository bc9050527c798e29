"""Numbers of items: what they are a function of, and what they give away."""

import numpy as np
import pytest
import threadpoolctl

from hyperrec import method as method_lib
from hyperrec.data import interactions, splits
from hyperrec.evaluation import ranking
from hyperrec.systems.p5 import item_ids
from tests.makers import make_data


def walked(num_users=300, num_items=2000, length=8):
  """Random items, whose ids count up along the users' full sequences."""
  random = np.random.default_rng(0)
  items = np.stack(
    [random.permutation(num_items)[:length] for _ in range(num_users)]
  )
  _, first, place = np.unique(items, return_index=True, return_inverse=True)
  number = np.argsort(np.argsort(first))
  return interactions.from_columns(
    np.repeat(np.arange(num_users), length),
    number[place].reshape(-1),
    timestamp=np.tile(np.arange(length), num_users),
  )


def rule_hits(split, numbers):
  histories = split.test.histories.by_user_and_time()

  def score(users):
    batch = method_lib.Histories.of(histories, users)
    return item_ids.next_number_scores(numbers, batch.items, batch.mask)

  found = ranking.evaluate(
    score,
    split.test.histories.csr(),
    split.test.targets.csr(),
    metrics=('hr@5',),
  )
  return found.mean('hr@5')


def test_a_leak_is_found_and_ours_have_none():
  """The rule that learns nothing finds the answer in numbers that leak."""
  split = splits.leave_one_out(walked())
  hits = {
    kind: rule_hits(split, item_ids.number_items(split.train, kind, seed=0))
    for kind in item_ids.INDEXINGS
  }
  assert hits['given'] > 0.3
  for kind in ('random', 'sequential', 'collaborative'):
    assert hits[kind] < 0.02


@pytest.mark.parametrize('kind', item_ids.INDEXINGS)
def test_numbers_are_a_permutation_made_of_training_rows_alone(kind):
  data = make_data()
  split = splits.leave_one_out(data)
  numbers = item_ids.number_items(split.train, kind, seed=3)
  np.testing.assert_array_equal(np.sort(numbers), np.arange(data.num_items))
  again = item_ids.number_items(split.train, kind, seed=3)
  np.testing.assert_array_equal(numbers, again)


def test_sequential_numbers_run_along_a_users_history():
  """Items of whoever comes first are numbered in their order."""
  data = interactions.from_columns(
    [0, 0, 0, 1, 1, 1], [5, 3, 4, 0, 1, 2], timestamp=[1, 2, 3, 1, 2, 3]
  )
  numbers = item_ids.number_items(data, 'sequential', seed=0)
  own = [numbers[[5, 3, 4]].tolist(), numbers[[0, 1, 2]].tolist()]
  assert sorted(own) == [[0, 1, 2], [3, 4, 5]]


def test_collaborative_numbers_keep_those_alike_together():
  random = np.random.default_rng(0)
  users = np.arange(200).repeat(6)
  items = random.integers(10, size=1200) + 10 * (users % 4)
  shuffled = random.permutation(40)
  data = interactions.from_columns(users, shuffled[items])
  numbers = item_ids.number_items(data, 'collaborative', seed=0)
  for group in range(4):
    own = np.sort(numbers[shuffled[10 * group : 10 * (group + 1)]])
    assert own[-1] - own[0] == 9


@pytest.mark.parametrize('kind', ['sequential', 'collaborative'])
def test_items_without_a_training_row_come_last(kind):
  data = make_data()
  train = data.rows(data.items < 20)
  numbers = item_ids.number_items(train, kind, seed=0)
  assert numbers[:20].max() < 20


@pytest.mark.parametrize('rows', [0, 1])
def test_next_to_nothing_is_numbered_too(rows):
  data = make_data().rows(np.arange(rows))
  for kind in item_ids.INDEXINGS:
    numbers = item_ids.number_items(data, kind, seed=0)
    np.testing.assert_array_equal(np.sort(numbers), np.arange(30))


def test_an_unknown_kind_is_named():
  with pytest.raises(interactions.DataError, match="indexing='hashed'"):
    item_ids.number_items(make_data(), 'hashed', seed=0)


def test_widths_are_even_and_wide_enough():
  sizes = (1, 100, 101, 10_000, 10_001)
  assert [item_ids.width_of(n) for n in sizes] == [2, 2, 4, 4, 6]
  assert item_ids.as_text(np.array([7, 99]), 4) == ['0007', '0099']


@pytest.mark.parametrize('number', [100, -1])
def test_a_catalogue_beyond_the_id_space_is_refused(number):
  with pytest.raises(interactions.DataError, match=f'number {number} does not'):
    item_ids.as_text(np.array([3, number]), 2)


def test_order_of_the_rule():
  """After the largest, after the last, then two after each."""
  numbers = np.array([4, 0, 2, 5, 1, 3, 6, 7])
  items = np.array([[0, 1, 0, 0]])  # numbers 4, then 0, then padding
  mask = np.array([[True, True, False, False]])
  scores = item_ids.next_number_scores(numbers, items, mask)[0]
  best = numbers[np.argsort(-scores, kind='stable')]
  np.testing.assert_array_equal(best[:4], [5, 1, 6, 2])
  assert np.isfinite(scores).all()


def test_the_rule_serves_an_empty_history():
  scores = item_ids.next_number_scores(
    np.arange(5), np.zeros((1, 2), int), np.zeros((1, 2), bool)
  )
  assert scores.argmax() == 0


def test_likeness_is_measured_by_one_thread(monkeypatch):
  """Else numbers, and what learns from them, differ by machine."""
  counts, svds = [], item_ids.scipy.sparse.linalg.svds

  def spy(*unused, **options):
    counts.extend(
      pool['num_threads'] for pool in threadpoolctl.threadpool_info()
    )
    return svds(*unused, **options)

  monkeypatch.setattr(item_ids.scipy.sparse.linalg, 'svds', spy)
  random = np.random.default_rng(0)
  data = interactions.from_columns(
    np.repeat(np.arange(90), 12), random.integers(0, 80, 1080)
  )
  item_ids.number_items(data, 'collaborative', 0)
  assert counts and set(counts) == {1}


def test_small_catalogues_are_numbered_alike_each_time():
  """Near the full rank an iterative solver would start at random again."""
  data = make_data(num_users=45, num_items=24)
  found = {
    tuple(item_ids.number_items(data, 'collaborative', 0)) for _ in range(5)
  }
  assert len(found) == 1
