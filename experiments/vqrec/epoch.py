"""Estimates the time of an epoch from scratch from a few full-size steps.

  python -m experiments.vqrec.epoch --source=scientific --duplicates=keep \
    --min_user_interactions=1 --dim=300 --dropout=0.5 --data_dir=DIR

The codes are random, so that no text is needed; real codes take the same time.
The script measures processor time, summed over all cores, since other programs
on the machine change it less than elapsed time.
"""

import math
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments import script, source_flags
from experiments.vqrec import config_flags
from hyperrec.data import sequences, splits
from hyperrec.systems.vqrec import stages as vqrec_stages
from hyperrec.systems.vqrec import training as vqrec_training
from hyperrec.training import optimizers
from hyperrec.training import step as step_lib

_STEPS = flags.DEFINE_integer(
  'steps',
  8,
  'Number of steps that are measured, after a first one that compiles.',
  lower_bound=1,
)


def main(argv):
  """Measures the steps, and writes experiments/vqrec/results/epoch.json."""
  del argv
  config = config_flags.config()
  data = source_flags.load()
  train = splits.leave_one_out(data).train
  packed = sequences.pack(sequences.Sequences.of(train), config.length)
  seconds = step_seconds(config, packed, data.num_items, _STEPS.value)
  steps = math.ceil(len(packed.inputs) / config.batch_size)
  document = {
    'dataset': data.name,
    'items': data.num_items,
    'rows': len(packed.inputs),
    'prefixes': int((packed.segments > 0).sum()),
    'steps': steps,
    'step_seconds': seconds,
    'epoch_seconds': steps * statistics.median(seconds),
    'flags': script.script_flags(),
    **script.provenance(),
  }
  script.write_document(document, 'experiments/vqrec/results/epoch.json')
  print(f'an epoch: {document["epoch_seconds"]:.1f} s')


def step_seconds(
  config: vqrec_stages.VqrecConfig,
  packed: sequences.PackedRows,
  num_items: int,
  num_steps: int,
) -> list[float]:
  """Measures training steps.

  Args:
    config: hyperparameters.
    packed: training rows of the target.
    num_items: number of items of the catalogue.
    num_steps: number of steps that are measured.

  Returns:
    Processor seconds of each step. A first step, which compiles, is left out.
  """
  shape = num_items, config.num_groups
  codes = np.random.default_rng(0).integers(0, config.num_codes, shape)
  params = vqrec_training.init(config, jax.random.key(0))
  stage = vqrec_stages.catalogue(config, num_items, config.epochs, config.lr)
  step = vqrec_stages.train_step(stage.loss, config.encoder(), stage.options)
  tx = optimizers.cosine_adamw(config.lr, num_steps)
  state = step_lib.init_state(params, tx, jax.random.key(1))
  constant = {'codes': jnp.asarray(codes, jnp.int32), 'fixed': params}
  # The step reuses the memory of its state, so the fixed part needs a copy.
  constant = jax.tree.map(jnp.copy, constant)
  seconds = []
  for i in range(num_steps + 1):
    chosen = (np.arange(config.batch_size) + i) % len(packed.inputs)
    began = time.process_time()
    state, metrics = step(state, {'rows': packed.rows(chosen), **constant})
    jax.block_until_ready(metrics)
    seconds.append(time.process_time() - began)
  return seconds[1:]


if __name__ == '__main__':
  script.run(main)
