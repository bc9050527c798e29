"""Ids in flags are read as they stand, or as a list."""

import pytest
from absl import app

from experiments import ids

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
  assert ids.parse('--history', values, BANDS) == want


@pytest.mark.parametrize('value', ['"Band 3, The', '"a"b'])
def test_a_quote_that_does_not_end_is_told(value):
  with pytest.raises(app.UsageError, match=r'--exclude=.*double quote'):
    ids.parse('--exclude', [value], BANDS)
