"""Compares text metrics with values computed by hand."""

import math
import sys

import numpy as np
import pytest

from hyperrec.data import interactions
from hyperrec.evaluation import text_metrics


def test_errors_of_ratings():
  found = text_metrics.rating_errors(
    ['4.0', ' 3 .', 'nothing', '9'], np.array([5.0, 3.0, 1.0, 4.0]), default=3.5
  )
  # 9 is moved to 5, the largest true rating.
  errors = np.array([-1.0, 0.0, 2.5, 1.0])
  assert found.rmse == pytest.approx(math.sqrt((errors**2).mean()))
  assert found.mae == pytest.approx(np.abs(errors).mean())
  assert found.unreadable == 0.25


def test_a_constant_answer():
  found = text_metrics.constant_errors(np.array([1.0, 5.0]), 3.0)
  assert found == (2.0, 2.0, 0.0)


def test_overlap_of_texts():
  pytest.importorskip('sacrebleu')
  pytest.importorskip('rouge_score')
  same = text_metrics.text_overlap(
    ['It is comedy drama now'], ['it is comedy drama now']
  )
  assert all(value == pytest.approx(100) for value in same.values())
  found = text_metrics.text_overlap(['it is drama'], ['it was drama then'])
  # The precision is 2 of 3 words and the recall 2 of 4; "it ... drama" is in
  # order; no bigram is shared.
  expected = 100 * 2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4)
  assert found['rouge1'] == pytest.approx(expected)
  assert found['rougel'] == pytest.approx(expected)
  assert found['rouge2'] == 0
  assert sorted(found) == ['bleu2', 'bleu4', 'rouge1', 'rouge2', 'rougel']


def test_bleu_is_of_the_corpus():
  """Precisions over both texts are 5/6 and 2/4; there is no length penalty."""
  pytest.importorskip('sacrebleu')
  pytest.importorskip('rouge_score')
  found = text_metrics.text_overlap(
    ['a cat sat', 'on a mat'], ['a cat sat', 'on the mat']
  )
  assert found['bleu2'] == pytest.approx(100 * math.sqrt(5 / 6 * 2 / 4))


@pytest.mark.parametrize('written', [[], ['1', '2']])
def test_answers_are_paired(written):
  with pytest.raises(interactions.DataError, match='cannot be compared'):
    text_metrics.rating_errors(written, np.array([1.0]), default=1.0)
  with pytest.raises(interactions.DataError, match='cannot be compared'):
    text_metrics.text_overlap(written, ['one'])


def test_a_missing_library_is_named(monkeypatch):
  monkeypatch.setitem(sys.modules, 'rouge_score', None)
  pytest.importorskip('sacrebleu')
  with pytest.raises(interactions.DataError, match=r'\.\[p5\]'):
    text_metrics.text_overlap(['a'], ['a'])
