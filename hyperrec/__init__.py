"""hyperrec: adapt a recommender by generating its parameters, or retrain it.

    import hyperrec as hr

    data = hr.load('movielens_small', min_rating=4)
    recommender = hr.fit(hr.ease(l2=300.0), data)
    print(recommender.recommend([['1', '260']], k=3))

What there is, with examples that run: `help(hyperrec.face)`.
"""

import importlib

__version__ = '0.1.0'

__all__ = [
  'CannotServe',
  'Histories',
  'Interactions',
  'Recommender',
  'alpharec',
  'catalogue_generator',
  'cease',
  'cheby_cf',
  'content_knn',
  'dan',
  'dropoutnet',
  'ease',
  'ease_dynamic',
  'ease_local',
  'ease_sparse',
  'elsa',
  'esler',
  'evaluate',
  'features',
  'finetuned',
  'fit',
  'frozen',
  'generated',
  'generated_head',
  'gf_cf',
  'hyperease',
  'hyperease_user',
  'ials',
  'ials_features',
  'item_columns',
  'item_generator',
  'item_knn',
  'l3ae',
  'l3ae_local',
  'load',
  'local_columns',
  'marec',
  'mult_dae',
  'mult_vae',
  'p5',
  'popularity',
  'pref',
  'pref_interview',
  'random_scores',
  'retrained',
  'sasrec',
  'slim',
  'turbo_cf',
  'two_tower',
  'updated',
  'vqrec',
]


def __getattr__(name: str):
  """A name of `face`, which is imported when the first of them is used.

  So a server that reads an exported recommender never imports a model's code.
  """
  if name not in __all__:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  if name == 'features':  # a module, which the modules of models import
    return importlib.import_module('hyperrec.features')
  from hyperrec import face

  return getattr(face, name)
