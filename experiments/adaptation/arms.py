"""The arms of the adaptation experiment, by regime."""

import dataclasses
import functools

import jax
import numpy as np

from experiments.adaptation import controls, grids
from experiments.adaptation.arm import Arm
from hyperrec import features as features_lib
from hyperrec import method as method_lib
from hyperrec.data import interactions
from hyperrec.methods import (
  ease,
  ease_dynamic,
  ease_sparse,
  esler,
  generated_head,
  hyperease,
  hyperease_user,
  item_knn,
  l3ae,
  mult_vae,
  p5,
  popularity,
  pref_interview,
  sasrec,
  slim,
  vqrec,
)

Features = features_lib.Features


def new_users(features: Features) -> dict[str, Arm]:
  """Arms of the regime in which the catalogue is known and users are new."""
  return {
    'popularity': Arm(popularity.popularity, ({},)),
    'itemknn': Arm(item_knn.item_knn, grids.ITEM_KNN),
    'ease': Arm(ease.ease, grids.EASE_USERS),
    'ease:retrain': Arm(_retrained(ease.ease), grids.EASE_USERS),
    'ease_dynamic': Arm(ease_dynamic.ease_dynamic, grids.EASE_USERS),
    'ease_sparse': Arm(ease_sparse.ease_sparse, grids.EASE_SPARSE),
    'slim': Arm(slim.slim, grids.SLIM_USERS),
    'esler': Arm(esler.esler, grids.EASE_USERS),
    'elsa': Arm(esler.elsa, grids.ELSA),
    'cease': Arm(
      functools.partial(l3ae.cease, features.own), grids.CEASE_USERS
    ),
    'l3ae': Arm(functools.partial(l3ae.l3ae, features.own), grids.L3AE_USERS),
    'mult_vae': Arm(mult_vae.mult_vae, grids.MULT_VAE, family='mult_vae'),
    'mult_vae_finetune': Arm(
      mult_vae.mult_vae_finetune, grids.MULT_VAE, family='mult_vae'
    ),
    'mult_vae:retrain': Arm(_retrained(mult_vae.mult_vae), grids.MULT_VAE),
    'generated_head': Arm(generated_head.generated_head, grids.GENERATED_HEAD),
    'hyperease_user': Arm(hyperease_user.hyperease_user, grids.HYPEREASE_USER),
    'pref': Arm(pref_interview.pref_interview, grids.PREF, interviews=True),
    **_sasrec(grids.SASREC_USERS),
    **_p5('collaborative'),
    **controls.of_users(),
    **controls.of_ease(),
  }


def new_catalogue(features: Features) -> dict[str, Arm]:
  """Arms of the regime in which all items are new.

  What a source teaches can serve here where it is a network's inner layers, or
  a map from the features of items; all others fit the evidence alone.
  """
  fitted = {
    'itemknn': Arm(item_knn.item_knn, grids.ITEM_KNN),
    'ease': Arm(ease.ease, grids.EASE),
    'ease_sparse': Arm(ease_sparse.ease_sparse, grids.EASE_SPARSE),
    'slim': Arm(slim.slim, grids.SLIM),
    'esler': Arm(esler.esler, grids.EASE),
    'elsa': Arm(esler.elsa, grids.ELSA),
    'cease': Arm(functools.partial(l3ae.cease, features.own), grids.CEASE),
    'l3ae': Arm(functools.partial(l3ae.l3ae, features.own), grids.L3AE),
    'mult_vae': Arm(mult_vae.mult_vae, grids.MULT_VAE),
    'sasrec': Arm(sasrec.sasrec, grids.SASREC_ITEMS),
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
    'ease_dynamic': Arm(ease_dynamic.ease_dynamic, grids.EASE),
    'mult_vae_finetune': Arm(mult_vae.mult_vae_finetune, grids.MULT_VAE),
    'sasrec_finetune': Arm(sasrec.sasrec_finetune, grids.SASREC_ITEMS),
    **_vqrec(features.own, grids.VQREC),
    **_p5('text'),
    'ridge_map': Arm(
      functools.partial(hyperease.ridge_map, features.own), grids.RIDGE_MAP
    ),
    'hyperease_zero': Arm(
      functools.partial(generated, solve=False), grids.HYPEREASE
    ),
    'hyperease': Arm(generated, grids.HYPEREASE),
    **_kernel(*lookups),
    **controls.of_priors(*lookups),
    **controls.of_networks(features.own),
    **controls.of_ease(retrain=True),
  }


def new_domain(features: Features) -> dict[str, Arm]:
  """Arms of the regime in which users and items are of another data set.

  C is made of the target's own features; what the domains teach acts on those
  that they share.
  """
  alone = {
    'popularity': Arm(popularity.popularity, ({},)),
    'itemknn': Arm(_retrained(item_knn.item_knn), grids.ITEM_KNN),
    'ease': Arm(_retrained(ease.ease), grids.EASE),
    **controls.of_ease(retrain=True),
    'ease_sparse': Arm(_retrained(ease_sparse.ease_sparse), grids.EASE_SPARSE),
    'slim': Arm(_retrained(slim.slim), grids.SLIM),
    'cease': Arm(
      _retrained(functools.partial(l3ae.cease, features.own)), grids.CEASE
    ),
    'l3ae': Arm(
      _retrained(functools.partial(l3ae.l3ae, features.own)), grids.L3AE
    ),
    'mult_vae': Arm(_retrained(mult_vae.mult_vae), grids.MULT_VAE),
    'sasrec': Arm(_retrained(sasrec.sasrec), grids.SASREC_ITEMS),
  }
  alone = {
    name: arm._replace(build=_without_source(arm.build))
    for name, arm in alone.items()
  }
  lookups = features.units, features.shared
  generated = functools.partial(hyperease.hyperease, *lookups)
  return {
    **alone,
    **_vqrec(features.shared, grids.VQREC_DOMAINS),
    **_p5('text'),
    'ridge_map': Arm(
      functools.partial(hyperease.ridge_map, *lookups), grids.RIDGE_MAP
    ),
    'hyperease_zero': Arm(
      functools.partial(generated, solve=False), grids.HYPEREASE
    ),
    'hyperease': Arm(generated, grids.HYPEREASE),
    **_kernel(*lookups),
    **controls.of_priors(*lookups),
    **controls.of_networks(features.shared),
  }


def drift(features: Features) -> dict[str, Arm]:
  """Arms of the regime in which time goes on; a plain name is not adapted.

  `popularity`, `ease_dynamic`, the fine-tuned and the generated arms take the
  new slices in.
  """
  users = new_users(features)
  kept = {
    name: users[name]
    for name in (
      'popularity',
      'itemknn',
      'ease_sparse',
      'elsa',
      'mult_vae',
      'mult_vae:retrain',
      'mult_vae_finetune',
      'generated_head',
      'hyperease_user',
    )
  }
  lookups = features.units, features.own
  of_features = functools.partial(l3ae.l3ae, features.own)
  return {
    **kept,
    **_sasrec(grids.SASREC),
    **_p5('collaborative', shuffled=False),
    'itemknn:retrain': Arm(_retrained(item_knn.item_knn), grids.ITEM_KNN),
    'ease': Arm(ease.ease, grids.EASE),
    'ease:retrain': Arm(_retrained(ease.ease), grids.EASE),
    'ease_dynamic': Arm(ease_dynamic.ease_dynamic, grids.EASE),
    'slim': Arm(slim.slim, grids.SLIM),
    'l3ae': Arm(of_features, grids.L3AE),
    'l3ae:retrain': Arm(_retrained(of_features), grids.L3AE),
    'hyperease': Arm(
      functools.partial(hyperease.hyperease, *lookups, grows=True),
      grids.HYPEREASE,
    ),
    **_kernel(*lookups, grows=True),
    **controls.of_parts(*lookups, grows=True),
    **controls.of_ease(retrain=True),
  }


def _kernel(*lookups, grows: bool = False) -> dict[str, Arm]:
  """L3AE with a kernel of features: HyperEASE that no source teaches."""
  name = 'l3ae:kernel'
  build = functools.partial(
    hyperease.hyperease, *lookups, grows=grows, name=name
  )
  return {name: Arm(build, grids.L3AE_KERNEL)}


def _sasrec(trials) -> dict[str, Arm]:
  """Trained once, and fine-tuned, from one preparation; retrained."""
  return {
    'sasrec': Arm(sasrec.sasrec, trials, family='sasrec'),
    'sasrec_finetune': Arm(sasrec.sasrec_finetune, trials, family='sasrec'),
    'sasrec:retrain': Arm(_retrained(sasrec.sasrec), trials),
  }


def _p5(names, *, shuffled: bool = True) -> dict[str, Arm]:
  """Trained for the seconds that a quick run has, and for minutes."""
  build = functools.partial(p5.p5, names=names, shuffled=shuffled)
  return {'p5': Arm(build, grids.P5), 'p5:long': Arm(build, grids.P5_LONG)}


def _vqrec(lookup, trials) -> dict[str, Arm]:
  return {
    name: Arm(functools.partial(build, lookup), trials, family='vqrec')
    for name, build in (
      ('vqrec_lookup', vqrec.vqrec),
      ('vqrec_finetune', vqrec.vqrec_finetune),
    )
  }


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
  'drift': drift,
}
