"""A row on a made-up set: resumes, refuses what does not fit; the tables."""

import json

import pytest

from experiments.p5 import tables
from tests.experiments import commands

pytest.importorskip('sentencepiece')
pytestmark = pytest.mark.usefixtures('scripts_compile_fast')
MODULE = 'experiments.p5.run'
SMALL = (
  '--row=movielens_small',
  '--source=synthetic',
  '--families=rating,sequential,review',
  '--dim=8',
  '--num_layers=1',
  '--vocab_size=400',
  '--num_steps=4',
  '--batch_size=8',
  '--evaluate_every=2',
)


@pytest.mark.slow
def test_a_row_is_written_resumed_and_tabled(tmp_path):
  work, output = tmp_path / 'work', tmp_path / 'movielens_small-0.json'
  flags = (*SMALL, f'--output={output}')
  done = commands.run(work, *flags, module=MODULE)
  assert done.returncode == 0, done.stderr
  assert 'sequential-5 {"hr@5": 0.' in done.stdout
  row = json.loads(output.read_text())
  assert list(row['skipped']) == ['review']
  assert {r['family'] for r in row['templates']} == {'rating', 'sequential'}
  unseen = [r['template'] for r in row['templates'] if not r['seen']]
  assert unseen == ['rating-5', 'sequential-5']
  assert row['prepare']['flops'] > 0
  for baseline in ('number_rule', 'popularity'):
    assert set(row[baseline]) == set(tables.RANKING)
  output.unlink()
  again = commands.run(work, *flags, module=MODULE)
  assert again.returncode == 0, again.stderr
  assert json.loads(output.read_text())['templates'] == row['templates']
  table = tables.families_table(tmp_path)
  assert '| sequential | `{item}` | ndcg@10 | 0.' in table
  assert 'mean rating: ' in table

  other = commands.run(work, *flags, '--seed=1', module=MODULE)
  assert other.returncode == 2
  assert '--seed=0, now it is 1' in other.stderr
  assert 'Traceback' not in other.stderr

  names = work / 'names.json'
  names.write_text(
    json.dumps({**json.loads(names.read_text()), 'numbers': 'x'})
  )
  other = commands.run(work, *flags, module=MODULE)
  assert other.returncode == 2
  assert f'error: {names}: the numbers of this workdir had sha256 x, now' in (
    other.stderr
  )
  names.write_text('{}')
  other = commands.run(work, *flags, module=MODULE)
  assert other.returncode == 2
  assert f'error: {names} does not say which tokenizer' in other.stderr


def test_a_run_without_next_items_is_refused():
  done = commands.run(None, *SMALL, '--families=rating', module=MODULE)
  assert done.returncode != 0
  assert '--families must contain sequential' in done.stderr + done.stdout


@pytest.mark.parametrize('name', ['beauty_given', 'beauty_sequential'])
def test_flag_files_are_read(name, tmp_path):
  path = commands.ROOT / 'experiments' / 'p5' / f'{name}.flags'
  flags = f'--flagfile={path}', f'--data_dir={tmp_path}'
  done = commands.run(None, *flags, module=MODULE)
  assert done.returncode == 2
  assert 'Traceback' not in done.stderr
  assert 'error: ' in done.stderr


def test_tables_of_what_was_not_run(tmp_path):
  for table in (
    tables.beauty_table,
    tables.leak_table,
    tables.families_table,
    tables.latency_table,
  ):
    assert 'not run yet' in table(tmp_path)
  assert '| 0.0921 | 0.0531 |' in tables.beauty_table(tmp_path)
