"""One row of a table, and the ways to large catalogues, on made-up sets."""

import importlib.util
import json

import pytest

from experiments.ease import ways
from hyperrec.data import sources
from tests.experiments import commands


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
  done = commands.run(None, *flags, module='experiments.ease.run')
  assert done.returncode == 0, done.stderr
  row = json.loads(output.read_text())
  found = row['metrics']['ndcg@20']
  assert row['metrics']['recall@20'] <= row['metrics']['recall_min@20']
  assert 0 < row['negative_share'] < 1
  same = commands.run(
    None, *flags, f'--expect=ndcg@20={found}', module='experiments.ease.run'
  )
  assert same.returncode == 0
  assert 'reproduced' in same.stdout
  off = commands.run(
    None, *flags, f'--expect=ndcg@20={found + 0.1}',
    module='experiments.ease.run',
  )  # fmt: skip
  assert off.returncode == 1
  assert 'MISSED' in off.stdout


@pytest.mark.parametrize('name', ['gowalla', 'ml20m', 'netflix', 'msd'])
def test_flag_files_are_read(name, tmp_path):
  path = commands.ROOT / 'experiments' / 'ease' / f'{name}.flags'
  done = commands.run(
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


def test_every_way_to_a_large_catalogue_is_run_and_measured():
  data = sources.load('synthetic', num_users=120, num_items=60, seed=0)
  data = data.by_user_and_time()
  _, held = ways.hold_out(data, 30, seed=1)
  small = {
    'sansa': {'l2': 5.0, 'density': 0.1},
    'elsa': {'rank': 4, 'epochs': 1, 'batch_size': 20, 'lr': 0.1},
  }
  for name, way in ways.WAYS.items():
    if name == 'sansa' and importlib.util.find_spec('sansa') is None:
      continue
    settings = small.get(name, way.grid[0])
    knob = 'shrink' if name == 'itemknn' else 'lr' if name == 'elsa' else 'l2'
    grid = (settings, settings | {knob: 1e4})[: len(way.grid)]
    row = ways.run(way._replace(grid=grid), data, held, 20, seed=0)
    assert len(row['trials']) == (2 if len(grid) > 1 else 0)
    if len(grid) > 1:
      best = max(row['trials'], key=lambda t: t['recall@20'])
      assert row['options'] == best['options']
    assert 0 < row['metrics']['mrr@20'] <= row['metrics']['recall@20'] <= 1
    assert row['prepare']['stored_bytes'] > 0
    assert (row['prepare']['predicted_bytes'] is None) == (name == 'itemknn')


def test_held_out_sessions_teach_nothing_and_hide_their_last_item():
  data = sources.load('synthetic', num_users=50, num_items=30, seed=0)
  train, held = ways.hold_out(data.by_user_and_time(), 10, seed=0)
  assert len(held.targets) == held.histories.num_users == 10
  assert not set(train.user_ids) & set(held.histories.user_ids)
  for user, time in zip(
    held.targets.users, held.targets.timestamps, strict=True
  ):
    shown = held.histories.timestamps[held.histories.users == user]
    assert (shown <= time).all() and len(shown)
  assert len(train) + len(held.histories) + len(held.targets) == len(data)
