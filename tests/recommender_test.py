"""The recommender: fitted, asked, updated, saved and loaded."""

import dataclasses
import json

import numpy as np
import pytest

import hyperrec as hr
from hyperrec import features, ranker, recommender, saved_folder
from hyperrec.data import interactions
from tests import makers

DYNAMIC = {'l2': 20.0}


def whole():
  """Interactions with text, and ids as numbers."""
  text = [f'colour{i % 5} shape{i % 7} size{i % 3}' for i in range(30)]
  return dataclasses.replace(
    makers.make_data(num_users=60), item_text=np.array(text, object)
  )


def dynamic(data):
  return recommender.Recommender.fit(
    hr.updated(hr.ease_dynamic(**DYNAMIC)), data
  )


def columns(read):
  return hr.generated(hr.item_columns(read.units))


def with_columns(data):
  return recommender.Recommender.fit(columns, data)


def parts():
  """Rows of the past, and rows that arrive with new users and old items."""
  data = whole()
  past = data.rows(data.users < 50)
  past = past.take_users(np.arange(50))
  return past, data.rows(np.arange(len(data)) >= 0)


def test_users_and_their_histories_get_the_same_list():
  made = dynamic(whole())
  history = made.history(3)
  assert set(history) == set(
    map(str, whole().items[whole().users == 3].tolist())
  )
  (of_user,) = made.recommend(users=[3], k=5)
  assert of_user == made.recommend([history], k=5)[0]
  assert not set(history) & {name for name, _ in of_user}


def test_lists_for_all_users_equal_those_for_each(monkeypatch):
  monkeypatch.setattr(recommender, '_BLOCK', 10 * 30)
  made = dynamic(whole())
  options = {'exclude': ['1', '2'], 'candidates': [str(i) for i in range(20)]}
  batches = list(made.recommend_to_all(4, **options))
  assert len(batches) == 6
  for batch in batches:
    lists = made.recommend(users=batch.users.tolist(), k=4, **options)
    for items, scores, expected in zip(
      batch.items, batch.scores, lists, strict=True
    ):
      found = [made.item_ids[item] for item in items if item >= 0]
      assert found == [name for name, _ in expected]
      np.testing.assert_allclose(
        scores[: len(found)], [score for _, score in expected], rtol=1e-5
      )


@pytest.mark.parametrize('neighbours', [2, 29])
def test_sparse_weights_list_what_dense_scores_list(monkeypatch, neighbours):
  monkeypatch.setattr(recommender, '_SPARSE_USERS', 13)
  monkeypatch.setattr(recommender, '_BLOCK', 10 * 30)
  model = hr.ease_local(l2=20.0, neighbours=neighbours)
  made = recommender.Recommender.fit(hr.updated(model), whole())
  dense = dataclasses.replace(model, sparse_weights=None)
  other = recommender.Recommender.fit(hr.updated(dense), whole())
  for options in ({}, {'exclude_seen': False}, {'candidates': ['1', '2', '3']}):
    ours, theirs = (
      [
        np.concatenate(p)
        for p in zip(*r.recommend_to_all(4, **options), strict=True)
      ]
      for r in (made, other)
    )
    for one, another in zip(ours, theirs, strict=True):
      np.testing.assert_array_equal(one, another)


def test_a_recommender_of_local_weights_grows_and_is_read_again(tmp_path):
  data = makers.made_domain('shop', 0, num_users=80, num_items=30)
  old = data.take_items(range(26))
  build = lambda f: hr.generated(  # noqa: E731
    hr.local_columns(f.units, similar=8, l2=20.0)
  )
  made = recommender.Recommender.fit(build, old, num_features=8)
  grown = made.updated(data.rows(data.items >= 24))
  grown.save(tmp_path / 'saved')
  again = recommender.Recommender.load(tmp_path / 'saved', build)
  assert len(grown.item_ids) == 30
  history = grown.history(grown.data.user_ids[0])
  np.testing.assert_array_equal(again.score([history]), grown.score([history]))
  assert np.abs(grown.score([history])[0, 26:]).max() > 0


def test_reasons_are_the_items_whose_weights_are_largest():
  data = whole()
  made = dynamic(data)
  history = made.history(3)
  ((name, _),) = made.recommend(users=[3], k=1)[0]
  found = made.why(history, name, most=len(history))
  target = made.item_ids.index(name)
  alone = {one: made.score([[one]])[0, target] for one in history}
  assert [one for one, _ in found] == sorted(
    (one for one in history if alone[one] > 1e-6), key=lambda n: -alone[n]
  )[: len(found)]
  assert sum(share for _, share in found) == pytest.approx(1, abs=1e-4)


def test_an_exact_update_equals_a_refit():
  past, everything = parts()
  updated = dynamic(past).updated(everything)
  assert updated.data.num_users == everything.num_users
  assert updated.num_new == len(everything) - len(past)
  fresh = updated.refitted()
  assert fresh.num_new == 0
  history = [['1', '5']]
  np.testing.assert_allclose(
    updated.score(history), fresh.score(history), atol=1e-5
  )
  twice = dynamic(past).updated(everything.take_users(np.arange(55)))
  twice = twice.updated(everything)
  np.testing.assert_allclose(
    twice.score(history), fresh.score(history), atol=1e-5
  )


def test_a_refit_reads_texts_as_the_fit_did(tmp_path):
  tables = []

  def build(read):
    tables.append(read.own)
    return columns(read)

  made = recommender.Recommender.fit(build, whole(), num_features=3)
  made.save(tmp_path / 'made')
  again = recommender.Recommender.load(tmp_path / 'made', build)
  again.refitted()
  assert {own(made.data).shape[1] for own in tables} == {3}


def test_interactions_that_are_known_are_not_taken_in_again():
  data = whole()
  made = dynamic(data)
  again = made.updated(data)
  assert again.num_new == 0
  np.testing.assert_allclose(
    again.score([['1']]), made.score([['1']]), atol=1e-6
  )


def test_new_items_are_recommended_where_their_weights_are_generated():
  data = whole()
  past = data.take_items(np.arange(20))
  updated = with_columns(past).updated(data)
  assert updated.item_ids[:20] == [str(i) for i in range(20)]
  assert updated.num_served == 30
  lists = updated.recommend(users=range(60), k=30, exclude_seen=False)
  assert {name for own in lists for name, _ in own} == set(updated.item_ids)
  # Without a way to take them in, only the old items are known.
  fixed = recommender.Recommender.fit(hr.frozen(hr.ease(l2=20.0)), past)
  kept = fixed.updated(data)
  assert kept.num_served == 20


@pytest.mark.parametrize('new_item', ['i25', 'z', '0'])
def test_new_items_are_refused_where_features_were_read_before(new_item):
  past = dataclasses.replace(
    whole(), item_ids=np.array([f'i{i}' for i in range(30)], object)
  )
  past = past.take_items(np.flatnonzero(np.arange(30) != 25))
  read = features.read([past], 'tfidf', cache_folder=None, num_features=8)
  settings = {'l2': 20.0, 'l2_features': 1.0, 'trust': 0.5}
  new = interactions.from_columns(
    ['new', 'new'], ['i1', new_item], item_text={'i1': '', new_item: 'colour1'}
  )
  made = recommender.Recommender.fit(
    hr.retrained(hr.l3ae(read.units, **settings)), past, num_features=8
  )
  with pytest.raises(hr.CannotServe, match=f"'{new_item}'.*function of feat"):
    made.updated(new)
  again = recommender.Recommender.fit(
    lambda f: hr.retrained(hr.l3ae(f.units, **settings)), past, num_features=8
  )
  assert again.updated(new).score([['i1']]).shape == (1, 30)


def test_users_of_unknown_items_alone_get_popular_ones():
  past = whole().take_items(np.arange(28))
  fixed = recommender.Recommender.fit(hr.frozen(hr.ease(l2=20.0)), past)
  new = interactions.from_columns(
    ['a', 'b', 'b'], ['28', '29', '3'], item_text={'28': '', '29': '', '3': ''}
  )
  kept = fixed.updated(new)
  assert kept.num_served == 28
  counts = dict(
    zip(kept.item_ids, kept.data.item_counts().tolist(), strict=True)
  )
  unknown, known = kept.recommend(users=['a', 'b'], k=5)
  assert 'popularity' in unknown.notes[0]
  assert not any('popularity' in note for note in known.notes)
  assert all(score == counts[item] for item, score in unknown)
  (batch,) = kept.recommend_to_all(5)
  place = batch.users.tolist().index('a')
  found = zip(batch.items[place], batch.scores[place], strict=True)
  assert [(kept.item_ids[item], score) for item, score in found] == unknown
  assert batch.scores[place + 1].max() < 2


def test_what_is_loaded_is_what_was_saved(tmp_path):
  data = whole()
  past = data.take_items(np.arange(20))
  made = with_columns(past).updated(data)
  made.about['note'] = 'kept'
  made.save(tmp_path / 'made')
  assert recommender.describe(tmp_path / 'made') == {'note': 'kept'}
  again = recommender.Recommender.load(tmp_path / 'made', columns)
  assert again.recommend(users=[3, 4]) == made.recommend(users=[3, 4])
  # It is updated as the one that was saved.
  more = interactions.from_columns(
    ['new', 'new'], ['2', '29'], item_text={'2': '', '29': ''}
  )
  np.testing.assert_array_equal(
    again.updated(more).score([['1']]), made.updated(more).score([['1']])
  )


def test_a_folder_is_not_overwritten_by_accident(tmp_path):
  made = dynamic(whole())
  made.save(tmp_path / 'made')
  with pytest.raises(saved_folder.FolderError, match='there already'):
    made.save(tmp_path / 'made')
  made.save(tmp_path / 'made', overwrite=True)
  (tmp_path / 'other').mkdir()
  (tmp_path / 'other' / 'thesis.txt').write_text('mine')
  with pytest.raises(saved_folder.FolderError, match='no fitted recommender'):
    made.save(tmp_path / 'other', overwrite=True)
  assert (tmp_path / 'other' / 'thesis.txt').read_text() == 'mine'


def test_what_was_changed_or_is_of_another_method_is_refused(tmp_path):
  method = hr.updated(hr.ease_dynamic(**DYNAMIC))
  folder = tmp_path / 'made'
  dynamic(whole()).save(folder)
  other = hr.updated(hr.ease_dynamic(l2=21.0))
  with pytest.raises(recommender.RecommenderError, match=r'l2=21'):
    recommender.Recommender.load(folder, other)
  head = json.loads((folder / 'recommender.json').read_text())
  (folder / 'recommender.json').write_text(json.dumps({**head, 'format': 0}))
  with pytest.raises(saved_folder.FolderError, match='format 0'):
    recommender.Recommender.load(folder, method)
  (folder / 'recommender.json').write_text(json.dumps(head))
  with (folder / 'state.safetensors').open('ab') as file:
    file.write(b'x')
  with pytest.raises(saved_folder.FolderError, match='SHA-256'):
    recommender.Recommender.load(folder, method)
  (folder / 'recommender.json').write_text('{')
  with pytest.raises(saved_folder.FolderError, match='no description'):
    recommender.Recommender.load(folder, method)
  with pytest.raises(saved_folder.FolderError, match='holds no fitted'):
    recommender.Recommender.load(tmp_path, method)


def test_bad_requests_are_refused():
  made = dynamic(whole())
  with pytest.raises(ranker.RecommenderError, match="user '999'"):
    made.recommend(users=[999])
  with pytest.raises(ranker.RecommenderError, match='either'):
    made.recommend()
  with pytest.raises(ranker.RecommenderError, match='not in the catalogue'):
    made.why(['1'], 'no such item')


def test_ids_that_are_the_same_as_text_are_refused():
  data = interactions.from_columns([1.0, 2.0, 3.0], ['a', 'b', 'a'])
  named = np.array(['1', '1.0', '2'], object)
  ids = np.array([1, '1', 2], object)
  assert dynamic_ids(data, named).data.num_users == 3
  with pytest.raises(recommender.RecommenderError, match='same as text'):
    dynamic_ids(data, ids)


def dynamic_ids(data, user_ids):
  return dynamic(dataclasses.replace(data, user_ids=user_ids))


def test_one_line_fits_a_model():
  made = hr.fit(hr.ease(l2=20.0), whole())
  assert isinstance(made, hr.Recommender)
  (ranking,) = made.recommend([[]], k=3)
  assert 'popularity' in ranking.notes[0]
