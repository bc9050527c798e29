"""Control arms: what a method owes to its parts. Left out unless named."""

import functools

import numpy as np

from experiments.adaptation import grids
from experiments.adaptation.arm import Arm
from hyperrec.methods import (
  ease,
  hyperease,
  hyperease_learned,
  hyperease_user,
  pref,
  pref_interview,
  two_tower,
)

# What a control leaves out of the generator of priors.
_WITHOUT = {
  **{f'hyperease:no_{part}': {part: 0.0} for part in grids.NO_SOURCE},
  'hyperease:no_kernel': {'sharpness': 0.0},
  'hyperease:unconstrained': {'constrained': False},
}
# What a control tells the generator of a user instead of her history.
_TOLD = ('size', 'constant', 'shuffled')
NAMES = (
  'ease:unconstrained',
  'pref:known',
  'pref:shown',
  'p5:long',
  'two_tower',
  'hyperease:learned',
  'hyperease:shuffled',
  'hyperease:constant',
  *_WITHOUT,
  *(f'hyperease_user:{what}' for what in _TOLD),
)


def of_users() -> dict[str, Arm]:
  """Of the regime of new users.

  PReF that asks only about what users know, and that sees shown items; a
  generator that is not told a user's history.
  """
  asked = functools.partial(pref_interview.pref_interview, only_known=True)
  return {
    'pref:known': Arm(asked, grids.PREF, interviews=True),
    'pref:shown': Arm(pref.pref, grids.PREF),
    **{
      f'hyperease_user:{what}': Arm(
        functools.partial(hyperease_user.hyperease_user, conditioning=what),
        grids.HYPEREASE_USER,
      )
      for what in _TOLD
    },
  }


def of_ease(**fixed) -> dict[str, Arm]:
  """EASE without its zero diagonal: ridge regression."""
  build = functools.partial(ease.ease, constrained=False, **fixed)
  return {'ease:unconstrained': Arm(build, grids.EASE)}


def of_networks(lookup) -> dict[str, Arm]:
  """A network as large as HyperEASE's generator that generates nothing."""
  build = functools.partial(two_tower.two_tower, lookup)
  return {'two_tower': Arm(build, grids.TWO_TOWER)}


def of_parts(*lookups, grows: bool = False) -> dict[str, Arm]:
  """HyperEASE without a part of its prior."""
  build = functools.partial(hyperease.hyperease, *lookups, grows=grows)
  return {
    name: Arm(
      functools.partial(build, name=name),
      tuple({**trial, **change} for trial in grids.HYPEREASE),
    )
    for name, change in _WITHOUT.items()
  }


def of_priors(*lookups) -> dict[str, Arm]:
  """HyperEASE without a part, with wrong features, with learned strengths."""
  return {
    'hyperease:learned': Arm(
      functools.partial(hyperease_learned.hyperease_learned, *lookups), ({},)
    ),
    'hyperease:shuffled': _with(_shuffled, 'hyperease:shuffled', lookups),
    'hyperease:constant': _with(_constant, 'hyperease:constant', lookups),
    **of_parts(*lookups),
  }


def _with(change, name, lookups) -> Arm:
  build = functools.partial(hyperease.hyperease, *map(change, lookups))
  return Arm(functools.partial(build, name=name), grids.HYPEREASE)


def _shuffled(features):
  """Each item gets the features of another one of its catalogue."""

  def lookup(part):
    table = features(part)
    return table[np.random.default_rng(0).permutation(len(table))]

  return lookup


def _constant(features):
  """Every item gets the mean of its catalogue."""

  def lookup(part):
    table = features(part)
    return np.broadcast_to(table.mean(axis=0), table.shape)

  return lookup
