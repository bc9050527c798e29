"""The arms of the adaptation experiment and the trials each may tune over.

Every arm with hyper-parameters has the same number of trials, in an order that
puts the most promising first, so that `--trials=N` cuts all of them alike.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.adaptation import features as features_lib
from hyperrec import method as method_lib
from hyperrec.data import interactions
from hyperrec.methods import (
  ease,
  ease_dynamic,
  esler,
  generated_head,
  hyperease,
  hyperease_learned,
  hyperease_user,
  item_knn,
  l3ae,
  mult_vae,
  popularity,
  pref,
  pref_interview,
  sasrec,
  slim,
  vqrec,
)

Features = features_lib.Features
Trial = dict[str, Any]


class Arm(NamedTuple):
  """A builder of a `Method` and the hyper-parameters to try on it.

  Attributes:
    build: takes the fields of a trial, and `num_questions` of an interview.
    trials: most promising first.
    interviews: the budget is of questions, not of shown items.
  """

  build: Callable[..., method_lib.Method]
  trials: tuple[Trial, ...]
  interviews: bool = False


def _grid(**axes) -> tuple[Trial, ...]:
  names = list(axes)
  return tuple(
    dict(zip(names, values, strict=True))
    for values in itertools.product(*axes.values())
  )


def _rows(names: str, *rows, **fixed) -> tuple[Trial, ...]:
  """Trials of the named values, a row each, and what all of them share."""
  names = names.split()
  return tuple({**dict(zip(names, r, strict=True)), **fixed} for r in rows)


L2 = (100.0, 30.0, 300.0, 10.0, 60.0, 200.0, 600.0, 3.0)
EASE = _grid(l2=L2)
ITEM_KNN = _grid(shrink=(10.0, 100.0), neighbours=(100, 20, 400, 1000))
SLIM = _grid(l2=(30.0, 100.0, 300.0, 10.0), l1=(1.0, 0.1))
L3AE = _rows(
  'l2 l2_features trust',
  (30.0, 3.0, 0.9),
  (100.0, 3.0, 0.8),
  (10.0, 3.0, 0.95),
  (60.0, 10.0, 0.9),
  (200.0, 3.0, 0.5),
  (30.0, 10.0, 0.97),
  (100.0, 1.0, 0.95),
  (200.0, 10.0, 0.8),
)
HYPEREASE = _rows(
  'l2 l2_features trust relation transfer popularity sharpness',
  (30.0, 2.0, 0.9, 0.1, 0.1, 0.1, 2.0),
  (100.0, 2.0, 0.8, 0.2, 0.2, 0.2, 2.0),
  (30.0, 2.0, 0.8, 0.2, 0.2, 0.2, 1.0),
  (30.0, 4.0, 0.9, 0.3, 0.3, 0.15, 1.0),
  (10.0, 2.0, 0.95, 0.1, 0.1, 0.1, 2.0),
  (30.0, 1.0, 0.9, 0.1, 0.1, 0.1, 3.0),
  (100.0, 4.0, 0.8, 0.3, 0.3, 0.15, 1.0),
  (200.0, 4.0, 0.6, 0.2, 0.2, 0.2, 2.0),
)
RIDGE_MAP = _grid(relation=(1.0, 2.0), l2=(30.0, 100.0, 10.0, 300.0))
CEASE = _rows(
  'l2 alpha',
  (30.0, 3.0),
  (100.0, 5.0),
  (10.0, 3.0),
  (100.0, 10.0),
  (30.0, 10.0),
  (300.0, 10.0),
  (10.0, 1.0),
  (100.0, 2.0),
)
ELSA = _rows(
  'rank epochs',
  (64, 20),
  (128, 20),
  (32, 20),
  (64, 40),
  (128, 10),
  (256, 20),
  (32, 40),
  (64, 10),
  lr=0.03,
)
PREF = _rows(
  'base rank',
  ('ease', 16),
  ('ials', 16),
  ('ease', 8),
  ('ease', 32),
  ('svd', 16),
  ('svd', 8),
  ('ials', 8),
  ('ials', 32),
)
MULT_VAE = _rows(
  'hidden_dim latent_dim epochs anneal_cap',
  (200, 64, 60, 0.2),
  (200, 64, 60, 1.0),
  (600, 200, 30, 0.2),
  (200, 64, 120, 0.2),
  (100, 32, 120, 0.2),
  (600, 200, 30, 1.0),
  (200, 64, 30, 0.2),
  (100, 32, 60, 1.0),
  batch_size=50,
)
GENERATED_HEAD = tuple({'base': trial} for trial in MULT_VAE)
HYPEREASE_USER = _rows(
  'l2 dropout rank',
  (300.0, 0.5, 32),
  (100.0, 0.5, 32),
  (300.0, 0.5, 64),
  (30.0, 0.5, 32),
  (300.0, 0.2, 32),
  (200.0, 0.7, 64),
  (600.0, 0.5, 32),
  (100.0, 0.2, 16),
)
SASREC = _rows(
  'lr epochs dim num_layers dropout',
  (5e-3, 5, 32, 1, 0.2),
  (2e-3, 10, 32, 1, 0.2),
  (1e-3, 40, 32, 1, 0.2),
  (1e-3, 40, 64, 2, 0.5),
  (1e-3, 80, 32, 1, 0.5),
  (2e-3, 20, 64, 1, 0.5),
  (1e-3, 20, 128, 1, 0.2),
  (3e-3, 20, 32, 2, 0.2),
  num_heads=1,
  batch_size=8,
)
# More than ten epochs of fine-tuning forget: the evidence is small.
VQREC = _rows(
  'epochs finetune_epochs finetune_lr temperature dropout',
  (5, 10, 3e-3, 0.1, 0.5),
  (10, 5, 1e-2, 0.1, 0.5),
  (20, 10, 3e-3, 0.1, 0.5),
  (20, 20, 3e-3, 0.1, 0.5),
  (20, 10, 3e-3, 0.2, 0.5),
  (40, 10, 3e-3, 0.2, 0.2),
  (20, 5, 3e-3, 0.1, 0.2),
  (10, 20, 1e-3, 0.07, 0.5),
  num_groups=32,
  num_codes=32,
  length=20,
  dim=64,
  num_layers=1,
  hidden_dim=128,
  batch_size=8,
  lr=3e-3,
  finetune_all=True,
)


def new_users(features: Features) -> dict[str, Arm]:
  """Arms of the regime in which the catalogue is known and users are new."""
  known, shown = PREF_CONTROLS
  return {
    'popularity': Arm(popularity.popularity, ({},)),
    'itemknn': Arm(item_knn.item_knn, ITEM_KNN),
    'ease': Arm(ease.ease, EASE),
    'ease:retrain': Arm(_retrained(ease.ease), EASE),
    'ease_dynamic': Arm(ease_dynamic.ease_dynamic, EASE),
    'slim': Arm(slim.slim, SLIM),
    'esler': Arm(esler.esler, EASE),
    'elsa': Arm(esler.elsa, ELSA),
    'cease': Arm(functools.partial(l3ae.cease, features.own), CEASE),
    'l3ae': Arm(functools.partial(l3ae.l3ae, features.own), L3AE),
    'mult_vae': Arm(mult_vae.mult_vae, MULT_VAE),
    'mult_vae:retrain': Arm(_retrained(mult_vae.mult_vae), MULT_VAE),
    'mult_vae_finetune': Arm(mult_vae.mult_vae_finetune, MULT_VAE),
    'generated_head': Arm(generated_head.generated_head, GENERATED_HEAD),
    'hyperease_user': Arm(hyperease_user.hyperease_user, HYPEREASE_USER),
    **{
      f'hyperease_user:{what}': Arm(
        functools.partial(hyperease_user.hyperease_user, conditioning=what),
        HYPEREASE_USER,
      )
      for what in _USER_CONTROLS
    },
    'pref': Arm(pref_interview.pref_interview, PREF, interviews=True),
    known: Arm(
      functools.partial(pref_interview.pref_interview, only_known=True),
      PREF,
      interviews=True,
    ),
    shown: Arm(pref.pref, PREF),
    'sasrec': Arm(sasrec.sasrec, SASREC),
    'sasrec:retrain': Arm(_retrained(sasrec.sasrec), SASREC),
    'sasrec_finetune': Arm(sasrec.sasrec_finetune, SASREC),
  }


def new_catalogue(features: Features) -> dict[str, Arm]:
  """Arms of the regime in which all items are new.

  What a source teaches can serve here where it is a network's inner layers, or
  a map from the features of items; all others fit the evidence alone.
  """
  fitted = {
    'itemknn': Arm(item_knn.item_knn, ITEM_KNN),
    'ease': Arm(ease.ease, EASE),
    'slim': Arm(slim.slim, SLIM),
    'esler': Arm(esler.esler, EASE),
    'elsa': Arm(esler.elsa, ELSA),
    'cease': Arm(functools.partial(l3ae.cease, features.own), CEASE),
    'l3ae': Arm(functools.partial(l3ae.l3ae, features.own), L3AE),
    'mult_vae': Arm(mult_vae.mult_vae, MULT_VAE),
    'sasrec': Arm(sasrec.sasrec, SASREC),
  }
  fitted = {
    name: arm._replace(build=_retrained(arm.build))
    for name, arm in fitted.items()
  }
  lookups = features.units, features.own
  generated = functools.partial(hyperease.hyperease, *lookups)
  return {
    'popularity': Arm(popularity.popularity, ({},)),
    **fitted,
    'ease_dynamic': Arm(ease_dynamic.ease_dynamic, EASE),
    'mult_vae_finetune': Arm(mult_vae.mult_vae_finetune, MULT_VAE),
    'sasrec_finetune': Arm(sasrec.sasrec_finetune, SASREC),
    **_vqrec(features.own),
    'ridge_map': Arm(
      functools.partial(hyperease.ridge_map, features.own), RIDGE_MAP
    ),
    'hyperease_zero': Arm(functools.partial(generated, solve=False), HYPEREASE),
    'hyperease': Arm(generated, HYPEREASE),
    **_controls(*lookups),
  }


def new_domain(features: Features) -> dict[str, Arm]:
  """Arms of the regime in which users and items are of another data set.

  C is made of the target's own features; what the domains teach acts on those
  that they share.
  """
  alone = {
    'popularity': Arm(popularity.popularity, ({},)),
    'itemknn': Arm(_retrained(item_knn.item_knn), ITEM_KNN),
    'ease': Arm(_retrained(ease.ease), EASE),
    'slim': Arm(_retrained(slim.slim), SLIM),
    'cease': Arm(
      _retrained(functools.partial(l3ae.cease, features.own)), CEASE
    ),
    'l3ae': Arm(_retrained(functools.partial(l3ae.l3ae, features.own)), L3AE),
  }
  alone = {
    name: arm._replace(build=_without_source(arm.build))
    for name, arm in alone.items()
  }
  lookups = features.units, features.shared
  generated = functools.partial(hyperease.hyperease, *lookups)
  return {
    **alone,
    **_vqrec(features.shared),
    'ridge_map': Arm(
      functools.partial(hyperease.ridge_map, *lookups), RIDGE_MAP
    ),
    'hyperease_zero': Arm(functools.partial(generated, solve=False), HYPEREASE),
    'hyperease': Arm(generated, HYPEREASE),
    **_controls(*lookups),
  }


# PReF that asks only about what users know, and that sees shown items.
PREF_CONTROLS = ('pref:known', 'pref:shown')


def _vqrec(lookup) -> dict[str, Arm]:
  return {
    'vqrec_lookup': Arm(functools.partial(vqrec.vqrec, lookup), VQREC),
    'vqrec_finetune': Arm(
      functools.partial(vqrec.vqrec_finetune, lookup), VQREC
    ),
  }


_PARTS = ('relation', 'transfer', 'popularity')
# What a control leaves out of the generator.
_WITHOUT = {
  **{f'hyperease:no_{part}': {part: 0.0} for part in _PARTS},
  'hyperease:no_source': dict.fromkeys(_PARTS, 0.0),
  'hyperease:no_kernel': {'sharpness': 0.0},
}
# What a control tells the generator of a user instead of her history.
_USER_CONTROLS = ('size', 'constant', 'shuffled')
HYPEREASE_CONTROLS = (
  'hyperease:learned',
  'hyperease:shuffled',
  'hyperease:constant',
  *_WITHOUT,
)
CONTROLS = (
  *PREF_CONTROLS,
  *HYPEREASE_CONTROLS,
  *(f'hyperease_user:{what}' for what in _USER_CONTROLS),
)


def _controls(*lookups) -> dict[str, Arm]:
  """Arms that show what matters of the generator; left out by default."""
  learned, shuffled, constant = HYPEREASE_CONTROLS[:3]
  build = hyperease.hyperease
  return {
    learned: Arm(
      functools.partial(hyperease_learned.hyperease_learned, *lookups), ({},)
    ),
    **{
      name: Arm(
        functools.partial(build, *map(change, lookups), name=name), HYPEREASE
      )
      for name, change in ((shuffled, _shuffled), (constant, _constant))
    },
    **{
      name: Arm(
        functools.partial(build, *lookups, name=name),
        tuple({**trial, **change} for trial in HYPEREASE),
      )
      for name, change in _WITHOUT.items()
    },
  }


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


def _retrained(build):
  return functools.partial(build, retrain=True)


def _without_source(build):
  """Builds methods that are shown no other domain, for want of use."""

  def built(**trial):
    method = build(**trial)

    def prepare(source: method_lib.Source, key: jax.Array):
      del source
      nothing = interactions.Interactions(
        [], [], 0, 1, item_ids=np.array(['no item'])
      )
      return method.prepare(nothing, key)

    return dataclasses.replace(
      method, prepare=prepare, prepare_flops=method_lib.no_flops
    )

  return built


ARMS = {
  'new_users': new_users,
  'new_catalogue': new_catalogue,
  'new_domain': new_domain,
}
