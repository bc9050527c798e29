"""The benchmarks' own arithmetic, on tiny inputs and without the peers."""

import json
import sys

import numpy as np
import pytest
from absl import app, flags

from experiments.benchmarks import (
  catalogues,
  csv_reading,
  ease_fit,
  ease_worker,
  evaluation,
  first_recommendation,
  ials_fit,
  inputs,
  item_knn_fit,
  large_log_worker,
  logs,
  measure,
  mult_vae_step,
  peers,
  power_laws,
  size,
  size_quality,
  size_worker,
  table,
  throughput,
  transformer_step,
)
from experiments.benchmarks import run as run_all
from hyperrec.data import sources
from hyperrec.systems import exports
from hyperrec.systems.p5 import t5
from hyperrec.systems.sequential import sasrec

DATA = inputs.skewed(120, 30, mean_length=8)
SMALL_SASREC = sasrec.SasrecConfig(
  length=12, dim=8, num_heads=2, batch_size=4, dropout=0.1
)
SMALL_T5 = t5.T5Config(
  60, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_decoder_layers=1,
  num_heads=2, num_whole_words=0,
)  # fmt: skip


def peer(package):
  """Marks a test that needs another library."""
  return pytest.mark.skipif(
    not peers.has(package), reason=f'{package} is not installed'
  )


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


def test_steps_of_transformers_learn_and_are_timed_alone(capsys):
  compared = transformer_step.compare_sasrec(
    30, SMALL_SASREC, has_torch=False, repeats=1
  )
  compared += transformer_step.compare_t5(SMALL_T5, has_peer=False, repeats=1)
  assert compared == []
  printed = capsys.readouterr().out
  assert 'SASRec, 30 items' in printed
  assert 'T5, 1 + 1 layers' in printed


@peer('torch')
def test_sasrec_is_equal_in_pytorch(capsys):
  (found,) = transformer_step.compare_sasrec(
    30, SMALL_SASREC, has_torch=True, repeats=1
  )
  assert found.peer == 'PyTorch'
  assert 'parameters, losses' in capsys.readouterr().out


@peer('transformers')
def test_t5_is_equal_in_transformers(capsys):
  (found,) = transformer_step.compare_t5(SMALL_T5, has_peer=True, repeats=1)
  assert found.peer == 'transformers'
  assert 'parameters, losses' in capsys.readouterr().out


def test_random_prompts_have_answers_shifted_right():
  batch = transformer_step.random_prompts(SMALL_T5)
  assert (batch.inputs[:, 1:] == batch.targets[:, :-1]).all()
  assert (batch.inputs[:, 0] == 0).all()
  assert batch.target_mask.any(axis=1).all()
  assert (batch.tokens[~batch.mask] == 0).all()


def test_ials_is_fitted_and_judged_alone():
  assert ials_fit.compare(DATA, [], repeats=1) == []
  with pytest.raises(AssertionError, match='differs by more than'):
    ials_fit.check_agreement(
      {
        ials_fit.Side('hyperrec', 'Cholesky'): 0.2,
        ials_fit.Side('implicit', 'Cholesky'): 0.3,
      }
    )


@peer('implicit')
@pytest.mark.filterwarnings('ignore')
def test_ials_agrees_with_implicit():
  data = inputs.skewed(600, 100, mean_length=20)
  found = ials_fit.compare(data, ['implicit'], repeats=1)
  assert {c.peer for c in found} == {'implicit'}
  assert {c.what for c in found} == {'fit, Cholesky', 'fit, 3 CG steps'}


@peer('irspack')
@pytest.mark.filterwarnings('ignore')
def test_ials_agrees_with_irspack():
  data = inputs.skewed(600, 100, mean_length=20)
  assert len(ials_fit.compare(data, ['irspack'], repeats=1)) == 2


def test_sums_of_similarities_leave_the_diagonal_out():
  weights = item_knn_fit.Csr(np.array([[1.0, 0.25], [0.5, 1.0]]))
  assert item_knn_fit.sums(weights).tolist() == [0.5, 0.25]
  assert item_knn_fit.compare(DATA, [], repeats=1) == []


@pytest.mark.parametrize(
  'name', [pytest.param(n, marks=peer(n)) for n in item_knn_fit.PEERS]
)
@pytest.mark.filterwarnings('ignore')
def test_item_knn_agrees_with_a_peer(name):
  (found,) = item_knn_fit.compare(DATA, [name], repeats=1)
  assert found.peer == name


def test_a_csv_is_read_to_the_same_arrays(tmp_path):
  path = tmp_path / 'log.csv'
  logs.write(path, 500, num_users=60, num_items=20)
  found = csv_reading.compare(path, 1)
  expected = {'pandas', 'DuckDB'} if peers.has('pandas') else {'DuckDB'}
  assert {c.peer for c in found} == expected


def test_first_recommendations_of_an_own_file(tmp_path):
  path = tmp_path / 'log.csv'
  logs.write(path, 2000, num_users=60, num_items=400)
  users = first_recommendation.first_users(path)
  assert len(set(users)) == 10
  pythons = {'hyperrec': sys.executable}
  assert first_recommendation.compare(path, pythons, 1) == []
  with pytest.raises(
    RuntimeError, match=r'(?s)hyperrec failed: .*RecommenderError'
  ):
    first_recommendation.recommend('hyperrec', sys.executable, path, ['0'])


def test_interpreters_that_are_not_given_are_told():
  skipped = []
  found = first_recommendation.interpreters(skipped)
  assert next(iter(found)) == 'hyperrec'
  assert {'rectools', 'lenskit'}.isdisjoint(found)
  assert any('--rectools_python=' in reason for reason in skipped)


def test_all_benchmarks_are_run_and_a_failure_is_told(monkeypatch, capsys):
  monkeypatch.setattr(
    flags.FLAGS['benchmarks'], 'value', ['ials_fit', 'ease_fit']
  )
  monkeypatch.setattr(
    flags.FLAGS['rectools_python'], 'value', 'other/bin/python'
  )
  written = []
  monkeypatch.setattr(run_all.table, 'main', written.append)
  code = {'ials_fit': 'raise SystemExit(3)', 'ease_fit': ''}
  monkeypatch.setattr(
    run_all, 'command', lambda name: [sys.executable, '-c', code[name]]
  )
  with pytest.raises(SystemExit, match=r'failed: ials_fit \(exit status 3\)'):
    run_all.main([])
  assert 'ease_fit: done' in capsys.readouterr().out
  assert len(written) == 1
  assert run_all.extra('evaluation') == ['--rectools_python=other/bin/python']
  assert run_all.extra('ease_fit') == []


def test_a_benchmark_that_takes_too_long_is_ended():
  wait = [sys.executable, '-c', 'import time; time.sleep(60)']
  assert run_all.run('made', wait, 0.5) == 'ended after 0 minutes'


def test_every_benchmark_of_the_run_is_a_script_and_is_explained():
  readme = (table.HERE / 'README.md').read_text()
  for name in run_all.BENCHMARKS:
    assert (table.HERE / f'{name}.py').exists()
    assert f'- **{name}**' in readme, name


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
    ways = {'batches', 'program'}
    ways |= set() if row['kind'] == 'network' else {'numpy'}
    assert set(row['users_per_second']) == ways
    assert min(row['users_per_second'].values()) > 0
  rows[0]['users_per_second'] = {
    'batches': 4_321.0, 'numpy': 12_345.0, 'program': 87.6,
  }  # fmt: skip
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
  assert '| popularity | popularity | 4,300 | 12,000 | 88 |' in text
  assert '| HyperEASE for users | network | ' in text
  assert '1.50 cores used by other processes' in text


def test_all_ways_of_serving_recommend_the_same():
  users = inputs.skewed(20, 30, mean_length=8)
  histories = [row.indices.tolist() for row in users.csr()]
  counts = users.item_counts().astype(np.float32)
  for name, model, state in throughput.made(users):
    found = throughput.served(exports.of(model, state, counts), users)
    lists = [
      [[item for item, _ in user] for user in side.recommend(histories, 5)]
      for side in found.values()
    ]
    (whole,) = throughput.fitted(model, state, users).recommend_to_all(5)
    lists.append(whole.items.astype(str).tolist())
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
  assert '| 100,000 | 200,000 | 2,583,358 |' in content
  assert content in (table.HERE / 'README.md').read_text()


def test_results_are_written(tmp_path, monkeypatch):
  monkeypatch.setattr(flags.FLAGS['results_dir'], 'value', str(tmp_path))
  measure.record('evaluation', lambda skipped: [comparison(goal='<= 1')])
  written = json.loads((tmp_path / 'evaluation.json').read_text())
  assert written['comparisons'][0]['ratio'] == 0.25
  assert written['threads']['cores'] >= 1
  assert written['skipped'] == []
  assert 'jax' in written['versions']


def test_made_catalogues_have_clusters_that_texts_share():
  made = catalogues.made(1500, width=16, seed=3)
  again = catalogues.made(1500, width=16, seed=3)
  for field in ('users', 'items'):
    one, other = getattr(made.data, field), getattr(again.data, field)
    np.testing.assert_array_equal(one, other)
  np.testing.assert_array_equal(made.features, again.features)
  x = made.data.csr()
  assert x.nnz == len(made.data)  # no pair occurs twice
  lengths = np.sort(np.linalg.norm(made.features, axis=1))
  np.testing.assert_allclose(lengths, 1, atol=1e-5)
  popular = np.sort(made.data.item_counts())[::-1]
  assert popular[:15].sum() > 3 * popular[-150:].sum()
  same = made.clusters[:, None] == made.clusters
  np.fill_diagonal(same, False)
  cosines = made.features @ made.features.T
  assert cosines[same].mean() > 0.4
  assert abs(cosines[~same].mean()) < 0.1
  together = (x.T @ x).toarray()
  assert together[same].mean() > 2 * together[~same].mean()


def row_of(size, *, factor=2.0, exponent=1.5, memory=30.0):
  cost = factor * size**exponent
  part = {'seconds': cost, 'core_seconds': cost}
  return {
    'items': size,
    'base_bytes': 100.0,
    'peak_bytes': 100.0 + memory * size,
    'phases': {'weights': part, 'ranking': {'seconds': 3, 'core_seconds': 3}},
  }


def test_power_laws_are_found_and_predict_the_next_size():
  rows = [row_of(size) for size in (10, 20, 40, 80, 160)]
  law = power_laws.fit([1, 10, 100], [3, 30, 300])
  assert law.exponent == pytest.approx(1)
  assert law(1000) == pytest.approx(3000)
  assert power_laws.predict(rows, 20) is None
  found = power_laws.predict(rows, 320)
  assert found['seconds'] == pytest.approx(2 * 320**1.5 + 3)
  assert found['peak_bytes'] == pytest.approx(100 + 30 * 320)
  assert power_laws.measured(row_of(320)) == pytest.approx(found)
  laws = power_laws.exponents(rows)
  assert laws['peak_bytes'].exponent == pytest.approx(1)
  assert 1.3 < laws['core_seconds'].exponent < 1.5
  with pytest.raises(ValueError, match='1 sizes do not tell'):
    power_laws.fit([10], [1])
  assert power_laws.is_met(10, 14.9)
  assert not power_laws.is_met(10, 6)


@pytest.fixture(scope='module')
def size_row():
  """The smallest catalogue that is measured as a large one is."""
  found = size_worker.measure(catalogues.made(600, width=16))
  return {
    'items': 600,
    'base_bytes': 2**20,
    'peak_bytes': 2**30,
    'predicted': None,
    'cores_used_by_others': 0.5,
    **found,
  }


def test_a_catalogue_is_built_ranked_and_updated(size_row):
  assert set(power_laws.BUILD) < set(size_row['phases'])
  assert size_row['ndcg'] > 0.1
  assert size_row['recall_of_neighbours'] == 1
  assert 0 < size_row['changed_columns'] <= 600
  assert size_row['new_items'] == 6
  assert 0 < size_row['new_interactions'] <= 5 * 6
  assert size_row['new_column_entries'] > 0
  for part in size_row['phases'].values():
    assert min(part.values()) >= 0


def test_sizes_are_measured_once_and_shown(
  size_row, tmp_path, monkeypatch, capsys
):
  monkeypatch.setattr(flags.FLAGS['results_dir'], 'value', str(tmp_path))
  monkeypatch.setattr(flags.FLAGS['catalogues'], 'value', ['600', '300', '900'])
  monkeypatch.setattr(flags.FLAGS['quality_data'], 'value', ['some'])
  asked = []

  def run(module, argument):
    asked.append(argument)
    if module == size_quality.__name__:
      same = {'data': 'some', 'items': 9, 'regime': 'new_users', 'form': 'EASE'}
      return [
        {**same, 'kind': 'local', 'ndcg@100': 0.25, 'seconds': 2.0},
        {**same, 'kind': 'dense', 'ndcg@100': 0.26, 'seconds': 8.0},
      ]
    scale = int(argument) / 600
    phases = {
      name: {unit: value * scale for unit, value in part.items()}
      for name, part in size_row['phases'].items()
    }
    peak = 2**20 + 2**30 * scale
    return [
      size_row | {'items': int(argument), 'phases': phases, 'peak_bytes': peak}
    ]

  monkeypatch.setattr(size, 'run_module', run)
  size.main([])
  assert asked == ['some', '300', '600', '900']
  size.main([])
  assert asked == ['some', '300', '600', '900']
  said = capsys.readouterr().out
  assert '900 items: measured before' in said
  assert 'within a factor of 1.5: met' in said
  assert 'core_seconds grow as V^1.00' in said
  path = tmp_path / 'size.json'
  result = json.loads(path.read_text())
  assert [row['items'] for row in result['rows']] == [300, 600, 900]
  assert result['rows'][-1]['predicted']['peak_bytes'] == pytest.approx(
    result['rows'][-1]['peak_bytes']
  )
  monkeypatch.setattr(table, 'HERE', tmp_path)
  (tmp_path / 'results').mkdir()
  text = table.size_section(result)
  assert 'grows as V^1.00, and the memory' in text
  assert '| some | 9 | new users | EASE | 0.2500 | 0.2600 | 2.00 s |' in text
  assert 'missed' not in text
  assert '0.50 to 0.50 cores used by other processes' in text
  assert (tmp_path / 'results' / 'size-dark.svg').exists()
  result['rows'][-1]['predicted']['peak_bytes'] *= 2
  assert '**missed**' in table.size_section(result)
  path.write_text(json.dumps(result | {'settings': {'l2': 1}}))
  with pytest.raises(app.UsageError, match='was measured with other settings'):
    size.main([])


def test_local_forms_are_compared_with_dense_ones_on_real_data():
  rows = size_quality.compare(
    sources.load('synthetic', num_users=150, num_items=40)
  )
  kinds = [(row['regime'], row['form'], row['kind']) for row in rows]
  assert ('new_users', 'L3AE with a kernel', 'local') in kinds
  assert len(kinds) == 7
  of = {kind: row['ndcg@100'] for kind, row in zip(kinds, rows, strict=True)}
  for regime, form, kind in kinds:
    if kind == 'local':
      # With 64 neighbours, the local form has all items but some pairs.
      dense = of[regime, form, 'dense']
      assert of[regime, form, kind] == pytest.approx(dense, rel=0.15)
