"""Tests that rows are written and read unchanged, and that errors are named."""

import json

import numpy as np
import pytest

from hyperrec.evaluation import results
from tests.experiments.report.rows import USERS, refusal, row, rows


def test_rows_survive_files(tmp_path):
  path = tmp_path / 'cells.jsonl'
  assert results.read_json_lines(path) == []
  for one in rows():
    results.append_json_line(one, path)
  assert results.read_json_lines(path) == rows()
  results.write_json(rows(), tmp_path / 'results.json')
  assert results.read_json(tmp_path / 'results.json') == rows()
  assert {p.name for p in tmp_path.iterdir()} == {'cells.jsonl', 'results.json'}


def test_a_torn_last_line_is_run_again(tmp_path):
  path = tmp_path / 'cells.jsonl'
  results.append_json_line(rows()[0], path)
  with path.open('a') as file:
    file.write('{"dataset": "ma')
  assert len(results.read_json_lines(path)) == 1
  results.append_json_line(rows()[1], path)
  assert results.read_json_lines(path) == rows()[:2]


def without(one, *path):
  *parents, last = path
  copy = json.loads(json.dumps(one))
  part = copy
  for name in parents:
    part = part[name]
  del part[last]
  return copy


@pytest.mark.parametrize(
  ('bad', 'message'),
  [
    ([1], 'is not a JSON object'),
    (without(row('ease', 0.1), 'budget'), 'no budget'),
    (without(row('ease', 0.1), 'regime'), r'no regime \(or split\)'),
    (without(row('ease', 0.1), 'adapt'), 'no adapt'),
    (without(row('ease', 0.1), 'adapt', 'flops'), 'adapt has no flops'),
    (row('ease', 0.1, budget=2.5), 'budget is 2.5, not an integer'),
    (row('ease', 0.1, budget=True), 'budget is True'),
    (row('ease', 0.1, metrics={'mrr': 0.1}), 'primary metric ndcg@100'),
    (
      row('ease', 0.1, metrics={'ndcg@100': float('nan')}),
      r'ease, budget 5\): metric ndcg@100 is nan',
    ),
    (row('ease', 0.1, per_user=[0.1, float('nan')]), 'per_user is nan'),
    (row('ease', 0.1, interval={'ndcg@100': [0.1]}), r'not \[lo, hi\]'),
    (row('ease', 0.1, interval={'mrr': [0, float('inf')]}), 'mrr is inf'),
    (row('ease', 0.1, prepare={'flops': -1}), 'prepare flops is -1'),
    (row('', 0.1), "method is ''"),
  ],
)
def test_bad_rows_are_named(bad, message):
  with pytest.raises(results.ResultError, match=message):
    results.validate(bad)


def test_bad_files_are_named(tmp_path):
  path = tmp_path / 'cells.jsonl'
  path.write_text('{"dataset": 1}\n{}\n')
  with pytest.raises(results.ResultError, match=r'line 1: no budget, method'):
    results.read_json_lines(path)
  path.write_text('{"data\n{}\n')
  with pytest.raises(results.ResultError, match=r'jsonl, line 1'):
    results.read_json_lines(path)
  path.write_bytes(b'{"\xff": 1}\n{}\n')
  with pytest.raises(results.ResultError, match=r'line 1 is not JSON .*delete'):
    results.read_json_lines(path)
  for text, message in (('[', r'bad\.json'), ('{}', 'no JSON array')):
    (tmp_path / 'bad.json').write_text(text)
    with pytest.raises(results.ResultError, match=message):
      results.read_json(tmp_path / 'bad.json')
  with pytest.raises(results.ResultError, match=r'none\.json'):
    results.read_json(tmp_path / 'none.json')


def test_nothing_is_written_of_a_bad_row(tmp_path):
  path = tmp_path / 'x.json'
  with pytest.raises(results.ResultError):
    results.write_json([row('ease', 0.1), {}], path)
  with pytest.raises(results.ResultError):
    results.append_json_line({}, path)
  assert not path.exists()


def test_cells_average_over_seeds():
  (cells,) = results.by_task(rows()).values()
  cell = next(c for c in cells if (c.method, c.budget) == ('ease', 5))
  expected = [
    r['metrics']['ndcg@100']
    for r in rows()
    if (r['method'], r['budget']) == ('ease', 5)
  ]
  assert cell.quality == pytest.approx(np.mean(expected))
  assert cell.interval[0] < cell.quality < cell.interval[1]
  assert cell.seeds == (0, 1, 2)
  assert len(cell.per_user[2]) == USERS


def test_a_refusal_of_one_seed_keeps_the_others():
  some = [row('ease', 0.3), refusal('ease', seed=1, why='too few')]
  ((cell,),) = results.by_task(some).values()
  assert cell.quality == pytest.approx(0.3, abs=0.01)
  assert cell.seeds == (0,)
  assert cell.cannot == {1: 'too few'}


def test_without_values_per_user_a_stated_interval_is_taken():
  stated = row('ease', 0.3, interval={'ndcg@100': [0.2, 0.4]}, per_user=[])
  ((cell,),) = results.by_task([stated]).values()
  assert cell.interval == (0.2, 0.4)
  assert cell.per_user == {}
  more = [stated, {**stated, 'seed': 1}]
  ((cell,),) = results.by_task(more).values()
  assert cell.interval is None


def test_two_rows_of_one_cell_are_an_error_unless_they_are_equal():
  one = row('ease', 0.3)
  ((cell,),) = results.by_task([one, dict(one)]).values()
  assert cell.seeds == (0,)
  with pytest.raises(results.ResultError, match='two different rows of ease'):
    results.by_task([one, row('ease', 0.4)])


def test_a_split_stands_for_a_regime():
  one = without(row('ease', 0.3, split='liang'), 'regime')
  assert list(results.by_task([one])) == [results.Task('made', 'liang')]
