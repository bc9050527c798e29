"""The experiment, end to end on a made-up set: resumes, refuses, explains."""

import json
import pathlib
import subprocess
import sys

import pytest

from hyperrec.evaluation import results

ROOT = pathlib.Path(__file__).parents[2]
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


def run(workdir, *flags, module='experiments.adaptation.run', cwd=ROOT):
  command = [sys.executable, '-m', module, *flags]
  if workdir is not None:
    command.append(f'--workdir={workdir}')
  return subprocess.run(
    command, capture_output=True, text=True, check=False, cwd=cwd
  )


@pytest.mark.smoke
def test_every_method_runs_and_the_same_command_resumes(tmp_path):
  methods = 'popularity,ease,ease_dynamic,l3ae,mult_vae'
  flags = (*SMALL, f'--methods={methods}', '--nooracle')
  first = run(tmp_path, *flags)
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
  again = run(tmp_path, *flags)
  assert again.returncode == 0, again.stderr
  resumed = results.read_json(tmp_path / 'results.json')
  quality = [r.get('metrics') for r in rows]
  assert [r.get('metrics') for r in resumed] == quality


def test_a_result_row_has_what_readers_need(tmp_path):
  done = run(
    tmp_path, *SMALL, '--methods=ease', '--regimes=new_users', '--nooracle'
  )
  assert done.returncode == 0, done.stderr
  row = results.read_json(tmp_path / 'results.json')[1]
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


def test_results_of_other_flags_are_not_mixed_in(tmp_path):
  flags = (*SMALL, '--methods=popularity', '--regimes=new_users')
  assert run(tmp_path, *flags).returncode == 0
  done = run(tmp_path, *flags, '--num_heldout=30')
  assert done.returncode == 2
  assert '--num_heldout=40, now it is 30' in done.stderr
  assert 'another --workdir' in done.stderr


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (('--source=nowhere',), "source='nowhere' is unknown"),
    (('--source=table',), 'needs path='),
    (('--source=synthetic', '--num_heldout=900'), 'num_heldout'),
    ((*SMALL, '--catalogue_budgets=5000'), 'budget=5000'),
  ],
)
def test_mistakes_are_told_in_one_line(tmp_path, flags, message):
  done = run(tmp_path / 'w', *flags)
  assert done.returncode == 2
  assert 'Traceback' not in done.stderr
  last = done.stderr.strip().splitlines()[-1]
  assert last.startswith('error: ')
  assert message in last


def test_unknown_methods_are_refused_before_anything_is_written(tmp_path):
  done = run(tmp_path / 'w', *SMALL, '--methods=eaze')
  assert done.returncode != 0
  assert '--methods=eaze' in done.stderr + done.stdout
  assert not (tmp_path / 'w').exists()


def test_a_table_of_ones_own_runs_from_another_folder(tmp_path):
  table = tmp_path / 'my.csv'
  lines = [
    f'u{user},i{(user * 7 + k * k) % 40}' for user in range(120)
    for k in range(9)
  ]  # fmt: skip
  table.write_text('\n'.join(['who,what', *lines]) + '\n')
  done = run(
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
