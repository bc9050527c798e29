"""Trains a recommender on all of a data set and writes it to a folder.

  python -m experiments.export.run --source=movielens_small --min_rating=4 \
    --method=hyperease --output=my_recommender
  python -m experiments.export.run --source=table --path=my.csv \
    --item_path=products.csv --text_columns=title --method=ease --l2=100 \
    --output=my_recommender

The hyperparameters are a trial of the adaptation experiment and are stored with
the model; `--l2` changes the ridge of a linear method. The memory and time that
a linear method needs are printed before it starts. For large catalogues,
`--method=ease_sparse` needs the least. `experiments.adaptation.run` on the same
file shows which method is best.
"""

import functools

import jax
from absl import app, flags

from experiments import needs, script, source_flags
from experiments.adaptation import grids
from hyperrec import export
from hyperrec import features as features_lib
from hyperrec.data import interactions, item_features
from hyperrec.systems import exports
from hyperrec.systems.baselines import popularity
from hyperrec.systems.linear import ease, ease_sparse, item_knn, l3ae, slim
from hyperrec.systems.mult_vae import mult_vae
from hyperrec.systems.pref import pref
from hyperrec.systems.sequential import sasrec

# Lines appear at once, also if the output is a file.
_show = functools.partial(print, flush=True)

METHODS = (
  'popularity', 'itemknn', 'ease', 'ease_sparse', 'slim', 'l3ae', 'hyperease',
  'mult_vae', 'sasrec', 'pref',
)  # fmt: skip

_RIDGE = ('ease', 'ease_sparse', 'slim', 'l3ae', 'hyperease')

_METHOD = flags.DEFINE_enum('method', 'ease', METHODS, 'Method to train.')
_L2 = flags.DEFINE_float(
  'l2',
  None,
  f'Ridge of {", ".join(_RIDGE)}, such as 100; other methods have none.',
  lower_bound=1e-6,
)
_ENCODER = flags.DEFINE_enum(
  'text_encoder',
  'tfidf',
  item_features.ENCODERS,
  'Encoder that reads item text, for l3ae and hyperease.',
)
_SEED = script.define_seed('seed', 'Seed of all random draws.')
_OUTPUT = flags.DEFINE_string(
  'output', None, 'Folder that the recommender is written to.', required=True
)
_OVERWRITE = flags.DEFINE_bool(
  'overwrite', False, 'Replace a recommender that the folder holds already.'
)


def main(argv):
  """Trains the recommender and writes its folder."""
  del argv
  try:
    export.check_folder(_OUTPUT.value, overwrite=_OVERWRITE.value)
  except export.ExportError as error:
    raise export.ExportError(
      f'--output: {error} (--overwrite replaces a recommender)'
    ) from error
  data = source_flags.load()
  model, settings = train(data, _METHOD.value, _L2.value, _SEED.value)
  export.save(
    _OUTPUT.value,
    model._replace(counts=data.item_counts()),
    item_ids=data.item_ids.tolist(),
    titles=None if data.item_text is None else data.item_text.tolist(),
    about={
      'method': _METHOD.value,
      'settings': settings,
      'data': data.name,
      'users': data.num_users,
      'interactions': len(data),
      **script.provenance(),
    },
    overwrite=_OVERWRITE.value,
  )
  print(
    f'{_OUTPUT.value}: {_METHOD.value} of {data.num_items:,} items, learned '
    f'from {len(data):,} interactions of {data.num_users:,} users'
  )


def train(
  data: interactions.Interactions, name: str, l2: float | None, seed: int
) -> tuple[export.Model, dict]:
  """Returns the trained model in exportable form, and its hyperparameters.

  Raises:
    UsageError: `l2` is given but the method has no ridge.
  """
  if l2 is not None and name not in _RIDGE:
    raise app.UsageError(
      f'--l2={l2:g}: --method={name} has no ridge; leave --l2 out'
    )
  key = jax.random.key(seed)
  if name == 'popularity':
    fitted = popularity.popularity().fit(data, key)
    return exports.popularity(fitted.state), {}
  if name == 'mult_vae':
    model = mult_vae.mult_vae(**grids.MULT_VAE[0])
    params = model.fit(data, key).state
    return exports.mult_vae_network(model.config, params), grids.MULT_VAE[0]
  if name == 'sasrec':
    settings = {**grids.SASREC[0], 'batch_size': 64, 'epochs': 40, 'lr': 1e-3}
    model = sasrec.sasrec(**settings)
    state = model.fit(data, key).state
    return exports.sasrec_network(model.config, state), settings
  if name == 'pref':
    fitted = pref.pref(**grids.PREF[0]).fit(data, key)
    return exports.pref_network(fitted.state), grids.PREF[0]
  return _linear(data, name, l2, key)


def _linear(data, name, l2, key) -> tuple[export.Model, dict]:
  """Trains an item-item method."""
  builders = {
    'itemknn': (item_knn.item_knn, grids.ITEM_KNN[0]),
    'ease': (ease.ease, grids.EASE[0]),
    'ease_sparse': (ease_sparse.ease_sparse, grids.EASE_SPARSE[0]),
    'slim': (slim.slim, grids.SLIM[0]),
    'l3ae': (l3ae.l3ae, grids.L3AE[1]),
    # Without other data sets to learn from, HyperEASE is L3AE with a kernel.
    'hyperease': (l3ae.l3ae, grids.L3AE_KERNEL[1]),
  }
  build, settings = builders[name]
  if name in ('l3ae', 'hyperease'):
    read = _features(data)
    lookup = read.units if name == 'hyperease' else read.own
    build = functools.partial(build, lookup)
  if l2 is not None:
    settings = {**settings, 'l2': l2}
  needs.tell(name, data, settings, _show)
  weights = build(**settings).fit(data, key).state
  return exports.linear(weights), settings


def _features(data) -> features_lib.Features:
  read = features_lib.read(
    [data], _ENCODER.value, cache_folder=None, num_features=128
  )
  if read.encoder is None:
    raise interactions.DataError(
      f'{data.name} has no item text, which --method={_METHOD.value} needs; '
      'give --item_path and --text_columns, or use --method=ease'
    )
  return read


if __name__ == '__main__':
  script.run(main, output_is_folder=True)
