"""Tests that eight devices, or two processes, train as one device does."""

import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from hyperrec.training import mesh
from tests import compiling
from tests.training import mesh_worker

ROOT = pathlib.Path(__file__).parents[2]


def start(*arguments, devices=1):
  flags = f'--xla_force_host_platform_device_count={devices}'
  return subprocess.Popen(
    [sys.executable, '-m', 'tests.training.mesh_worker', *map(str, arguments)],
    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
    env={**os.environ, 'XLA_FLAGS': f'{flags} {compiling.XLA_FLAGS}',
         'JAX_PLATFORMS': 'cpu'},
  )  # fmt: skip


def finish(process):
  out, _ = process.communicate(timeout=300)
  assert process.returncode == 0, out[-3000:]


@pytest.fixture(scope='module')
def on_eight(tmp_path_factory):
  """A process with eight devices, which runs while `single` trains."""
  folder = tmp_path_factory.mktemp('eight')
  return folder, start(folder, 2, ','.join(mesh_worker.MODELS), devices=8)


@pytest.fixture(scope='module')
def single():
  return mesh_worker.train_all(mesh_worker.MODELS)


# Models that are trained without Adam.
SMOOTH = {'esler'}


def assert_same(found, expected):
  """Asserts that gradients agree, and nearly all parameters trained by Adam.

  If a gradient consists of rounding errors only, Adam takes a whole step in
  their direction, which differs between processors. In the worst case, all
  steps of a parameter go in the opposite direction.
  """
  for name in found.files:
    model, what, *_ = name.split()
    apart = np.abs(found[name] - expected[name])
    scale = np.abs(expected[name]).max()
    if what == 'parameters' and model not in SMOOTH:
      assert np.quantile(apart, 0.99) < 2e-4 * scale, name
      assert apart.max() <= 2 * expected[f'{model} moved'], name
    # Smaller gradients (of the biases of keys) are rounding errors.
    elif scale > 1e-7:
      assert apart.max() < 2e-4 * scale, name


@pytest.mark.slow
def test_eight_devices_train_what_one_does(on_eight, single):
  folder, process = on_eight
  finish(process)
  found = np.load(folder / 'trained.npz')
  assert set(found.files) == set(single)
  by_adam = {name.split()[0] for name in found.files if 'gradients' in name}
  assert by_adam == set(mesh_worker.MODELS) - SMOOTH
  assert_same(found, single)


@pytest.mark.slow
def test_two_processes_train_what_one_does_and_write_once(tmp_path, single):
  with socket.socket() as free:
    free.bind(('localhost', 0))
    port = free.getsockname()[1]
  processes = [
    start(tmp_path, 1, 'mult_vae', f'localhost:{port}', 2, number)
    for number in range(2)
  ]
  for process in processes:
    finish(process)
  assert_same(np.load(tmp_path / 'trained.npz'), single)
  records = (tmp_path / 'run' / 'metrics.jsonl').read_text().splitlines()
  assert len(records) == 1
  assert list((tmp_path / 'run' / 'checkpoints').glob('[0-9]*'))


def test_devices_that_cannot_be_cut_are_told():
  with pytest.raises(mesh.MeshError, match='choose a divisor'), mesh.use(3):
    pass


def squares(power, values_Bx2):
  return values_Bx2**power


@pytest.mark.parametrize('count', [0, 1, 7, 8, 20])
def test_items_are_mapped_in_batches(count):
  asked = []

  def make(chosen):
    asked.append(chosen)
    return (np.stack([chosen, -chosen], axis=1).astype(np.float32),)

  found = mesh.map_items(count, 2, 8, make, squares, 2.0)
  expected = np.arange(count)[:, None].repeat(2, axis=1) ** 2.0
  np.testing.assert_array_equal(found, expected)
  assert all(len(chosen) == 8 for chosen in asked)
  assert len(asked) == -(-count // 8)
  with mesh.use():
    again = mesh.map_items(count, 2, 8, make, squares, 2.0)
  np.testing.assert_array_equal(again, expected)
