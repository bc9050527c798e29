"""DAN against its formula, solved densely in float64."""

import jax
import numpy as np
import pytest

from hyperrec import method as method_lib
from hyperrec.data import interactions
from hyperrec.systems.linear import dan, ease, linear_autoencoder
from tests.makers import make_data

KEY = jax.random.key(0)


def weights_of(model, data):
  weights = model.fit(data, KEY).state
  if isinstance(weights, linear_autoencoder.FactoredWeights):
    return weights.dense()
  return weights


def formula(data, l2, dropout, item_power, user_power):
  x_UxV = data.csr().toarray().astype(np.float64)
  users_U, items_V = x_UxV.sum(1), x_UxV.sum(0)
  gram = (x_UxV * (users_U**-user_power)[:, None]).T @ x_UxV
  ridge = l2 + items_V * dropout / (1 - dropout)
  precision = np.linalg.inv(gram + np.diag(ridge))
  weights = np.eye(len(gram)) - precision / np.diag(precision)
  scale = items_V**item_power
  return scale[:, None] * weights / scale


# Few users are solved in factors, many densely.
@pytest.mark.parametrize('num_users', [12, 60])
def test_dan_is_its_formula(num_users):
  data = make_data(num_users=num_users)
  settings = {
    'l2': 3.0, 'dropout': 0.4, 'item_power': 0.2, 'user_power': 0.3,
  }  # fmt: skip
  found = weights_of(dan.dan(**settings), data)
  np.testing.assert_allclose(
    found, formula(data, **settings), rtol=1e-3, atol=1e-5
  )


def test_without_powers_it_is_edlae():
  data = make_data()
  found = dan.dan(l2=3.0, dropout=0.4).fit(data, KEY)
  expected = ease.ease(l2=3.0, dropout=0.4).fit(data, KEY)
  np.testing.assert_allclose(found.state, expected.state, rtol=1e-5)
  assert found.cost.operations > expected.cost.operations


def test_items_and_users_without_interactions_are_served():
  data = make_data()
  kept = data.rows((data.items != 3) & (data.users != 2))
  model = dan.dan(l2=3.0, dropout=0.4, item_power=0.2, user_power=0.3)
  weights = weights_of(model, kept)
  assert np.isfinite(weights).all()
  assert (weights[3] == 0).all() and (weights[:, 3] == 0).all()
  shown = method_lib.Histories.of(kept.by_user_and_time(), np.arange(4))
  scores = np.asarray(model.score(model.fit(kept, KEY).state, shown))
  assert np.isfinite(scores).all()
  assert (scores[2] == 0).all()


@pytest.mark.parametrize(
  'settings',
  [{'l2': 0.0}, {'dropout': 1.0}, {'item_power': -1.0}, {'user_power': -1.0}],
)
def test_an_unusable_setting_is_named(settings):
  (name,) = settings
  with pytest.raises(interactions.DataError, match=name):
    dan.dan(**{'l2': 1.0, **settings})
