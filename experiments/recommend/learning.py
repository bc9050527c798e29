"""What an interview needs before its first question: titles and a model."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from hyperrec.data import interactions as interactions_lib
from hyperrec.data import item_features
from hyperrec.systems.pref import pref, session

Interactions = interactions_lib.Interactions


def learn(
  data: Interactions,
  config: pref.PrefConfig,
  *,
  num_questions: int,
  num_pool: int,
) -> session.Session:
  """Fits PReF to the data and returns a session before its first question.

  Args:
    data: Training data with item text.
    config: Hyperparameters of PReF.
    num_questions: Largest number of questions.
    num_pool: Number of the most rated items that may be asked about.

  Raises:
    DataError: There is no item text, or there are too few items or users.
  """
  texts = titles(data)
  model = pref.pref(_text_features, **dataclasses.asdict(config))
  state = model.fit(data, jax.random.key(0)).state
  return session.start(
    config, state, texts, num_questions=num_questions, num_pool=num_pool
  )


def titles(data: Interactions) -> list[str]:
  """Returns the text of each item; its id where the text is empty.

  Raises:
    DataError: There is no item text.
  """
  if data.item_text is None:
    raise interactions_lib.DataError(
      f'{data.name}: an interview shows the text of items, and this source has '
      'none; name its columns by --text_columns (and their file by '
      '--item_path), or give another --source'
    )
  ids = data.item_ids
  return [
    ' '.join(str(text).split()) or str(ids[item])
    for item, text in enumerate(data.item_text)
  ]


def rated_items(data: Interactions, min_rows: int) -> Interactions:
  """Returns the data of the items that enough users rated.

  Of a user's several ratings of an item the last one is kept.

  Args:
    data: Training data.
    min_rows: Least number of users who rated an item that is kept.

  Raises:
    DataError: Fewer than two items are left.
  """
  data = pref.one_rating_a_pair(data)
  kept = np.flatnonzero(data.item_counts() >= min_rows)
  if len(kept) < 2:
    raise interactions_lib.DataError(
      f'{data.name}: {len(kept)} of {data.num_items} items were rated by '
      f'--min_rows={min_rows} users, and a question is about two; choose a '
      'smaller --min_rows'
    )
  return data.take_items(kept)


def _text_features(data: Interactions) -> jax.Array:
  """Returns item features for base functions that are made of text."""
  return jnp.asarray(item_features.from_item_text(data, 'tfidf').table)
