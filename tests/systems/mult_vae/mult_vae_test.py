"""Tests of Mult-VAE and Mult-DAE under the policies."""

import chex
import jax
import numpy as np
import pytest

from hyperrec import adapting
from hyperrec import method as method_lib
from hyperrec.data import interactions, joining
from hyperrec.systems.mult_vae import mult_vae, variational_autoencoder
from hyperrec.training import loop
from hyperrec.training import step as step_lib
from tests.makers import make_data

KEY = jax.random.key(0)
# The tests use few shapes, so that little is compiled: two users per step, and
# catalogues of 30 or 15 items.
SMALL = {
  'hidden_dim': 16,
  'latent_dim': 4,
  'epochs': 2,
  'finetune_epochs': 3,
  'batch_size': 2,
  'lr': 1e-2,
}


def histories(data, users=None):
  users = np.arange(data.num_users) if users is None else users
  return method_lib.Histories.of(data.by_user_and_time(), users)


def communities(num_users=60, num_items=20, seed=0):
  """Even users touch one half of the catalogue, odd users the other half."""
  random = np.random.default_rng(seed)
  half = num_items // 2
  rows = [
    (user, item + (user % 2) * half)
    for user in range(num_users)
    for item in random.permutation(half)[:6]
  ]
  return interactions.from_columns(*zip(*rows, strict=True))


def finetuned(**hyperparameters):
  model = mult_vae.mult_vae(**hyperparameters)
  return adapting.finetuned(model, on=adapting.changed_users)


def is_equal(first, second):
  same = jax.tree.map(lambda a, b: bool((a == b).all()), first, second)
  return all(jax.tree.leaves(same))


@pytest.mark.parametrize('build', [mult_vae.mult_vae, mult_vae.mult_dae])
def test_learns_who_likes_what(build):
  data = communities()
  sizes = {'hidden_dim': 32, 'latent_dim': 16, 'epochs': 60, 'batch_size': 20}
  model = build(**sizes, lr=1e-2)
  params = model.fit(data, KEY).state
  new = communities(seed=1).take_users(np.arange(10))
  scores = model.score(params, histories(new))
  seen = new.csr().toarray() > 0
  own = np.arange(20)[None, :] // 10 == np.arange(10)[:, None] % 2
  unseen_own = np.where(own & ~seen, scores, np.inf).min(axis=1)
  others = np.where(~own, scores, -np.inf).max(axis=1)
  assert (unseen_own > others).mean() >= 0.9


def test_the_same_key_gives_the_same_network():
  model = mult_vae.mult_vae(**SMALL)
  first, second = (model.fit(make_data(), KEY) for _ in range(2))
  other = model.fit(make_data(), jax.random.key(1))
  assert is_equal(first.state, second.state)
  assert not is_equal(first.state, other.state)


def test_new_users_need_a_pass_only():
  data = make_data()
  method = adapting.frozen(mult_vae.mult_vae(**SMALL))
  shared = method.prepare(data.take_users(np.arange(30)), KEY).state
  new = data.take_users([30, 31])
  adapted = method.adapt(shared, new, KEY)
  assert adapted.state is shared.state
  assert adapted.cost == method_lib.Cost()
  scores = method.score(adapted.state, histories(new))
  assert scores.shape == (2, data.num_items)
  assert scores.dtype == np.float32
  nothing = new.rows(np.array([], int))
  adapted = method.adapt(shared, nothing, KEY)
  empty = method.score(adapted.state, histories(nothing))
  assert np.isfinite(empty).all()
  assert empty.std() > 0


def test_scores_do_not_depend_on_the_batch():
  data = make_data()
  model = mult_vae.mult_vae(**SMALL)
  params = model.fit(data, KEY).state
  whole = model.score(params, histories(data))
  for users in ([3], [3, 9, 5]):
    part = model.score(params, histories(data, np.array(users)))
    np.testing.assert_allclose(part, whole[users], rtol=1e-4, atol=1e-5)


def test_retraining_equals_training_on_everyone():
  data = make_data()
  source, new = data.take_users(np.arange(30)), data.take_users([30, 31])
  model = mult_vae.mult_vae(**SMALL)
  method = adapting.retrained(model)
  shared = method.prepare(source, KEY)
  assert shared.cost == method_lib.Cost()
  adapted = method.adapt(shared.state, new, KEY)
  expected = model.fit(joining.join_users(source, new), KEY)
  assert is_equal(adapted.state, expected.state)
  assert adapted.cost == expected.cost
  assert adapted.cost.operations > 0


def test_retraining_on_a_new_catalogue_is_on_the_evidence_alone():
  data = make_data()
  source, target = data.take_items(range(15)), data.take_items(range(15, 30))
  model = mult_vae.mult_vae(**SMALL)
  method = adapting.retrained(model)
  adapted = method.adapt(method.prepare(source, KEY).state, target, KEY).state
  assert is_equal(adapted, model.fit(target, KEY).state)
  scores = method.score(adapted, histories(target))
  assert scores.shape == (target.num_users, 15)


@pytest.mark.parametrize(
  'method',
  [
    adapting.frozen(mult_vae.mult_vae(**SMALL)),
    adapting.finetuned(mult_vae.mult_dae(**SMALL)),
  ],
  ids=lambda method: method.name,
)
def test_what_carries_nothing_refuses_a_new_catalogue(method):
  data = make_data()
  source, target = data.take_items(range(15)), data.take_items(range(15, 30))
  shared = method.prepare(source, KEY).state
  with pytest.raises(method_lib.CannotServe, match='catalogue is another one'):
    method.adapt(shared, target, KEY)


def test_fine_tuning_goes_on_from_the_source():
  data = make_data()
  source, new = data.take_users(np.arange(30)), data.take_users([30, 31])
  method = finetuned(**SMALL)
  shared = method.prepare(source, KEY).state
  before = jax.tree.map(np.array, shared.state)
  adapted, cost = method.adapt(shared, new, KEY)
  assert is_equal(shared.state, before)
  assert not is_equal(adapted, shared.state)
  change = jax.tree.map(
    lambda a, b: float(abs(a - b).max()), adapted, shared.state
  )
  # Adam moves a weight by at most about lr per step; there are three steps.
  assert max(jax.tree.leaves(change)) < 2 * 3 * SMALL['lr']
  assert cost.operations == 3 * step_operations(adapted)
  nothing = new.rows(np.array([], int))
  unchanged = method.adapt(shared, nothing, KEY)
  assert unchanged.state is shared.state
  assert unchanged.cost == method_lib.Cost()


def step_operations(params):
  """Operations of a training step on two users."""
  layers = variational_autoencoder.layer_sizes(params)
  return variational_autoencoder.train_step_flops(layers, 2)


def test_fine_tuning_on_a_new_catalogue_keeps_the_inner_layers():
  data = make_data()
  source, target = data.take_items(range(15)), data.take_items(range(15, 30))
  method = finetuned(**{**SMALL, 'lr': 1e-6})
  shared = method.prepare(source, KEY).state
  adapted = method.adapt(shared, target, KEY).state
  for name in variational_autoencoder.INNER_LAYERS:
    chex.assert_trees_all_close(adapted[name], shared.state[name], atol=1e-4)
  assert adapted['hidden_in']['kernel'].shape == (15, 16)
  assert method.score(adapted, histories(target)).shape == (40, 15)


@pytest.mark.parametrize(
  'method',
  [adapting.retrained(mult_vae.mult_vae(**SMALL)), finetuned(**SMALL)],
  ids=lambda method: method.name,
)
def test_a_catalogue_without_interactions_is_refused(method):
  data = make_data()
  nobody = data.take_items(range(15, 30)).take_users(np.arange(0))
  shared = method.prepare(data.take_items(range(15)), KEY).state
  with pytest.raises(method_lib.CannotServe, match='without interactions'):
    method.adapt(shared, nobody, KEY)
  with pytest.raises(method_lib.CannotServe, match='without interactions'):
    method.model.fit(nobody, KEY)


def test_the_cost_is_of_the_steps_done():
  """There are two passes over 40 users, two users per step."""
  params, cost = mult_vae.mult_vae(**SMALL).fit(make_data(), KEY)
  assert cost.operations == 40 * step_operations(params)


def test_step_flops_are_those_of_the_compiled_step():
  model = variational_autoencoder.MultVAE(400, hidden_dim=100, latent_dim=50)
  step_fn, tx = mult_vae.train_step(model, 1e-3, 0.0)
  params = jax.eval_shape(lambda: mult_vae._init(model, KEY))
  state = jax.eval_shape(lambda p: step_lib.init_state(p, tx, KEY), params)
  batch = {'x': np.ones((100, 400), bool), 'beta': np.float32(0)}
  compiled = step_fn.lower(state, batch).compile()
  counted = variational_autoencoder.train_step_flops(
    variational_autoencoder.layer_sizes(params), 100
  )
  # XLA also counts Threefry's integer operations; the formula does not.
  assert compiled.cost_analysis()['flops'] == pytest.approx(counted, rel=0.2)


def test_annealing_rises_to_its_cap():
  paper = mult_vae._annealing(
    mult_vae.MultVaeConfig(anneal_steps=200_000), 46_800
  )
  assert paper(0) == 0
  assert paper(20_000) == pytest.approx(0.1)
  assert paper(46_000) == pytest.approx(0.2)
  scaled = mult_vae._annealing(mult_vae.MultVaeConfig(), 46_800)
  for step in (0, 20_000, 40_000, 46_000):
    assert scaled(step) == pytest.approx(paper(step))


def test_a_golden_first_step():
  """Any change of the loss or of the noise changes these numbers."""
  model = variational_autoencoder.MultVAE(6, hidden_dim=4, latent_dim=2)
  step_fn, tx = mult_vae.train_step(model, 0.1, 0.0)
  shapes = jax.eval_shape(lambda: mult_vae._init(model, KEY))
  params = jax.tree.map(
    lambda leaf: np.linspace(-1, 1, leaf.size, dtype=np.float32).reshape(
      leaf.shape
    ),
    shapes,
  )
  state = step_lib.init_state(params, tx, jax.random.key(1))
  batch = {'x': np.eye(6, dtype=bool)[:3], 'beta': np.float32(0.5)}
  _, metrics = step_fn(state, batch)
  found = [float(metrics[name]) for name in ('loss', 'nll', 'kl')]
  np.testing.assert_allclose(found, [4.874253, 2.549624, 4.649258], rtol=1e-4)


def test_equal_models_are_compiled_once():
  data = make_data()
  model = mult_vae.mult_vae(**SMALL)
  network = mult_vae.make_model(model.config, data.num_items)
  step_fn, _ = mult_vae.train_step(network, SMALL['lr'], 0.0)
  for seed in range(3):
    model.fit(data, jax.random.key(seed))
  assert step_fn is mult_vae.train_step(network, SMALL['lr'], 0.0)[0]
  assert step_fn._cache_size() == 1


def test_a_run_in_a_workdir_keeps_the_best(tmp_path):
  data = make_data()
  model = mult_vae.mult_vae(**SMALL)
  seen = []

  def evaluate(params):
    seen.append(jax.tree.map(np.array, params))
    return {'ndcg@100': {1: 0.1, 2: 0.9}.get(len(seen), 0.2)}

  run = loop.Run(
    evaluate=evaluate,
    evaluate_every=10,
    best_metric='ndcg@100',
    workdir=tmp_path,
  )
  params = model.fit(data, KEY, run=run).state
  assert len(seen) == 4
  assert is_equal(params, seen[1])
  assert (tmp_path / 'metrics.jsonl').exists()


def test_an_unknown_hyper_parameter_is_named():
  with pytest.raises(TypeError, match='widht'):
    mult_vae.mult_vae(widht=3)
