"""The arms of the experiment, which are variants of training VQ-Rec.

They differ in what is learned from the sources and what from the target.
"""

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
  """One variant, which is one row of the table.

  Attributes:
    title: description of the arm in the table.
    changes: fields of `VqrecConfig` whose values differ from the flags.
    pretrained: whether the network is pre-trained on the sources.
    finetuned: whether the network is trained on the target.
    has_text: whether the target's codes are made from its text; otherwise they
      are random.
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
  """Applies the changes of an arm to the hyperparameters of the flags."""
  return dataclasses.replace(config, **arm.changes)


def parse_trial(text: str) -> tuple[str, dict[str, Any]]:
  """Parses a trial, such as "arm=full finetune_lr=0.01".

  Args:
    text: entries arm=NAME and FIELD=VALUE with spaces between them. Without an
      arm, the trial is from scratch.

  Returns:
    The name of the arm, and the fields of `VqrecConfig` that the trial sets.

  Raises:
    UsageError: the arm or a field is unknown, a value does not have the type of
      its field, or the field has no effect in this arm.
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
        f'--trial="{text}": {entry!r} is neither arm=NAME with a name from '
        f'{[*ARMS]} nor FIELD=VALUE with a field and a type from {known}'
      ) from None
  _check_heeded(text, arm, changes)
  return arm, changes


def _check_heeded(text: str, arm: str, changes: dict[str, Any]) -> None:
  """Refuses fields that the arm sets or that act only before the trial.

  Raises:
    UsageError: the trial sets such a field.
  """
  fixed = {'num_groups', 'num_codes', *ARMS[arm].changes}
  if ARMS[arm].pretrained:
    late = ('align_', 'finetune_')
    fixed |= {name for name in changes if not name.startswith(late)}
  for name in fixed & set(changes):
    raise app.UsageError(
      f'--trial="{text}": arm={arm} ignores {name}, since the arm sets it or '
      'it is used before the trial begins; leave it out'
    )


def make_model(
  arm: Arm,
  config: VqrecConfig,
  features: vqrec.Features,
  make_index: vqrec_index.MakeIndex,
) -> Model:
  """Makes the model of an arm.

  Args:
    arm: the arm, whose changes are applied to `config`.
    config: hyperparameters of the flags.
    features: gives the features of the target's items.
    make_index: makes an index from the target's own features.
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
  """Fits the network of an arm to the target.

  Args:
    arm: the arm.
    model: the model of the arm, from `make_model`.
    shared: the pre-trained network; None trains from scratch.
    train: training part of the target.
    key: typed key of the random numbers.
    run: how the last stage of training is evaluated.

  Returns:
    The state over the target's catalogue and its cost, without pre-training.
  """
  if shared is None:
    return model.fit(train, key, run=run)
  if not arm.finetuned:
    return model.look_up(shared.state, train)
  start = model.carry(shared.state, train, key)
  fitted = model.fit(train, key, start.state, run)
  return Outcome(fitted.state, start.cost + fitted.cost)
