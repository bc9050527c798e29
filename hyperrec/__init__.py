"""hyperrec: adapt a recommender by generating its parameters, or retrain it.

    import hyperrec as hr

    data = hr.load('movielens_small', min_rating=4)
    recommender = hr.fit(hr.ease(l2=300.0), data)
    print(recommender.recommend([['1', '260']], k=3))

What there is, with examples that run: `help(hyperrec.face)`.
"""

import importlib

__version__ = '0.1.0'

# The module of each name. `face` has the same names, with examples.
_NAMES = {
  'adapting': (
    'finetuned',
    'frozen',
    'generated',
    'retrained',
    'updated',
  ),
  'data.interactions': ('Interactions',),
  'data.sources': ('load',),
  'laboratory': ('evaluate',),
  'method': (
    'CannotServe',
    'Histories',
  ),
  'recommender': (
    'Recommender',
    'fit',
  ),
  'systems.baselines.popularity': ('popularity',),
  'systems.baselines.random_scores': ('random_scores',),
  'systems.baselines.two_tower': ('two_tower',),
  'systems.factors.dropoutnet': ('dropoutnet',),
  'systems.factors.ials': ('ials',),
  'systems.factors.ials_features': ('ials_features',),
  'systems.graph.alpharec': ('alpharec',),
  'systems.graph.cheby_cf': ('cheby_cf',),
  'systems.graph.gf_cf': ('gf_cf',),
  'systems.graph.turbo_cf': ('turbo_cf',),
  'systems.hyperease.catalogue_generator': ('catalogue_generator',),
  'systems.hyperease.hyperease': ('hyperease',),
  'systems.hyperease.hyperease_user': ('hyperease_user',),
  'systems.hyperease.item_columns': ('item_columns',),
  'systems.hyperease.item_generator': ('item_generator',),
  'systems.hyperease.local_columns': ('local_columns',),
  'systems.hypernetwork.generated_head': ('generated_head',),
  'systems.linear.cease': ('cease',),
  'systems.linear.content_knn': ('content_knn',),
  'systems.linear.dan': ('dan',),
  'systems.linear.ease': ('ease',),
  'systems.linear.ease_dynamic': ('ease_dynamic',),
  'systems.linear.ease_local': (
    'ease_local',
    'l3ae_local',
  ),
  'systems.linear.ease_sparse': ('ease_sparse',),
  'systems.linear.esler': (
    'elsa',
    'esler',
  ),
  'systems.linear.item_knn': ('item_knn',),
  'systems.linear.l3ae': ('l3ae',),
  'systems.linear.marec': ('marec',),
  'systems.linear.slim': ('slim',),
  'systems.mult_vae.mult_vae': (
    'mult_dae',
    'mult_vae',
  ),
  'systems.p5.p5': ('p5',),
  'systems.pref.pref': ('pref',),
  'systems.pref.pref_interview': ('pref_interview',),
  'systems.sequential.sasrec': ('sasrec',),
  'systems.vqrec.vqrec': ('vqrec',),
}
_MODULES = {name: home for home, names in _NAMES.items() for name in names}

__all__ = sorted(['features', *_MODULES])  # noqa: PLE0605 - all are texts


def __getattr__(name: str):
  """A public name, whose module is imported when the name is first used.

  So a process imports the code of the models that it uses, and a server that
  reads an exported recommender imports none.
  """
  if name == 'features':  # a module, which the modules of models import
    return importlib.import_module('hyperrec.features')
  if name not in _MODULES:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  return getattr(importlib.import_module(f'hyperrec.{_MODULES[name]}'), name)
