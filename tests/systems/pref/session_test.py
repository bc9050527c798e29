"""The interview of a person: its questions, answers and meanings."""

import itertools

import jax
import numpy as np
import pytest
from scipy import stats

from hyperrec.data import interactions
from hyperrec.systems.pref import interview, pref, session

KEY = jax.random.key(0)
NUM_ITEMS = 30
TEXTS = [f'Film {i}' for i in range(NUM_ITEMS)]


@pytest.fixture(scope='module')
def data():
  """Ratings of films that are of two kinds: those below 15, and the others."""
  random = np.random.default_rng(0)
  is_low = np.arange(NUM_ITEMS) < NUM_ITEMS // 2
  likes_low = random.random(120) < 0.5
  users, items = np.nonzero(random.random((120, NUM_ITEMS)) < 0.5)
  agrees = likes_low[users] == is_low[items]
  values = np.where(agrees, 4, 2) + random.integers(0, 2, len(users))
  return interactions.from_columns(
    users, items, rating=values.astype(float), name='two kinds'
  )


@pytest.fixture(scope='module')
def fitted(data):
  model = pref.pref(rank=2, liked=4.0)
  return model.config, model.fit(data, KEY).state


def started(fitted, num_questions=10, **changed):
  return session.start(*fitted, TEXTS, num_questions=num_questions, **changed)


def number(text):
  return int(text.removeprefix('Film '))


def prefers_low(question):
  kinds = [number(t) < 15 for t in (question.first, question.second)]
  return {(True, False): 'first', (False, True): 'second'}.get(
    tuple(kinds), 'neither'
  )


def interviewed(fitted, reply=prefers_low, **changed):
  talk = started(fitted, **changed)
  while (question := session.ask(talk)) is not None:
    talk = session.answer(talk, question, reply(question))
  return talk


def test_answers_are_learned_and_recommended(fitted):
  talk = interviewed(fitted)
  assert len(talk.answers) == 10
  best = session.recommend(talk, 5)
  assert sum(found.item < 15 for found in best) >= 4
  assert [TEXTS[found.item] for found in best] == [f.text for f in best]
  scores = [found.score for found in best]
  assert scores == sorted(scores, reverse=True)
  others = interviewed(
    fitted,
    lambda q: {'first': 'second', 'second': 'first'}.get(
      prefers_low(q), 'neither'
    ),
  )
  assert sum(f.item >= 15 for f in session.recommend(others, 5)) >= 4


def test_no_item_is_asked_about_twice_or_recommended_once_asked(fitted):
  talk = interviewed(fitted)
  asked = session.asked_items(talk)
  assert len(set(asked)) == 20
  best = session.recommend(talk, NUM_ITEMS)
  assert sorted([f.item for f in best] + asked) == list(range(NUM_ITEMS))


def test_items_are_asked_about_again_before_questions_end(fitted):
  talk = interviewed(fitted, num_pool=4)
  pairs = [question.places for question, _ in talk.answers]
  assert sorted(pairs) == list(itertools.combinations(range(4), 2))
  assert session.ask(talk) is None


def test_an_answer_is_that_of_the_interview(fitted):
  """The same questions, answered one by one as simulated users are."""
  talk = interviewed(fitted, num_questions=4)
  _, state = fitted
  _, pool = pref.make_pool(state, 150)
  belief = interview.start(state.prior, pool, 4)
  for question, given in talk.answers:
    belief = interview.update(
      pool,
      belief,
      tuple(np.int32(question.places)),
      float(given == 'first'),
      float(given != 'neither'),
    )
  np.testing.assert_allclose(
    talk.belief.posterior.mean, belief.posterior.mean, rtol=1e-4, atol=1e-5
  )
  rewards = (state.taste + state.choice) @ belief.posterior.mean
  for found in session.recommend(talk, 3):
    assert found.score == pytest.approx(float(rewards[found.item]), abs=1e-4)


def test_neither_tells_nothing_about_taste(fitted):
  talk = interviewed(fitted, lambda question: 'neither')
  before = session.recommend(started(fitted), NUM_ITEMS)
  asked = session.asked_items(talk)
  assert [f.item for f in session.recommend(talk, NUM_ITEMS)] == [
    f.item for f in before if f.item not in asked
  ]
  for found in session.coefficients(talk):
    assert found.value == pytest.approx(0, abs=1e-5)
    assert found.error == pytest.approx(1, abs=1e-4)


def test_a_session_does_not_change(fitted):
  talk = started(fitted)
  question = session.ask(talk)
  given = session.answer(talk, question, 'first')
  assert session.ask(talk) == question
  assert not talk.answers
  assert given.answers == ((question, 'first'),)
  assert session.ask(given) != question


def test_coefficients_are_told_with_errors_and_items(fitted):
  config, _ = fitted
  first, middle, last = (
    session.coefficients(interviewed(fitted, num_questions=number))
    for number in (1, 5, 10)
  )
  assert len(last) == config.rank + 2
  assert [c.name for c in last] == ['popularity', 'mean rating', '', '']
  errors = np.array(
    [[c.error for c in found] for found in (first, middle, last)]
  )
  assert (errors <= 1.0001).all()
  assert (np.diff(errors, axis=0) < 1e-4).all()
  # One base function is the kind of a film.
  surest = max(last, key=lambda c: c.certainty)
  likes, dislikes = surest.raised, surest.lowered
  if surest.value < 0:
    likes, dislikes = dislikes, likes
  assert all(number(text) < 15 for text in likes)
  assert all(number(text) >= 15 for text in dislikes)
  assert surest.certainty == pytest.approx(
    stats.norm.cdf(abs(surest.value) / surest.error)
  )


def test_coefficients_of_taste_and_choice_are_added(fitted):
  """A sum over base functions is the change of the score."""
  config, state = fitted
  talk = interviewed(fitted)
  prior = state.prior
  spread = np.linalg.inv(prior.precision)
  half = config.rank + 2
  both = np.concatenate([np.eye(half), np.eye(half)])
  scale = np.sqrt(np.diagonal(both.T @ spread @ both))
  values = [c.value for c in session.coefficients(talk)] * scale
  phi = np.asarray(state.taste)[:, :half]
  moved = (state.taste + state.choice) @ (
    talk.belief.posterior.mean - prior.mean
  )
  np.testing.assert_allclose(phi @ values, moved, rtol=1e-3, atol=1e-4)


def test_one_reward_without_consensus_is_explained_too(data):
  model = pref.pref(rank=2, liked=4.0, separate=False, consensus=False)
  fitted = model.config, model.fit(data, KEY).state
  found = session.coefficients(interviewed(fitted))
  assert [c.name for c in found] == ['', '']
  assert max(c.certainty for c in found) > 0.9


def test_the_difference_leaves_out_what_was_asked(fitted):
  talk = interviewed(fitted, num_questions=5)
  likes, dislikes = session.difference(talk)
  asked = {TEXTS[item] for item in session.asked_items(talk)}
  assert not asked & {*likes, *dislikes}
  assert all(number(text) < 15 for text in likes)
  assert all(number(text) >= 15 for text in dislikes)


def test_what_is_no_answer_is_refused(fitted):
  talk = started(fitted, num_questions=1)
  question = session.ask(talk)
  with pytest.raises(ValueError, match="'maybe' is unknown"):
    session.answer(talk, question, 'maybe')
  talk = session.answer(talk, question, 'second')
  with pytest.raises(ValueError, match='all 1 questions'):
    session.answer(talk, question, 'second')
