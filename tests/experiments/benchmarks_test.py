"""The benchmarks' own arithmetic, on tiny inputs and without the peers."""

import json

import numpy as np
import pytest
from absl import flags

from experiments.benchmarks import (
  ease_fit,
  ease_worker,
  evaluation,
  inputs,
  large_log_worker,
  logs,
  measure,
  mult_vae_step,
  peers,
  table,
  throughput,
)
from hyperrec.data import sources

DATA = inputs.skewed(120, 30, mean_length=8)


@pytest.fixture(autouse=True)
def parsed_flags():
  if not flags.FLAGS.is_parsed():
    # Not FLAGS(argv): other scripts of this process have required flags.
    flags.FLAGS.mark_as_parsed()


def comparison(**changed):
  fields = {
    'case': 'made',
    'what': 'fit',
    'peer': 'LAPACK',
    'unit': 's',
    'ours': [2.0, 9.0, 2.0],
    'theirs': [8.0, 8.0, 1.0],
  }
  return measure.Comparison(**(fields | changed))


@pytest.mark.parametrize(
  ('goal', 'ratio', 'is_met'),
  [
    ('', 0.25, None),
    ('<= 0.5', 0.25, True),
    ('<= 0.2', 0.25, False),
    ('>= 4', 4.0, True),
    ('>= 5', 4.0, False),
  ],
)
def test_ratios_go_the_way_of_the_goal(goal, ratio, is_met):
  found = comparison(goal=goal)
  assert found.ratio == pytest.approx(ratio)
  assert found.is_met is is_met


def test_sides_are_measured_in_turns():
  calls = []
  sides = {name: lambda name=name: calls.append(name) for name in 'ab'}
  seconds = measure.interleave(sides, 3)
  assert calls == ['a', 'b'] * 4
  assert [len(s) for s in seconds.values()] == [3, 3]


def test_skewed_interactions_are_skewed_and_distinct():
  data = inputs.skewed(400, 100, mean_length=20)
  counts = np.sort(data.item_counts())
  assert counts[-10:].mean() > 3 * counts[:10].mean()
  assert data.csr().nnz == len(data)
  assert data.user_counts().min() >= 1


def test_ease_against_lapack():
  closed_form, fit = ease_fit.against_lapack(DATA, repeats=2)
  assert closed_form.goal == '<= 1.15'
  assert len(closed_form.ours) == len(fit.theirs) == 2
  assert min(*closed_form.ours, *fit.ours) > 0


def test_worker_measures_one_fit(tmp_path, capsys):
  path = tmp_path / 'data.npz'
  sizes = {'U': DATA.num_users, 'V': DATA.num_items}
  np.savez(path, users=DATA.users, items=DATA.items, **sizes)
  ease_worker.main('hyperrec', str(path), 3.0)
  found = json.loads(capsys.readouterr().out)
  assert found['peak_bytes'] >= found['rise_bytes'] >= 0
  assert np.abs(found['sample']).max() > 0


def test_evaluation_against_the_bare_product():
  weights = evaluation.fit(DATA)
  judged = inputs.skewed(50, 30, mean_length=12, seed=1)
  (found,) = evaluation.compare(weights, judged, [], repeats=1)
  assert found.goal == '<= 1.5'
  assert found.ratio > 0


def test_disagreeing_metrics_are_an_error(capsys):
  same = dict.fromkeys(evaluation.METRICS, 0.5)
  evaluation.check_agreement('peer', same, same)
  assert 'agree to 0.0e+00' in capsys.readouterr().out
  with pytest.raises(AssertionError, match='peer says'):
    evaluation.check_agreement('peer', same, same | {'ndcg@20': 0.4})


def test_mult_vae_step_learns_and_is_timed_alone(capsys, monkeypatch):
  step = mult_vae_step.hyperrec_step(DATA.num_items)
  batch = DATA.csr(bool)[:20].toarray()
  losses = [float(step(batch)) for _ in range(10)]
  assert losses[-1] < losses[0]
  monkeypatch.setattr(mult_vae_step, 'hyperrec_step', lambda items: np.sum)
  assert mult_vae_step.compare(DATA, has_torch=False, repeats=1) == []
  assert '| train step: ' in capsys.readouterr().out


def test_a_missing_peer_is_told(capsys):
  assert not peers.has('no_such_package')
  measure.skip('recbole')
  assert 'pip install ".[peers]"' in capsys.readouterr().out


def test_a_log_is_skewed_ordered_and_the_same_in_both_formats(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(logs, 'CHUNK', 700)
  for suffix in ('csv', 'parquet'):
    path = tmp_path / f'log.{suffix}'
    logs.write(path, 2000, num_users=300, num_items=50)
  data, again = (
    sources.load(
      'table',
      path=tmp_path / f'log.{suffix}',
      timestamp_column='time',
      duplicates='keep',
    )
    for suffix in ('csv', 'parquet')
  )
  assert len(data) == 2000
  assert (np.diff(data.timestamps) >= 0).all()
  counts = np.sort(data.item_counts())
  assert counts[-5:].mean() > 3 * counts[:5].mean()
  assert data.item_ids[0][0] == 'i'
  for name in ('users', 'items', 'timestamps', 'user_ids', 'item_ids'):
    assert (getattr(data, name) == getattr(again, name)).all()


def test_a_log_is_read_and_fitted(tmp_path, capsys):
  path = tmp_path / 'log.csv'
  logs.write(path, 2000, num_users=300, num_items=50)
  large_log_worker.main(str(path), 5.0)
  found = json.loads(capsys.readouterr().out)
  assert found['items'] == 50
  assert 0 < found['interactions'] <= 2000
  assert found['imports_bytes'] <= found['read_peak_bytes']
  assert found['read_peak_bytes'] <= found['peak_bytes']


def test_table_marks_what_is_missed():
  rows = [comparison(goal='>= 5'), comparison(goal='<= 1', unit='bytes')]
  text = table.section(
    {
      'benchmark': 'ease_fit',
      'threads': {'cores': 2, 'blas': 2},
      'cores_used_by_others': 0.25,
      'comparisons': [
        {**r._asdict(), 'ratio': r.ratio, 'is_met': r.is_met} for r in rows
      ],
      'skipped': ['recbole is not installed'],
      'commit': 'abc',
      'versions': {'jax': '0.10.2'},
    }
  )
  assert 'python -m experiments.benchmarks.ease_fit' in text
  assert '| 2.00 s | LAPACK | 8.00 s | 4.00 | >= 5 **missed** |' in text
  assert '| 0.25 | <= 1 met |' in text
  assert '0.25 cores used by other processes' in text
  assert 'Skipped: recbole is not installed' in text


def test_throughput_serves_every_method_and_is_shown():
  rows = throughput.compare(inputs.skewed(40, 30, mean_length=8), repeats=2)
  assert [row['kind'] for row in rows] == [
    'popularity', 'sparse', 'dense', 'network', 'network',
  ]  # fmt: skip
  for row in rows:
    both = {'program'} if row['kind'] == 'network' else {'program', 'numpy'}
    assert set(row['users_per_second']) == both
    assert min(row['users_per_second'].values()) > 0
  rows[0]['users_per_second'] = {'numpy': 12_345.0, 'program': 87.6}
  text = table.throughput_section(
    {
      'k': 20,
      'rows': rows,
      'threads': {'cores': 2, 'blas': 1},
      'cores_used_by_others': 1.5,
      'commit': 'abc',
      'versions': {'jax': '0.10.2'},
    }
  )
  assert '| popularity | popularity | 12,000 | 88 |' in text
  assert '| HyperEASE for users | network |  | ' in text
  assert '1.50 cores used by other processes' in text


def test_both_ways_of_serving_recommend_the_same():
  users = inputs.skewed(20, 30, mean_length=8)
  histories = [row.indices.tolist() for row in users.csr()]
  for name, model in throughput.made(users):
    found = throughput.served(model, users)
    lists = [
      [[item for item, _ in user] for user in side.recommend(histories, 5)]
      for side in found.values()
    ]
    assert all(ids == lists[0] for ids in lists), name


def test_every_committed_result_has_a_section_in_the_readme():
  content = table.tables(table.HERE)
  files = {file.stem for file in (table.HERE / 'results').glob('*.json')}
  names = sorted({*files, *table.NAMED})
  assert [line for line in content.splitlines() if line[:4] == '### '] == [
    f'### {name}' for name in names
  ]
  assert (
    '| trains a network, with a checkpoint after every step | 25 |' in content
  )
  assert '**differs**' not in content
  assert '| csv | 1.40 GiB | 1,980,012 | 20,000 |' in content
  assert '| newton-schulz | 23.56 s | 25 | 100 V^3 |' in content
  assert content in (table.HERE / 'README.md').read_text()


def test_results_are_written(tmp_path, monkeypatch):
  monkeypatch.setattr(flags.FLAGS['results_dir'], 'value', str(tmp_path))
  measure.record('evaluation', lambda skipped: [comparison(goal='<= 1')])
  written = json.loads((tmp_path / 'evaluation.json').read_text())
  assert written['comparisons'][0]['ratio'] == 0.25
  assert written['threads']['cores'] >= 1
  assert written['skipped'] == []
  assert 'jax' in written['versions']
