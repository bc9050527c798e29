"""The generated prior: its parts, their scale, and where it is L3AE's."""

import numpy as np
import pytest
import scipy.sparse

from hyperrec.cost import memory
from hyperrec.systems.hyperease import prior_generator
from hyperrec.systems.linear import item_kernel
from hyperrec.systems.linear import prior as prior_lib

STRENGTHS = prior_generator.Strengths(2.0, 0.9, 0.2, 0.3, 0.15)
ALONE = STRENGTHS._replace(relation=0.0, transfer=0.0, popularity=0.0)


def make(num_users=300, num_items=40, seed=0):
  """Users who like one of two kinds of item, which the features name."""
  random = np.random.default_rng(seed)
  kind = random.integers(0, 2, num_items)
  noise = random.normal(size=(num_items, 4)) / 2
  features = np.concatenate([np.eye(2)[kind], noise], axis=1)
  taste = random.integers(0, 2, num_users)
  likes = np.where(taste[:, None] == kind, 0.3, 0.05)
  x = scipy.sparse.csr_matrix(
    (random.random(likes.shape) < likes).astype(float)
  )
  return prior_generator.Domain(x, features)


@pytest.fixture(scope='module')
def generator():
  return prior_generator.learn([make(seed=1), make(seed=2, num_items=30)])


def generate(generator, strengths, evidence=0):
  return generated(generator, strengths, evidence).prior


def generated(generator, strengths, evidence=0):
  x, features = make(seed=3)
  return prior_generator.generate(
    generator, features, features, x[:evidence], strengths
  )


def test_the_target_alone_is_l3aes_prior(generator):
  features = make(seed=3).features
  ours = generate(generator, ALONE)
  theirs = prior_lib.from_features(features, 2.0, 0.9)
  np.testing.assert_array_equal(ours.left, theirs.left)
  np.testing.assert_array_equal(ours.right, theirs.right)


def test_parts_add_up(generator):
  parts = [
    ALONE,
    STRENGTHS._replace(trust=0.0, transfer=0.0, popularity=0.0),
    STRENGTHS._replace(trust=0.0, relation=0.0, popularity=0.0),
  ]
  products = [p.left @ p.right for p in (generate(generator, s) for s in parts)]
  whole = generate(generator, STRENGTHS._replace(popularity=0.0))
  np.testing.assert_allclose(whole.left @ whole.right, sum(products))


def test_a_kernel_changes_c_alone(generator):
  features = make(seed=3).features
  kernel = STRENGTHS._replace(sharpness=2.0, popularity=0.0)
  own = item_kernel.relation(features, 2.0, 2.0)
  left, right = generate(
    generator, STRENGTHS._replace(trust=0.0, popularity=0.0)
  )
  learned = left @ right
  np.fill_diagonal(learned, 0)
  whole = generate(generator, kernel)
  np.testing.assert_allclose(whole, 0.9 * own + learned, atol=1e-6)


def test_a_kernel_is_tilted_likewise(generator):
  kernel = STRENGTHS._replace(sharpness=2.0)
  tilted, plain = (
    generate(generator, strengths, evidence=50)
    for strengths in (kernel, kernel._replace(popularity=0.0))
  )
  linear, flat = (
    generate(generator, strengths, evidence=50)
    for strengths in (STRENGTHS, STRENGTHS._replace(popularity=0.0))
  )
  tilt = (linear.left @ linear.right) / (flat.left @ flat.right)
  np.testing.assert_allclose(tilted, plain * tilt, rtol=1e-4, atol=1e-7)


def test_a_kernel_that_does_not_fit_into_memory_is_refused(
  generator, monkeypatch
):
  monkeypatch.setattr(memory, 'available_bytes', lambda: 100)
  kernel = STRENGTHS._replace(sharpness=2.0)
  with pytest.raises(memory.InsufficientMemoryError, match='sharpness=0'):
    generate(generator, kernel)


def test_popularity_tilts_columns_up_and_rows_down(generator):
  evidence = 50
  x, _ = make(seed=3)
  plain = generate(generator, STRENGTHS._replace(popularity=0.0), evidence)
  tilted = generate(generator, STRENGTHS, evidence)
  ratio = (tilted.left @ tilted.right) / (plain.left @ plain.right)
  np.testing.assert_allclose(np.diag(ratio), 1)
  np.testing.assert_allclose(ratio * ratio.T, np.ones_like(ratio))
  counts = np.asarray(x[:evidence].sum(axis=0)).ravel()
  most, least = counts.argmax(), counts.argmin()
  assert ratio[least, most] > 1 > ratio[most, least]


def test_learned_parts_have_the_norm_of_c_on_their_source():
  domain = make(seed=1)
  generator = prior_generator.learn([domain])
  own = prior_lib.from_features(
    domain.features - domain.features.mean(axis=0), 3.0, 1.0
  )
  learned = prior_generator.generate(
    generator, domain.features, domain.features, domain.x[:0],
    STRENGTHS._replace(trust=0.0, relation=1.0, transfer=0.0, popularity=0.0),
  ).prior  # fmt: skip
  assert prior_generator.norm(learned) == pytest.approx(
    prior_generator.norm(own)
  )


def test_norm_is_frobenius(generator):
  prior = generate(generator, STRENGTHS)
  assert prior_generator.norm(prior) == pytest.approx(
    np.linalg.norm(prior.left @ prior.right)
  )


def test_a_source_without_co_purchases_teaches_nothing():
  x, features = make()
  generator = prior_generator.learn([prior_generator.Domain(x * 0, features)])
  prior = generate(generator, STRENGTHS._replace(trust=0.0, popularity=0.0))
  np.testing.assert_array_equal(prior.left @ prior.right, 0)


def test_one_item_is_a_catalogue(generator):
  features = np.ones((1, 6))
  prior = prior_generator.generate(
    generator, features, features, scipy.sparse.csr_matrix((0, 1)), STRENGTHS
  ).prior
  weights = prior_lib.as_weights(prior).dense()
  np.testing.assert_array_equal(weights, 0)


def test_bad_features_are_named(generator):
  x, features = make()
  broken = features.copy()
  broken[3, 1] = np.nan
  for own, shared in ((features, broken), (broken, features)):
    with pytest.raises(ValueError, match='item 3'):
      prior_generator.generate(generator, own, shared, x, STRENGTHS)
  with pytest.raises(ValueError, match='width 5'):
    prior_generator.generate(generator, features, features[:, :5], x, STRENGTHS)
  with pytest.raises(ValueError, match='39 rows of features for 40 items'):
    prior_generator.generate(generator, features[1:], features, x, STRENGTHS)


def test_costs_grow_with_the_parts(generator):
  one, all_, untilted = (
    generated(generator, strengths).cost
    for strengths in (ALONE, STRENGTHS, STRENGTHS._replace(popularity=0.0))
  )
  assert 0 < one.operations < untilted.operations < all_.operations
  assert one.of_text == one.operations
  # The popularity is told by the evidence, too.
  assert all_.of_text == untilted.operations
  dense = generated(generator, STRENGTHS._replace(sharpness=1.0)).cost
  assert dense.operations > 40**3
  x = make().x
  once = prior_generator.learn_flops([x], 6)
  assert 40**3 < once < prior_generator.learn_flops([x, x], 6)
