"""Tests that known histories rank items and that notes explain the rest."""

import numpy as np
import pytest

from hyperrec import export, ranker

# Items 1 and 2 go together; nothing goes with 3 and 4.
IDS, COUNTS = ['1', '2', '3', '4', 'Band 3, The'], [5.0, 4.0, 9.0, 9.0, 0.0]
WEIGHTS = np.zeros((5, 5), np.float32)
WEIGHTS[0, 1] = WEIGHTS[1, 0] = 0.5


def make(kind='dense', counts=tuple(COUNTS)):
  head = {'kind': kind}
  items = {'ids': IDS, 'titles': None, 'counts': counts and list(counts)}

  def score(histories):
    if kind == 'popularity':
      return np.broadcast_to(np.array(counts), (len(histories), 5))
    return np.array([WEIGHTS[h].sum(axis=0) for h in histories])

  return ranker.Ranker(head, items, score)


def ids(ranking):
  return [name for name, _ in ranking]


@pytest.mark.parametrize(
  ('history', 'reason'),
  [
    ([], 'the history is empty'),
    (['nobody'], 'nothing of this history is known'),
    ([4], 'nothing is known of what goes with the items of this history'),
  ],
)
def test_who_is_not_known_gets_popular_items_and_is_told(history, reason):
  (found,) = make().recommend([history], 3, ignore_unknown=True)
  want = [('3', 9.0), ('4', 9.0), ('1', 5.0)]
  if history == [4]:
    want = [('3', 9.0), ('1', 5.0), ('2', 4.0)]
  assert found == want
  assert found.notes[0] == f'popularity, since {reason}'
  assert reason in repr(found)
  with pytest.raises(export.ExportError, match='without item counts'):
    make(counts=None).recommend([[1], history], ignore_unknown=True)


def test_what_nothing_supports_is_told_and_ordered_by_popularity():
  (found,) = make().recommend([[1]], 4)
  assert found == [('2', 0.5), ('3', 0.0), ('4', 0.0), ('Band 3, The', 0.0)]
  assert found.notes == (
    'nothing that is known supports the items with score 0 (3 of these); the '
    'more popular come first',
  )
  (found,) = make().recommend([[1]], 1)
  assert found == [('2', 0.5)]
  assert found.notes == ()
  assert repr(found) == "[('2', 0.5)]"
  (found,) = make('popularity').recommend([[1]])
  assert 'score 0 (1 of these)' in found.notes[0]


def test_unknown_ids_are_an_error_or_are_told():
  with pytest.raises(export.ExportError, match=r"1 of 2 ids.*such as 'x'"):
    make().recommend([[1, 'x']])
  (found,) = make().recommend([[1, 'x']], 1, ignore_unknown=True)
  assert found == [('2', 0.5)]
  assert "such as 'x'" in found.notes[0]


def test_items_are_excluded_and_candidates_chosen():
  (found,) = make().recommend([[1]], 3, exclude=[2, '3'])
  assert ids(found) == ['4', 'Band 3, The']
  assert 'items left to recommend: 2, not 3' in found.notes
  (found,) = make().recommend([[1]], 3, candidates=['3', '2', '1'])
  assert ids(found) == ['2', '3']
  (found,) = make().recommend([[1]], 3, candidates=['3', '1'], exclude=['3'])
  assert found == []
  assert 'items left to recommend: 0, not 3' in found.notes
  (found,) = make().recommend([[1]], 9, exclude_seen=False)
  assert len(found) == 5
  for name in ('exclude', 'candidates'):
    with pytest.raises(export.ExportError, match=f"{name}.*such as 'x'"):
      make().recommend([[1]], **{name: ['x']})
    with pytest.raises(export.ExportError, match=f"{name} is '12'"):
      make().recommend([[1]], **{name: '12'})
  (found,) = make().recommend([[1]], exclude=['x'], ignore_unknown=True)
  assert len(found) == 4


@pytest.mark.parametrize('k', [0, -1, 1.0, 1.5, '3', None, True])
def test_k_is_a_whole_number(k):
  with pytest.raises(export.ExportError, match='at least 1'):
    make().recommend([[1]], k)


def test_k_may_be_of_numpy():
  assert len(make().recommend([[1]], np.int64(2))[0]) == 2


@pytest.mark.parametrize(
  ('histories', 'message'),
  [
    ('12,13', "histories is '12,13'"),
    (b'12', "histories is b'12'"),
    ({'a': [1]}, 'histories is'),
    (None, 'histories is None'),
    (['12,13'], "history 0 is '12,13'"),
    ([[1], 1], 'history 1 is 1'),
    ([None], 'history 0 is None'),
    ([[1, None]], 'history 0 holds None of type NoneType'),
    ([[float('nan')]], 'history 0 holds nan'),
    ([[np.nan]], 'history 0 holds nan'),
    ([[b'1']], "history 0 holds b'1' of type bytes"),
    ([[True]], 'history 0 holds True'),
    ([[[1]]], r'history 0 holds \[1\] of type list'),
    ([[2.0**60]], 'give the id as text'),
  ],
)
def test_what_is_no_history_is_refused(histories, message):
  for ask in (make().recommend, make().score):
    with pytest.raises(export.ExportError, match=message):
      ask(histories)


@pytest.mark.parametrize(
  'history',
  [
    ['1'], [1], [1.0], (1,), np.array([1]), np.array([1.0], np.float32),
    np.array(['1']), [1, '1', 1.0], iter([1]),
  ],
)  # fmt: skip
def test_one_id_has_many_spellings(history):
  (found,) = make().recommend([history], 1)
  assert found == [('2', 0.5)]


def test_an_item_that_comes_again_counts_once_where_it_is_last():
  heard = []
  asked = ranker.Ranker(
    {'kind': 'network'},
    {'ids': IDS, 'titles': None, 'counts': COUNTS},
    lambda histories: heard.extend(histories) or np.ones((len(histories), 5)),
  )
  asked.recommend([[1, 2, 1, 3, 2]], 1)
  assert heard == [[0, 2, 1]]


def test_scores_need_something_that_is_known():
  np.testing.assert_array_equal(make().score([[1]]), WEIGHTS[:1])
  with pytest.raises(export.ExportError, match='history 1 holds no item'):
    make().score([[1], []])
  assert make('popularity').score([[]]).tolist() == [COUNTS]


def test_many_users_are_scored_a_few_at_a_time(monkeypatch):
  monkeypatch.setattr(ranker, '_BLOCK', 10)
  found = make().recommend([[1], [2], [], [2], [1]], 1)
  assert [ids(r) for r in found] == [['2'], ['1'], ['3'], ['1'], ['2']]
  with pytest.raises(export.ExportError, match='history 4'):
    make(counts=None).recommend([[1], [2], [1], [2], []])
