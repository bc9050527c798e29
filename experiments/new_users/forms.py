r"""Measures whether parameters that are generated for a user earn their place.

Papers: the forms are those of written_forms.py, which names them.
Expected: no sure gain but that of fine-tuning on lastfm; see README.md.
Time: not measured on a quiet machine; tens of minutes on a shared core.

  python -m experiments.new_users.forms --source=lastfm --data_dir=DIR \
    --output=experiments/new_users/results/forms/lastfm.json

Mult-VAE and SASRec are compared as they are, trained further for one user,
retrained, and with parts that a hypernetwork generates in several forms.
"""

import json
import pathlib
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import app, flags, logging

from experiments import script, source_flags
from experiments.new_users import own_parameters, written_forms
from hyperrec import adapting, laboratory, regimes
from hyperrec import features as features_lib
from hyperrec import method as method_lib
from hyperrec.data import item_features
from hyperrec.systems.hypernetwork import conditioning, output_forms
from hyperrec.systems.mult_vae import mult_vae
from hyperrec.systems.sequential import sasrec

_FAMILIES = flags.DEFINE_multi_enum(
  'families',
  ['mult_vae', 'sasrec'],
  ['mult_vae', 'sasrec'],
  'Base to run; give the flag once for each.',
)
_NUM_HELDOUT = flags.DEFINE_integer(
  'num_heldout',
  200,
  'Number of validation users, and of test users.',
  lower_bound=1,
)
_ENCODER = flags.DEFINE_enum(
  'text_encoder', 'tfidf', item_features.ENCODERS, 'Encoder of item text.'
)
_STEPS = flags.DEFINE_integer(
  'steps', 200, 'Training steps of each generator.', lower_bound=1
)
_WAYS = flags.DEFINE_list(
  'ways',
  [],
  'Ways of adapting to run besides frozen, such as finetuned,film; all by '
  'default.',
)
_SEED = script.define_seed('seed', 'Seed of the split and of the training.')
_OUTPUT = flags.DEFINE_string(
  'output',
  'results/forms.json',
  'JSON file of the rows. Other rows that it has are kept.',
)

BUDGETS = (1, 5, 20)
_FORMS = {
  'film': written_forms.Film(),
  'mixture': written_forms.Mixture(),
  'low_rank': written_forms.LowRank(),
  'chunked': written_forms.Chunked(),
  'full': output_forms.Full(),
}
# The base, and each way of adapting it, has three trials.
_LRS = (3e-4, 1e-3, 5e-3)
# Generators that are also trained on users whom their base does not know.
_ON_STRANGERS = ('film', 'low_rank', 'head')
_FINE_TUNING = (
  own_parameters.FineTuning(5, 3e-4),
  own_parameters.FineTuning(5, 1e-3),
  own_parameters.FineTuning(20, 1e-3),
)


class Family(NamedTuple):
  """A base and what is generated of it.

  Attributes:
    model: hyperparameters -> the base.
    trials: hyperparameters of the base.
    network: (config, V) -> what it computes for one user.
    params: state of the base -> parameters.
    layer: paths of a hidden layer.
    head: paths of what stands before the scores.
    reads: what encoders read besides the set of items.
  """

  model: Callable[..., method_lib.Model]
  trials: tuple[dict[str, Any], ...]
  network: Callable[..., own_parameters.Network]
  params: Callable[[Any], Any]
  layer: tuple[tuple[str, ...], ...]
  head: tuple[tuple[str, ...], ...]
  reads: tuple[str, ...] = ()


_VAE = {'hidden_dim': 200, 'latent_dim': 64, 'batch_size': 50}
_SASREC = {
  'num_layers': 1,
  'num_heads': 1,
  'hidden_ratio': 1,
  'dim': 64,
  'length': 50,
  'shuffled': True,
  'batch_size': 16,
}
FAMILIES = {
  'mult_vae': Family(
    mult_vae.mult_vae,
    (
      {**_VAE, 'epochs': 60},
      {**_VAE, 'epochs': 120},
      {**_VAE, 'epochs': 60, 'anneal_cap': 1.0},
    ),
    own_parameters.of_mult_vae,
    lambda state: state,
    (('hidden_out',),),
    (('logits', 'bias'),),
    ('statistics', 'text'),
  ),
  'sasrec': Family(
    sasrec.sasrec,
    (
      {**_SASREC, 'lr': 5e-3, 'epochs': 100},
      {**_SASREC, 'lr': 5e-3, 'epochs': 40},
      {**_SASREC, 'lr': 2e-3, 'epochs': 100},
    ),
    own_parameters.of_sasrec,
    lambda state: state.params,
    (('block_0',),),
    (('norm',),),
  ),
}


class Data(NamedTuple):
  """One split of a data set.

  Attributes:
    tasks: budget -> task.
    source: the training data.
    tables: what an encoder reads of each item, by the name of what it reads.
    key: of all random draws.
  """

  tasks: dict[int, regimes.Task]
  source: method_lib.Interactions
  tables: dict[str, np.ndarray]
  key: jax.Array

  def judge(self, model: method_lib.Model, state: Any) -> float:
    """Mean NDCG@100 of the validation users over the budgets."""
    return float(
      np.mean([_ndcg(model, state, t.validation) for t in self.tasks.values()])
    )


class Found(NamedTuple):
  """A way of adapting, with the trial that validation users prefer.

  Attributes:
    model: scores users.
    state: budget -> its state.
    prepare: operations before the first user.
    per_user: budget -> operations of an adaptation to one user alone.
    trial: its hyperparameters.
    validation: its value on validation users; None if it was not tuned.
  """

  model: method_lib.Model
  state: dict[int, Any]
  prepare: float
  per_user: dict[int, float]
  trial: Any
  validation: float | None


def main(argv):
  """Runs the families and adds their rows to the file."""
  del argv
  script.check_place('output', _OUTPUT.value)
  split = read(source_flags.load())
  for name in _FAMILIES.value:
    check_ways(_WAYS.value, generators(FAMILIES[name], split))
    rows = []
    for way, found in ways(FAMILIES[name], split, _WAYS.value):
      rows += rows_of(found, split, f'{name}:{way}')
      save(rows, pathlib.Path(_OUTPUT.value))
      values = [round(row['ndcg@100'], 4) for row in rows[-len(BUDGETS) :]]
      logging.info('%s %s:%s %s', split.source.name, name, way, values)


def check_ways(chosen: Collection[str], made: Collection[str]) -> None:
  """Raises UsageError if a way is unknown."""
  known = ['finetuned', 'retrained', 'part', *made]
  for name in chosen:
    if name not in known:
      raise app.UsageError(f'--ways={name} is unknown; use some of {known}')


def read(data: method_lib.Interactions) -> Data:
  """The split that the flags name, and what encoders read of its items."""
  features = features_lib.read(
    [data], _ENCODER.value, cache_folder=None, num_features=128
  )
  make_task = regimes.find('new_users').make_task
  tasks = {
    budget: make_task(data, budget, _SEED.value, _NUM_HELDOUT.value)
    for budget in BUDGETS
  }
  source = tasks[BUDGETS[0]].source
  popular_V = np.log1p(source.item_counts())
  popular_V = popular_V / max(1.0, popular_V.max())
  statistics = np.stack(
    [conditioning.cos_sin(value[None]) for value in popular_V]
  )
  nothing = np.zeros((data.num_items, 1))
  tables = {'statistics': statistics}
  tables |= dict.fromkeys(('set', 'size', 'constant'), nothing)
  if features.encoder is not None:
    tables['text'] = features.units(source)
  tables = {k: np.asarray(v, np.float32) for k, v in tables.items()}
  return Data(tasks, source, tables, jax.random.key(_SEED.value))


def ways(
  family: Family, data: Data, chosen: Collection[str]
) -> Iterator[tuple[str, Found]]:
  """Yields (name, what was found) for each way of adapting the base.

  Args:
    family: the base.
    data: the split.
    chosen: names of the ways; all if there is none.
  """
  is_chosen = lambda name: not chosen or name in chosen  # noqa: E731
  found = frozen(family, data)
  yield 'frozen', found
  base = _base(family, found, data)
  if is_chosen('finetuned'):
    yield (
      'finetuned',
      best(
        lambda trial: own_parameters.fine_tuned(trial, base), _FINE_TUNING, data
      ),
    )
  made = generators(family, data)
  for name in filter(is_chosen, made):
    yield name, _generated(made[name], base, data)
  if is_chosen('retrained'):
    yield 'retrained', retrained(found, data)
  if not is_chosen('part'):
    return
  known, strangers = parted(data)
  found = best(lambda trial: family.model(**trial), (found.trial,), known)
  yield 'part', found
  base = _base(family, found, data)
  for name in _ON_STRANGERS:
    yield f'part:{name}', _generated(made[name], base, strangers)


def generators(family: Family, data: Data) -> dict[str, tuple]:
  """Name -> form, generated parts, and what the encoder reads."""
  layer = family.layer
  made = {name: (form, layer, 'set') for name, form in _FORMS.items()}
  made['head'] = (output_forms.Full(), family.head, 'set')
  for reads in family.reads:
    if reads in data.tables:
      made[f'film:{reads}'] = (written_forms.Film(), layer, reads)
  for reads in ('size', 'constant'):
    made[f'mixture:{reads}'] = (written_forms.Mixture(), layer, reads)
  return made


def _base(family: Family, found: Found, data: Data) -> own_parameters.Base:
  network = family.network(found.model.config, data.source.num_items)
  params = family.params(found.state[BUDGETS[0]])
  return own_parameters.Base(network, params, found.prepare)


def _generated(generator, base: own_parameters.Base, data: Data) -> Found:
  """A generator with the best learning rate."""
  num_judged = sum(t.validation.targets.num_users for t in data.tasks.values())

  def build(trial):
    table = data.tables[trial.reads]
    return own_parameters.generated(trial, base, table, data.judge, num_judged)

  trials = tuple(
    own_parameters.Generator(*generator, lr=lr, steps=_STEPS.value)
    for lr in _LRS
  )
  return best(build, trials, data)


def parted(data: Data) -> tuple[Data, Data]:
  """The split with two thirds of the training users, and with the others.

  A generator that is trained on users whom its base knows learns to correct
  what the base says of them, and not of strangers.
  """
  random = np.random.default_rng(_SEED.value)
  users = random.permutation(data.source.num_users)
  cut = 2 * len(users) // 3
  return tuple(
    data._replace(source=data.source.take_users(np.sort(part)))
    for part in (users[:cut], users[cut:])
  )


def frozen(family: Family, data: Data) -> Found:
  """The base as it is."""
  return best(lambda trial: family.model(**trial), family.trials, data)


def best(build: Callable, trials, data: Data) -> Found:
  """The trial that validation users prefer."""
  outcomes = []
  for trial in trials:
    model = build(trial)
    outcome = model.fit(data.source, data.key)
    outcomes.append((data.judge(model, outcome.state), model, outcome))
    logging.info('validation %.4f %s', outcomes[-1][0], trial)
  chosen = int(np.argmax([value for value, *_ in outcomes]))
  value, model, outcome = outcomes[chosen]
  per_user = 0.0
  if model.generate is not None:
    made = model.generate(outcome.state, data.source, data.key)
    per_user = made.cost.per_user
  return Found(
    model,
    dict.fromkeys(BUDGETS, outcome.state),
    outcome.cost.operations,
    dict.fromkeys(BUDGETS, per_user),
    trials[chosen],
    value,
  )


def retrained(base: Found, data: Data) -> Found:
  """The base trained again on all users and what the test users have shown.

  All test users share one training, so its operations are those of a user who
  comes alone.
  """
  fitted = {}
  for budget, task in data.tasks.items():
    everything = adapting.everything(task.source, task.test.evidence)
    fitted[budget] = base.model.fit(everything, data.key)
  return Found(
    base.model,
    {budget: outcome.state for budget, outcome in fitted.items()},
    0.0,
    {budget: outcome.cost.operations for budget, outcome in fitted.items()},
    base.trial,
    None,
  )


def _ndcg(model, state, judged: regimes.Judged) -> float:
  found = laboratory.judge(model, state, judged, (laboratory.PRIMARY,))
  return found.mean(laboratory.PRIMARY)


def rows_of(found: Found, data: Data, method: str) -> list[dict]:
  """One row for each budget: quality of the test users, and the costs."""
  rows = []
  for budget, task in data.tasks.items():
    values = laboratory.judge(
      found.model, found.state[budget], task.test, (laboratory.PRIMARY,)
    ).values[laboratory.PRIMARY]
    rows.append(
      {
        'dataset': data.source.name,
        'method': method,
        'budget': budget,
        'seed': _SEED.value,
        'ndcg@100': float(values.mean()),
        'per_user': [round(float(value), 4) for value in values],
        'prepare_operations': found.prepare,
        'operations_per_user': found.per_user[budget],
        'validation': found.validation,
        'hyperparameters': str(found.trial),
        'flags': script.script_flags(),
        **script.provenance(),
      }
    )
  return rows


def save(rows: list[dict], path: pathlib.Path) -> None:
  """Writes the rows, and the other rows that are there."""
  old = json.loads(path.read_text(encoding='utf-8')) if path.exists() else []
  merged = {
    (row['dataset'], row['method'], row['budget'], row['seed']): row
    for row in (*old, *rows)
  }
  script.write_document(list(merged.values()), path)


if __name__ == '__main__':
  script.run(main)
