"""Tests of the SASRec network: attention, packed rows and losses."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperrec.cost import counts
from hyperrec.systems.sequential import sequential_recommender

V, L, D = 12, 6, 8
KEY = jax.random.key(0)
MODEL = sequential_recommender.SASRec(
  V, length=L, dim=D, num_layers=2, num_heads=2, hidden_dim=16
)


@functools.cache
def params():
  """Random parameters without `init`, whose compilation takes a second."""
  random = np.random.default_rng(1)
  row = jnp.zeros((1, L), jnp.int32)
  form = jax.eval_shape(MODEL.init, KEY, row, row, row)['params']
  return jax.tree.map(
    lambda leaf: jnp.asarray(random.normal(size=leaf.shape), leaf.dtype) / 2,
    form,
  )


@functools.partial(jax.jit, static_argnames='train')
def apply(params, items, segments, places, *, key=KEY, train=False):
  return MODEL.apply(
    {'params': params}, items, segments, places,
    train=train, rngs={'dropout': key},
  )  # fmt: skip


def row(*items):
  """A row with one sequence: items, segments and places, each [1, L]."""
  found = np.zeros((3, 1, L), np.int32)
  found[0, 0, : len(items)] = items
  found[1, 0, : len(items)] = 1
  found[2, 0] = np.arange(L)
  return tuple(jnp.asarray(part) for part in found)


def test_no_position_sees_a_later_item():
  items, segments, places = row(0, 1, 2, 3, 4, 5)

  def hidden(table):
    return apply({**params(), 'items': table}, items, segments, places)[0]

  jacobian = jax.jit(jax.jacobian(hidden))(params()['items'])
  seen = np.abs(np.asarray(jacobian)).sum(axis=(1, 3))[:, :L] > 0
  np.testing.assert_array_equal(seen, np.tril(np.ones((L, L), bool)))


def test_padding_changes_nothing():
  found = apply(params(), *row(3, 1, 4))
  items, segments, places = row(3, 1, 4)
  other = apply(params(), items.at[0, 3:].set(7), segments, places)
  np.testing.assert_array_equal(found[:, :3], other[:, :3])
  short = tuple(part[:, :3] for part in (items, segments, places))
  np.testing.assert_allclose(found[:, :3], apply(params(), *short), atol=1e-5)


def test_a_packed_row_is_its_sequences_alone():
  items = jnp.array([[3, 1, 4, 5, 9, 0]])
  segments = jnp.array([[1, 1, 2, 2, 2, 0]])
  places = jnp.array([[0, 1, 0, 1, 2, 0]])
  found = apply(params(), items, segments, places)
  first, second = apply(params(), *row(3, 1)), apply(params(), *row(4, 5, 9))
  np.testing.assert_allclose(found[0, :2], first[0, :2], atol=1e-5)
  np.testing.assert_allclose(found[0, 2:5], second[0, :3], atol=1e-5)
  assert np.isfinite(found).all()


def test_one_pass_scores_every_prefix():
  items = jnp.array([[3, 1, 4, 1, 5, 9]])
  found = apply(params(), *row(*items[0].tolist()))[0]
  sizes = jnp.arange(1, L + 1)
  prefixes = jnp.tile(items, (L, 1))
  alone = sequential_recommender.last_hidden(MODEL, params(), prefixes, sizes)
  np.testing.assert_allclose(found, alone, atol=1e-5)


def test_places_may_count_back_from_the_last_item():
  items = jnp.array([[3, 1, 4, 0], [2, 0, 0, 0]])
  found = sequential_recommender.last_hidden(
    MODEL.clone(from_the_end=True), params(), items, jnp.array([3, 1])
  )
  for history, n, hidden in zip(items, (3, 1), found, strict=True):
    one, segments, places = row(*history[:n].tolist())
    alone = apply(params(), one, segments, jnp.minimum(places + L - n, L - 1))
    np.testing.assert_allclose(hidden, alone[0, n - 1], atol=1e-5)


def test_order_matters():
  swapped = apply(params(), *row(1, 3, 4))[0, 2]
  assert abs(apply(params(), *row(3, 1, 4))[0, 2] - swapped).max() > 1e-3


def test_jit_changes_nothing():
  with jax.disable_jit():
    plain = apply(params(), *row(3, 1, 4))
  np.testing.assert_allclose(apply(params(), *row(3, 1, 4)), plain, atol=1e-5)


def test_dropout_in_training_only():
  inputs = row(3, 1, 4)
  first, second = (
    apply(params(), *inputs, key=jax.random.key(seed), train=True)
    for seed in range(2)
  )
  assert abs(first - second).max() > 0.1
  plain = apply(params(), *inputs, key=jax.random.key(1))
  np.testing.assert_array_equal(plain, apply(params(), *inputs))


def hidden_and_targets():
  random = np.random.default_rng(2)
  hidden = jnp.asarray(random.normal(size=(5, D)), jnp.float32)
  return hidden, jnp.array([0, 3, 3, 11, 7])


def test_the_full_loss_is_the_softmax():
  hidden, targets = hidden_and_targets()
  table = params()['items']
  found = sequential_recommender.next_item_nll(hidden, table, targets)
  log_probabilities = jax.nn.log_softmax(hidden @ table.T)
  np.testing.assert_allclose(
    found, -log_probabilities[jnp.arange(5), targets], rtol=1e-5
  )


def test_the_sampled_sum_is_unbiased():
  """The mean of exp(nll + score) is the sum of exp(scores) over all items."""
  hidden, targets = hidden_and_targets()
  table = params()['items']
  counts = jnp.arange(V, dtype=jnp.float32)
  scores = jnp.einsum('nd,nd->n', hidden, table[targets])

  @jax.jit
  @jax.vmap
  def estimate(key):
    negatives = sequential_recommender.draw_negatives(key, counts, 64)
    nll = sequential_recommender.next_item_nll(
      hidden, table, targets, negatives
    )
    return jnp.exp(nll + scores)

  found = estimate(jax.random.split(KEY, 2000)).mean(axis=0)
  expected = jnp.exp(hidden @ table.T).sum(axis=1)
  np.testing.assert_allclose(found, expected, rtol=0.02)


def test_negatives_follow_their_probabilities():
  counts = jnp.array([0.0, 1.0, 6.0])
  drawn = sequential_recommender.draw_negatives(KEY, counts, 20_000)
  share = np.bincount(np.asarray(drawn.items), minlength=3) / 20_000
  np.testing.assert_allclose(share, [0.1, 0.2, 0.7], atol=0.02)
  np.testing.assert_allclose(
    jnp.exp(drawn.log_q), np.array([0.1, 0.2, 0.7])[drawn.items], rtol=1e-5
  )


def test_uniform_negatives_are_the_softmax_over_what_is_drawn():
  hidden, targets = hidden_and_targets()
  table = params()['items']
  negatives = sequential_recommender.draw_uniform_negatives(KEY, V, 40)
  found = sequential_recommender.next_item_nll(
    hidden, table, targets, negatives
  )
  scores = np.asarray(hidden @ table.T, np.float64)
  for n, target in enumerate(np.asarray(targets)):
    others = [j for j in np.asarray(negatives.items) if j != target]
    summed = np.exp(scores[n, [target, *others]]).sum()
    assert found[n] == pytest.approx(np.log(summed) - scores[n, target], 1e-4)
  assert set(np.asarray(negatives.items)) <= set(range(V))


def test_only_negatives_that_are_the_target():
  """Only the target is left in the softmax, so the loss is 0."""
  hidden, targets = hidden_and_targets()
  negatives = sequential_recommender.Negatives(
    jnp.full(4, 3), jnp.log(jnp.full(4, 0.5))
  )
  nll = sequential_recommender.next_item_nll(
    hidden, params()['items'], targets, negatives
  )
  assert nll[1] == nll[2] == 0
  assert (nll[jnp.array([0, 3, 4])] > 0).all()


def test_flops_are_those_of_the_program():
  model = sequential_recommender.SASRec(
    100, length=20, dim=32, num_layers=2, hidden_dim=128
  )
  inputs = jnp.zeros((4, 20), jnp.int32)
  shapes = jax.eval_shape(model.init, KEY, inputs, inputs, inputs)

  def scores(params):
    return model.apply(params, inputs, inputs, inputs) @ (
      params['params']['items'].T
    )

  counted = sequential_recommender.forward_flops(model, 4, 20, 100)
  assert counts.program(scores, shapes) == pytest.approx(counted, rel=0.1)


def test_another_catalogue_gets_its_own_items():
  fresh = {'items': jnp.ones((3, D)), 'places': 0, 'norm': 0}
  kept = sequential_recommender.keep_all_but_items(params(), fresh)
  assert kept['items'] is fresh['items']
  assert kept['norm'] is params()['norm']
  assert set(kept) == set(params())


def test_attention_may_go_to_the_padding_before_a_history():
  """The result equals attention over a row that starts with zeros."""
  block = sequential_recommender.Block(2, 16, 0.0)
  random = np.random.default_rng(3)
  x = jnp.asarray(random.normal(size=(1, 3, D)), jnp.float32)
  whole = jnp.pad(x, ((0, 0), (L - 3, 0), (0, 0)))
  everything = jnp.tril(jnp.ones((1, L, L), bool))
  variables = block.init(KEY, whole, everything, None)
  # With the initial biases of zero, all keys of the padding would be equal.
  variables = jax.tree.map(lambda leaf: leaf + 0.1, variables)
  expected = block.apply(variables, whole, everything, None)[:, L - 3 :]
  num_empty = jnp.full((1, 3), L - 3)
  found = block.apply(variables, x, everything[:, :3, :3], num_empty)
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_places_tell_how_many_are_empty():
  segments = jnp.array([[1, 1, 2, 2, 2, 0]])
  places = jnp.array([[4, 5, 3, 4, 5, 0]])
  found = sequential_recommender.first_places(segments, places)
  np.testing.assert_array_equal(found, [[4, 4, 3, 3, 3, 0]])


def test_an_item_loses_the_same_numbers_wherever_it_stands():
  class Rows(NamedTuple):
    inputs: jax.Array
    targets: jax.Array
    segments: jax.Array
    places: jax.Array

  items, segments, places = row(3, 1, 4)
  rows = Rows(items, jnp.roll(items, -1), segments, places)
  model = MODEL.clone(dropout=0.0)
  loss = functools.partial(
    sequential_recommender.next_item_loss,
    model, rows=rows, key=KEY, counts_V=jnp.ones(V),
  )  # fmt: skip
  kept = jax.random.bernoulli(jax.random.split(KEY, 3)[2], 0.5, (V, D))
  thinned = {**params(), 'items': jnp.where(kept, 2 * params()['items'], 0)}
  found = loss(params(), item_dropout=0.5)
  np.testing.assert_allclose(found, loss(thinned), rtol=1e-5)
  assert abs(found - loss(params())) > 1e-3
