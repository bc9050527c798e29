"""How well a text model writes: ratings read as numbers, texts by overlap."""

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from hyperrec.data import interactions as interactions_lib

DataError = interactions_lib.DataError

_NUMBER = re.compile(r'-?\d+(?:\.\d+)?')


class RatingErrors(NamedTuple):
  """Errors in the ratings' own unit.

  Attributes:
    rmse: root of the mean squared error.
    mae: mean absolute error.
    unreadable: share of the texts that hold no number; they count as `default`.
  """

  rmse: float
  mae: float
  unreadable: float


def rating_errors(
  written: Sequence[str],
  true: Float[np.ndarray, ' B'],
  *,
  default: float,
) -> RatingErrors:
  """RMSE and MAE of ratings that were written as text.

  No answer is left out: what cannot be read is `default`, what is outside the
  range of the true ratings is moved to its end. (P5's published numbers drop
  both.)

  Args:
    written: [B] texts; the first number of each counts.
    true: the ratings.
    default: for texts without a number: the mean of the training ratings.

  Raises:
    DataError: nothing to judge, or unequal lengths.
  """
  true = np.asarray(true, np.float64)
  _check_pairs(written, true)
  found = [_NUMBER.search(text) for text in written]
  guess = np.array([float(m.group()) if m else default for m in found])
  error = np.clip(guess, true.min(), true.max()) - true
  return RatingErrors(
    math.sqrt(float((error**2).mean())),
    float(np.abs(error).mean()),
    sum(match is None for match in found) / len(found),
  )


def constant_errors(true: Float[np.ndarray, ' B'], value: float):
  """`rating_errors` of one answer to everything, to compare with."""
  return rating_errors([f'{value:.6f}'] * len(true), true, default=value)


def text_overlap(
  written: Sequence[str], references: Sequence[str]
) -> dict[str, float]:
  """Corpus BLEU-2 and BLEU-4, mean ROUGE-1, 2 and L (F measure); all in 0..100.

  Papineni et al. (ACL 2002) through sacrebleu (Post, WMT 2018), Lin (2004)
  through rouge-score. Case counts in neither.

  Args:
    written: [B] texts.
    references: [B] what should have been written.

  Raises:
    DataError: nothing to judge, unequal lengths, or a library is missing.
  """
  _check_pairs(written, references)
  sacrebleu, rouge_scorer = _libraries()
  values = {}
  for order in (2, 4):
    bleu = sacrebleu.BLEU(
      lowercase=True, max_ngram_order=order, effective_order=False
    )
    score = bleu.corpus_score(list(written), [list(references)])
    values[f'bleu{order}'] = float(score.score)
  kinds = 'rouge1', 'rouge2', 'rougeL'
  scorer = rouge_scorer.RougeScorer(kinds)
  scores = [
    scorer.score(reference, text)
    for reference, text in zip(references, written, strict=True)
  ]
  for kind in kinds:
    mean = np.mean([score[kind].fmeasure for score in scores])
    values[kind.lower()] = 100 * float(mean)
  return values


def _check_pairs(written, true) -> None:
  if len(written) == 0 or len(written) != len(true):
    raise DataError(
      f'{len(written)} texts cannot be judged by {len(true)} answers; give one '
      'answer for each'
    )


def _libraries() -> tuple[Any, Any]:
  try:
    import sacrebleu.metrics
    from rouge_score import rouge_scorer
  except ModuleNotFoundError as error:
    raise DataError(
      f'judging texts needs {error.name}: pip install ".[p5]"'
    ) from error
  return sacrebleu.metrics, rouge_scorer
