"""Tests of text features: similar items are close, in any order."""

import builtins
import dataclasses

import numpy as np
import pytest

from hyperrec.data import interactions, item_features, item_text
from tests import makers

DataError = interactions.DataError
TEXTS = np.array(
  ['green tea', 'black tea', 'green tea leaves', 'steel nail', 'iron nail', ''],
  object,
)


def test_rows_have_length_one_or_zero_and_near_items_agree():
  table = item_features.tfidf_svd(TEXTS, num_features=3, seed=0)
  assert table.shape == (6, 3)
  assert table.dtype == np.float32
  np.testing.assert_allclose(np.linalg.norm(table[:5], axis=1), 1, atol=1e-5)
  np.testing.assert_array_equal(table[5], 0)
  alike = table @ table.T
  assert alike[0, 2] > 0.8
  assert abs(alike[0, 3]) < 0.2
  assert alike[3, 4] > 0.8


def test_the_seed_decides():
  first, again = (
    item_features.tfidf_svd(TEXTS, num_features=2, seed=7) for _ in range(2)
  )
  np.testing.assert_array_equal(first, again)


def test_fewer_words_than_features():
  table = item_features.tfidf_svd(
    np.array(['aa bb', 'bb cc', 'cc'], object), num_features=50, seed=0
  )
  assert table.shape == (3, 2)


@pytest.mark.parametrize(
  ('texts', 'num_features', 'message'),
  [
    (['', '?'], 4, 'no item text holds a word'),
    (['aa', 'aa'], 4, 'two different texts and two different words'),
    (['aa', 'bb'], 0, 'num_features=0'),
  ],
)
def test_useless_input_is_explained(texts, num_features, message):
  with pytest.raises(DataError, match=message):
    item_features.tfidf_svd(
      np.array(texts, object), num_features=num_features, seed=0
    )


def test_the_missing_package_is_named(monkeypatch):
  real = builtins.__import__

  def without(name, *args, **kwargs):
    if name.startswith('sklearn'):
      raise ModuleNotFoundError(name)
    return real(name, *args, **kwargs)

  monkeypatch.setattr(builtins, '__import__', without)
  with pytest.raises(DataError, match=r'pip install ".\[demo\]"'):
    item_features.tfidf_svd(TEXTS, num_features=2, seed=0)


def make_data():
  data = makers.make_data(num_items=len(TEXTS))
  return dataclasses.replace(data, item_text=TEXTS)


def test_features_by_tfidf():
  found = item_features.from_item_text(
    make_data(), 'tfidf', num_features=3, seed=0
  )
  assert found.encoder == 'tfidf'
  np.testing.assert_array_equal(
    found.table, item_features.tfidf_svd(TEXTS, num_features=3, seed=0)
  )


def test_features_by_minilm_go_through_the_cache(monkeypatch, tmp_path):
  table = np.ones((len(TEXTS), 4), np.float32)
  calls = []

  def cached(texts, encoder, folder):
    calls.append((list(texts), encoder, folder))
    return table

  monkeypatch.setattr(item_text, 'load_encoder', lambda: 'an encoder')
  monkeypatch.setattr(item_text, 'cached', cached)
  monkeypatch.setattr(item_text, 'encode', lambda texts, encoder: 2 * table)
  kept = item_features.from_item_text(
    make_data(), 'minilm', cache_folder=tmp_path
  )
  assert kept.encoder == 'minilm'
  np.testing.assert_array_equal(kept.table, table)
  assert calls == [(list(TEXTS), 'an encoder', tmp_path)]
  made = item_features.from_item_text(make_data(), 'minilm')
  np.testing.assert_array_equal(made.table, 2 * table)


def test_both_encoders_side_by_side(monkeypatch):
  table = np.ones((len(TEXTS), 4), np.float32) / 2
  monkeypatch.setattr(item_text, 'load_encoder', lambda: 'an encoder')
  monkeypatch.setattr(item_text, 'encode', lambda texts, encoder: table)
  found = item_features.from_item_text(make_data(), 'both', num_features=3)
  assert found.encoder == 'both'
  words = item_features.tfidf_svd(TEXTS, num_features=3, seed=0)
  # Cosines are the mean of the two encoders' cosines.
  np.testing.assert_allclose(
    found.table @ found.table.T,
    (table @ table.T + words @ words.T) / 2,
    atol=1e-6,
  )


def test_characters_see_that_spellings_are_near():
  spelled = np.array(['batman', 'batmans', 'superman', 'nail', 'nails'], object)
  by_word, by_chars = (
    item_features.tfidf_svd(spelled, num_features=4, seed=0, terms=terms)
    for terms in ('words', 'chars')
  )
  assert abs(by_word[0] @ by_word[1]) < 1e-6
  alike = by_chars @ by_chars.T
  assert alike[0, 1] > 0.7
  assert alike[0, 1] > alike[0, 2] > alike[0, 3] + 0.1


def test_all_views_side_by_side(monkeypatch):
  table = np.ones((len(TEXTS), 4), np.float32) / 2
  monkeypatch.setattr(item_features, '_minilm', lambda texts, folder: table)
  found = item_features.from_item_text(make_data(), 'all', num_features=3)
  words, chars = (
    item_features.tfidf_svd(TEXTS, num_features=3, seed=0, terms=terms)
    for terms in ('words', 'chars')
  )
  assert found.widths == (4, 3, 3)
  np.testing.assert_allclose(
    found.table @ found.table.T,
    (table @ table.T + words @ words.T + chars @ chars.T) / 3,
    atol=1e-6,
  )


def test_tfidf_stands_in_aloud_where_minilm_is_absent(monkeypatch, caplog):
  def missing():
    raise item_text.EncoderMissingError(
      'MiniLM is not installed: pip install it'
    )

  monkeypatch.setattr(item_text, 'load_encoder', missing)
  found = item_features.from_item_text(make_data(), 'minilm', num_features=3)
  assert found.encoder == 'tfidf'
  assert found.table.shape == (len(TEXTS), 3)
  (record,) = (r for r in caplog.records if r.levelname == 'WARNING')
  assert 'pip install it' in record.getMessage()
  assert 'TF-IDF' in record.getMessage()


def test_what_will_be_used_is_known_before_it_is(monkeypatch, tmp_path):
  monkeypatch.setattr(item_text, '_package_folder', lambda: tmp_path)
  assert item_features.in_use('both') == 'both'

  def missing():
    raise item_text.EncoderMissingError('MiniLM is not installed')

  monkeypatch.setattr(item_text, '_package_folder', missing)
  left = {
    'chars': 'chars',
    'minilm+chars': 'chars',
    'tfidf+chars': 'tfidf+chars',
    'all': 'tfidf+chars',
  }
  for encoder in item_features.ENCODERS:
    found = item_features.from_item_text(make_data(), encoder, num_features=3)
    expected = left.get(encoder, 'tfidf')
    assert item_features.in_use(encoder) == found.encoder == expected


def test_a_damaged_encoder_is_no_reason_to_fall_back(monkeypatch):
  def damaged():
    raise DataError('model.safetensors: sha256 is ...')

  monkeypatch.setattr(item_text, 'load_encoder', damaged)
  with pytest.raises(DataError, match='sha256'):
    item_features.from_item_text(make_data(), 'minilm')


def test_features_that_cannot_be_made():
  with pytest.raises(DataError, match="encoder='word2vec' is unknown"):
    item_features.from_item_text(make_data(), 'word2vec')
  with pytest.raises(DataError, match='made: no item text'):
    item_features.from_item_text(makers.make_data(), 'minilm')


@pytest.mark.parametrize('terms', ['words', 'chars'])
def test_texts_that_arrive_later_are_in_the_same_space(terms):
  encoder = {'words': 'tfidf', 'chars': 'chars'}[terms]
  whole = item_features.from_item_text(make_data(), encoder, num_features=3)
  again = item_features.of_new_text(encoder, whole.fitted, np.array(TEXTS))
  np.testing.assert_array_equal(again.table, whole.table)
  assert again.widths == whole.widths
  new = np.array([TEXTS[1], 'qqqq zzzz'], object)
  later = item_features.of_new_text(encoder, whole.fitted, new)
  np.testing.assert_allclose(later.table[0], whole.table[1], atol=1e-6)
  np.testing.assert_array_equal(later.table[1], 0)
