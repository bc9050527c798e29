"""The one list of who is compared, and what is known of each.

A method joins the comparison with one entry in `SYSTEMS`: how it is built and
tuned in each regime, what it is in the comparison, and how it looks in figures.
The experiment, its flags and its report read everything from here.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import numpy as np

from experiments.adaptation import features as features_lib
from experiments.adaptation import grids
from hyperrec import method as method_lib
from hyperrec.data import interactions
from hyperrec.methods import (
  ease,
  ease_dynamic,
  ease_sparse,
  esler,
  generated_head,
  hyperease,
  hyperease_learned,
  hyperease_user,
  item_knn,
  l3ae,
  mult_vae,
  p5,
  popularity,
  pref,
  pref_interview,
  sasrec,
  slim,
  two_tower,
  vqrec,
)

Method = method_lib.Method

# What a system is in the comparison:
# rival: an established way of adapting, or of doing without it;
# trained generator: a hypernetwork that is trained by gradient;
# transferred prior: a hypernetwork that is fitted in closed form;
# ablation: a system without one of its parts, or with another in its place;
# control: a system that is told nothing or something wrong, or a network of a
#   generator's size that generates nothing.
Role = Literal[
  'rival', 'trained generator', 'transferred prior', 'ablation', 'control'
]


class Arm(NamedTuple):
  """A system in one regime.

  Attributes:
    build: (features of items, **trial) -> the method. Of a system that is
      interviewed it also takes `num_questions`.
    trials: hyperparameters to choose from, the most promising first.
    shares: a name that systems have in common which learn the same from the
      source, so that it is learned once; None where the system is alone.
  """

  build: Callable[..., Method]
  trials: tuple[grids.Trial, ...]
  shares: str | None = None


@dataclasses.dataclass(frozen=True)
class System:
  """One entry of the comparison.

  Attributes:
    name: what --methods and the report call it. What follows a colon names a
      variant of the system before it.
    label: the name of the published system; its variants have the same.
    role: what it is in the comparison.
    arms: regime -> the system there; it does not run in other regimes.
    look: colour and marker in figures; variants look like their system.
    is_baseline: whether others are held against its full retraining.
    only_if_named: whether it runs only where --methods names it, as all
      ablations and controls do.
    interviews: whether the budget is of questions instead of shown items.
  """

  name: str
  label: str
  role: Role
  arms: dict[str, Arm]
  look: tuple[str, str] | None = None
  is_baseline: bool = False
  only_if_named: bool = False
  interviews: bool = False

  @property
  def may_lead(self) -> bool:
    """Whether it is there to be used: no ablation and no control."""
    return self.role not in ('ablation', 'control')

  @property
  def is_hypernetwork(self) -> bool:
    """Whether its parameters are generated."""
    return self.role in ('trained generator', 'transferred prior')

  @property
  def is_run_by_default(self) -> bool:
    """Whether it runs where --methods names nothing."""
    return self.may_lead and not self.only_if_named


# The palette of Okabe and Ito: a colour is a kind of system, a marker a member.
_GREY, _BLUE, _SKY, _GREEN = '#8a8a8a', '#2a7fc0', '#56b4e9', '#009e73'
_PINK, _BROWN, _ORANGE, _RED = '#cc79a7', '#a07a4f', '#e69f00', '#d55e00'


def _alone(method: Method) -> Method:
  """The method without what other domains could teach it."""

  def prepare(source: method_lib.Source, key: jax.Array):
    del source
    nothing = interactions.Interactions(
      [], [], 0, 1, item_ids=np.array(['no item'])
    )
    return method.prepare(nothing, key)

  return dataclasses.replace(
    method, prepare=prepare, prepare_flops=method_lib.no_flops
  )


def _shuffled(features: l3ae.Features) -> l3ae.Features:
  """Each item gets the features of another one of its catalogue."""

  def lookup(part):
    table = features(part)
    return table[np.random.default_rng(0).permutation(len(table))]

  return lookup


def _constant(features: l3ae.Features) -> l3ae.Features:
  """Every item gets the mean of its catalogue."""

  def lookup(part):
    table = features(part)
    return np.broadcast_to(table.mean(axis=0), table.shape)

  return lookup


def _wrong_features(features: features_lib.Features, change):
  """All lookups, changed alike."""
  return features._replace(
    own=change(features.own),
    units=change(features.units),
    shared=change(features.shared),
  )


def _without(part: str, **fixed) -> System:
  """HyperEASE without a part of its prior."""
  name = f'hyperease:{part}'
  trials = tuple({**trial, **fixed} for trial in grids.HYPEREASE)
  return System(
    name, 'HyperEASE', 'ablation',
    {
      'new_catalogue': Arm(
        lambda f, **t: hyperease.hyperease(f.units, f.own, name=name, **t),
        trials,
      ),
      'new_domain': Arm(
        lambda f, **t: hyperease.hyperease(f.units, f.shared, name=name, **t),
        trials,
      ),
      'drift': Arm(
        lambda f, **t: hyperease.hyperease(
          f.units, f.own, name=name, grows=True, **t
        ),
        trials,
      ),
    },
  )  # fmt: skip


def _misled(what: str, change) -> System:
  """HyperEASE with features that say something wrong, or nothing."""
  name = f'hyperease:{what}'

  def of_catalogue(features, **trial):
    wrong = _wrong_features(features, change)
    return hyperease.hyperease(wrong.units, wrong.own, name=name, **trial)

  def of_domain(features, **trial):
    wrong = _wrong_features(features, change)
    return hyperease.hyperease(wrong.units, wrong.shared, name=name, **trial)

  return System(
    name, 'HyperEASE', 'control',
    {
      'new_catalogue': Arm(of_catalogue, grids.HYPEREASE),
      'new_domain': Arm(of_domain, grids.HYPEREASE),
    },
  )  # fmt: skip


def _told(what: str) -> System:
  """The generator of a user that is not told the user's history."""
  return System(
    f'hyperease_user:{what}', 'HyperEASE for users', 'control',
    {
      'new_users': Arm(
        lambda f, **t: hyperease_user.hyperease_user(conditioning=what, **t),
        grids.HYPEREASE_USER,
      ),
    },
  )  # fmt: skip


# Runs go in this order. Each line says how a system is built in a regime: `f`
# are the features of items, `t` is the trial.
SYSTEMS = (
  System(
    'popularity', 'popularity', 'rival', look=(_GREY, 's'),
    arms={
      'new_users': Arm(lambda f, **t: popularity.popularity(**t), ({},)),
      'new_catalogue': Arm(lambda f, **t: popularity.popularity(**t), ({},)),
      'new_domain': Arm(
        lambda f, **t: _alone(popularity.popularity(**t)), ({},)
      ),
      'drift': Arm(lambda f, **t: popularity.popularity(**t), ({},)),
    },
  ),
  System(
    'itemknn', 'ItemKNN', 'rival', look=(_GREY, 'v'),
    arms={
      'new_users': Arm(lambda f, **t: item_knn.item_knn(**t), grids.ITEM_KNN),
      'new_catalogue': Arm(
        lambda f, **t: item_knn.item_knn(retrain=True, **t), grids.ITEM_KNN
      ),
      'new_domain': Arm(
        lambda f, **t: _alone(item_knn.item_knn(retrain=True, **t)),
        grids.ITEM_KNN,
      ),
      'drift': Arm(lambda f, **t: item_knn.item_knn(**t), grids.ITEM_KNN),
    },
  ),
  System(
    'itemknn:retrain', 'ItemKNN', 'rival',
    arms={
      'drift': Arm(
        lambda f, **t: item_knn.item_knn(retrain=True, **t), grids.ITEM_KNN
      ),
    },
  ),
  System(
    'ease', 'EASE', 'rival', look=(_BLUE, 'o'), is_baseline=True,
    arms={
      'new_users': Arm(lambda f, **t: ease.ease(**t), grids.EASE_USERS),
      'new_catalogue': Arm(
        lambda f, **t: ease.ease(retrain=True, **t), grids.EASE
      ),
      'new_domain': Arm(
        lambda f, **t: _alone(ease.ease(retrain=True, **t)), grids.EASE
      ),
      'drift': Arm(lambda f, **t: ease.ease(**t), grids.EASE),
    },
  ),
  System(
    'ease:retrain', 'EASE', 'rival',
    arms={
      'new_users': Arm(
        lambda f, **t: ease.ease(retrain=True, **t), grids.EASE_USERS
      ),
      'drift': Arm(lambda f, **t: ease.ease(retrain=True, **t), grids.EASE),
    },
  ),
  System(
    'ease_dynamic', 'Dynamic EASE', 'rival', look=(_BLUE, 'D'),
    arms={
      'new_users': Arm(
        lambda f, **t: ease_dynamic.ease_dynamic(**t), grids.EASE_USERS
      ),
      'new_catalogue': Arm(
        lambda f, **t: ease_dynamic.ease_dynamic(**t), grids.EASE
      ),
      'drift': Arm(lambda f, **t: ease_dynamic.ease_dynamic(**t), grids.EASE),
    },
  ),
  System(
    'ease_sparse', 'sparse EASE', 'rival',
    arms={
      'new_users': Arm(
        lambda f, **t: ease_sparse.ease_sparse(**t), grids.EASE_SPARSE
      ),
      'new_catalogue': Arm(
        lambda f, **t: ease_sparse.ease_sparse(retrain=True, **t),
        grids.EASE_SPARSE,
      ),
      'new_domain': Arm(
        lambda f, **t: _alone(ease_sparse.ease_sparse(retrain=True, **t)),
        grids.EASE_SPARSE,
      ),
      'drift': Arm(
        lambda f, **t: ease_sparse.ease_sparse(**t), grids.EASE_SPARSE
      ),
    },
  ),
  System(
    'slim', 'SLIM', 'rival', look=(_BLUE, '^'),
    arms={
      'new_users': Arm(lambda f, **t: slim.slim(**t), grids.SLIM_USERS),
      'new_catalogue': Arm(
        lambda f, **t: slim.slim(retrain=True, **t), grids.SLIM
      ),
      'new_domain': Arm(
        lambda f, **t: _alone(slim.slim(retrain=True, **t)), grids.SLIM
      ),
      'drift': Arm(lambda f, **t: slim.slim(**t), grids.SLIM),
    },
  ),
  System(
    'esler', 'ESLER', 'rival', look=(_SKY, 'o'),
    arms={
      'new_users': Arm(lambda f, **t: esler.esler(**t), grids.EASE_USERS),
      'new_catalogue': Arm(
        lambda f, **t: esler.esler(retrain=True, **t), grids.EASE
      ),
    },
  ),
  System(
    'elsa', 'ELSA', 'rival', look=(_SKY, 's'),
    arms={
      'new_users': Arm(lambda f, **t: esler.elsa(**t), grids.ELSA),
      'new_catalogue': Arm(
        lambda f, **t: esler.elsa(retrain=True, **t), grids.ELSA
      ),
      'drift': Arm(lambda f, **t: esler.elsa(**t), grids.ELSA),
    },
  ),
  System(
    'cease', 'CEASE', 'rival', look=(_GREEN, '^'),
    arms={
      'new_users': Arm(
        lambda f, **t: l3ae.cease(f.own, **t), grids.CEASE_USERS
      ),
      'new_catalogue': Arm(
        lambda f, **t: l3ae.cease(f.own, retrain=True, **t), grids.CEASE
      ),
      'new_domain': Arm(
        lambda f, **t: _alone(l3ae.cease(f.own, retrain=True, **t)),
        grids.CEASE,
      ),
    },
  ),
  System(
    'l3ae', 'L3AE', 'rival', look=(_GREEN, 'o'),
    arms={
      'new_users': Arm(lambda f, **t: l3ae.l3ae(f.own, **t), grids.L3AE_USERS),
      'new_catalogue': Arm(
        lambda f, **t: l3ae.l3ae(f.own, retrain=True, **t), grids.L3AE
      ),
      'new_domain': Arm(
        lambda f, **t: _alone(l3ae.l3ae(f.own, retrain=True, **t)), grids.L3AE
      ),
      'drift': Arm(lambda f, **t: l3ae.l3ae(f.own, **t), grids.L3AE),
    },
  ),
  System(
    'l3ae:retrain', 'L3AE', 'rival',
    arms={
      'drift': Arm(
        lambda f, **t: l3ae.l3ae(f.own, retrain=True, **t), grids.L3AE
      ),
    },
  ),
  # A kernel of features instead of their products: HyperEASE that no source
  # teaches.
  System(
    'l3ae:kernel', 'L3AE', 'rival',
    arms={
      'new_catalogue': Arm(
        lambda f, **t: hyperease.hyperease(
          f.units, f.own, name='l3ae:kernel', **t
        ),
        grids.L3AE_KERNEL,
      ),
      'new_domain': Arm(
        lambda f, **t: hyperease.hyperease(
          f.units, f.shared, name='l3ae:kernel', **t
        ),
        grids.L3AE_KERNEL,
      ),
      'drift': Arm(
        lambda f, **t: hyperease.hyperease(
          f.units, f.own, name='l3ae:kernel', grows=True, **t
        ),
        grids.L3AE_KERNEL,
      ),
    },
  ),
  System(
    'mult_vae', 'Mult-VAE', 'rival', look=(_PINK, 'o'), is_baseline=True,
    arms={
      'new_users': Arm(
        lambda f, **t: mult_vae.mult_vae(**t), grids.MULT_VAE, 'mult_vae'
      ),
      'new_catalogue': Arm(
        lambda f, **t: mult_vae.mult_vae(retrain=True, **t), grids.MULT_VAE
      ),
      'new_domain': Arm(
        lambda f, **t: _alone(mult_vae.mult_vae(retrain=True, **t)),
        grids.MULT_VAE,
      ),
      'drift': Arm(
        lambda f, **t: mult_vae.mult_vae(**t), grids.MULT_VAE, 'mult_vae'
      ),
    },
  ),
  System(
    'mult_vae_finetune', 'Mult-VAE', 'rival', look=(_PINK, 'D'),
    arms={
      'new_users': Arm(
        lambda f, **t: mult_vae.mult_vae_finetune(**t),
        grids.MULT_VAE, 'mult_vae',
      ),
      'new_catalogue': Arm(
        lambda f, **t: mult_vae.mult_vae_finetune(**t), grids.MULT_VAE
      ),
      'drift': Arm(
        lambda f, **t: mult_vae.mult_vae_finetune(**t),
        grids.MULT_VAE, 'mult_vae',
      ),
    },
  ),
  System(
    'mult_vae:retrain', 'Mult-VAE', 'rival',
    arms={
      'new_users': Arm(
        lambda f, **t: mult_vae.mult_vae(retrain=True, **t), grids.MULT_VAE
      ),
      'drift': Arm(
        lambda f, **t: mult_vae.mult_vae(retrain=True, **t), grids.MULT_VAE
      ),
    },
  ),
  System(
    'sasrec', 'SASRec', 'rival', look=(_BROWN, 'o'), is_baseline=True,
    arms={
      'new_users': Arm(
        lambda f, **t: sasrec.sasrec(**t), grids.SASREC_USERS, 'sasrec'
      ),
      'new_catalogue': Arm(
        lambda f, **t: sasrec.sasrec(retrain=True, **t), grids.SASREC_ITEMS
      ),
      'new_domain': Arm(
        lambda f, **t: _alone(sasrec.sasrec(retrain=True, **t)),
        grids.SASREC_ITEMS,
      ),
      'drift': Arm(lambda f, **t: sasrec.sasrec(**t), grids.SASREC, 'sasrec'),
    },
  ),
  System(
    'sasrec_finetune', 'SASRec', 'rival', look=(_BROWN, 'D'),
    arms={
      'new_users': Arm(
        lambda f, **t: sasrec.sasrec_finetune(**t), grids.SASREC_USERS, 'sasrec'
      ),
      'new_catalogue': Arm(
        lambda f, **t: sasrec.sasrec_finetune(**t), grids.SASREC_ITEMS
      ),
      'drift': Arm(
        lambda f, **t: sasrec.sasrec_finetune(**t), grids.SASREC, 'sasrec'
      ),
    },
  ),
  System(
    'sasrec:retrain', 'SASRec', 'rival',
    arms={
      'new_users': Arm(
        lambda f, **t: sasrec.sasrec(retrain=True, **t), grids.SASREC_USERS
      ),
      'drift': Arm(
        lambda f, **t: sasrec.sasrec(retrain=True, **t), grids.SASREC
      ),
    },
  ),
  System(
    'pref', 'PReF', 'rival', look=(_ORANGE, '^'), interviews=True,
    arms={
      'new_users': Arm(
        lambda f, **t: pref_interview.pref_interview(**t), grids.PREF
      ),
    },
  ),
  # Asks only about items that the user knows.
  System(
    'pref:known', 'PReF', 'rival', interviews=True, only_if_named=True,
    arms={
      'new_users': Arm(
        lambda f, **t: pref_interview.pref_interview(only_known=True, **t),
        grids.PREF,
      ),
    },
  ),
  # Sees shown items instead of answers.
  System(
    'pref:shown', 'PReF', 'rival', only_if_named=True,
    arms={'new_users': Arm(lambda f, **t: pref.pref(**t), grids.PREF)},
  ),
  System(
    'vqrec_lookup', 'VQ-Rec', 'rival', look=(_ORANGE, 'o'),
    arms={
      'new_catalogue': Arm(
        lambda f, **t: vqrec.vqrec(f.own, **t), grids.VQREC, 'vqrec'
      ),
      'new_domain': Arm(
        lambda f, **t: vqrec.vqrec(f.shared, **t), grids.VQREC_DOMAINS, 'vqrec'
      ),
    },
  ),
  System(
    'vqrec_finetune', 'VQ-Rec', 'rival', look=(_ORANGE, 'D'),
    arms={
      'new_catalogue': Arm(
        lambda f, **t: vqrec.vqrec_finetune(f.own, **t), grids.VQREC, 'vqrec'
      ),
      'new_domain': Arm(
        lambda f, **t: vqrec.vqrec_finetune(f.shared, **t),
        grids.VQREC_DOMAINS, 'vqrec',
      ),
    },
  ),
  # Trained for the seconds that a quick run has.
  System(
    'p5', 'P5', 'rival', look=(_ORANGE, 's'),
    arms={
      'new_users': Arm(
        lambda f, **t: p5.p5(names='collaborative', shuffled=True, **t),
        grids.P5,
      ),
      'new_catalogue': Arm(
        lambda f, **t: p5.p5(names='text', shuffled=True, **t), grids.P5
      ),
      'new_domain': Arm(
        lambda f, **t: p5.p5(names='text', shuffled=True, **t), grids.P5
      ),
      'drift': Arm(
        lambda f, **t: p5.p5(names='collaborative', shuffled=False, **t),
        grids.P5,
      ),
    },
  ),
  # Trained for minutes.
  System(
    'p5:long', 'P5', 'rival', only_if_named=True,
    arms={
      'new_users': Arm(
        lambda f, **t: p5.p5(names='collaborative', shuffled=True, **t),
        grids.P5_LONG,
      ),
      'new_catalogue': Arm(
        lambda f, **t: p5.p5(names='text', shuffled=True, **t), grids.P5_LONG
      ),
      'new_domain': Arm(
        lambda f, **t: p5.p5(names='text', shuffled=True, **t), grids.P5_LONG
      ),
      'drift': Arm(
        lambda f, **t: p5.p5(names='collaborative', shuffled=False, **t),
        grids.P5_LONG,
      ),
    },
  ),
  System(
    'ridge_map', 'ridge map', 'rival', look=(_GREEN, 's'),
    arms={
      'new_catalogue': Arm(
        lambda f, **t: hyperease.ridge_map(f.own, **t), grids.RIDGE_MAP
      ),
      'new_domain': Arm(
        lambda f, **t: hyperease.ridge_map(f.units, f.shared, **t),
        grids.RIDGE_MAP,
      ),
    },
  ),
  System(
    'generated_head', 'generated head', 'trained generator', look=(_RED, 's'),
    arms={
      'new_users': Arm(
        lambda f, **t: generated_head.generated_head(**t), grids.GENERATED_HEAD
      ),
      'drift': Arm(
        lambda f, **t: generated_head.generated_head(**t), grids.GENERATED_HEAD
      ),
    },
  ),
  System(
    'hyperease_user', 'HyperEASE for users', 'trained generator',
    look=(_RED, '^'),
    arms={
      'new_users': Arm(
        lambda f, **t: hyperease_user.hyperease_user(**t), grids.HYPEREASE_USER
      ),
      'drift': Arm(
        lambda f, **t: hyperease_user.hyperease_user(**t), grids.HYPEREASE_USER
      ),
    },
  ),
  # The generated prior alone, without the solve on the evidence.
  System(
    'hyperease_zero', 'HyperEASE', 'transferred prior', look=(_RED, 'v'),
    arms={
      'new_catalogue': Arm(
        lambda f, **t: hyperease.hyperease(f.units, f.own, solve=False, **t),
        grids.HYPEREASE,
      ),
      'new_domain': Arm(
        lambda f, **t: hyperease.hyperease(f.units, f.shared, solve=False, **t),
        grids.HYPEREASE,
      ),
    },
  ),
  System(
    'hyperease', 'HyperEASE', 'transferred prior', look=(_RED, '*'),
    arms={
      'new_catalogue': Arm(
        lambda f, **t: hyperease.hyperease(f.units, f.own, **t), grids.HYPEREASE
      ),
      'new_domain': Arm(
        lambda f, **t: hyperease.hyperease(f.units, f.shared, **t),
        grids.HYPEREASE,
      ),
      'drift': Arm(
        lambda f, **t: hyperease.hyperease(f.units, f.own, grows=True, **t),
        grids.HYPEREASE,
      ),
    },
  ),
  # EASE without its zero diagonal: ridge regression.
  System(
    'ease:unconstrained', 'EASE', 'ablation',
    arms={
      'new_users': Arm(
        lambda f, **t: ease.ease(constrained=False, **t), grids.EASE
      ),
      'new_catalogue': Arm(
        lambda f, **t: ease.ease(constrained=False, retrain=True, **t),
        grids.EASE,
      ),
      'new_domain': Arm(
        lambda f, **t: _alone(ease.ease(constrained=False, retrain=True, **t)),
        grids.EASE,
      ),
      'drift': Arm(
        lambda f, **t: ease.ease(constrained=False, retrain=True, **t),
        grids.EASE,
      ),
    },
  ),
  # The strengths of the prior are learned instead of tuned.
  System(
    'hyperease:learned', 'HyperEASE', 'ablation',
    arms={
      'new_catalogue': Arm(
        lambda f, **t: hyperease_learned.hyperease_learned(f.units, f.own, **t),
        ({},),
      ),
      'new_domain': Arm(
        lambda f, **t: hyperease_learned.hyperease_learned(
          f.units, f.shared, **t
        ),
        ({},),
      ),
    },
  ),
  _misled('shuffled', _shuffled),
  _misled('constant', _constant),
  *(_without(f'no_{part}', **{part: 0.0}) for part in grids.NO_SOURCE),
  _without('no_kernel', sharpness=0.0),
  _without('unconstrained', constrained=False),
  *(_told(what) for what in ('size', 'constant', 'shuffled')),
  # A network as large as HyperEASE's generator that generates nothing.
  System(
    'two_tower', 'two towers', 'control',
    arms={
      'new_catalogue': Arm(
        lambda f, **t: two_tower.two_tower(f.own, **t), grids.TWO_TOWER
      ),
      'new_domain': Arm(
        lambda f, **t: two_tower.two_tower(f.shared, **t), grids.TWO_TOWER
      ),
    },
  ),
)  # fmt: skip
BY_NAME = {system.name: system for system in SYSTEMS}
