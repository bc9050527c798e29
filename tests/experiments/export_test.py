"""The command line of exported recommenders: ids, and what a training needs."""

import numpy as np
import pytest
from absl import app

from experiments import needs
from experiments.export import recommend
from hyperrec.cost import memory
from hyperrec.data import interactions

BANDS = ['Band 3, The', 'Band 7, The', 'Other', '12', '13', '="0000000117"']


@pytest.mark.parametrize(
  ('values', 'want'),
  [
    (['12,13'], ['12', '13']),
    (['12, 13 '], ['12', '13']),
    (['12', '13'], ['12', '13']),
    (['Band 3, The'], ['Band 3, The']),
    ([' Band 3, The '], ['Band 3, The']),
    (['Band 3, The', '12,Other'], ['Band 3, The', '12', 'Other']),
    (['"Band 3, The"'], ['Band 3, The']),
    (['"Band 3, The",Other'], ['Band 3, The', 'Other']),
    (['"Band 3, The", "Band 7, The"'], ['Band 3, The', 'Band 7, The']),
    (['12,,13,'], ['12', '13']),
    ([''], []),
    ([], []),
    (['="12"'], ['12']),
    (['="12",="13"'], ['12', '13']),
    (['12\n13'], ['12', '13']),
    (['unknown, id'], ['unknown', 'id']),
    (['6" nail'], ['6" nail']),
    (['0000000117'], ['="0000000117"']),
    (['="0000000117"'], ['="0000000117"']),
    (['12,="0000000117"'], ['12', '="0000000117"']),
  ],
)
def test_ids_are_read_as_they_stand_or_as_a_list(values, want):
  assert recommend.parse_ids('--history', values, BANDS) == want


@pytest.mark.parametrize('value', ['"Band 3, The', '"a"b'])
def test_a_quote_that_does_not_end_is_told(value):
  with pytest.raises(app.UsageError, match=r'--exclude=.*double quote'):
    recommend.parse_ids('--exclude', [value], BANDS)


def test_what_a_training_needs_is_told_and_refused_beforehand(monkeypatch):
  users, items = np.nonzero(np.random.default_rng(0).random((300, 40)) < 0.2)
  data = interactions.from_columns(users, items, name='small')
  said = []
  needs.tell('ease', data, {'l2': 100.0}, said.append)
  assert said[0].startswith('ease of 40 items and 300 users: about')
  assert 'GiB of memory' in said[0]
  assert said[0].endswith(' and 1 s')
  monkeypatch.setattr(memory, 'available_bytes', lambda: 2**10)
  for name, settings in (
    ('ease', {}),
    ('slim', {'l1': 1.0, 'l2': 100.0}),
    ('l3ae', {}),
    ('itemknn', {'neighbours': 100}),
  ):
    with pytest.raises(
      memory.InsufficientMemoryError,
      match=rf'--method={name} needs.*--method=ease_sparse.*about [\d.]+ GiB',
    ):
      needs.tell(name, data, settings, said.append)
  with pytest.raises(memory.InsufficientMemoryError) as refusal:
    needs.tell('ease_sparse', data, {'neighbours': 9}, said.append)
  assert 'give --method' not in str(refusal.value)
