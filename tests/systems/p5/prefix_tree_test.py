"""The tree of names, and writing by it against writing each name alone."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperrec.systems.p5 import decoding, prefix_tree
from tests.systems.p5.t5_test import CONFIG, apply, random_params, source

END = 1
# One is the start of another, some share a start, one stands alone.
NAMES = [(4, 5), (4, 5, 6), (4, 7, 8, 9), (4, 7, 8, 3), (10, 2, 2, 2), (4, 11)]


@pytest.fixture(scope='module')
def tree():
  return prefix_tree.build(NAMES, END)


def scores(params, tree):
  return np.asarray(
    decoding.score_catalogue(params, source(), tree, config=CONFIG)
  )


def test_form_of_a_tree(tree):
  """Root, 4, 45, 47, 478: what leads to one item alone is no node."""
  np.testing.assert_array_equal(tree.tokens, [0, 4, 5, 7, 8])
  np.testing.assert_array_equal(tree.depth, [0, 1, 2, 2, 3])
  np.testing.assert_array_equal(tree.ancestors[4], [0, 1, 3, 4])
  assert (tree.children >= 0).sum() == 4 + len(NAMES)
  lone = tree.path_letters[4]
  assert tree.alphabet[lone[0]] == 10
  np.testing.assert_array_equal(lone[1:], -1)


def test_every_child_leads_where_the_names_say(tree):
  num_nodes = len(tree.tokens)
  for item, name in enumerate(NAMES):
    at = 0
    for token in (*name, END):
      at = tree.children[at][list(tree.alphabet).index(token)]
      assert at >= 0
      if at >= num_nodes:
        break
    assert at == num_nodes + item


def test_scores_are_those_of_each_name_written_alone(tree):
  """Teacher forcing, token by token, normalised over what may follow."""
  params = random_params()
  memory = apply(params, 'remember', *source())
  found = scores(params, tree)
  prefixes = [(*name, END) for name in NAMES]
  for item, name in enumerate(prefixes):
    inputs = np.array([[0, *name[:-1]]] * 2)
    hidden = apply(params, 'write', inputs, memory)
    logits = np.asarray(apply(params, 'logits', hidden), np.float64)
    total = 0.0
    for place, token in enumerate(name):
      may = sorted({p[place] for p in prefixes if p[:place] == name[:place]
                    and len(p) > place})  # fmt: skip
      chosen = logits[:, place, token]
      total += chosen - np.log(np.exp(logits[:, place, may]).sum(axis=1))
    np.testing.assert_allclose(found[:, item], total, atol=1e-4)


def test_probabilities_add_up_to_one(tree):
  found = scores(random_params(), tree)
  np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-5)


def test_a_wide_beam_is_the_exact_ranking(tree):
  params = random_params()
  exact = scores(params, tree)
  found = decoding.beam_search(
    params, source(), tree, config=CONFIG, num_beams=9
  )
  order = np.argsort(-exact, axis=1)
  np.testing.assert_array_equal(found.items[:, :6], order)
  np.testing.assert_allclose(
    found.scores[:, :6], np.take_along_axis(exact, order, 1), atol=1e-4
  )
  assert (np.asarray(found.items)[:, 6:] == -1).all()


def test_a_narrow_beam_names_items_of_the_catalogue_once():
  names = list(itertools.product((2, 3, 4), (5, 6, 7), (8, 9)))
  tree = prefix_tree.build(names, END)
  params = random_params()
  found = decoding.beam_search(
    params, source(), tree, config=CONFIG, num_beams=5
  )
  exact = scores(params, tree)
  for items, values, row in zip(*found, exact, strict=True):
    assert len(set(items.tolist())) == 5
    assert items.min() >= 0
    assert items.max() < len(names)
    np.testing.assert_allclose(values, row[items], atol=1e-4)
    assert (np.diff(values) <= 0).all()


def test_a_single_name_is_certain():
  tree = prefix_tree.build([(4, 5)], END)
  np.testing.assert_allclose(scores(random_params(), tree), 0, atol=1e-6)


def test_greedy_takes_the_best_token_each_time():
  params = random_params()
  found = np.asarray(
    decoding.greedy(params, source(), config=CONFIG, length=5, end=END)
  )
  memory = apply(params, 'remember', *source())
  inputs = np.concatenate([np.zeros((2, 1), int), found[:, :-1]], axis=1)
  logits = apply(params, 'logits', apply(params, 'write', inputs, memory))
  best = np.asarray(jnp.argmax(logits, axis=-1))
  for row, expected in zip(found, best, strict=True):
    length = 1 + list(row).index(END) if END in row else 5
    np.testing.assert_array_equal(row[:length], expected[:length])
    assert (row[length:] == 0).all()


def test_writing_is_compiled_once_for_a_shape(tree):
  params = random_params()
  other = prefix_tree.build([(n[0], *n[1:]) for n in NAMES], END)
  scores(params, tree)
  count = decoding.score_catalogue._cache_size()
  scores(jax.tree.map(lambda leaf: leaf + 1, params), other)
  assert decoding.score_catalogue._cache_size() == count


@pytest.mark.parametrize(
  ('names', 'message'),
  [
    ([], 'needs at least one name'),
    ([(3,), ()], 'item 1 has no token'),
    ([(3,), (4,), (3,)], 'items 0 and 2 have the same name'),
  ],
)
def test_names_that_tell_nothing(names, message):
  with pytest.raises(ValueError, match=message):
    prefix_tree.build(names, END)


def test_a_tree_too_large_is_refused(monkeypatch):
  monkeypatch.setattr(prefix_tree, '_MOST_CHILDREN', 10)
  with pytest.raises(ValueError, match='6 names make a tree of 5 nodes'):
    prefix_tree.build(NAMES, END)
