"""The experiment, end to end on a made-up set: resumes, refuses, explains."""

import itertools
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from experiments import catalogue
from hyperrec.evaluation import results
from tests.experiments import commands

SMALL = (
  '--source=synthetic',
  '--min_user_interactions=5',
  '--num_heldout=40',
  '--user_budgets=0,5',
  '--catalogue_budgets=0,20',
  '--trials=2',
  '--features=8',
  '--max_seconds=0.02',
)
DOMAINS = (
  *SMALL,
  '--num_heldout=15',
  '--regimes=new_domain',
  '--domains=synthetic,movielens_small',
  '--domain_budgets=0,3',
)


@pytest.mark.slow
def test_compiled_programs_are_kept_for_later_runs(tmp_path):
  kept = tmp_path / 'compiled'
  flags = (*SMALL, '--regimes=new_users', '--user_budgets=5', '--trials=1')
  known, rows = [], []
  for name in ('first', 'second'):
    done = commands.run(
      tmp_path / name, *flags, '--methods=elsa', f'--compile_cache={kept}'
    )
    assert done.returncode == 0, done.stderr
    known.append({path.name for path in kept.glob('*-cache')})
    rows.append(results.read_json(tmp_path / name / 'results.json'))
  assert known[0] and known[0] == known[1]
  for first, second in zip(*rows, strict=True):
    for field in ('metrics', 'per_user', 'hyperparameters'):
      assert first[field] == second[field]


@pytest.mark.slow
def test_programs_that_cannot_be_kept_are_no_failure(tmp_path):
  file = tmp_path / 'file'
  file.touch()
  flags = (*SMALL, '--regimes=new_users', '--methods=popularity')
  done = commands.run(tmp_path / 'w', *flags, f'--compile_cache={file}/folder')
  assert done.returncode == 0, done.stderr
  assert done.stderr.count('compiled programs are not kept') == 1


@pytest.mark.slow
@pytest.mark.smoke
def test_every_method_runs_and_the_same_command_resumes(tmp_path):
  methods = 'popularity,ease,ease_dynamic,l3ae,mult_vae'
  flags = (*SMALL, f'--methods={methods}', '--nooracle')
  first = commands.run(tmp_path, *flags)
  assert first.returncode == 0, first.stderr
  assert 'New catalogue: synthetic' in first.stdout
  cells = tmp_path / 'cells.jsonl'
  whole = cells.read_text()
  rows = results.read_json(tmp_path / 'results.json')
  cannot = {
    (r['method'], r['regime'], r['budget']) for r in rows if 'cannot' in r
  }
  assert ('ease', 'new_catalogue', 0) in cannot
  assert ('l3ae', 'new_catalogue', 0) not in cannot
  assert ('ease_dynamic', 'new_catalogue', 20) in cannot
  assert (tmp_path / 'report.html').exists()
  lines = whole.splitlines(keepends=True)
  cells.write_text(''.join(lines[:-2]) + lines[-2][:40])
  again = commands.run(tmp_path, *flags)
  assert again.returncode == 0, again.stderr
  resumed = results.read_json(tmp_path / 'results.json')
  quality = [r.get('metrics') for r in rows]
  assert [r.get('metrics') for r in resumed] == quality


def test_a_result_row_has_what_readers_need(tmp_path):
  done = commands.run(
    tmp_path,
    *SMALL,
    '--methods=ease,ease',
    '--regimes=new_users,new_users',
    '--user_budgets=0,5,05',
    '--nooracle',
  )
  assert done.returncode == 0, done.stderr
  # What is named twice is run once.
  _, row = results.read_json(tmp_path / 'results.json')
  assert row['metrics'].keys() == row['interval'].keys()
  for part in ('prepare', 'adapt'):
    assert {'flops', 'seconds', 'peak_bytes'} <= row[part].keys()
  assert 'stored_bytes' in row['adapt']
  assert row['flags']['trials'] == 2
  assert 'workdir' not in row['flags']
  assert row['versions']['jax']
  assert row['tuning']['trials'] == 2
  manifest = json.loads((tmp_path / 'manifest.json').read_text())
  assert manifest['data']['data']['name'] == 'synthetic'


@pytest.mark.slow
def test_results_of_other_flags_are_not_mixed_in(tmp_path):
  flags = (*SMALL, '--methods=popularity', '--regimes=new_users')
  assert commands.run(tmp_path, *flags).returncode == 0
  done = commands.run(tmp_path, *flags, '--num_heldout=30')
  assert done.returncode == 2
  assert '--num_heldout=40, now it is 30' in done.stderr
  assert 'another --workdir' in done.stderr


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (('--source=nowhere',), "source='nowhere' is unknown"),
    (('--source=table',), 'needs a file: give --path='),
    (('--source=synthetic', '--num_heldout=900'), 'num_heldout'),
    ((*SMALL, '--catalogue_budgets=5000'), 'budget=5000'),
    ((*DOMAINS, '--domains=a,synthetic'), '--domains=a is unknown'),
    (
      (
        *DOMAINS,
        '--domains=movielens_small',
        '--trials=1',
        '--domain_budgets=5000',
      ),
      'budget=5000',
    ),
    (
      (*DOMAINS, '--source=synthetic', '--trials=1', '--domains=synthetic'),
      "called 'synthetic' and share",
    ),
    (('--source=steam', '--domain=anime'), 'leave out --domain=anime'),
  ],
)
def test_mistakes_are_told_in_one_line(tmp_path, flags, message):
  done = commands.run(tmp_path / 'w', *flags)
  assert done.returncode == 2
  assert 'Traceback' not in done.stderr
  last = done.stderr.strip().splitlines()[-1]
  assert last.startswith('error: ')
  assert message in last


@pytest.mark.parametrize('budgets', ['1,five', '-1', '0;5', ''])
def test_budgets_that_are_no_numbers_name_their_flag(tmp_path, budgets):
  done = commands.run(tmp_path / 'w', *SMALL, f'--user_budgets={budgets}')
  assert done.returncode != 0
  assert 'Traceback' not in done.stderr
  assert '--user_budgets=' in done.stderr
  assert 'give whole numbers below 2147483648' in done.stderr


def test_impossible_budgets_are_left_out_and_short_users_are_counted(tmp_path):
  rows = [(u, i) for u in range(40) for i in range(3 + 4 * (u % 2))]
  lines = ''.join(f'{u},{(u * 3 + 5 * i) % 30}\n' for u, i in rows)
  (tmp_path / 'shop.csv').write_text(f'user,item\n{lines}')
  done = commands.run(
    tmp_path / 'w',
    '--source=table',
    f'--path={tmp_path / "shop.csv"}',
    '--min_user_interactions=2',
    '--num_heldout=8',
    '--methods=popularity',
    '--catalogue_budgets=0,5,500',
    '--user_budgets=1',
    '--max_seconds=0',
  )
  assert done.returncode == 0, done.stderr
  assert '--catalogue_budgets: 500 is left out: budget=500 users' in done.stderr
  judged = re.search(r'new_users: (\d+) of 8 test users', done.stderr)
  rows = results.read_json(tmp_path / 'w' / 'results.json')
  (users,) = (row for row in rows if row['regime'] == 'new_users')
  assert int(judged[1]) == len(users['per_user']) < 8
  budgets = {row['budget'] for row in rows if row['regime'] == 'new_catalogue'}
  assert budgets == {0, 5}
  report = (tmp_path / 'w' / 'report.html').read_text()
  assert judged[0] in report
  assert '500 is left out' in report


def test_unknown_methods_are_refused_before_anything_is_written(tmp_path):
  done = commands.run(tmp_path / 'w', *SMALL, '--methods=eaze')
  assert done.returncode != 0
  assert '--methods=eaze' in done.stderr + done.stdout
  assert not (tmp_path / 'w').exists()


@pytest.mark.slow
def test_a_table_of_ones_own_runs_from_another_folder(tmp_path):
  table = tmp_path / 'my.csv'
  lines = [
    f'u{user},i{(user * 7 + k * k) % 40}' for user in range(120)
    for k in range(9)
  ]  # fmt: skip
  table.write_text('\n'.join(['who,what', *lines]) + '\n')
  done = commands.run(
    tmp_path / 'w',
    '--source=table',
    f'--path={table}',
    '--user_column=who',
    '--item_column=what',
    '--num_heldout=20',
    '--methods=popularity,ease,l3ae',
    '--user_budgets=3',
    '--catalogue_budgets=10',
    '--trials=1',
    cwd=tmp_path,
  )
  assert done.returncode == 0, done.stderr
  rows = results.read_json(tmp_path / 'w' / 'results.json')
  reasons = {r['method']: r.get('cannot') for r in rows}
  assert reasons['ease'] is None
  assert 'no item text' in reasons['l3ae']


@pytest.mark.slow
def test_drift_adapts_slice_by_slice(tmp_path):
  log = tmp_path / 'log.csv'
  random = np.random.default_rng(0)
  pairs = np.unique(random.integers(50, size=(900, 2)), axis=0)
  rows = random.permutation(pairs).tolist()
  lines = [f'{u},{i},{t}' for t, (u, i) in enumerate(rows)]
  log.write_text('\n'.join(['user,item,time', *lines]))
  flags = ('--source=table', f'--path={log}', '--timestamp_column=time',
           '--regimes=drift', '--drift_budgets=1,2', '--trials=1',
           '--methods=popularity,ease,ease:retrain,ease_dynamic,hyperease',
           '--nooracle', '--max_seconds=0.01', '--num_heldout=20')  # fmt: skip
  done = commands.run(tmp_path / 'w', *flags)
  assert done.returncode == 0, done.stderr
  assert 'use: Drift' in done.stdout
  found = {
    (r['method'], r['budget']): r
    for r in results.read_json(tmp_path / 'w' / 'results.json')
  }
  assert 'no item text' in found['hyperease', 1]['cannot']
  refit, update = found['ease:retrain', 2], found['ease_dynamic', 2]
  assert refit['hyperparameters'] == update['hyperparameters']
  assert refit['metrics']['ndcg@100'] == pytest.approx(
    update['metrics']['ndcg@100'], abs=1e-3
  )
  assert found['ease', 1]['adapt']['flops'] == 0
  done = commands.run(tmp_path / 'x', *flags, '--drift_budgets=7')
  assert 'budget=7 slices leave none to predict' in done.stderr


def test_returning_users_need_neither_evidence_nor_an_oracle(tmp_path):
  done = commands.run(
    tmp_path,
    *SMALL,
    '--regimes=returning_users',
    '--methods=popularity,itemknn,ease',
  )
  assert done.returncode == 0, done.stderr
  assert 'use: Returning users: synthetic, without new evidence' in done.stdout
  rows = results.read_json(tmp_path / 'results.json')
  assert [row['method'] for row in rows] == ['popularity', 'itemknn', 'ease']
  for row in rows:
    assert row['budget'] == 0
    assert row['adapt']['flops'] == 0
    assert len(row['per_user']) == 40
  assert [row['tuning']['trials'] for row in rows] == [1, 2, 2]


@pytest.mark.slow
def test_every_arm_meets_a_new_domain(tmp_path, shop):
  # One trial: how trials are chosen has a test of its own.
  flags = (*DOMAINS, *shop, '--nooracle', '--trials=1')
  done = commands.run(tmp_path / 'w', *flags)
  assert done.returncode == 0, done.stderr
  assert 'New domain: shop' in done.stdout
  rows = results.read_json(tmp_path / 'w' / 'results.json')
  assert {(r['dataset'], r['regime']) for r in rows} == {('shop', 'new_domain')}
  names = [
    system.name
    for system in catalogue.SYSTEMS
    if system.is_run_by_default and 'new_domain' in system.arms
  ]
  assert sorted((r['method'], r['budget']) for r in rows) == sorted(
    itertools.product(names, (0, 3))
  )
  cannot = {(r['method'], r['budget']) for r in rows if 'cannot' in r}
  # The shop's rows have no times; SASRec learns from shuffled histories.
  assert cannot == {
    (name, 0)
    for name in (
      'popularity', 'itemknn', 'ease', 'ease_sparse', 'dan', 'gf_cf',
      'cheby_cf', 'turbo_cf', 'slim', 'mult_vae', 'sasrec', 'ials',
      'ials_features:retrain', 'dropoutnet',
    )
  }  # fmt: skip
  learned = {
    r['method'] for r in rows if 'prepare' in r and r['prepare']['flops'] > 0
  }
  assert learned == {
    'vqrec_lookup', 'vqrec_finetune', 'ridge_map', 'hyperease_zero',
    'hyperease', 'p5', 'ials_features', 'alpharec',
  }  # fmt: skip
  manifest = json.loads((tmp_path / 'w' / 'manifest.json').read_text())
  assert set(manifest['data']) == {
    'data', 'domain synthetic', 'domain movielens_small',
  }  # fmt: skip
  page = (tmp_path / 'w' / 'report.html').read_text()
  assert 'of evidence in the new domain' in page


def test_one_domain_cannot_choose_hyperparameters(tmp_path, shop):
  flags = (*DOMAINS, *shop, '--domains=synthetic')
  done = commands.run(tmp_path / 'w', *flags)
  assert done.returncode != 0
  assert 'needs at least 2 source domains' in done.stdout + done.stderr
  assert not (tmp_path / 'w').exists()


def test_a_domain_without_text_is_refused_by_name(tmp_path, shop, data_dir):
  if (data_dir / 'scientific' / 'Scientific.item2index').exists():
    pytest.skip('Scientific has its text here')
  done = commands.run(
    tmp_path / 'w', *DOMAINS, *shop, '--domains=synthetic,scientific',
    f'--data_dir={data_dir}',
  )  # fmt: skip
  assert done.returncode == 2
  last = done.stderr.strip().splitlines()[-1]
  assert last.startswith('error: --domains=scientific: ')
  assert 'no item text' in last


def test_a_lack_of_memory_refuses_a_cell_and_is_not_kept(tmp_path):
  code = (
    'import runpy\n'
    'from hyperrec.cost import memory\n'
    'memory.available_bytes = lambda *unused: 1000\n'
    'runpy.run_module("experiments.adaptation.run", run_name="__main__")\n'
  )
  flags = (*SMALL, '--regimes=new_users', '--user_budgets=1', '--trials=1')
  work = f'--workdir={tmp_path}'
  done = subprocess.run(
    [sys.executable, '-c', code, *flags, '--methods=popularity,ease', work],
    capture_output=True, text=True, check=False, cwd=commands.ROOT,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  found = {row['method']: row
           for row in results.read_json(tmp_path / 'results.json')}  # fmt: skip
  assert 'needs' in found['ease']['cannot']
  assert 'ease_sparse' in found['ease']['cannot']
  assert 'metrics' in found['popularity']
  kept = results.read_json_lines(tmp_path / 'cells.jsonl')
  assert {row['method'] for row in kept} == {'popularity'}
