"""One row of the table on a made-up set, and the table."""

import json

import pytest

from experiments.sasrec import tables
from tests.experiments import commands

pytestmark = pytest.mark.usefixtures('scripts_compile_fast')
MODULE = 'experiments.sasrec.run'
SMALL = (
  '--row=beauty',
  '--source=synthetic',
  '--dim=8',
  '--num_layers=1',
  '--length=16',
  '--epochs=2',
  '--evaluate_every=20',
)


@pytest.mark.slow
def test_a_row_is_written_resumed_and_tabled(tmp_path):
  output = tmp_path / 'results' / 'beauty.json'
  flags = (*SMALL, f'--output={output}', '--expect=ndcg@10=0.5')
  done = commands.run(tmp_path / 'work', *flags, module=MODULE)
  assert done.returncode == 0, done.stderr
  assert 'ndcg@10: 0.' in done.stdout
  row = json.loads(output.read_text())
  assert row['metrics']['ndcg@10'] < row['metrics']['recall@10']
  assert row['users'] == 300
  output.unlink()
  again = commands.run(tmp_path / 'work', *flags, module=MODULE)
  assert again.returncode == 0, again.stderr
  same = json.loads(output.read_text())
  assert same['metrics'] == row['metrics']
  assert same['prepare']['seconds'] == row['prepare']['seconds']
  table = tables.rows_table(tmp_path)
  assert f'| 0.5000 | {row["metrics"]["ndcg@10"]:.4f} (' in table
  assert '| Toys | | | not run yet |' in table


@pytest.mark.parametrize('name', ['beauty', 'sports', 'toys'])
def test_flag_files_are_read(name, tmp_path):
  path = commands.ROOT / 'experiments' / 'sasrec' / f'{name}.flags'
  done = commands.run(
    None,
    f'--flagfile={path}',
    f'--data_dir={tmp_path}',
    f'--output={tmp_path / "out.json"}',
    module=MODULE,
  )
  assert done.returncode == 2
  assert 'Traceback' not in done.stderr
  assert 'error: ' in done.stderr
