"""The arms of the table: what is learned from the sources, what is not."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import app

from hyperrec.data import interactions as interactions_lib
from hyperrec.methods import (
  vqrec_index,
  vqrec_stages,
  vqrec_training,
)

Config = vqrec_stages.Config
Fitted = vqrec_index.Fitted


class Arm(NamedTuple):
  """One row of the table.

  Attributes:
    title: what it is, for the table.
    changes: fields of `Config` that differ from the flags'.
    pretrained: whether it starts from the sources.
    finetuned: whether it learns from the target.
    has_text: whether the target's codes come from its text.
  """

  title: str
  changes: dict[str, Any] = {}  # noqa: RUF012 - read only
  pretrained: bool = True
  finetuned: bool = True
  has_text: bool = True


_OWN = {'index': 'target', 'alignment': 'learned'}
_KEPT = {'index': 'source', 'alignment': 'identity'}
ARMS = {
  'scratch': Arm('from scratch, no pre-training', {}, pretrained=False),
  'full': Arm('the paper: own index, learned alignment', _OWN),
  'no_fakes': Arm(
    'without semi-synthetic negatives', {**_OWN, 'replaced': 0.0}
  ),
  'identity': Arm('own index, no alignment', {**_OWN, 'alignment': 'identity'}),
  'random': Arm(
    'own index, random map (the published code)',
    {**_OWN, 'alignment': 'random'},
  ),
  'source_index': Arm("the sources' index", _KEPT),
  'all': Arm(
    "the sources' index, everything trained", {**_KEPT, 'finetune_all': True}
  ),
  'random_codes': Arm('random codes', _OWN, has_text=False),
  'lookup': Arm('looked up, nothing trained', _KEPT, finetuned=False),
}


class Target(NamedTuple):
  """What an arm learns from, and how it is judged while it does.

  Attributes:
    train: the training part.
    table: features of the items.
    made: their own index; None where none is needed.
    evaluate: on validation users.
    loop: fields of `loop.LoopConfig`.
  """

  train: interactions_lib.Interactions
  table: np.ndarray
  made: vqrec_index.Made | None
  evaluate: Callable[[Fitted], dict[str, float]]
  loop: dict[str, Any]


def configured(arm: Arm, config: Config) -> Config:
  """The hyper-parameters of an arm."""
  return dataclasses.replace(config, **arm.changes)


def parse_trial(text: str) -> tuple[str, dict[str, Any]]:
  """The arm, and the fields of `Config` that differ: "dim=64 lr=0.01".

  Raises:
    UsageError: an unknown arm or field, a value that is not of its type, or a
      field that this arm would not heed.
  """
  known = {f.name: f.type for f in dataclasses.fields(Config)}
  changes = {}
  arm = 'scratch'
  for entry in text.split():
    name, _, value = entry.partition('=')
    try:
      if name == 'arm' and value in ARMS:
        arm = value
      elif known[name] is bool:
        changes[name] = {'true': True, 'false': False}[value]
      else:
        changes[name] = known[name](value)
    except (KeyError, ValueError):
      raise app.UsageError(
        f'--trial="{text}": {entry!r} is neither arm=NAME, of '
        f'{[*ARMS]}, nor FIELD=VALUE, of {known}'
      ) from None
  _check_heeded(text, arm, changes)
  return arm, changes


def _check_heeded(text: str, arm: str, changes: dict[str, Any]) -> None:
  """What is made before the trial, or is the arm's own, no trial changes."""
  fixed = {'num_groups', 'num_codes', *ARMS[arm].changes}
  if ARMS[arm].pretrained:
    late = ('align_', 'finetune_')
    fixed |= {name for name in changes if not name.startswith(late)}
  for name in fixed & set(changes):
    raise app.UsageError(
      f'--trial="{text}": arm={arm} would not heed {name}, which is the '
      "arm's own or serves before the trial begins"
    )


def fit(
  arm: Arm,
  config: Config,
  shared: Fitted | None,
  target: Target,
  key: jax.Array,
) -> Fitted:
  """The arm's network of the target's catalogue.

  Args:
    arm: which one.
    config: hyper-parameters of the flags.
    shared: what is pre-trained; None from scratch.
    target: what it learns from.
    key: a typed key.
  """
  config = configured(arm, config)
  run = {
    'made': target.made,
    'evaluate': target.evaluate,
    'loop': target.loop,
  }
  if shared is None:
    return vqrec_training.from_scratch(
      config, target.train, target.table, key, **run
    )
  if arm.finetuned:
    return vqrec_training.finetune(
      config, shared, target.train, target.table, key, **run
    )
  return vqrec_index.look_up(
    shared._replace(flops=0.0), target.train, target.table
  )
