"""The arms of the table: what is learned from the sources, what is not."""

import dataclasses
from typing import Any, NamedTuple

import jax
from absl import app

from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.systems.vqrec import index as vqrec_index
from hyperrec.systems.vqrec import stages as vqrec_stages
from hyperrec.systems.vqrec import vqrec

VqrecConfig = vqrec_stages.VqrecConfig
Model = method_lib.Model
Outcome = method_lib.Outcome


class Arm(NamedTuple):
  """One row of the table.

  Attributes:
    title: what it is, for the table.
    changes: fields of `VqrecConfig` that differ from the flags'.
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


def configured(arm: Arm, config: VqrecConfig) -> VqrecConfig:
  """The hyperparameters of an arm."""
  return dataclasses.replace(config, **arm.changes)


def parse_trial(text: str) -> tuple[str, dict[str, Any]]:
  """The arm, and the fields of `VqrecConfig` that differ: "dim=64 lr=0.01".

  Raises:
    UsageError: an unknown arm or field, a value that is not of its type, or a
      field that this arm would not heed.
  """
  known = {f.name: f.type for f in dataclasses.fields(VqrecConfig)}
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


def make_model(
  arm: Arm,
  config: VqrecConfig,
  features: vqrec.Features,
  make_index: vqrec_index.MakeIndex,
) -> Model:
  """VQ-Rec with the hyperparameters of an arm.

  Args:
    arm: which one.
    config: hyperparameters of the flags.
    features: of the target's items.
    make_index: makes the target's own index.
  """
  build = vqrec.vqrec if arm.pretrained else vqrec.vqrec_from_scratch
  settings = dataclasses.asdict(configured(arm, config))
  return build(features, make_index, **settings)


def fit(
  arm: Arm,
  model: Model,
  shared: Outcome | None,
  train: interactions_lib.Interactions,
  *,
  key: jax.Array,
  run: method_lib.Run,
) -> Outcome:
  """The arm's network of the target's catalogue.

  Args:
    arm: which one.
    model: of the arm.
    shared: what is pre-trained; None from scratch.
    train: the training part of the target.
    key: a typed key.
    run: how the last stage of training is evaluated.
  """
  if shared is None:
    return model.fit(train, key, run=run)
  if not arm.finetuned:
    return model.look_up(shared.state, train)
  start = model.carry(shared.state, train, key)
  fitted = model.fit(train, key, start.state, run)
  return Outcome(fitted.state, start.cost + fitted.cost)
