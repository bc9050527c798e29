"""The tokenizer: pairs of digits, words, files that are not its own."""

import numpy as np
import pytest

from hyperrec.data import interactions
from hyperrec.systems.p5 import tokenizer

pytest.importorskip('sentencepiece')
TEXTS = ['the quick brown fox jumps over it', 'a lazy dog , and a fox .'] * 20


@pytest.fixture(scope='module')
def trained():
  return tokenizer.train(TEXTS, 320)


@pytest.mark.parametrize(
  ('text', 'pieces'),
  [
    ('fox 1234', ['12', '34']),
    ('0042', ['00', '42']),
    ('(1995)', ['19', '95']),
  ],
)
def test_digits_are_read_in_pairs(trained, text, pieces):
  found = [p.strip('\u2581') for p in trained.pieces(text)]
  assert [p for p in found if p.isdigit()] == pieces


def test_of_an_odd_number_of_digits_one_stands_alone(trained):
  found = [p.strip('\u2581') for p in trained.pieces('12345')]
  assert sorted(map(len, found)) == [1, 2, 2]


def test_texts_come_back(trained):
  for text in (*TEXTS[:2], 'fox 1234 , dog 07'):
    assert trained.decode(trained.encode(text)) == text


def test_what_follows_the_end_is_not_read(trained):
  tokens = trained.encode('a fox')
  tokens = [*tokens, tokenizer.EOS, *tokens, tokenizer.PAD]
  assert trained.decode(np.array(tokens)) == 'a fox'


def test_pieces_that_start_a_word(trained):
  starts = trained.starts_word()
  tokens = trained.encode('fox 1234 dog')
  assert starts[tokens].sum() == 3
  assert not starts[[tokenizer.PAD, tokenizer.EOS, tokenizer.UNKNOWN]].any()


def test_the_same_texts_give_the_same_pieces(trained):
  assert tokenizer.train(TEXTS, 320).digest == trained.digest


def test_files_come_back(trained, tmp_path):
  path = tmp_path / 'deep' / 'tokens.model'
  trained.save(path)
  assert tokenizer.load(path).digest == trained.digest
  assert [p.name for p in path.parent.iterdir()] == ['tokens.model']


def test_files_that_are_none(trained, tmp_path):
  with pytest.raises(interactions.DataError, match=r'none\.model: no sent'):
    tokenizer.load(tmp_path / 'none.model')
  path = tmp_path / 'cut.model'
  path.write_bytes(trained.model[:50])
  with pytest.raises(interactions.DataError, match=r'cut\.model: '):
    tokenizer.load(path)


def test_special_pieces_of_another_maker(tmp_path):
  import sentencepiece

  prefix = tmp_path / 'other'
  sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(TEXTS),
    model_prefix=str(prefix),
    vocab_size=40,
    hard_vocab_limit=False,
    minloglevel=2,
  )
  with pytest.raises(interactions.DataError, match='padding, end and unknown'):
    tokenizer.load(prefix.with_suffix('.model'))


@pytest.mark.parametrize(
  ('texts', 'size', 'message'),
  [([' '], 400, 'there are none'), (TEXTS, 100, 'vocab_size=100 leaves')],
)
def test_nothing_to_learn_from(texts, size, message):
  with pytest.raises(interactions.DataError, match=message):
    tokenizer.train(texts, size)
