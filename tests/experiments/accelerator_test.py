"""The benchmark of accelerators, on a CPU and with tiny inputs."""

import json
import subprocess
import sys

import numpy as np
import pytest

from experiments import catalogue
from experiments.benchmarks import (
  accelerator_budget,
  accelerator_parts,
  accelerator_steps,
  peaks,
  table,
)
from tests.experiments import commands

MODULE = 'experiments.benchmarks.accelerator'


def row(what, operations=6e12, seconds=2.0):
  return {
    'what': what, 'precision': 'float32', 'operations': operations,
    'seconds': seconds,
  }  # fmt: skip


def part(name, seconds, *rows):
  return accelerator_budget.Part(name, seconds, lambda: iter(rows))


def run(parts, left, **options):
  written = []
  document = accelerator_budget.run(
    parts, left, lambda d: written.append(json.dumps(d)), small=False, **options
  )
  return document, [json.loads(text) for text in written]


def test_parts_that_do_not_fit_are_left_out_and_named():
  parts = [
    part('first', 10, row('a'), row('b')),
    part('long', 100, row('c')),
    part('short', 10, row('d')),
  ]
  document, _ = run(parts, lambda: 50.0)
  assert list(document['parts']) == ['first', 'short']
  assert document['not_finished'] == ['long']


def test_each_row_is_written_as_soon_as_it_is_there():
  _, written = run([part('one', 1, row('a'), row('b'))], lambda: 50.0)
  counts = [len(document['parts']['one']) for document in written]
  assert counts[:2] == [1, 2]
  assert [d['not_finished'] for d in written[:2]] == [['one'], ['one']]
  assert written[-1]['not_finished'] == []


def test_a_part_that_fails_does_not_stop_the_others():
  def fail():
    yield row('a')
    raise MemoryError('the device is full')

  parts = [accelerator_budget.Part('bad', 1, fail), part('good', 1, row('b'))]
  document, _ = run(parts, lambda: 50.0)
  assert document['failed'] == {'bad': 'MemoryError: the device is full'}
  assert document['not_finished'] == ['bad']
  assert len(document['parts']['bad']) == len(document['parts']['good']) == 1


def test_the_share_of_the_peak_is_told_only_where_the_peak_is_known(
  monkeypatch,
):
  document, _ = run([part('one', 1, row('a'))], lambda: 50.0)
  assert document['peak'] == 'unknown'
  (found,) = document['parts']['one']
  assert found['operations_per_second'] == 3e12
  assert 'share_of_peak' not in found
  monkeypatch.setattr(peaks, 'of', lambda kind: {'float32': 4e12})
  document, _ = run([part('one', 1, row('a'))], lambda: 50.0)
  assert document['parts']['one'][0]['share_of_peak'] == 0.75
  text = table.accelerator_section(document)
  assert '| one | a | float32 | 2.00 s | 3 TFLOP/s | 75.0% |' in text
  assert '4 TFLOP/s in float32' in text


def test_a_row_has_energy_and_quality_only_where_there_are_any():
  more = {'joules': 12.5, 'metrics': {'ndcg@10': 0.05}}
  document, _ = run(
    [part('one', 1, {**row('a'), **more}, row('b'))], lambda: 50.0
  )
  text = table.accelerator_section(document)
  assert '| a (ndcg@10 0.0500) | float32 | 2.00 s |' in text
  assert '| unknown | 12.5 J |' in text
  assert '| b | float32 | 2.00 s | 3 TFLOP/s | unknown |  |' in text


def test_without_a_result_the_table_says_so(tmp_path):
  assert '### accelerator\n\nNot run yet.' in table.tables(tmp_path)


def test_every_kind_of_trained_model_is_compared_once():
  found = accelerator_steps.trained_systems()
  assert set(found) == {
    'alpharec', 'dropoutnet', 'elsa', 'generated_head', 'hyperease:learned',
    'hyperease_catalogue', 'hyperease_item_trained', 'hyperease_user', 'ials',
    'ials_features', 'mult_vae', 'p5', 'pref:shown', 'sasrec', 'two_tower',
    'vqrec_lookup',
  }  # fmt: skip
  for name, (system, regime) in found.items():
    assert catalogue.BY_NAME[name] is system
    assert regime in system.arms


def test_a_model_is_the_same_on_the_cpu():
  found = accelerator_steps.compare('two_tower')
  assert found['is_close']
  assert found['difference'] == 0.0


@pytest.mark.parametrize(
  ('change', 'is_close'), [(1e-4, True), (0.1, False), (np.nan, False)]
)
def test_another_result_than_on_the_cpu_is_noticed(
  monkeypatch, change, is_close
):
  wanted = np.random.default_rng(0).normal(size=(3, 20))
  both = iter([wanted + np.eye(3, 20) * change, wanted])
  monkeypatch.setattr(
    accelerator_steps, '_scores', lambda system, regime: next(both)
  )
  assert accelerator_steps.compare('two_tower')['is_close'] is is_close


@pytest.mark.parametrize('name', ['ease', 'ranking', 'p5'])
def test_small_parts_count_and_time_something(name):
  parts = {part.name: part for part in accelerator_parts.all_of(small=True)}
  rows = list(parts[name].run())
  assert rows
  for found in rows:
    assert found['operations'] > 0
    assert found['seconds'] > 0
    assert found['precision'] in accelerator_parts.PRECISIONS


@pytest.mark.slow
@pytest.mark.parametrize('name', ['generators', 'sasrec', 'sasrec_row'])
def test_small_trainings_count_and_time_something(name):
  test_small_parts_count_and_time_something(name)


def command(*flags):
  return subprocess.run(
    [sys.executable, '-m', MODULE, '--small', *flags],
    capture_output=True, text=True, check=False, cwd=commands.ROOT,
  )  # fmt: skip


def test_the_command_writes_its_parts_and_keeps_its_limit(tmp_path):
  output = tmp_path / 'accelerator.json'
  done = command('--parts=ranking', f'--output={output}')
  assert done.returncode == 0, done.stderr
  document = json.loads(output.read_text())
  assert document['device'] == 'cpu'
  assert [found['precision'] for found in document['parts']['ranking']] == [
    'float32', 'bfloat16',
  ]  # fmt: skip
  assert table.accelerator_section(document).startswith('### accelerator')
  done = command('--minutes=0', f'--output={tmp_path / "none.json"}')
  assert done.returncode == 0, done.stderr
  assert 'the time limit ended the run' in done.stdout
  done = command('--parts=rankin', f'--output={output}')
  assert '--parts=rankin is unknown' in done.stderr + done.stdout
