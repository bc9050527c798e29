"""Kills commands many times, resumes them, and checks their results.

  python -m experiments.benchmarks.chaos --kills=25

Four commands are killed (SIGKILL): a training with a checkpoint after every
step, a sweep, the fit of a recommender, and its update. After each kill the
same command runs again. At the end the result must be bit-identical to that of
an undisturbed run, and nothing that was kept may be lost or half-written.
Further mishaps follow: damaged checkpoints, full and read-only disks, SIGTERM,
a clock that is set back, and two runs in one workdir. If anything ends
otherwise than it should, the exit code is 1.
"""

import concurrent.futures
import pathlib
import tempfile

from absl import flags

from experiments import script
from experiments.benchmarks import (
  chaos_kills,
  chaos_mishaps,
  chaos_subjects,
  chaos_training,
)

_KILLS = flags.DEFINE_integer(
  'kills',
  25,
  'Number of times that each command is killed.',
  lower_bound=1,
)
_STEPS = flags.DEFINE_integer(
  'steps', 400, 'Training steps of the training.', lower_bound=1
)
_SEED = script.define_seed(
  'seed', 'Seed of the moments at which a command is killed.'
)
_OUTPUT = flags.DEFINE_string(
  'output', 'results/benchmarks/chaos.json', 'JSON file that is written.'
)
_WORKDIR = flags.DEFINE_string(
  'workdir',
  None,
  'Only train in this folder, and print a checksum of the parameters.',
)

# What a resumed run finds in its workdir, with the version of its format.
_KEEPS = {'checkpoints': 1, 'metrics.jsonl': 1}
_FREE = {
  'kills': 'it has no effect with a workdir',
  'seed': 'it has no effect with a workdir',
}


def main(argv):
  """Trains in --workdir; without it, disturbs commands and writes the JSON."""
  del argv
  if _WORKDIR.value:
    data = chaos_training.load()
    claim(data)
    print(chaos_training.train(data, _WORKDIR.value, _STEPS.value))
    return 0
  with tempfile.TemporaryDirectory() as folder:
    document = disturb(
      pathlib.Path(folder), _KILLS.value, _STEPS.value, _SEED.value
    )
  script.write_document(document | script.provenance(), _OUTPUT.value)
  print(f'written to {_OUTPUT.value}')
  return 0 if is_as_wanted(document) else 1


def claim(data) -> None:
  """Raises OtherRunError if the workdir belongs to another run."""
  script.claim(
    _WORKDIR.value, chaos_subjects.TRAINING, {'data': data},
    keeps=_KEEPS, free=_FREE,
  )  # fmt: skip


def disturb(folder: pathlib.Path, kills: int, steps: int, seed: int) -> dict:
  """Disturbs every command in every way; returns how each ended.

  Args:
    folder: an empty folder.
    kills: number of kills of each command.
    steps: number of training steps of the training.
    seed: seed of the moments of the kills.
  """
  chaos_subjects.write_tables(folder)
  subjects = chaos_subjects.all_of(folder, steps)

  def killed(subject):
    found = chaos_kills.torment(subject, folder / subject.name, kills, seed)
    print(
      f'{subject.name}: {found["kills"]} kills, {found["in_a_write"]} in a '
      f'write, identical: {found["is_identical"]}', *found['problems'],
      sep='\n  ', flush=True,
    )  # fmt: skip
    return found

  with concurrent.futures.ThreadPoolExecutor(len(subjects)) as pool:
    commands = list(pool.map(killed, subjects.values()))
  mishaps = chaos_mishaps.all_of(
    chaos_subjects.training(steps // 4 or 1), subjects['fit'], folder / 'other'
  )
  for found in mishaps:
    print(f'{found["name"]}: {found["is_as_wanted"]}: {found["told"]}')
  return {'steps': steps, 'commands': commands, 'mishaps': mishaps}


def is_as_wanted(document: dict) -> bool:
  """Whether every command and every mishap that was tried ended well."""
  return all(
    found['is_identical'] and not found['problems']
    for found in document['commands']
  ) and all(found['is_as_wanted'] is not False for found in document['mishaps'])


if __name__ == '__main__':
  script.run(main)
