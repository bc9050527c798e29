"""Ten questions at the terminal, and recommendations with reasons."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from hyperrec.data import interactions as interactions_lib
from hyperrec.data import item_features
from hyperrec.systems.pref import interview, pref, question_rules

NUM_QUESTIONS = 10
# Standard deviations from the average person that are worth a word.
_LEAST = 0.1
_MENU = '1 the first, 2 the second, d don\'t know, q stop: '  # fmt: skip


def run(
  data, config, *, num_pool: int, min_rows: int = 5, read=input, show=print
) -> int:
  """Asks, listens, recommends.

  Args:
    data: with item text.
    config: of the base functions.
    num_pool: most rated items that may be asked about.
    min_rows: items that fewer users rated are left out.
    read: shows a prompt, gives a line, raises EOFError at the end of input.
    show: prints a line.

  Raises:
    DataError: no item text, or too few items or users.
  """
  if data.item_text is None:
    raise interactions_lib.DataError(
      f'{data.name}: questions need item text; this source has none'
    )
  data = rated_items(data, min_rows, show)
  show('Learning what people like ...')
  model = pref.pref(text_features, **dataclasses.asdict(config))
  shared = model.fit(data, jax.random.key(0)).state
  items, pool = pref.make_pool(shared, num_pool)
  belief = interview.start(shared.prior, pool, NUM_QUESTIONS)
  ask = jax.jit(
    lambda b, k: question_rules.ask(question_rules.bald, pool, b, k)
  )
  learn = jax.jit(lambda b, p, f, w: interview.update(pool, b, p, f, w))
  shown = set()
  for number in range(NUM_QUESTIONS):
    first, second, is_left = ask(belief, jax.random.key(number))
    if not is_left:
      break
    pair = [int(items[int(place)]) for place in (first, second)]
    shown |= set(pair)
    show(f'\nQuestion {number + 1} of {NUM_QUESTIONS}: which do you prefer?')
    show(f'  1  {data.item_text[pair[0]]}\n  2  {data.item_text[pair[1]]}')
    key = answer(read, show)
    if key == 'q':
      break
    is_first, weight = float(key == '1'), float(key != 'd')
    belief = learn(belief, (first, second), is_first, weight)
  recommend(data, shared, belief, hidden=shown, show=show)
  return 0


def rated_items(data, min_rows: int, show):
  """The data of the items that enough users rated; says what is left out.

  Raises:
    DataError: fewer than two items are left.
  """
  data = pref.one_rating_a_pair(data)
  kept = np.flatnonzero(data.item_counts() >= min_rows)
  if len(kept) < 2:
    raise interactions_lib.DataError(
      f'{data.name}: {len(kept)} of {data.num_items} items were rated by '
      f'--min_rows={min_rows} users, and a question is of two; choose a '
      'smaller --min_rows'
    )
  if len(kept) < data.num_items:
    show(
      f'{data.num_items - len(kept)} of {data.num_items} items are left out, '
      f'since fewer than {min_rows} users rated them (--min_rows).'
    )
  return data.take_items(kept)


def answer(read, show) -> str:
  """One of 1, 2, d, q; asks again after any other; q where input ends."""
  while True:
    try:
      key = read(_MENU).strip().lower()
    except (EOFError, KeyboardInterrupt):
      show('')
      return 'q'
    if key in ('1', '2', 'd', 'q'):
      return key
    show(f'{key!r} is no answer here.')


def recommend(data, shared, belief, *, hidden, show, count: int = 10) -> None:
  """Prints the best items, and which tastes set this user apart."""
  mean_J = np.asarray(belief.posterior.mean)
  # What a person would take up, and would like.
  scores_V = pref.rewards(shared.taste + shared.choice, mean_J[None])[0]
  best = [
    i for i in np.argsort(-scores_V, kind='stable') if int(i) not in hidden
  ][:count]
  show('\nRecommended:')
  for place, item in enumerate(best):
    show(f'  {place + 1:2d}  {data.item_text[item]}')
  spread_J = np.sqrt(np.diag(np.linalg.inv(np.asarray(shared.prior.precision))))
  apart_J = (mean_J - np.asarray(shared.prior.mean)) / spread_J
  told_J = np.flatnonzero(np.abs(apart_J) >= _LEAST)
  if not len(told_J):
    show('\nNothing is known yet that sets you apart from others.')
    return
  show('\nHow you differ from others (in standard deviations):')
  for j in told_J[np.argsort(-np.abs(apart_J[told_J]))][:3]:
    sign = math.copysign(1, apart_J[j])
    likes, dislikes = poles(data, shared, int(j), sign)
    show(f'  {abs(apart_J[j]):.1f} towards {likes}\n      away from {dislikes}')


def poles(data, shared, j: int, sign: float) -> tuple[str, str]:
  """The well-known items at either end of a base function."""
  known = np.argsort(-shared.counts, kind='stable')[:300]
  phi_V = np.asarray(shared.taste + shared.choice)[:, j]
  order = known[np.argsort(-sign * phi_V[known], kind='stable')]
  ends = order[:3], order[::-1][:3]
  return tuple('; '.join(str(data.item_text[i]) for i in end) for end in ends)


def text_features(data):
  """Item features, for base functions that are made of text."""
  return jnp.asarray(item_features.from_item_text(data, 'tfidf').table)
