"""Tables that pool data sets: rivals, ratios, and rows that are taken in."""

import json
import math

import pytest

from experiments import pooled
from hyperrec.evaluation import results
from tests.experiments.report.rows import refusal, row


def of(name, method, quality, validation, **more):
  made = row(method, quality, **more)
  made['metrics']['ndcg@100'] = quality
  return {**made, 'dataset': name, 'validation': validation, 'flags': {}}


def rows():
  """On both sets `ours` is a tenth and a fifth above the chosen rival."""
  return [
    of('one', 'hyperease_user', 0.22, 0.2),
    of('one', 'ease', 0.20, 0.3),
    of('one', 'cease', 0.25, 0.1),
    of('two', 'hyperease_user', 0.36, 0.2),
    of('two', 'ease', 0.30, 0.3),
    of('two', 'cease', 0.20, 0.1),
  ]


def test_the_rival_is_the_one_that_validation_prefers():
  cells = {
    key[0]: own for key, own in pooled.grouped(rows()[:3], 'method').items()
  }
  assert pooled.best_rival(cells) == 'ease'


def test_ratios_are_pooled_with_data_sets_as_units():
  made = [
    *rows(),
    of('three', 'hyperease_user', 0.3, 0.2),
    of('three', 'ease', 0.25, 0.3),
    of('three', 'cease', 0.3, 0.1),
  ]
  table = pooled.pooled_table(made, ['hyperease_user'], 'shown items')
  expected = math.cbrt(1.1 * 1.2 * 1.2)
  assert f'| hyperease_user | 5 | 3 | {expected:.3f} [' in table
  assert '1.100 (one, ease)' in table
  assert '1.200 (two, ease)' in table
  against = pooled.against_table(made, 'hyperease_user', 'shown items')
  assert f'| ease | {expected:.3f} [' in against
  assert f'| cease | {math.cbrt(0.88 * 1.8):.3f} [' in against


def test_two_data_sets_are_not_pooled():
  table = pooled.pooled_table(rows(), ['hyperease_user'], 'shown items')
  assert '| hyperease_user | 5 | 2 | too few sets | 1.100 (one, ease)' in table
  against = pooled.against_table(rows(), 'hyperease_user', 'shown items')
  assert '| ease | too few sets (2) |' in against


def test_refusals_and_methods_that_have_not_run_leave_cells_empty():
  made = [*rows(), {**refusal('popularity'), 'dataset': 'one'}]
  made.append(of('two', 'popularity', 0.1, None))
  table = pooled.quality_tables(made, 'shown items')
  assert '| popularity |  | 0.100 |' in table
  assert table.startswith('**Shown items: 5**')


def test_what_rows_share_is_stored_once(tmp_path):
  people = [[1, 2, 3], [1, 2, 3], [2, 3, 4]]
  made = [
    {**own, 'people': mine, 'seed': seed}
    for own, mine, seed in zip(rows()[:3], people, (0, 0, 1), strict=True)
  ]
  pooled.take_in(made, tmp_path)
  stored = json.loads((tmp_path / 'one.json').read_text())
  assert stored['shared']['people'] == [[1, 2, 3], [2, 3, 4]]
  assert [row['people'] for row in stored['rows']] == [0, 0, 1]
  assert pooled.read(tmp_path) == made
  (tmp_path / 'one.json').write_text('[]')
  with pytest.raises(results.ResultError, match=r'one\.json.*--take'):
    pooled.read(tmp_path)


def test_rows_are_taken_in_by_data_set_and_replace_older_ones(tmp_path):
  pooled.take_in(rows(), tmp_path)
  pooled.take_in([of('two', 'ease', 0.31, 0.3)], tmp_path)
  assert sorted(p.name for p in tmp_path.iterdir()) == ['one.json', 'two.json']
  found = {r['method']: r for r in pooled.read(tmp_path)[3:]}
  assert len(found) == 3
  assert found['ease']['metrics']['ndcg@100'] == pytest.approx(0.31)
  assert len(pooled.read(tmp_path)) == 6
