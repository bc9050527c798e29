"""Result rows are validated; the report says what they say, and no more."""

import json

import numpy as np
import pytest

from hyperrec.evaluation import (
  report,
  report_figures,
  report_words,
  results,
)

USERS = 60


def row(method, quality, budget=5, seed=0, seconds=1e-3, **more):
  """A made-up result; users differ, methods by a constant."""
  random = np.random.default_rng(seed)
  per_user = quality + random.normal(0, 0.01, USERS)
  costs = {'flops': seconds * 1e9, 'seconds': seconds, 'peak_bytes': 10.0}
  return {
    'dataset': 'made',
    'regime': 'new_users',
    'budget': budget,
    'method': method,
    'seed': seed,
    'metrics': {'ndcg@100': float(per_user.mean()), 'recall@20': 0.1},
    'per_user': per_user.tolist(),
    'prepare': {**costs, 'flops': 1e9, 'seconds': 1.0},
    'adapt': {**costs, 'stored_bytes': 2048.0},
    **more,
  }


def refusal(method, budget=5):
  plain = row(method, 0.1, budget)
  kept = ('dataset', 'regime', 'budget', 'method', 'seed')
  return {**{k: plain[k] for k in kept}, 'cannot': 'it has <no> weights'}


def rows():
  out = []
  for seed in range(3):
    for budget in (0, 5):
      out.append(row('popularity', 0.20, budget, seed, 0.0))
      out.append(row('ease:retrain', 0.30, budget, seed, 0.5))
      out.append(row('ease', 0.30, budget, seed, 0.001))
      out.append(row('l3ae', 0.36 if budget else 0.30, budget, seed, 0.01))
      out.append(row('l3ae:oracle', 0.9, budget, seed, 0.01))
  return [*out, refusal('slim', 0)]


def test_rows_survive_files(tmp_path):
  path = tmp_path / 'cells.jsonl'
  for one in rows():
    results.append_json_line(one, path)
  assert results.read_json_lines(path) == rows()
  results.write_json(rows(), tmp_path / 'results.json')
  assert results.read_json(tmp_path / 'results.json') == rows()


def test_a_torn_last_line_is_run_again(tmp_path):
  path = tmp_path / 'cells.jsonl'
  results.append_json_line(rows()[0], path)
  with path.open('a') as file:
    file.write('{"dataset": "ma')
  assert len(results.read_json_lines(path)) == 1
  results.append_json_line(rows()[1], path)
  assert len(results.read_json_lines(path)) == 2


def test_bad_rows_are_named(tmp_path):
  path = tmp_path / 'cells.jsonl'
  path.write_text('{"dataset": 1}\n{}\n')
  with pytest.raises(results.ResultError, match=r'line 1: no budget, method'):
    results.read_json_lines(path)
  with pytest.raises(results.ResultError, match='metric ndcg@100 is nan'):
    results.validate(row('ease', 0.1, metrics={'ndcg@100': float('nan')}))
  with pytest.raises(results.ResultError, match='primary metric'):
    results.validate(row('ease', 0.1, metrics={'mrr': 0.1}))
  (tmp_path / 'bad.json').write_text('[')
  with pytest.raises(results.ResultError, match=r'bad\.json'):
    results.read_json(tmp_path / 'bad.json')


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
  assert len(cell.per_user) == 3


def test_verdicts_are_derived_from_the_rows():
  (task, cells), *_ = results.by_task(rows()).items()
  judged = {
    (j.method, j.budget): j.verdict
    for j in report_words.compare(cells, 'ease:retrain')
  }
  assert judged[('l3ae', 5)] == 'win'
  assert judged[('l3ae', 0)] == 'tie'
  assert judged[('ease', 5)] == 'tie'
  assert judged[('popularity', 5)] == 'loss'
  assert not any('oracle' in method for method, _ in judged)
  text = ' '.join(report_words.sentences(task, cells))
  assert 'Budget 5: l3ae ranks best' in text
  assert 'Better: l3ae (at 5)' in text
  assert 'Worse: popularity (at 0, 5)' in text


def test_break_even_counts():
  (cells,) = results.by_task(rows()).values()
  found = {b.method: b for b in report_words.break_even(cells)}
  assert found['ease'].seconds == pytest.approx(1.0 / (0.5 - 0.001))
  slow = [*rows(), row('dear', 0.3, 5, 0, seconds=9.0)]
  (cells,) = results.by_task(slow).values()
  found = {b.method: b for b in report_words.break_even(cells)}
  assert found['dear'].seconds is None


def test_pareto_front_by_hand():
  costs, quality = [0, 1, 2, 2, 3], [0.1, 0.3, 0.2, 0.3, 0.4]
  front = report_figures.pareto_front(costs, quality)
  assert front.tolist() == [True, True, False, False, True]


def test_the_report_is_one_file_that_escapes_its_data(tmp_path):
  path = tmp_path / 'report.html'
  evil = [row('<script>alert(1)</script>', 0.1)]
  report.write_report(rows() + evil, path)
  page = path.read_text()
  assert '<script' not in page
  assert 'it has &lt;no&gt; weights' in page
  assert 'src=' not in page
  assert 'prefers-color-scheme: dark' in page
  assert 'currentColor' in page
  assert '#010203' not in page
  assert page.count('<svg') == 2
  assert not path.with_suffix('.tmp').exists()


@pytest.mark.parametrize(
  'some',
  [
    [row('ease', 0.3)],
    [refusal('slim')],
    [row('ease', 0.3, 0, seconds=0.0), row('slim', 0.2, 0, seconds=0.0)],
  ],
)
def test_small_inputs_make_a_report(tmp_path, some):
  report.write_report(some, tmp_path / 'r.html')
  assert (tmp_path / 'r.html').stat().st_size > 2000


def test_no_rows_is_an_error(tmp_path):
  with pytest.raises(results.ResultError, match='run an experiment'):
    report.write_report([], tmp_path / 'r.html')
  assert not (tmp_path / 'r.html').exists()


def test_readme_block(tmp_path):
  path = tmp_path / 'README.md'
  path.write_text('a\n<!-- results:begin x -->\nold\n<!-- results:end x -->\nb')
  report.replace_block(path, 'x', report.markdown_table(rows()))
  text = path.read_text()
  assert text.startswith('a\n')
  assert text.endswith('\nb')
  assert '| l3ae | 0.' in text
  assert 'old' not in text
  assert 'oracle' not in text
  with pytest.raises(results.ResultError, match='results:begin y'):
    report.replace_block(path, 'y', '')


def test_provenance_is_shown(tmp_path):
  some = [row('ease', 0.3, commit='abc', versions={'jax': '9'}, flags={'a': 1})]
  report.write_report(some, tmp_path / 'r.html')
  page = (tmp_path / 'r.html').read_text()
  assert 'abc' in page
  assert json.dumps({'jax': '9'}).replace('"', '&quot;') in page
