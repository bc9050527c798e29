"""One row of a table, and the claims, on a made-up set."""

import json

import pytest

from tests.experiments.adaptation_test import ROOT, run


def test_a_row_is_written_and_compared(tmp_path):
  output = tmp_path / 'row.json'
  flags = (
    '--row=made',
    '--source=synthetic',
    '--split=strong_generalization',
    '--num_heldout=50',
    '--l2=20',
    f'--output={output}',
  )
  done = run(None, *flags, module='experiments.ease.run')
  assert done.returncode == 0, done.stderr
  row = json.loads(output.read_text())
  found = row['metrics']['ndcg@20']
  assert row['metrics']['recall@20'] <= row['metrics']['recall_min@20']
  assert 0 < row['negative_share'] < 1
  same = run(
    None, *flags, f'--expect=ndcg@20={found}', module='experiments.ease.run'
  )
  assert same.returncode == 0
  assert 'reproduced' in same.stdout
  off = run(
    None, *flags, f'--expect=ndcg@20={found + 0.1}',
    module='experiments.ease.run',
  )  # fmt: skip
  assert off.returncode == 1
  assert 'MISSED' in off.stdout


@pytest.mark.parametrize('name', ['gowalla', 'ml20m', 'netflix', 'msd'])
def test_flag_files_are_read(name, tmp_path):
  path = ROOT / 'experiments' / 'ease' / f'{name}.flags'
  done = run(
    None,
    f'--flagfile={path}',
    f'--data_dir={tmp_path}',
    f'--output={tmp_path / "out.json"}',
    module='experiments.ease.run',
  )
  assert done.returncode == 2
  assert 'Traceback' not in done.stderr
  assert 'error: ' in done.stderr
  assert not (tmp_path / 'out.json').exists()
