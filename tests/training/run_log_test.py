"""Tests of hyperrec.training.run_log."""

import numpy as np

from hyperrec.training import run_log


def test_a_record_is_on_disk_at_once_and_strict_json(tmp_path):
  path = tmp_path / 'deep' / 'metrics.jsonl'
  with run_log.MetricsLog(path) as log:
    log.write(1, {'loss': np.float32(0.5), 'bad': float('nan')})
    assert run_log.read_metrics(path) == [{'step': 1, 'loss': 0.5, 'bad': None}]


def test_reopening_drops_later_records_and_a_torn_line(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  with run_log.MetricsLog(path) as log:
    for step in (1, 2, 3):
      log.write(step, {'loss': step})
  path.write_text(path.read_text() + '{"step": 4, "lo')
  with run_log.MetricsLog(path, step=2) as log:
    log.write(3, {'loss': 30})
  assert [r['loss'] for r in run_log.read_metrics(path)] == [1, 2, 30]


def test_the_clock_of_a_resumed_run():
  records = [{'seconds': s} for s in (10, 25, 5, 20)] + [{'loss': 1}]
  assert run_log.training_seconds(records) == 45
