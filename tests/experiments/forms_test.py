"""Parameters of a user's own: they start at the base, and are compared."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from experiments.new_users import (
  forms_table,
  own_parameters,
  written_forms,
)
from hyperrec import method as method_lib
from hyperrec.systems.mult_vae import mult_vae
from hyperrec.systems.sequential import sasrec
from tests.makers import made_domain

KEY = jax.random.key(0, impl='unsafe_rbg')
VAE = mult_vae.MultVaeConfig(
  hidden_dim=12, latent_dim=4, epochs=4, batch_size=20
)
SASREC = sasrec.SasrecConfig(
  length=40, dim=8, num_layers=1, num_heads=1, hidden_ratio=1, epochs=2,
  shuffled=True,
)  # fmt: skip
PARTS = {'mult_vae': (('hidden_out',),), 'sasrec': (('block_0',), ('norm',))}
FILM = written_forms.Film()


@functools.cache
def data():
  return made_domain('some', 3, num_users=60, num_items=30)


@functools.cache
def trained(name):
  """A base, and its own scores of a user."""
  if name == 'mult_vae':
    model, make = mult_vae.mult_vae(**dataclasses.asdict(VAE)), VAE
    network = own_parameters.of_mult_vae(make, data().num_items)
    fitted = model.fit(data(), KEY)
    params = fitted.state
  else:
    model, make = sasrec.sasrec(**dataclasses.asdict(SASREC)), SASREC
    network = own_parameters.of_sasrec(make, data().num_items)
    fitted = model.fit(data(), KEY)
    params = fitted.state.params
  scores = model.score(fitted.state, histories())
  base = own_parameters.Base(network, params, fitted.cost.operations)
  return base, np.asarray(scores)


def histories(length=5):
  """What three users have shown."""
  rows = data().by_user_and_time()
  whole = method_lib.Histories.of(rows, np.arange(3))
  return dataclasses.replace(
    whole, items=whole.items[:, :length], mask=whole.mask[:, :length]
  )


def generated(name, form=FILM, reads='set', judge=lambda *unused: 0.0, **more):
  base, _ = trained(name)
  config = own_parameters.Generator(
    form, PARTS[name], reads, z_dim=4, hidden_dim=8, batch_size=20, lr=0.05,
    **more,
  )  # fmt: skip
  table = np.random.default_rng(0).normal(size=(data().num_items, 3))
  return own_parameters.generated(
    config, base, table.astype(np.float32), judge, 3
  )


@pytest.mark.parametrize('reads', ['set', 'text', 'constant'])
@pytest.mark.parametrize('name', PARTS)
def test_a_generator_starts_at_its_base_and_then_changes_it(name, reads):
  _, expected = trained(name)
  start = generated(name, reads=reads, steps=0)
  state = start.fit(data(), KEY).state
  scores = start.score(state, histories())
  np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
  model = generated(name, reads=reads, steps=3)
  fitted = model.fit(data(), KEY)
  assert abs(model.score(fitted.state, histories()) - expected).max() > 1e-3
  per_user = model.generate(fitted.state, data(), KEY).cost.per_user
  assert per_user > 0
  assert fitted.cost.operations > trained(name)[0].operations + 100 * per_user


def test_the_state_that_validation_prefers_is_kept():
  """The value falls from look to look, so that the first one is the best."""
  values = iter([3.0, 2.0, 1.0])
  seen = []

  def judge(model, state):
    seen.append(model.score(state, histories()))
    return next(values)

  model = generated('mult_vae', judge=judge, steps=6, evaluate_every=2)
  state = model.fit(data(), KEY).state
  assert len(seen) == 3
  np.testing.assert_allclose(
    model.score(state, histories()), seen[0], rtol=1e-6
  )
  assert abs(seen[2] - seen[0]).max() > 1e-4


@pytest.mark.parametrize('name', PARTS)
def test_fine_tuning_is_each_users_own(name):
  base, expected = trained(name)
  tune = lambda lr: own_parameters.fine_tuned(  # noqa: E731
    own_parameters.FineTuning(2, lr), base
  )
  still = tune(0.0).score(base.params, histories())
  np.testing.assert_allclose(still, expected, rtol=1e-4, atol=1e-5)
  model = tune(0.05)
  tuned = model.score(base.params, histories())
  assert np.isfinite(tuned).all()
  assert abs(tuned - expected).max() > 1e-2
  every = histories()
  alone = method_lib.Histories(every.items[1:2], every.mask[1:2], 30)
  np.testing.assert_allclose(
    model.score(base.params, alone)[0], tuned[1], rtol=1e-4, atol=1e-5
  )
  cost = model.generate(base.params, data(), KEY).cost.per_user
  weights = sum(leaf.size for leaf in jax.tree.leaves(base.params))
  assert cost > 2 * 10 * weights


def test_sasrec_cannot_be_fine_tuned_on_one_item():
  base, _ = trained('sasrec')
  model = own_parameters.fine_tuned(own_parameters.FineTuning(2, 0.1), base)
  still = own_parameters.fine_tuned(own_parameters.FineTuning(2, 0.0), base)
  np.testing.assert_allclose(
    model.score(base.params, histories(1)),
    still.score(base.params, histories(1)),
    rtol=1e-5,
  )


def test_simulated_users_show_a_part_and_are_asked_for_the_rest():
  x = data().csr(bool)
  random = np.random.default_rng(0)
  sizes = set()
  for _ in range(20):
    (items, mask), asked = own_parameters.simulate(x, random)
    shown = np.zeros(asked.shape, bool)
    np.put_along_axis(shown, items, mask, axis=1)
    shown |= np.array(
      [np.isin(np.arange(30), i[m]) for i, m in zip(items, mask, strict=True)]
    )
    assert not (shown & asked).any()
    np.testing.assert_array_equal(shown | asked, x.toarray())
    assert asked.any(axis=1).all() and mask.any(axis=1).all()
    sizes |= set(mask.sum(axis=1))
  assert {1, 2, 3} <= sizes


def rows(way, gain, seed=0):
  random = np.random.default_rng(seed)
  users = 0.3 + 0.1 * random.random(200)
  return [
    {
      'dataset': 'some', 'method': f'mult_vae:{way}', 'budget': budget,
      'seed': seed, 'ndcg@100': float((users + gain).mean()),
      'per_user': list(users + gain * 2 * random.random(200)),
      'prepare_operations': 2e6, 'operations_per_user': budget * 1e3,
    }
    for budget in (1, 5, 20)
  ]  # fmt: skip


def test_only_a_sure_gain_is_bold():
  made = forms_table.table(
    [*rows('frozen', 0.0), *rows('film', 0.02), *rows('full', -0.02)]
  )
  head, _, frozen, film, full = made.splitlines()[:5]
  assert head.startswith('| Mult-VAE | some, 1 | 5 | 20 | mean [95%]')
  assert '**' in film and '**' not in frozen + full
  assert film.endswith('| 2.0e+04 | 2.0e+06 |')
  assert '| 0.94' in full


def test_a_generator_is_compared_with_its_own_start():
  ways = {'frozen': 0.1, 'part': 0.0, 'part:film': 0.02}
  made = forms_table.table(
    [row for way, gain in ways.items() for row in rows(way, gain)]
  )
  film = made.splitlines()[-1]
  assert film.startswith('| hidden layer, film | 1.0') and '**' in film


def test_a_base_without_a_second_table_has_one():
  made = forms_table.table([*rows('frozen', 0.0), *rows('film', 0.02)])
  assert len(made.splitlines()) == 4


def test_a_way_is_compared_on_the_seeds_that_it_has():
  made = forms_table.table(
    [*rows('frozen', 0.0), *rows('frozen', 0.5, seed=1), *rows('film', 0.02)]
  )
  film = made.splitlines()[3]
  assert film.startswith('| hidden layer, film | 1.0') and '**' in film
