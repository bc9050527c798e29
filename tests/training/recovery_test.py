"""Tests of runs that are stopped or killed, or that cannot write files."""

import contextlib
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import jax
import pytest

from experiments.benchmarks import chaos_training
from hyperrec.training import checkpoints

ROOT = pathlib.Path(__file__).parents[2]
STEPS = 40


def start(workdir, steps=STEPS):
  return subprocess.Popen(
    [sys.executable, '-m', 'experiments.benchmarks.chaos',
     f'--workdir={workdir}', f'--steps={steps}'],
    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
  )  # fmt: skip


def saved(workdir):
  folder = pathlib.Path(workdir) / 'checkpoints'
  return max(
    (int(p.name) for p in folder.glob('[0-9]*') if p.name.isdigit()), default=0
  )


def wait_until_saved(process, workdir, step):
  while process.poll() is None and saved(workdir) < step:
    time.sleep(0.01)
  assert process.poll() is None, process.communicate()[1]


@pytest.mark.slow
def test_stopped_then_killed_it_ends_as_another_process_does(tmp_path):
  """SIGTERM saves and exits with 0; SIGKILL loses no saved checkpoint."""
  undisturbed = start(tmp_path / 'calm')
  workdir = tmp_path / 'run'
  first = start(workdir)
  wait_until_saved(first, workdir, 5)
  told = time.monotonic()
  first.send_signal(signal.SIGTERM)
  _, errors = first.communicate(timeout=60)
  assert first.returncode == 0, errors
  assert time.monotonic() - told < 30
  assert 'the same command continues from there' in errors
  assert f'stopped after step {saved(workdir)} of {STEPS}' in errors
  second = start(workdir)
  wait_until_saved(second, workdir, saved(workdir) + 5)
  second.kill()
  second.communicate()
  last = start(workdir)
  out, errors = last.communicate(timeout=600)
  assert last.returncode == 0, errors
  calm, errors = undisturbed.communicate(timeout=600)
  assert undisturbed.returncode == 0, errors
  assert calm
  assert out == calm


def test_a_half_deleted_checkpoint_falls_back(tmp_path):
  data, workdir = chaos_training.load(), tmp_path / 'w'
  undisturbed = chaos_training.train(data, str(workdir), 20)
  newest = workdir / 'checkpoints' / str(saved(workdir))
  shutil.rmtree(newest / 'tree')
  assert chaos_training.train(data, str(workdir), 20) == undisturbed


@pytest.fixture
def mount(tmp_path):
  """Yields a function that mounts tmp_path/small with the given options."""
  folder = tmp_path / 'small'
  folder.mkdir()

  def mounted(options):
    done = subprocess.run(
      ['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', folder],
      capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
      pytest.skip(f'cannot mount a small file system: {done.stderr.strip()}')
    return folder

  yield mounted
  subprocess.run(['umount', '--lazy', folder], check=False, capture_output=True)


def fill_up(path):
  with path.open('wb', buffering=0) as file, contextlib.suppress(OSError):
    while True:
      file.write(bytes(4096))


# Orbax writes from several threads; after one has failed, it does not wait for
# the others.
@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
def test_a_full_disk_is_told_and_keeps_what_was_saved(mount):
  folder = mount('size=2m')
  tree = {'w': jax.random.normal(jax.random.key(0), (100_000,))}
  with checkpoints.Checkpoints(folder / 'c') as kept:
    kept.save(1, tree)
  fill_up(folder / 'fill')
  with (
    pytest.raises(checkpoints.CheckpointError, match='No space left'),
    checkpoints.Checkpoints(folder / 'c') as kept,
  ):
    kept.save(2, tree)
  (folder / 'fill').unlink()
  with checkpoints.Checkpoints(folder / 'c') as kept:
    found = kept.restore_latest(tree)
  assert (found['w'] == tree['w']).all()


def test_a_place_that_takes_no_file_is_told(mount, tmp_path):
  with pytest.raises(checkpoints.CheckpointError, match='Read-only'):
    checkpoints.Checkpoints(mount('size=1m,ro') / 'c')
  (tmp_path / 'file').write_text('')
  with pytest.raises(checkpoints.CheckpointError, match='Not a directory'):
    checkpoints.Checkpoints(tmp_path / 'file' / 'c')
