"""A blend ranks by two models together."""

import jax
import numpy as np
import pytest

from hyperrec import adapting
from hyperrec import method as method_lib
from hyperrec.data import interactions
from hyperrec.systems.baselines import blended, popularity
from hyperrec.systems.hyperease import hyperease_user
from hyperrec.systems.linear import ease
from hyperrec.systems.mult_vae import mult_vae
from tests.makers import make_data

KEY = jax.random.key(0)
VAE = {'hidden_dim': 8, 'latent_dim': 4, 'epochs': 1, 'batch_size': 20}


def histories(data):
  return method_lib.Histories.of(data.by_user_and_time(), np.arange(4))


def of_ease(weight):
  return blended.blended(
    ease.ease(l2=5.0), popularity.popularity(), weight, lambda state: 0.0
  )


@pytest.mark.parametrize('weight', [0.0, 0.3, 1.0])
def test_scores_are_the_weighted_sum_of_standardised_scores(weight):
  data, shown = make_data(), histories(make_data())
  model = of_ease(weight)
  fitted = model.fit(data, KEY)
  parts = []
  for part in (ease.ease(l2=5.0), popularity.popularity()):
    scores = part.score(part.fit(data, KEY).state, shown)
    deviation = scores.std(axis=1, keepdims=True)
    parts.append((scores - scores.mean(axis=1, keepdims=True)) / deviation)
  expected = (1 - weight) * parts[0] + weight * parts[1]
  np.testing.assert_allclose(
    model.score(fitted.state, shown), expected, atol=1e-5
  )


def test_equal_scores_say_nothing():
  scores = np.array([[2.0, 2.0, 2.0], [1.0, 2.0, 3.0]])
  found = blended.standardised(scores)
  np.testing.assert_array_equal(found[0], 0)
  np.testing.assert_allclose(found[1].std(), 1, rtol=1e-6)


def test_a_generator_stays_one_and_pays_for_the_pass_of_the_other():
  generator = hyperease_user.hyperease_user(l2=5.0, rank=4, steps=2, members=1)
  other = mult_vae.mult_vae(**VAE)
  model = blended.blended(generator, other, 0.4, mult_vae.pass_flops)
  data = make_data()
  served = adapting.generated(model)
  shared = served.prepare(data, KEY)
  evidence = data.take_users([0, 1])
  outcome = served.adapt(shared.state, evidence, KEY)
  alone = generator.generate(shared.state.state.first, evidence, KEY)
  num_items = data.num_items
  weights = num_items * 8 + 8 * 2 * 4 + 4 * 8 + 8 * num_items
  assert outcome.cost.per_user == alone.cost.per_user + 2 * weights
  assert of_ease(0.5).generate is None


def test_a_weight_above_one_is_refused():
  with pytest.raises(interactions.DataError, match='weight=2'):
    of_ease(2.0)
