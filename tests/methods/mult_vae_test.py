"""Mult-VAE behind the contract: train, keep, retrain, fine-tune, refuse."""

import chex
import jax
import numpy as np
import pytest

from hyperrec import method as method_lib
from hyperrec.data import interactions
from hyperrec.methods import mult_vae
from hyperrec.models import variational_autoencoder
from hyperrec.training import step as step_lib
from tests.makers import make_data

KEY = jax.random.key(0)
# Few shapes in this file, so that little is compiled: two users a step, and
# catalogues of 30 items or of 15.
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
  """Users who touch one half of the catalogue only, by their parity."""
  random = np.random.default_rng(seed)
  half = num_items // 2
  rows = [
    (user, item + (user % 2) * half)
    for user in range(num_users)
    for item in random.permutation(half)[:6]
  ]
  return interactions.from_columns(*zip(*rows, strict=True))


def is_equal(first, second):
  same = jax.tree.map(lambda a, b: bool((a == b).all()), first, second)
  return all(jax.tree.leaves(same))


@pytest.mark.parametrize('build', [mult_vae.mult_vae, mult_vae.mult_dae])
def test_learns_who_likes_what(build):
  data = communities()
  sizes = {'hidden_dim': 32, 'latent_dim': 16, 'epochs': 60, 'batch_size': 20}
  method = build(**sizes, lr=1e-2)
  shared = method.prepare(data, KEY)
  new = communities(seed=1).take_users(np.arange(10))
  scores = method.score(shared, histories(new))
  seen = new.csr().toarray() > 0
  own = np.arange(20)[None, :] // 10 == np.arange(10)[:, None] % 2
  unseen_own = np.where(own & ~seen, scores, np.inf).min(axis=1)
  others = np.where(~own, scores, -np.inf).max(axis=1)
  assert (unseen_own > others).mean() >= 0.9


def test_the_same_key_gives_the_same_network():
  method = mult_vae.mult_vae(**SMALL)
  first, second = (method.prepare(make_data(), KEY) for _ in range(2))
  other = method.prepare(make_data(), jax.random.key(1))
  assert is_equal(first.params, second.params)
  assert not is_equal(first.params, other.params)


def test_new_users_need_a_pass_only():
  data = make_data()
  method = mult_vae.mult_vae(**SMALL)
  shared = method.prepare(data.take_users(np.arange(30)), KEY)
  new = data.take_users([30, 31])
  adapted = method.adapt(shared, new, KEY)
  assert adapted is shared
  assert method.adapt_flops(shared, new, adapted) == 0
  scores = method.score(adapted, histories(new))
  assert scores.shape == (2, data.num_items)
  assert scores.dtype == np.float32
  nothing = new.rows(np.array([], int))
  empty = method.score(method.adapt(shared, nothing, KEY), histories(nothing))
  assert np.isfinite(empty).all()
  assert empty.std() > 0


def test_scores_do_not_depend_on_the_batch():
  data = make_data()
  method = mult_vae.mult_vae(**SMALL)
  shared = method.prepare(data, KEY)
  whole = method.score(shared, histories(data))
  for users in ([3], [3, 9, 5]):
    part = method.score(shared, histories(data, np.array(users)))
    np.testing.assert_allclose(part, whole[users], rtol=1e-4, atol=1e-5)


def test_retraining_equals_training_on_everyone():
  data = make_data()
  source, new = data.take_users(np.arange(30)), data.take_users([30, 31])
  method = mult_vae.mult_vae(retrain=True, **SMALL)
  shared = method.prepare(source, KEY)
  assert method.prepare_flops(source, shared) == 0
  adapted = method.adapt(shared, new, KEY)
  everyone = interactions.join_users(source, new)
  expected = mult_vae.mult_vae(**SMALL).prepare(everyone, KEY)
  assert is_equal(adapted.params, expected.params)
  assert adapted.source is None
  assert method.adapt_flops(shared, new, adapted) > 0


@pytest.mark.parametrize('retrain', [False, True])
def test_a_new_catalogue_is_trained_from_the_evidence_alone(retrain):
  data = make_data()
  source, target = data.take_items(range(15)), data.take_items(range(15, 30))
  method = mult_vae.mult_vae(retrain=retrain, **SMALL)
  adapted = method.adapt(method.prepare(source, KEY), target, KEY)
  expected = mult_vae.mult_vae(**SMALL).prepare(target, KEY)
  assert is_equal(adapted.params, expected.params)
  scores = method.score(adapted, histories(target))
  assert scores.shape == (target.num_users, 15)


def test_fine_tuning_goes_on_from_the_source():
  data = make_data()
  source, new = data.take_users(np.arange(30)), data.take_users([30, 31])
  method = mult_vae.mult_vae_finetune(**SMALL)
  shared = method.prepare(source, KEY)
  before = jax.tree.map(np.array, shared.params)
  adapted = method.adapt(shared, new, KEY)
  assert is_equal(shared.params, before)
  assert not is_equal(adapted.params, shared.params)
  change = jax.tree.map(
    lambda a, b: float(abs(a - b).max()), adapted.params, shared.params
  )
  # Adam moves a weight by at most about lr a step.
  assert max(jax.tree.leaves(change)) < 2 * adapted.steps * SMALL['lr']
  assert adapted.steps == 3
  nothing = new.rows(np.array([], int))
  assert method.adapt(shared, nothing, KEY) is shared
  assert method.adapt_flops(shared, nothing, shared) == 0


def test_fine_tuning_on_a_new_catalogue_keeps_the_inner_layers():
  data = make_data()
  source, target = data.take_items(range(15)), data.take_items(range(15, 30))
  method = mult_vae.mult_vae_finetune(**{**SMALL, 'lr': 1e-6})
  shared = method.prepare(source, KEY)
  adapted = method.adapt(shared, target, KEY)
  for name in variational_autoencoder.INNER_LAYERS:
    chex.assert_trees_all_close(
      adapted.params[name], shared.params[name], atol=1e-4
    )
  assert adapted.params['hidden_in']['kernel'].shape == (15, 16)
  assert method.score(adapted, histories(target)).shape == (40, 15)


@pytest.mark.parametrize(
  'method', [mult_vae.mult_vae(**SMALL), mult_vae.mult_vae_finetune(**SMALL)]
)
def test_a_catalogue_without_interactions_is_refused(method):
  data = make_data()
  nobody = data.take_items(range(15, 30)).take_users(np.arange(0))
  shared = method.prepare(data.take_items(range(15)), KEY)
  with pytest.raises(method_lib.CannotServe, match='without interactions'):
    method.adapt(shared, nobody, KEY)


def test_flops_count_the_steps_done():
  data = make_data()
  method = mult_vae.mult_vae(**SMALL)
  shared = method.prepare(data, KEY)
  assert (shared.steps, shared.batch_size) == (40, 2)
  step = variational_autoencoder.train_step_flops(
    variational_autoencoder.layer_sizes(shared.params), 2
  )
  assert method.prepare_flops(data, shared) == 40 * step


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
  # Threefry's integer operations, which XLA counts, are not in the formula.
  assert compiled.cost_analysis()['flops'] == pytest.approx(counted, rel=0.2)


def test_annealing_rises_to_its_cap():
  paper = mult_vae._annealing(mult_vae.Config(anneal_steps=200_000), 46_800)
  assert paper(0) == 0
  assert paper(20_000) == pytest.approx(0.1)
  assert paper(46_000) == pytest.approx(0.2)
  scaled = mult_vae._annealing(mult_vae.Config(), 46_800)
  for step in (0, 20_000, 40_000, 46_000):
    assert scaled(step) == pytest.approx(paper(step))


def test_a_golden_first_step():
  """Pins one seeded step: what changes loss or noise changes these numbers."""
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
  method = mult_vae.mult_vae(**SMALL)
  model = mult_vae.make_model(mult_vae.Config(**SMALL), data.num_items)
  step_fn, _ = mult_vae.train_step(model, SMALL['lr'], 0.0)
  for seed in range(3):
    method.prepare(data, jax.random.key(seed))
  assert step_fn is mult_vae.train_step(model, SMALL['lr'], 0.0)[0]
  assert step_fn._cache_size() == 1


def test_a_run_in_a_workdir_keeps_the_best(tmp_path):
  data = make_data()
  config = mult_vae.Config(**SMALL)
  seen = []

  def evaluate(params):
    seen.append(jax.tree.map(np.array, params))
    return {'ndcg@100': {1: 0.1, 2: 0.9}.get(len(seen), 0.2)}

  fitted = mult_vae.fit(
    config,
    data,
    KEY,
    evaluate=evaluate,
    workdir=tmp_path,
    loop={'evaluate_every': 10, 'best_metric': 'ndcg@100'},
  )
  assert len(seen) == 4
  assert is_equal(fitted.params, seen[1])
  assert (tmp_path / 'metrics.jsonl').exists()


def test_an_unknown_hyper_parameter_is_named():
  with pytest.raises(TypeError, match='widht'):
    mult_vae.mult_vae(widht=3)
