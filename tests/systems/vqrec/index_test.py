"""VQ-Rec's codes of items, and the embeddings that start at their text."""

import jax
import numpy as np
import pytest

from hyperrec.data import interactions
from hyperrec.systems.vqrec import index as vqrec_index
from hyperrec.systems.vqrec import product_quantizer, vqrec
from tests.systems.vqrec import kind_data

KEY = jax.random.key(0)


@pytest.fixture(scope='module')
def index():
  return vqrec_index.make(
    kind_data.features(kind_data.chain()), KEY, num_groups=2, num_codes=8
  ).state


@pytest.fixture(scope='module')
def codes(index):
  return vqrec_index.codes_of(index, kind_data.features(kind_data.chain()))


def test_any_width_of_features_is_coded():
  index, cost = vqrec_index.make(
    kind_data.features(kind_data.chain())[:, :7], KEY, num_groups=2, num_codes=8
  )
  assert cost.of_text == cost.operations > 0
  assert index.codebooks.shape == (2, 8, 4)
  codes = vqrec_index.codes_of(
    index, kind_data.features(kind_data.chain())[:, :7]
  )
  assert codes.dtype == np.uint8
  assert codes.shape == (30, 2)


@pytest.mark.parametrize('dim', [3, kind_data.WIDTH, 11])
def test_embeddings_start_at_the_text(index, codes, dim):
  """Items are as near to one another as what their codes decode to."""
  found = vqrec_index.embeddings_of(index, codes, dim)
  assert found.shape == (2, 8, dim)
  items = np.asarray(vqrec.item_table(found, codes))
  texts = product_quantizer.decode(index, codes)
  assert items.std(axis=0)[: kind_data.WIDTH].max() < 0.1
  if dim >= kind_data.WIDTH:
    distances = [
      np.linalg.norm(x[:, None] - x[None], axis=-1)
      for x in (items, np.asarray(texts))
    ]
    scale = distances[0].sum() / distances[1].sum()
    np.testing.assert_allclose(distances[0], scale * distances[1], atol=1e-5)


def test_training_may_start_at_the_text():
  data = kind_data.chain()
  settings = {**kind_data.SMALL, 'lr': 1e-9, 'start': 'text'}
  model = vqrec.vqrec_from_scratch(kind_data.features, **settings)
  fitted = model.fit(data, KEY).state
  np.testing.assert_allclose(
    fitted.params['codes'],
    vqrec_index.embeddings_of(
      fitted.index, fitted.codes, kind_data.SMALL['dim']
    ),
    atol=1e-6,
  )


def test_items_without_text_are_told_and_share_a_code(index, caplog):
  table = kind_data.features(kind_data.chain())
  table[[3, 7]] = 0
  codes = vqrec_index.codes_of(index, table)
  assert '2 items have no text' in caplog.text
  np.testing.assert_array_equal(codes[3], codes[7])


def test_wrong_features_are_told(index):
  table = kind_data.features(kind_data.chain())
  with pytest.raises(interactions.DataError, match='items have 4 features'):
    vqrec_index.codes_of(index, table[:, :4])
  table[5, 2] = np.nan
  with pytest.raises(interactions.DataError, match='the first of them item 5'):
    vqrec_index.codes_of(index, table)
  with pytest.raises(interactions.DataError, match='of them item 5'):
    vqrec_index.make(table, KEY, num_groups=2, num_codes=8)
  with pytest.raises(interactions.DataError, match=r"'a': 8, 'b': 4"):
    vqrec_index.stacked(
      [
        kind_data.features(kind_data.chain()),
        kind_data.features(kind_data.chain())[:, :4],
      ],
      ['a', 'b'],
    )
