"""Popularity that is added to a model's scores."""

import jax
import numpy as np
import pytest

from hyperrec import adapting
from hyperrec import method as method_lib
from hyperrec.data import interactions
from hyperrec.systems.linear import added_popularity, ease
from tests.makers import make_data

KEY = jax.random.key(0)


def histories(data):
  return method_lib.Histories.of(data.by_user_and_time(), np.arange(4))


def test_scores_are_those_of_the_model_and_a_share_of_the_users():
  data = make_data()
  base = ease.ease(l2=5.0)
  model = added_popularity.added_popularity(base, 0.7)
  fitted = model.fit(data, KEY)
  shown = histories(data)
  x = data.csr().toarray() > 0
  expected = base.score(base.fit(data, KEY).state, shown)
  expected = expected + 0.7 * x[x.any(axis=1)].mean(axis=0)
  np.testing.assert_allclose(
    model.score(fitted.state, shown), expected, rtol=1e-5
  )
  assert fitted.cost.operations > base.fit(data, KEY).cost.operations


def test_without_popularity_it_is_the_model():
  data = make_data()
  base = ease.ease(l2=5.0)
  model = added_popularity.added_popularity(base, 0.0)
  np.testing.assert_array_equal(
    model.score(model.fit(data, KEY).state, histories(data)),
    base.score(base.fit(data, KEY).state, histories(data)),
  )


def test_who_has_shown_nothing_gets_popular_items():
  data = make_data()
  served = adapting.frozen(
    added_popularity.added_popularity(ease.ease(l2=5.0), 0.1)
  )
  shared = served.prepare(data, KEY)
  nothing = data.rows(np.zeros(0, int))
  outcome = served.adapt(shared.state, nothing, KEY)
  scores = served.score(outcome.state, histories(nothing))
  assert scores[0].argmax() == data.item_counts().argmax()


def test_a_negative_factor_is_refused():
  with pytest.raises(interactions.DataError, match='popularity=-1'):
    added_popularity.added_popularity(ease.ease(l2=5.0), -1.0)
