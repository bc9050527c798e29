"""The list of all systems in the comparison.

A method joins the comparison with one entry in `SYSTEMS`: how it is built and
tuned in each regime, its role in the comparison, and its colour and marker in
figures. The experiment, its flags and its report read this list.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from experiments.adaptation import grids
from hyperrec import adapting
from hyperrec import features as features_lib
from hyperrec import method as method_lib
from hyperrec.systems.baselines import (
  blended,
  popularity,
  random_scores,
  two_tower,
)
from hyperrec.systems.factors import dropoutnet, ials, ials_features
from hyperrec.systems.graph import alpharec, cheby_cf, gf_cf, turbo_cf
from hyperrec.systems.hyperease import (
  catalogue_generator,
  hyperease,
  hyperease_learned,
  hyperease_user,
  item_columns,
  item_generator,
)
from hyperrec.systems.hypernetwork import generated_head
from hyperrec.systems.linear import (
  added_popularity,
  cease,
  content_knn,
  dan,
  ease,
  ease_dynamic,
  ease_sparse,
  esler,
  item_knn,
  l3ae,
  marec,
  slim,
)
from hyperrec.systems.mult_vae import mult_vae
from hyperrec.systems.p5 import p5
from hyperrec.systems.pref import pref, pref_interview
from hyperrec.systems.sequential import sasrec
from hyperrec.systems.vqrec import vqrec

Features = features_lib.Features
Method = method_lib.Method
Model = method_lib.Model

# The role of a system in the comparison:
# rival: an established way of adapting, or a model without adaptation;
# trained generator: a hypernetwork that is trained by gradient;
# transferred prior: a hypernetwork that is fitted in closed form;
# ablation: a system in which one part is removed or replaced;
# control: a system with uninformative or wrong features, or random scores.
Role = Literal[
  'rival', 'trained generator', 'transferred prior', 'ablation', 'control'
]


class Arm(NamedTuple):
  """A system in one regime.

  Attributes:
    policy: how the model is adapted.
    trials: hyperparameters to choose from, the most promising first.
    shares: name shared by all systems that learn the same state from the
      source, so that it is learned once; None if no other system does.
    model: (item features, **trial) -> model; None uses the system's model.
  """

  policy: Callable[[Model], Method]
  trials: tuple[grids.Trial, ...]
  shares: str | None = None
  model: Callable[..., Model] | None = None


@dataclasses.dataclass(frozen=True)
class System:
  """One entry of the comparison.

  Attributes:
    name: name in --methods and in the report. A variant is named after its
      system, with a colon between: "ease:retrain".
    label: name of the published system; variants have the same label.
    role: role in the comparison.
    model: (item features, **trial) -> model; a system that interviews users
      also takes `num_questions`.
    arms: regime -> arm; the system does not run in other regimes.
    look: colour and marker in figures; variants use those of their system.
    is_baseline: whether other systems are compared with its full retraining.
    only_if_named: whether it runs only if --methods names it. All ablations
      and controls run only then.
    interviews: whether the budget counts questions instead of shown items.
  """

  name: str
  label: str
  role: Role
  model: Callable[..., Model]
  arms: dict[str, Arm]
  look: tuple[str, str] | None = None
  is_baseline: bool = False
  only_if_named: bool = False
  interviews: bool = False

  def build(self, regime: str, features: Features, **trial: Any) -> Method:
    """Returns the method in a regime.

    Args:
      regime: a key of `arms`.
      features: features of the items.
      **trial: hyperparameters.
    """
    arm = self.arms[regime]
    model = arm.model or self.model
    return arm.policy(model(features, **trial))

  @property
  def may_lead(self) -> bool:
    """Whether it may win a comparison: it is no ablation and no control."""
    return self.role not in ('ablation', 'control')

  @property
  def is_hypernetwork(self) -> bool:
    """Whether a hypernetwork generates its parameters."""
    return self.role in ('trained generator', 'transferred prior')

  @property
  def is_run_by_default(self) -> bool:
    """Whether it runs if --methods is not given."""
    return self.may_lead and not self.only_if_named


# The palette of Okabe and Ito. Systems of one kind share a colour and differ in
# their markers.
_GREY, _BLUE, _SKY, _GREEN = '#8a8a8a', '#2a7fc0', '#56b4e9', '#009e73'
_PINK, _BROWN, _ORANGE, _RED = '#cc79a7', '#a07a4f', '#e69f00', '#d55e00'


def on_everything(policy: Callable[..., Method]) -> Callable[[Model], Method]:
  """Lets the policy train on the source and the evidence together."""
  return functools.partial(policy, on=adapting.everything)


frozen, retrained = adapting.frozen, adapting.retrained
finetuned, updated = adapting.finetuned, adapting.updated
generated = adapting.generated
# For users who return, Mult-VAE reads their whole history.
finetuned_on_users = functools.partial(finetuned, on=adapting.changed_users)
# So does a generator, though nothing in the history is new.
generated_for_known = functools.partial(generated, on=adapting.evidence_users)


def _shuffled(features: l3ae.Features) -> l3ae.Features:
  """Gives each item the features of another item of its catalogue."""

  def lookup(part):
    table = features(part)
    return table[np.random.default_rng(0).permutation(len(table))]

  return lookup


def _constant(features: l3ae.Features) -> l3ae.Features:
  """Gives every item the mean features of its catalogue."""

  def lookup(part):
    table = features(part)
    return np.broadcast_to(table.mean(axis=0), table.shape)

  return lookup


def _hyperease(features: Features, **trial) -> Model:
  """HyperEASE for one catalogue, or for a catalogue cut in two halves."""
  return hyperease.hyperease(features.units, features.own, **trial)


def _hyperease_of_domains(features: Features, **trial) -> Model:
  """HyperEASE that learns from other domains through shared features."""
  return hyperease.hyperease(features.units, features.shared, **trial)


def _without(part: str, **fixed) -> System:
  """The ablation of HyperEASE without one part of its prior."""
  trials = tuple({**trial, **fixed} for trial in grids.HYPEREASE)
  return System(
    f'hyperease:{part}', 'HyperEASE', 'ablation', _hyperease,
    {
      'new_catalogue': Arm(generated, trials),
      'new_domain': Arm(generated, trials, model=_hyperease_of_domains),
      'drift': Arm(on_everything(generated), trials),
    },
  )  # fmt: skip


def _misled(what: str, change: Callable) -> System:
  """The control of HyperEASE with wrong or uninformative features."""

  def misled(build):
    return lambda features, **trial: build(
      features._replace(
        own=change(features.own),
        units=change(features.units),
        shared=change(features.shared),
      ),
      **trial,
    )

  of_domains = misled(_hyperease_of_domains)
  return System(
    f'hyperease:{what}', 'HyperEASE', 'control', misled(_hyperease),
    {
      'new_catalogue': Arm(generated, grids.HYPEREASE),
      'new_domain': Arm(generated, grids.HYPEREASE, model=of_domains),
    },
  )  # fmt: skip


def _told(name: str, what: str, trials: tuple[grids.Trial, ...]) -> System:
  """The control of HyperEASE for users that does not read the history."""
  return System(
    f'{name}:{what}', 'HyperEASE for users', 'control',
    lambda f, **t: hyperease_user.hyperease_user(
      f.units, conditioning=what, **t
    ),
    {'new_users': Arm(generated, trials)},
  )  # fmt: skip


def _told_of_items(what: str) -> System:
  """The control of the generator of items that is told of other items."""
  return System(
    f'hyperease_item_trained:{what}', 'HyperEASE for items', 'control',
    lambda f, **t: item_generator.item_generator(
      f.units, f.views, conditioning=what, **t
    ),
    {'new_items': Arm(generated, grids.ITEM_GENERATOR)},
  )  # fmt: skip


def _ease_popularity(features: Features, popularity: float, **trial) -> Model:
  """EASE plus popularity."""
  del features
  return added_popularity.added_popularity(ease.ease(**trial), popularity)


def _cease_popularity(features: Features, popularity: float, **trial) -> Model:
  """CEASE plus popularity."""
  return added_popularity.added_popularity(
    cease.cease(features.units, **trial), popularity
  )


def _and_vae(model: Model, weight: float) -> Model:
  """A model blended with Mult-VAE, which has its first setting."""
  vae = mult_vae.mult_vae(**grids.MULT_VAE[0])
  return blended.blended(model, vae, weight, mult_vae.pass_flops)


def _hyperease_user_vae(features: Features, weight: float, **trial) -> Model:
  """HyperEASE for users on a text base, blended with Mult-VAE."""
  users = hyperease_user.hyperease_user(features.units, **trial)
  return _and_vae(users, weight)


def _cease_vae(
  features: Features, weight: float, popularity: float, **trial
) -> Model:
  """CEASE with popularity, blended with Mult-VAE."""
  base = cease.cease(features.units, **trial)
  return _and_vae(added_popularity.added_popularity(base, popularity), weight)


def _of_catalogues(
  name: str, role: Role, conditioning: str = 'evidence', **more
) -> System:
  """HyperEASE that generates the composition of a catalogue's kernel."""
  return System(
    name, 'HyperEASE for catalogues', role,
    lambda f, **t: catalogue_generator.catalogue_generator(
      f.views, conditioning=conditioning, **t
    ),
    {
      'new_catalogue': Arm(generated, ({},)),
      'new_domain': Arm(generated, ({},)),
    },
    **more,
  )  # fmt: skip


def _vqrec_of_one(features: Features, **trial) -> Model:
  """VQ-Rec with the features of one data set, which are richer than shared."""
  return vqrec.vqrec(features.own, **trial)


def _shared_units(features: Features) -> method_lib.Features:
  """The features that mean the same in every data set, as `units` are made."""
  return lambda part: features_lib.unit_blocks(features.shared(part))


def _ials_features_of_domains(features: Features, **trial) -> Model:
  """Feature-aware iALS by the features that domains share."""
  return ials_features.ials_features(_shared_units(features), **trial)


def _alpharec_of_domains(features: Features, **trial) -> Model:
  """AlphaRec by the features that domains share."""
  return alpharec.alpharec(_shared_units(features), **trial)


def _p5(name: str, trials: tuple[grids.Trial, ...], **more) -> System:
  """P5; items have names made of their text in regimes with new items."""
  by_text = lambda f, **t: p5.p5(names='text', shuffled=True, **t)  # noqa: E731
  in_order = lambda f, **t: p5.p5(names='collaborative', **t)  # noqa: E731
  return System(
    name, 'P5', 'rival',
    lambda f, **t: p5.p5(names='collaborative', shuffled=True, **t),
    {
      'new_users': Arm(frozen, trials),
      'new_items': Arm(frozen, trials, model=by_text),
      'new_catalogue': Arm(frozen, trials, model=by_text),
      'new_domain': Arm(frozen, trials, model=by_text),
      'drift': Arm(frozen, trials, model=in_order),
    },
    **more,
  )  # fmt: skip


# Systems run in this order. A model is built from the item features `f` and the
# hyperparameters `t` of a trial.
SYSTEMS = (
  System(
    'popularity', 'popularity', 'rival',
    lambda f, **t: popularity.popularity(**t),
    {
      'returning_users': Arm(frozen, ({},)),
      'new_users': Arm(updated, ({},)),
      'new_items': Arm(retrained, ({},)),
      'new_catalogue': Arm(retrained, ({},)),
      'new_domain': Arm(retrained, ({},)),
      'drift': Arm(updated, ({},)),
    },
    look=(_GREY, 's'),
  ),
  System(
    'content_knn', 'content neighbours', 'rival',
    lambda f, **t: content_knn.content_knn(f.units, **t),
    {'new_items': Arm(retrained, grids.CONTENT_KNN)},
    look=(_GREY, 'D'),
  ),
  System(
    'itemknn', 'ItemKNN', 'rival',
    lambda f, **t: item_knn.item_knn(**t),
    {
      'returning_users': Arm(frozen, grids.ITEM_KNN),
      'new_users': Arm(frozen, grids.ITEM_KNN),
      'new_catalogue': Arm(retrained, grids.ITEM_KNN),
      'new_domain': Arm(retrained, grids.ITEM_KNN),
      'drift': Arm(frozen, grids.ITEM_KNN),
    },
    look=(_GREY, 'v'),
  ),
  System(
    'itemknn:retrain', 'ItemKNN', 'rival',
    lambda f, **t: item_knn.item_knn(**t),
    {'drift': Arm(retrained, grids.ITEM_KNN)},
  ),
  System(
    'ease', 'EASE', 'rival',
    lambda f, **t: ease.ease(**t),
    {
      'returning_users': Arm(frozen, grids.EASE),
      'new_users': Arm(frozen, grids.EASE_USERS),
      'new_items': Arm(frozen, grids.EASE_NEW_ITEMS),
      'new_catalogue': Arm(retrained, grids.EASE),
      'new_domain': Arm(retrained, grids.EASE),
      'drift': Arm(frozen, grids.EASE),
    },
    look=(_BLUE, 'o'), is_baseline=True,
  ),
  System(
    'ease:retrain', 'EASE', 'rival',
    lambda f, **t: ease.ease(**t),
    {
      'new_users': Arm(retrained, grids.EASE_USERS),
      'new_items': Arm(retrained, grids.EASE_NEW_ITEMS),
      'drift': Arm(retrained, grids.EASE),
    },
  ),
  System(
    'ease:popularity', 'EASE', 'rival', _ease_popularity,
    {'new_users': Arm(frozen, grids.EASE_POPULARITY)},
  ),
  System(
    'ease_dynamic', 'Dynamic EASE', 'rival',
    lambda f, **t: ease_dynamic.ease_dynamic(**t),
    {
      'new_users': Arm(updated, grids.EASE_USERS),
      'new_catalogue': Arm(updated, grids.EASE),
      'drift': Arm(updated, grids.EASE),
    },
    look=(_BLUE, 'D'),
  ),
  System(
    'ease_sparse', 'sparse EASE', 'rival',
    lambda f, **t: ease_sparse.ease_sparse(**t),
    {
      'returning_users': Arm(frozen, grids.EASE_SPARSE),
      'new_users': Arm(frozen, grids.EASE_SPARSE),
      'new_catalogue': Arm(retrained, grids.EASE_SPARSE),
      'new_domain': Arm(retrained, grids.EASE_SPARSE),
      'drift': Arm(frozen, grids.EASE_SPARSE),
    },
  ),
  System(
    'dan', 'DAN', 'rival',
    lambda f, **t: dan.dan(**t),
    {
      'new_users': Arm(retrained, grids.DAN_USERS),
      'new_catalogue': Arm(retrained, grids.DAN),
      'new_domain': Arm(retrained, grids.DAN),
      'drift': Arm(retrained, grids.DAN),
    },
    look=(_BLUE, 'p'),
  ),
  System(
    'gf_cf', 'GF-CF', 'rival',
    lambda f, **t: gf_cf.gf_cf(**t),
    {
      'returning_users': Arm(frozen, grids.GF_CF),
      'new_users': Arm(retrained, grids.GF_CF),
      'new_catalogue': Arm(retrained, grids.GF_CF),
      'new_domain': Arm(retrained, grids.GF_CF),
      'drift': Arm(retrained, grids.GF_CF),
    },
    look=(_SKY, 'p'),
  ),
  System(
    'cheby_cf', 'ChebyCF', 'rival',
    lambda f, **t: cheby_cf.cheby_cf(**t),
    {
      'new_users': Arm(retrained, grids.CHEBY_CF),
      'new_catalogue': Arm(retrained, grids.CHEBY_CF),
      'new_domain': Arm(retrained, grids.CHEBY_CF),
      'drift': Arm(retrained, grids.CHEBY_CF),
    },
    look=(_SKY, 'h'),
  ),
  System(
    'turbo_cf', 'Turbo-CF', 'rival',
    lambda f, **t: turbo_cf.turbo_cf(**t),
    {
      'new_users': Arm(retrained, grids.TURBO_CF),
      'new_catalogue': Arm(retrained, grids.TURBO_CF),
      'new_domain': Arm(retrained, grids.TURBO_CF),
      'drift': Arm(retrained, grids.TURBO_CF),
    },
    look=(_SKY, 'P'),
  ),
  System(
    'slim', 'SLIM', 'rival',
    lambda f, **t: slim.slim(**t),
    {
      'new_users': Arm(frozen, grids.SLIM_USERS),
      'new_catalogue': Arm(retrained, grids.SLIM),
      'new_domain': Arm(retrained, grids.SLIM),
      'drift': Arm(frozen, grids.SLIM),
    },
    look=(_BLUE, '^'),
  ),
  System(
    'esler', 'ESLER', 'rival',
    lambda f, **t: esler.esler(**t),
    {
      'new_users': Arm(on_everything(finetuned), grids.EASE_USERS),
      'new_catalogue': Arm(retrained, grids.EASE),
    },
    look=(_SKY, 'o'),
  ),
  System(
    'elsa', 'ELSA', 'rival',
    lambda f, **t: esler.elsa(**t),
    {
      'new_users': Arm(on_everything(finetuned), grids.ELSA),
      'new_catalogue': Arm(retrained, grids.ELSA),
      'drift': Arm(on_everything(finetuned), grids.ELSA),
    },
    look=(_SKY, 's'),
  ),
  System(
    'cease', 'CEASE', 'rival',
    lambda f, **t: cease.cease(f.units, **t),
    {
      'returning_users': Arm(frozen, grids.CEASE_USERS),
      'new_users': Arm(frozen, grids.CEASE_USERS),
      'new_items': Arm(retrained, grids.CEASE_NEW_ITEMS),
      'new_catalogue': Arm(retrained, grids.CEASE),
      'new_domain': Arm(retrained, grids.CEASE),
    },
    look=(_GREEN, '^'),
  ),
  System(
    'cease:retrain', 'CEASE', 'rival',
    lambda f, **t: cease.cease(f.units, **t),
    {'new_users': Arm(retrained, grids.CEASE_USERS)},
  ),
  System(
    'cease:vae', 'CEASE', 'rival', _cease_vae,
    {
      'returning_users': Arm(frozen, grids.CEASE_VAE),
      'new_users': Arm(frozen, grids.CEASE_VAE),
    },
    only_if_named=True,
  ),
  System(
    'cease:popularity', 'CEASE', 'rival', _cease_popularity,
    {'new_users': Arm(frozen, grids.CEASE_POPULARITY)},
  ),
  System(
    'l3ae', 'L3AE', 'rival',
    lambda f, **t: l3ae.l3ae(f.units, **t),
    {
      'returning_users': Arm(frozen, grids.L3AE_USERS),
      'new_users': Arm(frozen, grids.L3AE_USERS),
      'new_items': Arm(retrained, grids.L3AE_NEW_ITEMS),
      'new_catalogue': Arm(retrained, grids.L3AE),
      'new_domain': Arm(retrained, grids.L3AE),
      'drift': Arm(frozen, grids.L3AE),
    },
    look=(_GREEN, 'o'),
  ),
  System(
    'l3ae:retrain', 'L3AE', 'rival',
    lambda f, **t: l3ae.l3ae(f.units, **t),
    {'drift': Arm(retrained, grids.L3AE)},
  ),
  # L3AE with a kernel of the features, tilted by the counts of the evidence.
  System(
    'l3ae:kernel', 'L3AE', 'rival',
    lambda f, **t: l3ae.l3ae(f.units, **t),
    {
      'returning_users': Arm(frozen, grids.L3AE_KERNEL),
      'new_users': Arm(frozen, grids.L3AE_KERNEL_USERS),
      'new_items': Arm(retrained, grids.L3AE_KERNEL_NEW_ITEMS),
      'new_catalogue': Arm(retrained, grids.L3AE_KERNEL),
      'new_domain': Arm(retrained, grids.L3AE_KERNEL),
      'drift': Arm(retrained, grids.L3AE_KERNEL),
    },
  ),
  System(
    'l3ae:kernel:retrain', 'L3AE', 'rival',
    lambda f, **t: l3ae.l3ae(f.units, **t),
    {'new_users': Arm(retrained, grids.L3AE_KERNEL_USERS)},
  ),
  System(
    'marec', 'MARec', 'rival',
    lambda f, **t: marec.marec(f.views, **t),
    {
      'new_users': Arm(frozen, grids.MAREC_USERS),
      'new_items': Arm(retrained, grids.MAREC_NEW_ITEMS),
      'new_catalogue': Arm(retrained, grids.MAREC),
      'new_domain': Arm(retrained, grids.MAREC),
      'drift': Arm(retrained, grids.MAREC),
    },
    look=(_GREEN, 'D'),
  ),
  System(
    'ials', 'iALS', 'rival',
    lambda f, **t: ials.ials(**t),
    {
      'returning_users': Arm(frozen, grids.IALS_USERS),
      'new_users': Arm(updated, grids.IALS_USERS),
      'new_catalogue': Arm(retrained, grids.IALS),
      'new_domain': Arm(retrained, grids.IALS),
      'drift': Arm(updated, grids.IALS_USERS),
    },
    look=(_BROWN, 's'),
  ),
  System(
    'ials:retrain', 'iALS', 'rival',
    lambda f, **t: ials.ials(**t),
    {
      'new_users': Arm(retrained, grids.IALS_USERS),
      'drift': Arm(retrained, grids.IALS_USERS),
    },
  ),
  System(
    'ials_finetune', 'iALS', 'rival',
    lambda f, **t: ials.ials(**t),
    {'drift': Arm(on_everything(finetuned), grids.IALS_USERS)},
    look=(_BROWN, 'v'),
  ),
  # Learns on the source how text tells factors; `:retrain` does so on the
  # evidence alone.
  System(
    'ials_features', 'feature-aware iALS', 'rival',
    lambda f, **t: ials_features.ials_features(f.units, **t),
    {
      'new_users': Arm(updated, grids.IALS_FEATURES_USERS),
      'new_items': Arm(updated, grids.IALS_FEATURES_NEW_ITEMS),
      'new_catalogue': Arm(finetuned, grids.IALS_FEATURES),
      'new_domain': Arm(
        finetuned, grids.IALS_FEATURES, model=_ials_features_of_domains
      ),
      'drift': Arm(updated, grids.IALS_FEATURES_USERS),
    },
    look=(_BROWN, '^'),
  ),
  System(
    'ials_features:retrain', 'feature-aware iALS', 'rival',
    lambda f, **t: ials_features.ials_features(f.units, **t),
    {
      'new_items': Arm(retrained, grids.IALS_FEATURES_NEW_ITEMS),
      'new_catalogue': Arm(retrained, grids.IALS_FEATURES_ITEMS),
      'new_domain': Arm(retrained, grids.IALS_FEATURES_ITEMS),
      'drift': Arm(retrained, grids.IALS_FEATURES_USERS),
    },
  ),
  System(
    'dropoutnet', 'DropoutNet', 'rival',
    lambda f, **t: dropoutnet.dropoutnet(f.units, **t),
    {
      'new_users': Arm(updated, grids.DROPOUTNET),
      'new_items': Arm(updated, grids.DROPOUTNET),
      'new_catalogue': Arm(retrained, grids.DROPOUTNET),
      'new_domain': Arm(retrained, grids.DROPOUTNET),
      'drift': Arm(updated, grids.DROPOUTNET),
    },
    look=(_PINK, 'v'),
  ),
  System(
    'alpharec', 'AlphaRec', 'rival',
    lambda f, **t: alpharec.alpharec(f.units, **t),
    {
      'new_users': Arm(frozen, grids.ALPHAREC),
      'new_items': Arm(frozen, grids.ALPHAREC),
      'new_catalogue': Arm(finetuned, grids.ALPHAREC),
      'new_domain': Arm(finetuned, grids.ALPHAREC, model=_alpharec_of_domains),
      'drift': Arm(on_everything(finetuned), grids.ALPHAREC),
    },
    look=(_PINK, '^'),
  ),
  System(
    'mult_vae', 'Mult-VAE', 'rival',
    lambda f, **t: mult_vae.mult_vae(**t),
    {
      'returning_users': Arm(frozen, grids.MULT_VAE),
      'new_users': Arm(frozen, grids.MULT_VAE, 'mult_vae'),
      'new_catalogue': Arm(retrained, grids.MULT_VAE),
      'new_domain': Arm(retrained, grids.MULT_VAE),
      'drift': Arm(frozen, grids.MULT_VAE, 'mult_vae'),
    },
    look=(_PINK, 'o'), is_baseline=True,
  ),
  System(
    'mult_vae_finetune', 'Mult-VAE', 'rival',
    lambda f, **t: mult_vae.mult_vae(**t),
    {
      'new_users': Arm(finetuned_on_users, grids.MULT_VAE, 'mult_vae'),
      'new_catalogue': Arm(finetuned_on_users, grids.MULT_VAE),
      'drift': Arm(finetuned_on_users, grids.MULT_VAE, 'mult_vae'),
    },
    look=(_PINK, 'D'),
  ),
  System(
    'mult_vae:retrain', 'Mult-VAE', 'rival',
    lambda f, **t: mult_vae.mult_vae(**t),
    {
      'new_users': Arm(retrained, grids.MULT_VAE),
      'drift': Arm(retrained, grids.MULT_VAE),
    },
  ),
  System(
    'sasrec', 'SASRec', 'rival',
    lambda f, **t: sasrec.sasrec(**t),
    {
      'returning_users': Arm(frozen, grids.SASREC),
      'new_users': Arm(frozen, grids.SASREC_USERS, 'sasrec'),
      'new_catalogue': Arm(retrained, grids.SASREC_ITEMS),
      'new_domain': Arm(retrained, grids.SASREC_ITEMS),
      'drift': Arm(frozen, grids.SASREC, 'sasrec'),
    },
    look=(_BROWN, 'o'), is_baseline=True,
  ),
  System(
    'sasrec_finetune', 'SASRec', 'rival',
    lambda f, **t: sasrec.sasrec(**t),
    {
      'new_users': Arm(finetuned, grids.SASREC_USERS, 'sasrec'),
      'new_catalogue': Arm(finetuned, grids.SASREC_ITEMS),
      'drift': Arm(finetuned, grids.SASREC, 'sasrec'),
    },
    look=(_BROWN, 'D'),
  ),
  System(
    'sasrec:retrain', 'SASRec', 'rival',
    lambda f, **t: sasrec.sasrec(**t),
    {
      'new_users': Arm(retrained, grids.SASREC_USERS),
      'new_items': Arm(retrained, grids.SASREC_USERS),
      'drift': Arm(retrained, grids.SASREC),
    },
  ),
  System(
    'pref', 'PReF', 'rival',
    lambda f, **t: pref_interview.pref_interview(**t),
    {'new_users': Arm(generated, grids.PREF)},
    look=(_ORANGE, '^'), interviews=True,
  ),
  # Asks only about items that the user knows.
  System(
    'pref:known', 'PReF', 'rival',
    lambda f, **t: pref_interview.pref_interview(only_known=True, **t),
    {'new_users': Arm(generated, grids.PREF)},
    interviews=True, only_if_named=True,
  ),
  # Learns from shown items instead of answers.
  System(
    'pref:shown', 'PReF', 'rival',
    lambda f, **t: pref.pref(**t),
    {'new_users': Arm(generated, grids.PREF)},
    only_if_named=True,
  ),
  System(
    'vqrec_lookup', 'VQ-Rec', 'rival',
    lambda f, **t: vqrec.vqrec(f.shared, **t),
    {
      'new_items': Arm(frozen, grids.VQREC, 'vqrec', _vqrec_of_one),
      'new_catalogue': Arm(frozen, grids.VQREC, 'vqrec', _vqrec_of_one),
      'new_domain': Arm(frozen, grids.VQREC_DOMAINS, 'vqrec'),
    },
    look=(_ORANGE, 'o'),
  ),
  System(
    'vqrec_finetune', 'VQ-Rec', 'rival',
    lambda f, **t: vqrec.vqrec(f.shared, **t),
    {
      'new_catalogue': Arm(finetuned, grids.VQREC, 'vqrec', _vqrec_of_one),
      'new_domain': Arm(finetuned, grids.VQREC_DOMAINS, 'vqrec'),
    },
    look=(_ORANGE, 'D'),
  ),
  # Trained for seconds, as a quick run allows, and for minutes.
  _p5('p5', grids.P5, look=(_ORANGE, 's')),
  _p5('p5:long', grids.P5_LONG, only_if_named=True),
  System(
    'ridge_map', 'ridge map', 'rival',
    lambda f, **t: hyperease.ridge_map(f.own, **t),
    {
      'new_catalogue': Arm(generated, grids.RIDGE_MAP),
      'new_domain': Arm(
        generated,
        grids.RIDGE_MAP,
        model=lambda f, **t: hyperease.ridge_map(f.units, f.shared, **t),
      ),
    },
    look=(_GREEN, 's'),
  ),
  System(
    'generated_head', 'generated head', 'trained generator',
    lambda f, **t: generated_head.generated_head(**t),
    {
      'new_users': Arm(generated, grids.GENERATED_HEAD),
      'drift': Arm(generated, grids.GENERATED_HEAD),
    },
    look=(_RED, 's'),
  ),
  System(
    'hyperease_user', 'HyperEASE for users', 'trained generator',
    lambda f, **t: hyperease_user.hyperease_user(**t),
    {
      'returning_users': Arm(generated_for_known, grids.HYPEREASE_USER),
      'new_users': Arm(generated, grids.HYPEREASE_USER),
      'drift': Arm(generated, grids.HYPEREASE_USER),
    },
    look=(_RED, '^'),
  ),
  # On a base that reads text; the one above serves any data set.
  System(
    'hyperease_user:text', 'HyperEASE for users', 'trained generator',
    lambda f, **t: hyperease_user.hyperease_user(f.units, **t),
    {
      'returning_users': Arm(generated_for_known, grids.HYPEREASE_USER_TEXT),
      'new_users': Arm(generated, grids.HYPEREASE_USER_TEXT),
    },
    only_if_named=True,
  ),
  # The same with a kernel of the text.
  System(
    'hyperease_user:kernel', 'HyperEASE for users', 'trained generator',
    lambda f, **t: hyperease_user.hyperease_user(f.units, **t),
    {'new_users': Arm(generated, grids.HYPEREASE_USER_KERNEL)},
    only_if_named=True,
  ),
  System(
    'hyperease_user:vae', 'HyperEASE for users', 'trained generator',
    _hyperease_user_vae,
    {
      'returning_users': Arm(generated_for_known, grids.HYPEREASE_USER_VAE),
      'new_users': Arm(generated, grids.HYPEREASE_USER_VAE),
    },
    only_if_named=True,
  ),
  System(
    'hyperease_item', 'HyperEASE for items', 'transferred prior',
    lambda f, **t: item_columns.item_columns(f.units, **t),
    {'new_items': Arm(generated, grids.ITEM_COLUMNS)},
    look=(_RED, 'o'),
  ),
  System(
    'hyperease_item_trained', 'HyperEASE for items', 'trained generator',
    lambda f, **t: item_generator.item_generator(f.units, f.views, **t),
    {'new_items': Arm(generated, grids.ITEM_GENERATOR)},
    look=(_RED, 'D'),
  ),
  # The generated prior alone, without the solve on the evidence.
  System(
    'hyperease_zero', 'HyperEASE', 'transferred prior', _hyperease,
    {
      'new_catalogue': Arm(generated, grids.HYPEREASE_ZERO),
      'new_domain': Arm(
        generated, grids.HYPEREASE_ZERO, model=_hyperease_of_domains
      ),
    },
    look=(_RED, 'v'),
  ),
  System(
    'hyperease', 'HyperEASE', 'transferred prior', _hyperease,
    {
      'new_catalogue': Arm(generated, grids.HYPEREASE),
      'new_domain': Arm(
        generated, grids.HYPEREASE, model=_hyperease_of_domains
      ),
      'drift': Arm(on_everything(generated), grids.HYPEREASE),
    },
    look=(_RED, '*'),
  ),
  # The composition of l3ae:kernel, generated instead of tuned.
  _of_catalogues('hyperease_catalogue', 'trained generator', look=(_RED, 'P'),
                 only_if_named=True),
  # EASE without its zero diagonal: ridge regression.
  System(
    'ease:unconstrained', 'EASE', 'ablation',
    lambda f, **t: ease.ease(constrained=False, **t),
    {
      'new_users': Arm(frozen, grids.EASE_USERS),
      'new_catalogue': Arm(retrained, grids.EASE),
      'new_domain': Arm(retrained, grids.EASE),
      'drift': Arm(retrained, grids.EASE),
    },
  ),
  # The evidence does not tell how popular items are.
  System(
    'l3ae:kernel:no_popularity', 'L3AE', 'ablation',
    lambda f, **t: l3ae.l3ae(f.units, **t),
    {
      'new_items': Arm(retrained, grids.L3AE_KERNEL_NEW_ITEMS_UNTILTED),
      'new_catalogue': Arm(retrained, grids.L3AE_KERNEL_UNTILTED),
      'new_domain': Arm(retrained, grids.L3AE_KERNEL_UNTILTED),
      'drift': Arm(retrained, grids.L3AE_KERNEL_UNTILTED),
    },
  ),
  # The kernel regression alone, without the catalogue's weights.
  System(
    'hyperease_item:no_weights', 'HyperEASE for items', 'ablation',
    lambda f, **t: item_columns.item_columns(f.units, use_weights=False, **t),
    {'new_items': Arm(generated, grids.ITEM_COLUMNS)},
  ),
  # The kernel regression of each item on its 200 nearest neighbours.
  System(
    'hyperease_item:local', 'HyperEASE for items', 'ablation',
    lambda f, **t: item_columns.item_columns(f.units, neighbours=200, **t),
    {'new_items': Arm(generated, grids.ITEM_COLUMNS)},
  ),
  # Columns as they are generated, whatever interactions there are.
  System(
    'hyperease_item:no_update', 'HyperEASE for items', 'ablation',
    lambda f, **t: item_columns.item_columns(f.units, updates=False, **t),
    {'new_items': Arm(generated, grids.ITEM_COLUMNS)},
  ),
  # The strengths of the prior are learned instead of tuned.
  System(
    'hyperease:learned', 'HyperEASE', 'ablation',
    lambda f, **t: hyperease_learned.hyperease_learned(f.units, f.own, **t),
    {
      'new_catalogue': Arm(generated, ({},)),
      'new_domain': Arm(
        generated,
        ({},),
        model=lambda f, **t: hyperease_learned.hyperease_learned(
          f.units, f.shared, **t
        ),
      ),
    },
  ),
  _misled('shuffled', _shuffled),
  _misled('constant', _constant),
  *(
    _without(f'no_{part}', **{part: 0.0})
    for part in ('relation', 'transfer', 'popularity')
  ),
  _without('no_kernel', sharpness=0.0),
  _without('unconstrained', constrained=False),
  *(_told_of_items(what) for what in ('constant', 'shuffled')),
  *(
    _told(name, what, trials)
    for name, trials in (
      ('hyperease_user', grids.HYPEREASE_USER),
      ('hyperease_user:text', grids.HYPEREASE_USER_TEXT),
    )
    for what in ('size', 'constant', 'shuffled')
  ),
  *(
    _of_catalogues(f'hyperease_catalogue:{what}', 'control', conditioning=what)
    for what in ('constant', 'shuffled')
  ),
  System(
    'random', 'random', 'control',
    lambda f, **t: random_scores.random_scores(**t),
    {
      'returning_users': Arm(retrained, ({},)),
      'new_items': Arm(retrained, ({},)),
    },
  ),
  # A network as large as HyperEASE's generator that generates nothing.
  System(
    'two_tower', 'two towers', 'rival',
    lambda f, **t: two_tower.two_tower(f.own, **t),
    {
      'new_items': Arm(frozen, grids.TWO_TOWER),
      'new_catalogue': Arm(finetuned, grids.TWO_TOWER),
      'new_domain': Arm(
        finetuned,
        grids.TWO_TOWER,
        model=lambda f, **t: two_tower.two_tower(f.shared, **t),
      ),
    },
    only_if_named=True,
  ),
)  # fmt: skip
BY_NAME = {system.name: system for system in SYSTEMS}
# The rivals that the question of this project names (hypothesis H2), by label.
NAMED_RIVALS = ('PReF', 'VQ-Rec', 'P5', 'EASE', 'Dynamic EASE', 'L3AE')


def is_refitted(method: str, regime: str) -> bool:
  """Whether its policy in a regime is to fit all data again."""
  policy = BY_NAME[method].arms[regime].policy
  return getattr(policy, 'func', policy) is retrained
