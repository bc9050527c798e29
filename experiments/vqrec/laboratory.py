"""Prepares the arms on one target: data, indices and pre-trained networks.

It also holds the flags that the scripts `run` and `trials` share.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from absl import flags

from experiments import script, source_flags
from experiments.vqrec import arms as arms_lib
from experiments.vqrec import config_flags, item_tables
from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.data import sequences, splits
from hyperrec.evaluation import held_out, ranking
from hyperrec.systems.vqrec import index as vqrec_index
from hyperrec.systems.vqrec import stages as vqrec_stages
from hyperrec.systems.vqrec import vqrec

VqrecConfig = vqrec_stages.VqrecConfig
Interactions = interactions_lib.Interactions
Model = method_lib.Model
Outcome = method_lib.Outcome
VqrecState = vqrec_index.VqrecState

ROW = flags.DEFINE_string('row', None, 'Name of the result.', required=True)
WORKDIR = flags.DEFINE_string(
  'workdir',
  None,
  'Folder of the pre-trained models and the finished results.',
  required=True,
)
_DOMAINS = flags.DEFINE_list(
  'domains', [], 'Source domains of pre-training, such as beauty,steam.'
)
_MASK_SEEN = flags.DEFINE_bool(
  'mask_seen', True, 'Leave the items of the history out of the ranking.'
)
_EVALUATE_EVERY = flags.DEFINE_integer(
  'evaluate_every', 100, 'Number of steps between validations.', lower_bound=1
)


class Data(NamedTuple):
  """The target and the sources, with the features [V, F] of their items."""

  target: Interactions
  table: np.ndarray
  domains: tuple[Interactions, ...]
  domain_tables: list[np.ndarray]
  split: splits.Split


class DataSets(NamedTuple):
  """The target, its split, and the sources."""

  target: Interactions
  split: splits.Split
  domains: tuple[Interactions, ...]


def read() -> DataSets:
  """Reads the target and the sources that the flags name.

  Raises:
    DataError: a data set cannot be read, or a held-out item is in its user's
      history while --mask_seen leaves histories out of the ranking.
  """
  target = source_flags.load()
  domains = source_flags.load_domains(_DOMAINS.value)
  split = splits.leave_one_out(target)
  if _MASK_SEEN.value:
    for held in (split.validation, split.test):
      sequences.check_targets_unseen(held.histories, held.targets)
  return DataSets(target, split, domains)


def claim(
  name: str,
  data: DataSets,
  keeps: Mapping[str, int],
  free: Mapping[str, str],
) -> None:
  """Claims the workdir for this run; see `script.claim`.

  Args:
    name: name of the script.
    data: the data sets of the run.
    keeps: maps names in the workdir to the version of their format, besides
      the pre-trained networks.
    free: maps flags that may differ when the run is resumed to the reason.

  Raises:
    OtherRunError: the workdir belongs to another run.
  """
  script.claim(
    WORKDIR.value,
    name,
    {
      'data': data.target,
      **{f'domain {domain.name}': domain for domain in data.domains},
    },
    keeps={'pretrained_*': 1, **keeps},
    free=free,
    files={'text_encoder': item_tables.encoder_files()},
  )


def with_features(data: DataSets) -> Data:
  """Adds the features of their items to the data sets.

  Raises:
    DataError: a data set has no item text, or the encoder cannot be used.
  """
  *domain_tables, table = item_tables.of([*data.domains, data.target])
  return Data(data.target, table, data.domains, domain_tables, data.split)


def judge(
  model: Model,
  state: VqrecState,
  held: splits.HeldOut,
  metrics: Sequence[str],
) -> ranking.Evaluation:
  """Evaluates the full ranking of each user's next item.

  Args:
    model: the model.
    state: its fitted state.
    held: histories, and the items to be found.
    metrics: names of the metrics.
  """
  return held_out.evaluate(
    functools.partial(model.score, state),
    *held,
    metrics=metrics,
    seen=held.histories if _MASK_SEEN.value else held.histories.rows([]),
  )


class Start(NamedTuple):
  """All that is needed to fit an arm.

  Attributes:
    arm: the arm.
    model: the model of the arm.
    shared: the pre-trained network; None trains from scratch.
    train: training part of the target.
    key: typed key of the random numbers.
    evaluate: maps a state to the validation metric that selects parameters.
  """

  arm: arms_lib.Arm
  model: Model
  shared: Outcome | None
  train: Interactions
  key: jax.Array
  evaluate: Callable[[VqrecState], dict[str, float]]

  def fit(self) -> Outcome:
    """Fits the network of the arm to the target; see `arms.fit`."""
    run = method_lib.Run(
      evaluate=self.evaluate,
      evaluate_every=_EVALUATE_EVERY.value,
      best_metric='ndcg@10',
    )
    return arms_lib.fit(
      self.arm, self.model, self.shared, self.train, key=self.key, run=run
    )


def under_seed(
  data: Data, seed: int
) -> Callable[[arms_lib.Arm, VqrecConfig], Start]:
  """Makes a function that prepares arms under one seed.

  Indices and pre-trained networks are made when an arm first needs them, and
  the other arms then share them.

  Args:
    data: the data sets.
    seed: seed of all random numbers.

  Returns:
    Maps an arm and the hyperparameters of the flags to a `Start`.
  """
  tables = {True: data.table, False: item_tables.random(len(data.table), seed)}
  index_of = functools.cache(lambda has_text: _index(tables[has_text], seed))
  pretrained = functools.cache(lambda share: _pretrained(data, share, seed))

  def start(arm, config):
    config = arms_lib.configured(arm, config)
    has_own = not arm.pretrained or config.index == 'target'
    # The index is made here, so that the time of the first arm excludes it.
    index = index_of(arm.has_text) if has_own else None
    model = arms_lib.make_model(
      arm, config, lambda data: tables[arm.has_text], lambda *unused: index
    )
    return Start(
      arm,
      model,
      pretrained(config.replaced) if arm.pretrained else None,
      data.split.train,
      jax.random.fold_in(jax.random.key(seed), 1),
      functools.partial(validate, model, data),
    )

  return start


def validate(model: Model, data: Data, state: VqrecState) -> dict[str, float]:
  """NDCG@10 of the validation users, which selects the parameters of a run."""
  found = judge(model, state, data.split.validation, ('ndcg@10',))
  return {'ndcg@10': found.mean('ndcg@10')}


def _pretrained(data: Data, replaced: float, seed: int) -> Outcome:
  """Pre-trains a network on the sources.

  Args:
    data: the data sets.
    replaced: share of the codes that are replaced to make a false item.
    seed: seed of all random numbers.

  Raises:
    DataError: the flags name no sources.
  """
  if not data.domains:
    raise interactions_lib.DataError(
      '--domains is empty, but this arm is pre-trained; name source domains, '
      'such as --domains=beauty,steam, or run --arms=scratch'
    )
  names = [domain.name for domain in data.domains]
  tables = dict(zip(names, data.domain_tables, strict=True))
  model = vqrec.vqrec(
    lambda domain: tables[domain.name],
    lambda table, key: _index(table, seed),
    **dataclasses.asdict(config_flags.pretraining(replaced)),
  )
  kind = 'fakes' if replaced else 'no_fakes'
  run = method_lib.Run(
    workdir=pathlib.Path(WORKDIR.value) / f'pretrained_{kind}_{seed}',
    description=f'pre-training, seed {seed}',
    checkpoint_every=500,
  )
  return model.fit(data.domains, jax.random.key(seed), run=run)


def _index(table: np.ndarray, seed: int) -> Outcome:
  config = config_flags.config()
  return vqrec_index.make(
    table,
    jax.random.fold_in(jax.random.key(seed), 2),
    num_groups=config.num_groups,
    num_codes=config.num_codes,
  )
