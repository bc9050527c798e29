"""What a workdir of every script that resumes says to every other command."""

import json
import os
import subprocess
import sys

import pytest

from hyperrec import folder_lock
from tests import makers
from tests.experiments import commands

FILES = ('path', 'item_path')
NETWORK = ('--dim=8', '--num_layers=1', '--length=16', '--epochs=1')
# Of each script: a small run, and other values of what may change.
SCRIPTS = {
  'adaptation.run': (
    ('--methods=popularity', '--num_heldout=20', '--trials=1',
     '--max_seconds=0.01', '--regimes=new_users', '--user_budgets=1',
     '--catalogue_budgets=5'),
    ('regimes=new_users,new_catalogue', 'methods=itemknn', 'user_budgets=2',
     'seeds=2', 'first_seed=1', 'oracle=false', 'catalogue_budgets=9',
     'domain_budgets=1', 'drift_budgets=1', 'item_budgets=1'),
  ),
  'recommend.advise': (
    ('--methods=popularity', '--cases=new_users', '--trials=1'),
    ('methods=itemknn', 'cases=new_users,returning_users', 'minutes=5'),
  ),
  'sasrec.run': (
    ('--row=one', *NETWORK),
    ('row=two', 'expect=ndcg@10=0.5'),
  ),
  'p5.run': (
    ('--row=one', '--families=sequential', '--dim=8', '--num_layers=1',
     '--vocab_size=400', '--num_steps=2', '--batch_size=8'),
    ('row=two', 'judged_seen=1'),
  ),
  'vqrec.run': (
    ('--row=one', *NETWORK, '--num_groups=4', '--num_codes=16',
     '--text_encoder=tfidf', '--features=16', '--arms=scratch', '--seeds=1',
     '--domains=synthetic'),
    ('row=two', 'seeds=2', 'expect=scratch/ndcg@10=0.5', 'save=model.npz'),
  ),
  'vqrec.trials': (
    ('--row=one', *NETWORK, '--num_groups=4', '--num_codes=16',
     '--text_encoder=tfidf', '--features=16', '--trial=lr=0.01'),
    ('row=two', 'trial=lr=0.02'),
  ),
  'generators.run': (
    ('--steps=2', '--members=1', '--hidden_dim=4', '--batch_size=8',
     '--text_encoder=tfidf', '--features=8'),
    (),
  ),
  'benchmarks.chaos': (('--steps=10',), ('kills=3', 'seed=3')),
}  # fmt: skip
# Values that `tests.experiments.claims` would have to train for.
NOT_RUN = {'vqrec.run': {'arms'}}


@pytest.fixture(autouse=True)
def scripts_compile_fast(monkeypatch):
  """Small programs: to compile them well takes longer than to run them."""
  monkeypatch.setenv('JAX_DISABLE_MOST_OPTIMIZATIONS', '1')


@pytest.fixture
def log(tmp_path):
  """Flags that read a table with times and texts."""
  data = makers.made_domain('log', 3, num_users=60, num_items=30)
  rows = [
    f'{user},{item},{time}'
    for time, (user, item) in enumerate(
      zip(data.users, data.items, strict=True)
    )
  ]
  (tmp_path / 'log.csv').write_text('\n'.join(['user,item,time', *rows]))
  texts = [f'{item},{text}' for item, text in enumerate(data.item_text)]
  (tmp_path / 'text.csv').write_text('\n'.join(['item,text', *texts]))
  return (
    '--source=table',
    f'--path={tmp_path / "log.csv"}',
    '--timestamp_column=time',
    f'--item_path={tmp_path / "text.csv"}',
    '--text_columns=text',
  )


def claims(folder, name, *arguments):
  """What `tests.experiments.claims` tells of a script."""
  done = subprocess.run(
    [sys.executable, '-m', 'tests.experiments.claims', f'experiments.{name}',
     f'--workdir={folder / "work"}', *arguments],
    capture_output=True, text=True, check=False, cwd=folder,
    env={**os.environ, 'PYTHONPATH': str(commands.ROOT)},
  )  # fmt: skip
  assert done.returncode == 0, done.stderr[-3000:]
  return json.loads(done.stdout)


@pytest.mark.parametrize('name', list(SCRIPTS))
def test_every_flag_is_refused_or_leaves_what_is_kept(name, tmp_path, log):
  if name == 'p5.run':
    pytest.importorskip('sentencepiece')
  given, changes = SCRIPTS[name]
  source = () if name == 'benchmarks.chaos' else log
  again = [f'--again:{change}' for change in changes]
  found = claims(tmp_path, name, *source, *given, *again)
  told, free, places = found['told'], found['free'], found['places']
  accepted = {flag for flag, message in told.items() if message is None}
  assert accepted == (set(places) | set(free)) & set(told)
  assert set(free) <= set(told)
  assert all({**free, **places}.values())
  for flag in set(told) - accepted:
    assert f'--{flag}=' in told[flag]
    assert 'another --workdir' in told[flag]
  assert set(FILES) & set(told) <= set(told) - accepted
  # What may change was changed in a run, and nothing that was kept changed.
  assert set(found['touched']) == set(free) - NOT_RUN.get(name, set())
  assert not any(found['touched'].values()), found['touched']


def test_every_script_with_a_workdir_is_looked_at():
  root = commands.ROOT / 'experiments'
  found = {
    path.relative_to(root).with_suffix('').as_posix().replace('/', '.')
    for path in root.glob('*/*.py')
    if 'script.run(main' in (text := path.read_text())
    and ("'workdir'" in text or 'laboratory.WORKDIR' in text)
  }
  assert found == set(SCRIPTS)


def contents(folder):
  return {
    path: path.read_bytes() for path in folder.rglob('*') if path.is_file()
  }


def refused(work, *flags, module):
  """The one line of a command that a workdir refuses, leaving it as it is."""
  before = contents(work)
  done = commands.run(work, *flags, module=module)
  assert done.returncode == 2, done.stderr
  told = done.stderr.strip().splitlines()[-1]
  assert told.startswith(f'error: {work} holds ')
  assert told.endswith('another --workdir')
  assert 'Traceback' not in done.stderr
  assert not done.stdout
  assert contents(work) == before
  return told


def test_a_changed_file_is_refused_and_a_torn_cell_is_not(tmp_path, log):
  module, work = 'experiments.adaptation.run', tmp_path / 'work'
  flags = (*log, *SCRIPTS['adaptation.run'][0])
  assert commands.run(work, *flags).returncode == 0
  text = tmp_path / 'text.csv'
  first = text.read_text()
  # One title alone: neither users, items nor the number of rows change.
  text.write_text(first.replace('\n7,', '\n7,new '))
  told = refused(work, *flags, module=module)
  assert '--item_path=text.csv (sha256 ' in told
  assert 'now it is text.csv (sha256 ' in told
  text.write_text(first)
  cells = work / 'cells.jsonl'
  whole = cells.read_text()
  cells.write_text(whole[:-200])
  methods = '--methods=popularity,itemknn', '--nooracle'
  done = commands.run(work, *flags, *methods)
  assert done.returncode == 0, done.stderr
  rows = [json.loads(line) for line in cells.read_text().splitlines()]
  assert [row['method'] for row in rows] == ['popularity', 'itemknn']
  same = json.loads(whole)['per_user']
  assert rows[0]['per_user'] == same
  (work / 'manifest.json').unlink()
  done = commands.run(work, *flags)
  assert done.returncode == 2
  assert 'holds cells.jsonl but no manifest.json' in done.stderr


def test_no_second_seed_comes_out_of_the_first_ones_weights(tmp_path, log):
  module, work = 'experiments.sasrec.run', tmp_path / 'work'
  output = tmp_path / 'row.json'
  flags = (*log, *SCRIPTS['sasrec.run'][0], f'--output={output}')
  assert commands.run(work, *flags, module=module).returncode == 0
  row = output.read_bytes()
  told = refused(work, *flags, '--seed=1', '--lr=0.5', module=module)
  assert '--lr=0.001, now it is 0.5; with --seed=0, now it is 1' in told
  table = tmp_path / 'log.csv'
  # The last item of a user is what is judged; the training part stays.
  lines = table.read_text().splitlines()
  table.write_text('\n'.join([*lines[:-1], '59,1,99999']))
  assert '--path=log.csv' in refused(work, *flags, module=module)
  assert output.read_bytes() == row


def test_two_runs_in_one_workdir(tmp_path, log):
  work = tmp_path / 'work'
  flags = (*log, *SCRIPTS['adaptation.run'][0], f'--workdir={work}')
  command = [sys.executable, '-m', 'experiments.adaptation.run', *flags]
  both = [
    subprocess.Popen(
      command, cwd=commands.ROOT, stderr=subprocess.PIPE, text=True,
      stdout=subprocess.DEVNULL,
    )
    for _ in range(2)
  ]  # fmt: skip
  codes = []
  for process in both:
    _, told = process.communicate(timeout=120)
    codes.append(process.returncode)
    if process.returncode:
      assert f'another process is writing in {work}' in told
  # Both finish only if the first one ended before the second one began.
  assert sorted(codes) in ([0, 2], [0, 0])
  assert len((work / 'resumed.jsonl').read_text().splitlines()) == 1
  assert len((work / 'cells.jsonl').read_text().splitlines()) == 1
  assert len(json.loads((work / 'results.json').read_text())) == 1
  assert {path.name for path in work.iterdir()} == {
    'cells.jsonl', 'manifest.json', 'report.html', 'results.json',
    'resumed.jsonl',
  }  # fmt: skip


def test_a_run_is_refused_where_another_one_is_at_work(tmp_path, log):
  work = tmp_path / 'work'
  flags = (*log, *SCRIPTS['adaptation.run'][0])
  with folder_lock.held(work):
    done = commands.run(work, *flags)
    assert done.returncode == 2
    told = done.stderr.strip().splitlines()[-1]
    assert told.startswith(f'error: another process is writing in {work};')
    assert not (work / 'cells.jsonl').exists()
  assert commands.run(work, *flags).returncode == 0
