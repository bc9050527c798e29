"""The composition of a kernel: its solve, its network, and its training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperrec import adapting
from hyperrec import features as features_lib
from hyperrec import method as method_lib
from hyperrec.regimes import new_catalogue
from hyperrec.systems.hyperease import (
  catalogue_generator,
  sub_catalogues,
)
from hyperrec.systems.hyperease import composition as composition_lib
from hyperrec.systems.linear import l3ae

KEY = jax.random.key(0)
CONFIG = l3ae.L3aeConfig(
  l2=20.0, l2_features=2.0, trust=0.8, sharpness=2.0, popularity=0.3,
  prior_count=1.5,
)  # fmt: skip
SMALL = {
  'num_tasks': 6,
  'max_items': 40,
  'max_users': 20,
  'max_described': 40,
  'num_queries': 8,
  'batch_size': 2,
  'base_steps': 2,
  'steps': 4,
  'evaluate_every': 2,
}


@pytest.fixture(scope='module')
def views(data):
  return features_lib.read(
    [data], 'tfidf+chars', cache_folder=None, num_features=16
  ).views


@pytest.fixture(scope='module')
def domain(data, views):
  return sub_catalogues.Domain(data.csr(), views(data))


@pytest.fixture
def task(domain):
  return sub_catalogues.draw(
    domain,
    size=60,
    most_users=40,
    num_judged=16,
    rng=np.random.default_rng(3),
  )


def full_queries(task, rng=None):
  return sub_catalogues.queries(task, 8, rng or np.random.default_rng(0))


def moved(composition):
  """The same composition elsewhere, with unequal views."""
  views = jnp.linspace(0.0, 0.7, len(composition.views))
  return composition._replace(views=views)


def test_its_solve_is_that_of_l3ae(data, views, domain):
  """In JAX with the cosines of views, and exactly with a table."""
  composition = moved(composition_lib.start(CONFIG, 2))
  evidence = data.take_users(np.arange(30))
  settings, weights = composition_lib.settle(composition)
  table = features_lib.weighted(domain.views, weights)
  dense = l3ae.l3ae(lambda _: table, **vars(settings)).fit(evidence, KEY).state
  tables = [np.asarray(v, np.float64) for v in domain.views]
  x = evidence.csr()
  catalogue = composition_lib.Catalogue(
    np.stack([t @ t.T for t in tables]), (x.T @ x).toarray()
  )
  histories = data.take_users(np.arange(40, 50)).csr().toarray()
  queries = composition_lib.Queries(
    histories, None, None, None, None, np.zeros_like(histories)
  )
  ours = composition_lib.scores(composition, catalogue, queries)
  np.testing.assert_allclose(ours, histories @ dense, rtol=2e-3, atol=2e-4)


def test_a_user_is_taken_out_exactly(task):
  composition = composition_lib.start(CONFIG, 2)
  evidence = task.evidence
  assert evidence.shape[0] > 1
  whole, _ = sub_catalogues.own_queries(evidence, 4, np.random.default_rng(0))
  found = composition_lib.scores(composition, task.catalogue, whole)
  gram = task.catalogue.gram
  for user in np.flatnonzero(whole.weight):
    row = whole.rows[user : user + 1]
    rest = task.catalogue._replace(gram=gram - row.T @ row)
    alone = whole._replace(
      histories=whole.histories[user : user + 1], rows=np.zeros_like(row)
    )
    without = composition_lib.scores(composition, rest, alone)
    np.testing.assert_allclose(found[user], without[0], rtol=1e-3, atol=1e-4)


def test_gradients_are_finite_and_right(task):
  composition = moved(composition_lib.start(CONFIG, 2))
  queries = full_queries(task)
  gradient = jax.grad(composition_lib.loss)(
    composition, task.catalogue, queries
  )
  for leaf in jax.tree.leaves(gradient):
    assert np.isfinite(leaf).all()
    assert np.abs(leaf).max() > 0
  step = 1e-2
  for place in range(len(composition_lib.NAMES)):
    values = [
      composition_lib.loss(
        composition._replace(
          numbers=composition.numbers.at[place].add(sign * step)
        ),
        task.catalogue,
        queries,
      )
      for sign in (1, -1)
    ]
    slope = (values[0] - values[1]) / (2 * step)
    np.testing.assert_allclose(
      gradient.numbers[place], slope, rtol=0.1, atol=2e-3
    )


def test_smooth_ndcg_of_a_perfect_ranking_is_the_largest(task):
  queries = full_queries(task)
  best = np.zeros_like(queries.histories)
  for user, items in enumerate(queries.targets):
    best[user, items[queries.is_target[user] > 0]] = 1
  good = composition_lib.smooth_ndcg(best, queries)
  bad = composition_lib.smooth_ndcg(-best, queries)
  shown = queries.weight > 0
  assert (good > bad)[shown].all()
  assert (good <= 1.2).all()


def test_the_network_starts_at_the_base(task):
  base = moved(composition_lib.start(CONFIG, 2))
  rng = np.random.default_rng(0)
  description = catalogue_generator.describe(base, task, rng)
  network = catalogue_generator.Network()
  params = network.init(KEY, base, description)
  made = network.apply(params, base, description)
  for ours, theirs in zip(made, base, strict=True):
    np.testing.assert_array_equal(ours, theirs)


def perturbed(params):
  keys = iter(jax.random.split(KEY, 99))
  return jax.tree.map(
    lambda leaf: leaf + 0.3 * jax.random.normal(next(keys), leaf.shape), params
  )


def test_views_can_change_places(task):
  """Their weights change places with them, and the numbers stay."""
  base = moved(composition_lib.start(CONFIG, 2))
  network = catalogue_generator.Network()
  made = []
  for order in ([0, 1], [1, 0]):
    turned = base._replace(views=base.views[np.array(order)])
    same = task._replace(cosines=task.cosines[order])
    description = catalogue_generator.describe(
      turned, same, np.random.default_rng(0)
    )
    params = perturbed(network.init(KEY, turned, description))
    made.append(network.apply(params, turned, description))
  assert np.abs(made[0].views - base.views).max() > 1e-3
  np.testing.assert_allclose(made[1].views[::-1], made[0].views, atol=1e-4)
  np.testing.assert_allclose(made[1].numbers, made[0].numbers, atol=1e-4)


def test_no_evidence_has_no_gradient(task):
  empty = task._replace(evidence=task.evidence[:0])
  base = composition_lib.start(CONFIG, 2)
  found = catalogue_generator.describe(base, empty, np.random.default_rng(0))
  assert not found.numbers.any()
  assert not found.views.any()
  assert found.sizes[0] == 1
  assert catalogue_generator.description_flops(empty) == 0


def test_evidence_and_judged_users_are_apart(domain):
  rng = np.random.default_rng(0)
  sizes = set()
  for _ in range(30):
    task = sub_catalogues.draw(
      domain, size=50, most_users=30, num_judged=10, rng=rng
    )
    sizes.add(task.evidence.shape[0])
    assert task.cosines.shape == (2, 50, 50)
    assert task.evidence.shape[0] + task.judged.shape[0] <= domain.x.shape[0]
    queries = full_queries(task, rng)
    hidden = np.take_along_axis(queries.histories, queries.targets, 1)
    assert not (hidden * queries.is_target).any()
    assert not queries.rows.any()
  assert 0 in sizes
  assert max(sizes) <= 30


def test_a_large_catalogue_is_described_by_a_part(domain):
  part = catalogue_generator.part_of(domain, 30, np.random.default_rng(0))
  assert part.cosines.shape == (2, 30, 30)
  touched = np.sort(domain.x.getnnz(0))[::-1]
  assert part.evidence.getnnz(0).max() == touched[0]
  whole = catalogue_generator.part_of(domain, 1000, np.random.default_rng(0))
  assert (whole.evidence != domain.x).nnz == 0


def test_training_lowers_the_loss_of_other_tasks(domain, monkeypatch):
  """The base learns from a start that ranks unpopular items first."""
  monkeypatch.setattr(
    catalogue_generator,
    '_STARTS',
    (l3ae.L3aeConfig(**{**vars(CONFIG), 'popularity': -1.0}),),
  )
  config = catalogue_generator.CatalogueConfig(
    **{**SMALL, 'num_tasks': 16, 'base_steps': 30, 'base_lr': 0.1, 'steps': 0}
  )
  network = catalogue_generator.Network()
  learned = catalogue_generator.learn(network, [domain], config, KEY).state
  rng = np.random.default_rng(9)
  start = composition_lib.start(catalogue_generator._STARTS[0], 2)
  losses = []
  for _ in range(8):
    task = sub_catalogues.draw(
      domain, size=40, most_users=20, num_judged=16, rng=rng
    )
    queries = full_queries(task, rng)
    losses.append([
      composition_lib.loss(c, task.catalogue, queries)
      for c in (learned.base, start)
    ])  # fmt: skip
  assert np.mean(losses, axis=0)[0] < np.mean(losses, axis=0)[1] - 0.02


@pytest.mark.parametrize('conditioning', ['evidence', 'shuffled', 'constant'])
@pytest.mark.parametrize('budget', [0, 10])
def test_it_adapts_with_and_without_evidence(data, views, conditioning, budget):
  task = new_catalogue.make_task(data, budget, 0, 40)
  method = adapting.generated(
    catalogue_generator.catalogue_generator(
      views, conditioning=conditioning, **SMALL
    )
  )
  shared = method.prepare(task.source, KEY)
  adapted = method.adapt(shared.state, task.test.evidence, KEY)
  assert np.isfinite(adapted.state).all()
  assert not np.diagonal(adapted.state).any()
  assert adapted.cost.operations > 0


def test_generating_is_counted(data, views):
  costs = []
  for conditioning in ('evidence', 'constant'):
    model = catalogue_generator.catalogue_generator(
      views, conditioning=conditioning, **SMALL
    )
    fitted = model.fit(data, KEY)
    made = model.generate(fitted.state, data.take_users(np.arange(9)), KEY)
    costs.append((fitted.cost.operations, made.cost.operations))
  assert costs[0][0] > costs[1][0] > 0
  assert costs[0][1] > costs[1][1] > 0


def test_sources_without_histories_are_refused(data, views):
  model = catalogue_generator.catalogue_generator(views, **SMALL)
  with pytest.raises(method_lib.CannotServe, match='three or more'):
    model.fit(data.take_users(np.arange(0)), KEY)
