"""Generated strengths: start at the base, score as the exact solve does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

from hyperrec.systems.hyperease import item_popularity, prior_generator
from hyperrec.systems.hyperease import strength_generator as strengths_lib
from hyperrec.systems.linear import linear_autoencoder

BASE = strengths_lib.Generated(30.0, 0.9, 0.2, 0.3, 0.15)


def make(num_users=60, num_items=20, seed=0):
  random = np.random.default_rng(seed)
  features = random.normal(size=(num_items, 5))
  x = scipy.sparse.csr_matrix(
    (random.random((num_users, num_items)) < 0.2).astype(np.float32)
  )
  return prior_generator.Domain(x, features)


@pytest.fixture(scope='module')
def generator():
  return prior_generator.learn([make(seed=1)])


@pytest.fixture(scope='module')
def parts(generator):
  _, features = make(seed=2)
  nothing = scipy.sparse.csr_matrix((0, 20))
  units = [prior_generator.Strengths(3.0, *row, 0.0) for row in np.eye(3)]
  centred = features - features.mean(axis=0)
  return strengths_lib.Parts(
    *(
      prior_generator.generate(
        generator, features, features, nothing, unit
      ).prior
      for unit in units
    ),
    item_popularity.log_posterior(generator.popularity, centred, nothing),
    generator.popularity.variance,
  )


def padded(x, budget, rows=16):
  out = np.zeros((rows, x.shape[1]), np.float32)
  out[:budget] = x[:budget].toarray()
  return out


def test_it_starts_at_the_base_whatever_the_evidence():
  network = strengths_lib.StrengthGenerator(BASE)
  params = network.init(jax.random.key(0), jnp.zeros(2))
  for z in (jnp.zeros(2), jnp.array([1.0, -2.0])):
    np.testing.assert_array_equal(
      jnp.stack(network.apply(params, z)), np.array(BASE, np.float32)
    )


def test_gradients_reach_every_strength(parts):
  x, _ = make(seed=2)
  histories = x[40:].toarray()
  targets = np.roll(histories, 1, axis=1) * (1 - histories)

  def loss(generated):
    scores = strengths_lib.scores(generated, parts, padded(x, 8), histories)
    return strengths_lib.multinomial_loss(scores, histories, targets, 1.0)

  base = strengths_lib.Generated(*map(jnp.asarray, BASE))
  slopes = jax.grad(loss)(base)
  for name, slope in slopes._asdict().items():
    step = 1e-2 * getattr(base, name)
    above, below = (
      loss(base._replace(**{name: getattr(base, name) + s * step}))
      for s in (1, -1)
    )
    assert slope != 0
    np.testing.assert_allclose(
      slope, (above - below) / (2 * step), rtol=0.1, atol=1e-4
    )


@pytest.mark.parametrize('budget', [0, 1, 12])
def test_scores_are_those_of_the_exact_solve(generator, parts, budget):
  x, features = make(seed=2)
  evidence, histories = x[:budget], x[40:]
  strengths = prior_generator.Strengths(3.0, *BASE[1:])
  prior = prior_generator.generate(
    generator, features, features, evidence, strengths
  ).prior
  weights = linear_autoencoder.solve_primal(
    evidence, np.full(20, BASE.l2), prior, np.float64
  )
  ours = strengths_lib.scores(
    strengths_lib.Generated(*map(jnp.asarray, BASE)),
    parts,
    padded(x, budget),
    histories.toarray(),
  )
  np.testing.assert_allclose(ours, histories @ weights, atol=2e-4)


def test_padding_is_no_evidence():
  x, _ = make()
  short, long = (strengths_lib.describe(padded(x, 5, rows)) for rows in (5, 16))
  np.testing.assert_array_equal(short, long)
