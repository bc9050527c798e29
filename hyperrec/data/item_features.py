"""Features of items from their text."""

import numpy as np
from absl import logging
from jaxtyping import Float

from hyperrec.data import interactions as interactions_lib

DataError = interactions_lib.DataError


def tfidf_svd(
  texts: np.ndarray, *, num_features: int, seed: int
) -> Float[np.ndarray, 'V F']:
  """TF-IDF of words, reduced by a truncated SVD; rows of length 1 (or 0).

  Args:
    texts: [V] strings.
    num_features: F; fewer where the words or items are.
    seed: of the randomised SVD.

  Raises:
    DataError: scikit-learn is not installed, or no text has a word.
  """
  try:
    from sklearn import decomposition
    from sklearn.feature_extraction import text
  except ModuleNotFoundError as error:
    raise DataError(
      'features from text need scikit-learn: pip install "hyperrec[demo]"'
    ) from error
  try:
    counts = text.TfidfVectorizer(sublinear_tf=True).fit_transform(texts)
  except ValueError as error:
    raise DataError(f'no item text holds a word: {error}') from error
  num_features = min(num_features, *(n - 1 for n in counts.shape))
  svd = decomposition.TruncatedSVD(num_features, random_state=seed)
  table = svd.fit_transform(counts)
  norm = np.linalg.norm(table, axis=1, keepdims=True)
  logging.info(
    'item features: TF-IDF of %d words, SVD to %d',
    counts.shape[1],
    num_features,
  )
  return (table / np.maximum(norm, 1e-9)).astype(np.float32)
