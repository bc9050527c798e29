"""Trains P5 on prompts and evaluates all prompt families; this makes one row.

  python -m experiments.p5.run --workdir=WORKDIR \
    --flagfile=experiments/p5/movielens_small.flags

Paper: Geng et al., "Recommendation as language processing", RecSys 2022, arXiv
2203.13366. Each user's last row is the test row, and the row before it the
validation row. The full catalogue without the seen items is ranked. The
parameters with the best validation NDCG@10 of the next item are tested. The
same command with the same workdir resumes the run.
"""

import collections
import dataclasses
import hashlib
import json
import pathlib
import time

import jax
import numpy as np
from absl import app, flags, logging

from experiments import config_flags, script, source_flags
from experiments.p5 import judging
from hyperrec import method as method_lib
from hyperrec.cost import measure
from hyperrec.data import sequences, splits
from hyperrec.systems.p5 import item_ids, p5, prompt_tasks, prompts
from hyperrec.systems.p5 import tokenizer as tokenizer_lib
from hyperrec.training import manifest, run_log

_ROW = flags.DEFINE_string('row', None, 'Name of the row.', required=True)
_FAMILIES = flags.DEFINE_list(
  'families',
  list(prompts.FAMILIES),
  'Families of prompts to train on, such as sequential,rating; sequential must '
  'be among them.',
)
_NAMES = flags.DEFINE_enum(
  'names',
  p5.P5Config.names,
  item_ids.INDEXINGS,
  'Kind of item numbers; the numbers of the kind given leak the test items.',
)
# Items are named by numbers here, never by texts, and heads are at most as wide
# as the network.
_CONFIG = config_flags.define(
  p5.P5Config(), leave_out=['names', 'head_dim', 'name_tokens']
)
_SEED = script.define_seed('seed', 'Seed of all random draws.')
_EVALUATE_EVERY = flags.DEFINE_integer(
  'evaluate_every',
  500,
  'Number of steps between validations and between checkpoints; 0 means only '
  'at the end.',
  lower_bound=0,
)
_VALIDATION_USERS = flags.DEFINE_integer(
  'validation_users',
  1000,
  'Largest number of validation users, on which the parameters are chosen.',
  lower_bound=1,
)
_JUDGED_SEEN = flags.DEFINE_integer(
  'judged_seen',
  0,
  'Number of trained wordings that are tested of each kind of answer of each '
  'family; 0 means all.',
  lower_bound=0,
)
_WORKDIR = flags.DEFINE_string(
  'workdir',
  None,
  'Folder of checkpoints and metrics; without it, the run cannot be resumed.',
)
_OUTPUT = flags.DEFINE_string(
  'output',
  None,
  'JSON file that the row is written to; by default WORKDIR/ROW-SEED.json, or '
  'results/p5/ROW-SEED.json without a workdir.',
)

# Names of what a resumed run reads from its workdir, with format versions.
_KEEPS = {
  'checkpoints': 1,
  'metrics.jsonl': 1,
  'names.json': 1,
  'tokenizer.model': 1,
}
_FREE = {
  'row': 'it names the result',
  'judged_seen': 'it chooses which wordings are tested',
}


def main(argv):
  """Trains the model of one row, evaluates it, and writes the row."""
  del argv
  if 'sequential' not in _FAMILIES.value:
    raise app.UsageError(
      '--families must contain sequential, on which the parameters are chosen'
    )
  config = _config()
  data = source_flags.load()
  split = splits.leave_one_out(data)
  for held in (split.validation, split.test):
    sequences.check_targets_unseen(held.histories, held.targets)
  claim(data)
  untrained, numbers, templates, skipped = _untrained(config, split.train)
  (fitted, seconds), peak = measure.peak_bytes(
    lambda: _trained(untrained, templates, split)
  )
  judged = untrained._replace(state=fitted.state)
  row = {
    'row': _ROW.value,
    'seed': _SEED.value,
    'dataset': data.name,
    'split': 'leave_one_out',
    'method': 'p5',
    'config': dataclasses.asdict(config),
    'users': split.test.targets.num_users,
    'items': data.num_items,
    'skipped': skipped,
    'templates': _judged(judged, templates, split.test),
    'number_rule': _number_rule(numbers, split.test),
    'popularity': judging.popularity(split.train, split.test),
    'mean_rating': judging.mean_rating(split.train, split.test),
    'prepare': {
      'flops': fitted.cost.operations,
      'seconds': seconds,
      'peak_bytes': peak,
      'parameters': sum(x.size for x in jax.tree.leaves(fitted.state.params)),
    },
    'flags': script.script_flags(),
    **script.provenance(),
  }
  _write(row)


def claim(data) -> None:
  """Claims the workdir for this run; see `script.claim`."""
  script.claim(
    _WORKDIR.value,
    'experiments.p5.run',
    {'data': data},
    keeps=_KEEPS,
    free=_FREE,
  )


def _untrained(config, train):
  """Makes the model without parameters, and its prompts.

  Returns:
    The model, the item numbers [V], the usable templates, and the families that
    are left out, with reasons.
  """
  numbers = item_ids.number_items(train, config.names, _SEED.value)
  tokenizer = _tokenizer(config, train, numbers)
  names = list(map(tokenizer.encode, prompt_tasks.item_names(numbers)))
  tasks = p5.make_tasks(config, train, names, tokenizer, _SEED.value)
  templates, skipped = prompts.usable(_families(), tasks.fields)
  for family, reason in skipped.items():
    logging.warning('prompts of %s are left out: %s', family, reason)
  state = p5.P5State(None, tokenizer, p5.Catalogue.of(names))
  return judging.Judged(config, state, tasks), numbers, templates, skipped


def _families() -> list[str]:
  return list(dict.fromkeys(_FAMILIES.value))


def _tokenizer(config, train, numbers) -> tokenizer_lib.Tokenizer:
  """Trains a tokenizer, or loads that of the workdir.

  Tokenizer and item numbers must stay the same in a workdir. Another version of
  a package may produce different ones, so their digests are checked.

  Raises:
    OtherRunError: the workdir was made with another tokenizer or other numbers.
  """
  if not _WORKDIR.value:
    return tokenizer_lib.train(prompt_tasks.corpus(train), config.vocab_size)
  path = pathlib.Path(_WORKDIR.value) / 'tokenizer.model'
  if not path.exists():
    made = tokenizer_lib.train(prompt_tasks.corpus(train), config.vocab_size)
    made.save(path)
  tokenizer = tokenizer_lib.load(path)
  now = {
    'tokenizer': tokenizer.digest,
    'numbers': hashlib.sha256(numbers.astype('<i8').tobytes()).hexdigest(),
  }
  record = path.with_name('names.json')
  try:
    then = json.loads(record.read_bytes()) if record.exists() else now
    then = {what: str(then[what]) for what in now}
  except (ValueError, KeyError, TypeError) as error:
    raise manifest.OtherRunError(
      f'{record} does not say which tokenizer and numbers were used '
      f'({error!r}); give another --workdir, or delete that folder'
    ) from error
  for what, digest in now.items():
    if then[what] != digest:
      raise manifest.OtherRunError(
        f'{record}: the {what} of this workdir had sha256 {then[what][:12]}, '
        f'now it is {digest[:12]}; install the package versions that '
        'manifest.json lists, or give another --workdir'
      )
  script.write_document(now, record)
  return tokenizer


def _trained(untrained, templates, split):
  """Trains the model.

  Returns:
    The `Outcome` of training, and its processor seconds.
  """
  start = time.process_time()
  template = next(t for t in templates if t.family == 'sequential')
  held = _first_users(split.validation, _VALIDATION_USERS.value)

  def evaluate(state):
    now = untrained._replace(state=state)
    found = judging.judge(now, template, held, metrics=('hr@10', 'ndcg@10'))
    values = {f'validation_{name}': value for name, value in found.items()}
    logging.info('%s', values)
    return {**values, 'seconds': time.process_time() - start}

  model = p5.p5(
    families=_families(),
    user_seed=_SEED.value,
    **dataclasses.asdict(untrained.config),
  )
  run = method_lib.Run(
    evaluate=evaluate,
    best_metric='validation_ndcg@10',
    evaluate_every=_EVALUATE_EVERY.value,
    workdir=_WORKDIR.value,
    checkpoint_every=_EVALUATE_EVERY.value,
    description=_ROW.value,
  )
  key = jax.random.key(_SEED.value)
  fitted = model.fit(split.train, key, untrained.state, run)
  seconds = time.process_time() - start
  if _WORKDIR.value:
    path = pathlib.Path(_WORKDIR.value) / 'metrics.jsonl'
    seconds = run_log.training_seconds(run_log.read_metrics(path))
  return fitted, seconds


def _first_users(held: splits.HeldOut, limit: int) -> splits.HeldOut:
  """Keeps the targets of at most `limit` users, who are drawn at random."""
  users = np.unique(held.targets.users)
  chosen = np.random.default_rng(0).permutation(users)[:limit]
  kept = held.targets.rows(np.isin(held.targets.users, chosen))
  return held._replace(targets=kept)


def _judged(judged, templates, held) -> list[dict]:
  """Evaluates the templates, and makes a record for each evaluated one."""
  records, counts = [], collections.Counter()
  for template in templates:
    kind = template.family, template.target
    if template.seen and 0 < _JUDGED_SEEN.value <= counts[kind]:
      continue
    metrics = judging.judge(judged, template, held)
    if metrics is not None:
      counts[kind] += template.seen
      logging.info('%s: %s', template.name, metrics)
      records.append(
        {
          'template': template.name,
          'family': template.family,
          'target': template.target,
          'seen': template.seen,
          'metrics': metrics,
          'common_answer': judging.common_answer(judged, template, held),
        }
      )
  return records


def _number_rule(numbers, held):
  shown = held.histories.by_user_and_time()
  return judging.number_rule(
    numbers, held, lambda users: method_lib.Histories.of(shown, users)
  )


def _config() -> p5.P5Config:
  return _CONFIG.value(
    names=_NAMES.value, head_dim=min(32, _CONFIG.holders['dim'].value)
  )


def _write(row) -> None:
  default = f'p5/{_ROW.value}-{_SEED.value}.json'
  script.write_document(
    row, script.row_path(_OUTPUT.value, _WORKDIR.value, default)
  )
  for record in row['templates']:
    print(record['template'], json.dumps(record['metrics']))


if __name__ == '__main__':
  script.run(main)
