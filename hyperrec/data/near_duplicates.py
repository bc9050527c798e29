"""Texts that nearly repeat one another, such as variants of one product."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from hyperrec.data import interactions as interactions_lib

# Two texts are near-duplicates above this cosine of their TF-IDF vectors.
_THRESHOLD = 0.9

_ROWS_AT_A_TIME = 1024


def of(
  data: interactions_lib.Interactions, others: interactions_lib.Interactions
) -> Bool[np.ndarray, ' V']:
  """Tells which items have a text that nearly repeats one of other items.

  Without item text, none has.
  """
  if data.item_text is None or others.item_text is None:
    return np.zeros(data.num_items, bool)
  return are_near(data.item_text, others.item_text)


def are_near(
  texts: Sequence[str], others: Sequence[str]
) -> Bool[np.ndarray, ' N']:
  """Tells which texts nearly repeat one of the others.

  Args:
    texts: N texts; an empty one repeats nothing.
    others: those that may be repeated.

  Raises:
    DataError: scikit-learn is not installed.
  """
  try:
    from sklearn.feature_extraction import text
  except ModuleNotFoundError as error:
    raise interactions_lib.DataError(
      'comparing item text needs scikit-learn: pip install ".[demo]"'
    ) from error
  vectorizer = text.TfidfVectorizer(token_pattern=r'\S+', sublinear_tf=True)
  try:
    vectorizer.fit([*texts, *others])
  except ValueError:  # no text holds a word
    return np.zeros(len(texts), bool)
  rows, columns = vectorizer.transform(texts), vectorizer.transform(others).T
  best = [
    (rows[start : start + _ROWS_AT_A_TIME] @ columns).max(axis=1).toarray()
    for start in range(0, len(texts), _ROWS_AT_A_TIME)
  ]
  return np.concatenate(best)[:, 0] > _THRESHOLD
