"""Tests of hyperrec.training.checkpoints."""

import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperrec import folder_lock
from hyperrec.training import checkpoints


def _tree(value, size=3):
  return {
    'w': jnp.full((size,), value, jnp.float32),
    'step': jnp.int32(value),
    'key': jax.random.key(value),
  }


def test_round_trip_with_a_typed_key(tmp_path):
  with checkpoints.Checkpoints(tmp_path) as saved:
    assert saved.latest_step is None
    assert saved.restore_latest(_tree(0)) is None
    saved.save(4, _tree(7))
  with checkpoints.Checkpoints(tmp_path) as saved:
    tree = saved.restore_latest(_tree(0))
    assert saved.latest_step == 4
  np.testing.assert_array_equal(tree['w'], _tree(7)['w'])
  assert tree['step'].dtype == jnp.int32
  assert tree['key'].dtype == jax.random.key(0).dtype
  assert jax.random.bits(tree['key']) == jax.random.bits(jax.random.key(7))


def test_only_the_newest_are_kept(tmp_path):
  with checkpoints.Checkpoints(tmp_path, max_to_keep=2) as saved:
    for step in range(4):
      saved.save(step, _tree(step))
  assert sorted(p.name for p in tmp_path.iterdir()) == ['2', '3']


def test_a_save_does_not_see_the_donation_that_follows(tmp_path):
  bump = jax.jit(
    lambda tree: jax.tree.map(lambda x: x + 1, tree), donate_argnums=0
  )
  tree = {'w': jnp.zeros(1_000_000)}
  with checkpoints.Checkpoints(tmp_path, max_to_keep=5) as saved:
    for step in range(5):
      saved.save(step, tree)
      tree = bump(bump(tree))
  with checkpoints.Checkpoints(tmp_path, max_to_keep=5) as saved:
    assert float(saved.restore_latest(tree)['w'].max()) == 8.0


def test_what_does_not_fit_is_refused_with_a_remedy(tmp_path):
  with checkpoints.Checkpoints(tmp_path) as saved:
    saved.save(1, _tree(1, size=3))
  with checkpoints.Checkpoints(tmp_path) as saved:
    with pytest.raises(
      checkpoints.CheckpointError,
      match=r'\[3\] in the checkpoint, .*\[5\] in this run',
    ):
      saved.restore_latest(_tree(1, size=5))
    assert saved.latest_step == 1


def _change_a_byte(checkpoint):
  files = [path for path in checkpoint.rglob('*') if path.is_file()]
  path = max(files, key=lambda path: path.stat().st_size)
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)


def test_a_changed_byte_is_noticed_and_the_checkpoint_before_is_taken(tmp_path):
  trees = [
    {'w': jax.random.normal(jax.random.key(step), (100, 100))}
    for step in (1, 2)
  ]
  with checkpoints.Checkpoints(tmp_path) as saved:
    for step, tree in enumerate(trees, 1):
      saved.save(step, tree)
  _change_a_byte(tmp_path / '2')
  with checkpoints.Checkpoints(tmp_path) as saved:
    found = saved.restore_latest(trees[0])
    assert saved.latest_step == 1
  np.testing.assert_array_equal(found['w'], trees[0]['w'])
  _change_a_byte(tmp_path / '1')
  with (
    checkpoints.Checkpoints(tmp_path) as saved,
    pytest.raises(checkpoints.CheckpointError, match='differs from what was'),
  ):
    saved.restore_latest(trees[0])


def test_a_checkpoint_of_an_earlier_version_has_no_sums(tmp_path):
  with checkpoints.Checkpoints(tmp_path) as saved:
    saved.save(1, _tree(5))
  shutil.rmtree(tmp_path / '1' / 'sums')
  with checkpoints.Checkpoints(tmp_path) as saved:
    assert float(saved.restore_latest(_tree(0))['w'][0]) == 5.0


def test_a_directory_is_open_in_one_run_at_a_time(tmp_path):
  with (
    checkpoints.Checkpoints(tmp_path) as saved,
    pytest.raises(folder_lock.FolderInUse, match='another process is writing'),
  ):
    checkpoints.Checkpoints(tmp_path)
  with checkpoints.Checkpoints(tmp_path) as saved:
    saved.save(1, _tree(1))


READ = """
import jax.numpy as jnp
from hyperrec.training import checkpoints
with checkpoints.Checkpoints({directory!r}) as saved:
  print(saved.restore_latest({{'w': jnp.zeros(1000)}})['w'][0])
"""


def test_damaged_arrays_fall_back_to_the_checkpoint_before(tmp_path):
  rng = np.random.default_rng(0)
  with checkpoints.Checkpoints(tmp_path) as saved:
    for step in (1, 2):
      noise = rng.normal(size=1000).astype(np.float32)
      noise[0] = step
      saved.save(step, {'w': jnp.asarray(noise)})
  for path in (tmp_path / '2' / 'tree').rglob('*'):
    if path.is_file():
      path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  # It runs in a separate process, since the failed read leaves coroutines that
  # fail later.
  script = READ.format(directory=str(tmp_path))
  done = subprocess.run(
    [sys.executable, '-c', script], capture_output=True, text=True, check=True
  )
  assert done.stdout.strip() == '1.0'
  assert 'checkpoint 2' in done.stderr
  assert not (tmp_path / '2').exists()
