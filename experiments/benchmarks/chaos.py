"""Kills and resumes a training run many times, and checks its result.

  python -m experiments.benchmarks.chaos --kills=25

A Mult-VAE is trained with a checkpoint after every step, so that many kills
(SIGKILL) happen during a save. After each kill the same command resumes the
run. At the end the parameters must be bit-identical to those of an
uninterrupted run; otherwise the exit code is 1.
"""

import pathlib
import random
import subprocess
import sys
import tempfile
import time

from absl import flags

from experiments import script
from experiments.benchmarks import chaos_training

_KILLS = flags.DEFINE_integer(
  'kills',
  25,
  'Number of times that the run is killed.',
  lower_bound=1,
)
_STEPS = flags.DEFINE_integer(
  'steps', 400, 'Training steps of the run.', lower_bound=1
)
_SEED = script.define_seed(
  'seed', 'Seed of the moments at which the run is killed.'
)
_OUTPUT = flags.DEFINE_string(
  'output', 'results/benchmarks/chaos.json', 'JSON file that is written.'
)
_WORKDIR = flags.DEFINE_string(
  'workdir',
  None,
  'Only train in this folder, and print a checksum of the parameters.',
)

_MODULE = 'experiments.benchmarks.chaos'
# What a resumed run finds in its workdir, with the version of its format.
_KEEPS = {'checkpoints': 1, 'metrics.jsonl': 1}
_FREE = {
  'kills': 'it has no effect with a workdir',
  'seed': 'it has no effect with a workdir',
}


def main(argv):
  """Trains in --workdir; without it, starts and kills such runs."""
  del argv
  if _WORKDIR.value:
    data = chaos_training.load()
    claim(data)
    print(chaos_training.train(data, _WORKDIR.value, _STEPS.value))
    return 0
  with tempfile.TemporaryDirectory() as folder:
    document = torment(
      pathlib.Path(folder), _KILLS.value, _STEPS.value, _SEED.value
    )
  document |= script.provenance()
  print(document)
  script.write_document(document, _OUTPUT.value)
  return 0 if document['is_identical'] else 1


def claim(data) -> None:
  """Raises OtherRunError if the workdir belongs to another run."""
  script.claim(
    _WORKDIR.value, _MODULE, {'data': data}, keeps=_KEEPS, free=_FREE
  )


def torment(folder: pathlib.Path, kills: int, steps: int, seed: int) -> dict:
  """Trains once without and once with kills; returns the comparison.

  Args:
    folder: folder for both workdirs.
    kills: number of kills of the second run, if it does not finish before.
    steps: number of training steps.
    seed: seed of the times of the kills: up to two seconds after the first new
      checkpoint.
  """
  calm = _run(folder / 'calm', steps).communicate()[0].strip()
  moments = random.Random(seed)
  workdir = folder / 'killed'
  done = in_save = 0
  reached = []
  while done < kills:
    process = _run(workdir, steps)
    before = _newest(workdir)
    while process.poll() is None and _newest(workdir) == before:
      time.sleep(0.01)
    end = time.monotonic() + moments.uniform(0, 2)
    while process.poll() is None and time.monotonic() < end:
      time.sleep(0.001)
    if process.poll() is not None:
      break
    process.kill()
    process.communicate()
    done += 1
    in_save += bool(list((workdir / 'checkpoints').glob('*tmp*')))
    reached.append(_newest(workdir))
  last = _run(workdir, steps).communicate()[0].strip()
  return {
    'kills': done,
    'in_the_middle_of_a_save': in_save,
    'steps_reached': reached,
    'steps': steps,
    'is_identical': last == calm != '',
    'sha256': calm,
  }


def _run(workdir: pathlib.Path, steps: int) -> subprocess.Popen:
  command = [sys.executable, '-m', _MODULE, f'--workdir={workdir}',
             f'--steps={steps}']  # fmt: skip
  return subprocess.Popen(
    command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
  )


def _newest(workdir: pathlib.Path) -> int:
  """Returns the step of the newest complete checkpoint; -1 without one."""
  found = (workdir / 'checkpoints').glob('[0-9]*')
  steps = [int(path.name) for path in found if path.name.isdigit()]
  return max(steps, default=-1)


if __name__ == '__main__':
  script.run(main)
