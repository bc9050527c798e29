"""Metrics of generated text: errors of written ratings, overlap of texts."""

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
  """Errors in the unit of the ratings.

  Attributes:
    rmse: root mean squared error.
    mae: mean absolute error.
    unreadable: share of the texts without a number, within 0..1.
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

  All texts count. A text without a number counts as `default`, and a number
  outside the range of the true ratings is clipped to this range. (The published
  numbers of P5 leave out both.)

  Args:
    written: [B] texts; the first number of each is its rating.
    true: the true ratings.
    default: rating of texts without a number, such as the mean of the training
      ratings.

  Raises:
    DataError: there are no texts, or the lengths differ.
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
  """Returns `rating_errors` of a constant rating, as a baseline."""
  return rating_errors([f'{value:.6f}'] * len(true), true, default=value)


def text_overlap(
  written: Sequence[str], references: Sequence[str]
) -> dict[str, float]:
  """Computes BLEU and ROUGE, all within 0..100 and without regard to case.

  BLEU-2 and BLEU-4 (Papineni et al., ACL 2002) are computed over the whole
  corpus by sacrebleu (Post, WMT 2018). ROUGE-1, ROUGE-2 and ROUGE-L (Lin, 2004)
  are means of F measures by rouge-score.

  Args:
    written: [B] texts.
    references: [B] reference texts.

  Raises:
    DataError: there are no texts, the lengths differ, or a library is missing.
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
      f'{len(written)} texts cannot be compared with {len(true)} references; '
      'give at least one text, and one reference for each'
    )


def _libraries() -> tuple[Any, Any]:
  try:
    import sacrebleu.metrics
    from rouge_score import rouge_scorer
  except ModuleNotFoundError as error:
    raise DataError(
      f'metrics of texts need {error.name}: pip install ".[p5]"'
    ) from error
  return sacrebleu.metrics, rouge_scorer
