"""VQ-Rec's network and losses: against plain numpy, masks, gradients."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperrec.data import sequences
from hyperrec.systems.vqrec import network as vqrec
from hyperrec.systems.vqrec import permutation

KEY = jax.random.key(0)
GROUPS, CODES, WIDTH, LENGTH, ITEMS = 3, 4, 8, 6, 10
# Two of them are followed by item 2.
USERS = [1, 2, 3, 4], [5, 2], [7, 1, 5]
ENCODER = vqrec.SequenceEncoder(
  LENGTH, num_layers=1, num_heads=2, hidden_dim=8, dropout=0.0
)


@pytest.fixture(scope='module')
def params():
  return vqrec.init(ENCODER, KEY, num_groups=GROUPS, num_codes=CODES, dim=WIDTH)


@pytest.fixture(scope='module')
def codes():
  return np.random.default_rng(0).integers(0, CODES, (ITEMS, GROUPS))


def rows_of(*users):
  """Packed rows of some users' items."""
  ends = np.cumsum([len(u) for u in users])
  items = np.concatenate(users).astype(np.int32)
  return sequences.pack(sequences.Sequences(items, ends, ITEMS), LENGTH)


@jax.jit
def encode(params, x, segments, places):
  return ENCODER.apply({'params': params['encoder']}, x, segments, places)


def hidden_of(params, codes, rows):
  table = vqrec.embed(params['codes'], codes)
  hidden = encode(params, table[rows.inputs], rows.segments, rows.places)
  return np.asarray(vqrec.unit(hidden)), np.asarray(vqrec.unit(table))


@jax.jit
def catalogue(params, codes, rows):
  return vqrec.catalogue_loss(
    ENCODER, params, rows, codes, KEY, temperature=0.1
  )


@jax.jit
def contrast(params, codes, rows, replaced=0.0):
  return vqrec.contrastive_loss(
    ENCODER, params, rows, codes, KEY, temperature=0.1, replaced=replaced
  )


def test_an_item_is_the_mean_of_its_codes(params, codes):
  expected = np.stack(
    [
      np.mean([params['codes'][g, c] for g, c in enumerate(item)], axis=0)
      for item in codes
    ]
  )
  found = vqrec.embed(params['codes'], codes)
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_unit_vectors_and_zeros():
  x = jnp.asarray([[3.0, 4.0], [0.0, 0.0]])
  np.testing.assert_allclose(vqrec.unit(x), [[0.6, 0.8], [0, 0]], rtol=1e-6)
  gradient = jax.grad(lambda x: vqrec.unit(x).sum())(x)
  assert np.isfinite(gradient).all()


def test_the_catalogue_loss_by_numpy(params, codes):
  rows = rows_of(*USERS)
  hidden, table = hidden_of(params, codes, rows)
  logits = hidden @ table.T / 0.1
  target = np.take_along_axis(logits, rows.targets[..., None], -1)[..., 0]
  nll = np.log(np.exp(logits).sum(-1)) - target
  found = float(catalogue(params, codes, rows))
  assert found == pytest.approx(nll[rows.segments > 0].mean(), rel=1e-4)


def test_the_contrastive_loss_by_numpy(params, codes):
  rows = rows_of(*USERS)
  hidden, table = hidden_of(params, codes, rows)
  found, terms = float(contrast(params, codes, rows)), []
  positions = list(zip(*np.nonzero(rows.segments), strict=True))
  for i in positions:
    target = rows.targets[i]
    others = [
      rows.targets[j]
      for j in positions
      if (i[0], rows.segments[i]) != (j[0], rows.segments[j])
      and rows.targets[j] != target
    ]
    logits = hidden[i] @ table[[target, *others]].T / 0.1
    terms.append(np.log(np.exp(logits).sum()) - logits[0])
  assert len(terms) == 6
  assert found == pytest.approx(np.mean(terms), rel=1e-4)


def test_negatives_are_other_users_other_items():
  rows = rows_of(*USERS)
  found = np.asarray(vqrec.is_negative(rows))
  targets, segments = rows.targets.reshape(-1), rows.segments.reshape(-1)
  owner = segments + 100 * np.repeat(np.arange(len(rows.inputs)), LENGTH)
  for i, j in np.ndindex(found.shape):
    expected = segments[j] > 0 and owner[i] != owner[j]
    assert found[i, j] == (expected and targets[i] != targets[j])
  real = segments > 0
  assert 0 < found[real][:, real].sum() < real.sum() ** 2


def test_fakes_raise_the_loss_and_their_own_twin_is_masked(params, codes):
  rows = rows_of(*USERS)
  without = contrast(params, codes, rows)
  assert contrast(params, codes, rows, 0.75) > without
  # One code only: every fake is its item's twin, and no negative.
  single = {**params, 'codes': params['codes'][:, :1]}
  same = np.zeros_like(codes)
  found = contrast(single, same, rows, 1.0)
  np.testing.assert_allclose(found, contrast(single, same, rows), rtol=1e-6)


def test_fake_codes_are_replaced_as_often_as_told():
  codes = jnp.full((2000, 8), 300)
  fake = vqrec.fake_codes(KEY, codes, 256, 0.75)
  assert float((fake != codes).mean()) == pytest.approx(0.75, abs=0.02)
  replaced = np.asarray(fake)[np.asarray(fake != codes)]
  assert (replaced.min(), replaced.max()) == (0, 255)


def test_later_items_do_not_matter(params, codes):
  rows = rows_of([1, 2, 3, 4, 5])
  table = vqrec.embed(params['codes'], codes)[rows.inputs]

  @jax.jit
  @jax.grad
  def gradient_at(x, place):
    # Not the sum: a layer norm keeps that constant.
    return encode(params, x, rows.segments, rows.places)[0, place, 0]

  for place in range(4):
    gradient = np.abs(gradient_at(table, place)[0]).sum(-1)
    assert (gradient[place + 1 :] == 0).all()
    assert (gradient[: place + 1] > 1e-9).all()


def test_the_last_hidden_state_needs_no_padding(params, codes):
  table = vqrec.embed(params['codes'], codes)
  items = np.array([[1, 2, 3, 0, 0], [4, 5, 6, 7, 8]])
  last = jax.jit(functools.partial(vqrec.last_hidden, ENCODER))
  found = last(params, table[items], jnp.array([3, 5]))
  alone = last(params, table[items[:1, :3]], jnp.array([3]))
  np.testing.assert_allclose(found[:1], alone, atol=1e-5)
  np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)


def test_places_from_the_end_are_those_of_training(params, codes):
  table = vqrec.embed(params['codes'], codes)
  rows = rows_of([1, 2, 3, 4]).from_the_end()
  hidden, _ = hidden_of(params, codes, rows)
  encoder = ENCODER.clone(from_the_end=True)
  for num_padding in (0, 2):
    items = np.array([[1, 2, 3] + [0] * num_padding])
    found = vqrec.last_hidden(encoder, params, table[items], jnp.array([3]))
    np.testing.assert_allclose(found[0], hidden[0, 2], atol=1e-5)


def test_packed_users_are_blind_to_each_other(params, codes):
  together = rows_of([1, 2, 3], [4, 5])
  assert len(together.inputs) == 1
  hidden, _ = hidden_of(params, codes, together)
  for user in ([1, 2, 3], [4, 5]):
    alone, _ = hidden_of(params, codes, rows_of(user))
    place = np.flatnonzero(together.inputs[0] == user[0])[0]
    np.testing.assert_allclose(
      hidden[0, place : place + len(user) - 1],
      alone[0, : len(user) - 1],
      atol=1e-5,
    )


def test_a_permutation_of_codes_moves_their_embeddings(params):
  order = np.stack(
    [np.random.default_rng(g).permutation(CODES) for g in b'012']
  )
  weights = np.eye(CODES, dtype=np.float32)[order]
  expected = np.stack([params['codes'][g][order[g]] for g in range(GROUPS)])
  found = vqrec.aligned(params['codes'], weights)
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_alignment_gets_a_gradient(params, codes):
  """The published code's ceil() has none, so that it learns nothing."""
  rows = rows_of(*USERS)

  def loss(logits):
    weights = permutation.draw(KEY, logits, 0.7, 1.0)
    moved = {**params, 'codes': vqrec.aligned(params['codes'], weights)}
    return catalogue(moved, codes, rows)

  gradient = jax.jit(jax.grad(loss))(jnp.zeros((GROUPS, CODES, CODES)))
  assert (np.abs(gradient).max(axis=(1, 2)) > 1e-5).all()


def test_every_parameter_gets_a_gradient(params, codes):
  rows = rows_of(list(range(LENGTH + 1)), *USERS)
  for loss in (catalogue, functools.partial(contrast, replaced=0.5)):
    gradient = jax.jit(jax.grad(loss))(params, codes, rows)
    # A key's bias adds the same to every logit of a softmax.
    gradient['encoder']['block_0']['attention']['key'].pop('bias')
    chex.assert_tree_all_finite(gradient)
    for leaf in jax.tree.leaves(gradient):
      assert np.abs(leaf).max() > 0


def test_flops_grow_with_what_is_computed():
  sizes = {
    'num_rows': 2,
    'dim': 8,
    'num_candidates': 10,
    'num_looked_up': 10,
    'num_groups': 3,
  }
  flops = vqrec.forward_flops(ENCODER, **sizes)
  more = vqrec.forward_flops(ENCODER, **{**sizes, 'num_candidates': 11})
  assert more - flops == 2 * 2 * LENGTH * 8
  more = vqrec.forward_flops(ENCODER, **{**sizes, 'num_looked_up': 11})
  assert more - flops == 3 * 8
