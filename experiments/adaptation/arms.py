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
  hyperease,
  hyperease_learned,
  item_knn,
  l3ae,
  mult_vae,
  p5,
  popularity,
  slim,
)

Features = features_lib.Features
Trial = dict[str, Any]


class Arm(NamedTuple):
  """A builder of a `Method` and the hyper-parameters to try on it."""

  build: Callable[..., method_lib.Method]
  trials: tuple[Trial, ...]


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
  'l2 l2_features trust relation transfer popularity',
  (30.0, 3.0, 0.9, 0.2, 0.2, 0.2),
  (100.0, 3.0, 0.8, 0.3, 0.3, 0.15),
  (10.0, 3.0, 0.95, 0.1, 0.1, 0.1),
  (60.0, 10.0, 0.9, 0.3, 0.1, 0.15),
  (200.0, 3.0, 0.5, 0.2, 0.2, 0.2),
  (30.0, 10.0, 0.97, 0.3, 0.3, 0.15),
  (100.0, 1.0, 0.95, 0.1, 0.1, 0.1),
  (200.0, 10.0, 0.8, 0.1, 0.1, 0.1),
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
# One setting each: it takes minutes to train, and nothing else depends on it.
P5 = (
  {
    'dim': 64,
    'num_layers': 1,
    'dropout': 0.0,
    'max_history': 10,
    'source_length': 48,
    'batch_size': 16,
    'lr': 1e-2,
    'num_steps': 200,
  },
)
P5_LONG = ({**P5[0], 'batch_size': 64, 'lr': 3e-3, 'num_steps': 6000},)


def new_users(features: Features) -> dict[str, Arm]:
  """Arms of the regime in which the catalogue is known and users are new."""
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
    **_prompted('sequential'),
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
  }
  fitted = {
    name: arm._replace(build=_retrained(arm.build))
    for name, arm in fitted.items()
  }
  generated = functools.partial(hyperease.hyperease, features.own)
  return {
    'popularity': Arm(popularity.popularity, ({},)),
    **fitted,
    'ease_dynamic': Arm(ease_dynamic.ease_dynamic, EASE),
    'mult_vae_finetune': Arm(mult_vae.mult_vae_finetune, MULT_VAE),
    **_prompted('text'),
    'ridge_map': Arm(
      functools.partial(hyperease.ridge_map, features.own), RIDGE_MAP
    ),
    'hyperease_zero': Arm(functools.partial(generated, solve=False), HYPEREASE),
    'hyperease': Arm(generated, HYPEREASE),
    **_controls(hyperease.hyperease, features.own),
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
  lookups = features.own, features.shared
  generated = functools.partial(hyperease.hyperease, *lookups)
  return {
    **alone,
    **_prompted('text'),
    'ridge_map': Arm(
      functools.partial(hyperease.ridge_map, *lookups), RIDGE_MAP
    ),
    'hyperease_zero': Arm(functools.partial(generated, solve=False), HYPEREASE),
    'hyperease': Arm(generated, HYPEREASE),
    **_controls(hyperease.hyperease, *lookups),
  }


def _prompted(names: str) -> dict[str, Arm]:
  """P5, which no evidence changes; trained longer where it is asked for."""
  build = functools.partial(p5.p5, names=names)
  return {'p5': Arm(build, P5), LONG: Arm(build, P5_LONG)}


LONG = 'p5:long'
_PARTS = ('relation', 'transfer', 'popularity')
# Left out unless they are named.
CONTROLS = (
  LONG,
  'hyperease:learned',
  'hyperease:shuffled',
  'hyperease:constant',
  *(f'hyperease:no_{part}' for part in _PARTS),
)


def _controls(build, *lookups) -> dict[str, Arm]:
  """Arms that show what matters of the generator; left out by default."""
  learned, shuffled, constant, *without = CONTROLS[1:]
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
        tuple({**trial, part: 0.0} for trial in HYPEREASE),
      )
      for name, part in zip(without, _PARTS, strict=True)
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
