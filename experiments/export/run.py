"""Trains a recommender on all of a data set and writes it to a folder.

  python -m experiments.export.run --source=movielens_small --min_rating=4 \
    --method=hyperease --output=my_recommender
  python -m experiments.export.run --source=table --path=my.csv \
    --item_path=products.csv --text_columns=title --method=ease --l2=100 \
    --output=my_recommender

A method and its hyperparameters are those of the adaptation laboratory
(`experiments.catalogue`), and are stored with the model; `--l2` changes the
ridge. For linear methods, the memory and time that they need are printed before
they start. For large catalogues, `--method=ease_sparse` needs the least.
`experiments.adaptation.run` on the same file shows which method is best.
"""

import functools

import jax
from absl import app, flags

from experiments import catalogue, needs, script, source_flags
from hyperrec import export
from hyperrec import features as features_lib
from hyperrec import method as method_lib
from hyperrec.data import interactions, item_features
from hyperrec.systems import exports

Features = features_lib.Features

# Lines appear at once, also if the output is a file.
_show = functools.partial(print, flush=True)

# Systems of the catalogue; others are the same models under other policies, or
# cannot be exported.
METHODS = (
  'popularity', 'content_knn', 'itemknn', 'ease', 'ease:popularity',
  'ease_dynamic', 'ease_sparse', 'dan', 'gf_cf', 'cheby_cf', 'turbo_cf', 'slim',
  'elsa', 'cease', 'cease:popularity', 'l3ae', 'l3ae:kernel', 'marec', 'ials',
  'ials_features', 'dropoutnet', 'alpharec', 'two_tower', 'mult_vae', 'sasrec',
  'vqrec', 'pref', 'generated_head', 'hyperease_user', 'hyperease_user:text',
  'hyperease_user:vae', 'hyperease_item', 'hyperease_item_trained',
  'hyperease', 'hyperease_catalogue',
)  # fmt: skip
# Methods that the catalogue has under another name.
_NAMES = {
  # Without other data sets to learn from, HyperEASE is L3AE with a kernel.
  'hyperease': 'l3ae:kernel',
  'pref': 'pref:shown',
  'vqrec': 'vqrec_lookup',
}
# The trial is the first one of the first of these regimes that a system has.
_REGIMES = ('drift', 'new_users', 'new_catalogue', 'new_items')
# For whole data sets, which have more users than those of the experiments.
_SETTINGS = {'sasrec': {'batch_size': 64, 'epochs': 40, 'lr': 1e-3}}
_ESTIMATED = (
  'itemknn', 'ease', 'ease_sparse', 'slim', 'l3ae', 'l3ae:kernel', 'hyperease',
)  # fmt: skip

_METHOD = flags.DEFINE_enum('method', 'ease', METHODS, 'Method to train.')
_L2 = flags.DEFINE_float(
  'l2',
  None,
  'Hyperparameter l2 of the method, such as 100 for the ridge of EASE; methods '
  'without it refuse the flag.',
  lower_bound=1e-6,
)
_ENCODER = flags.DEFINE_enum(
  'text_encoder',
  'tfidf',
  item_features.ENCODERS,
  'Encoder that reads item text, for methods that need it.',
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
  model, settings = train(
    data, _METHOD.value, _L2.value, _SEED.value, _ENCODER.value
  )
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
  data: interactions.Interactions,
  name: str,
  l2: float | None,
  seed: int,
  encoder: str = 'tfidf',
) -> tuple[export.Model, dict]:
  """Returns the trained model in exportable form, and its hyperparameters.

  Raises:
    UsageError: `l2` is given but the method has none.
  """
  model, settings = build(_features(data, name, encoder), name, l2)
  if name in _ESTIMATED:
    needs.tell(name, data, settings, _show)
  key = jax.random.key(seed)
  state = model.fit(data, key).state
  if model.generates_catalogues:
    state = model.generate(state, data, key).state
  return exports.of(model, state), settings


def build(
  features: Features, name: str, l2: float | None
) -> tuple[method_lib.Model, dict]:
  """Returns the model of a method, and its hyperparameters.

  Args:
    features: features of the items.
    name: one of `METHODS`.
    l2: see `--l2`.

  Raises:
    UsageError: `l2` is given but the method has none.
  """
  system = catalogue.BY_NAME[_NAMES.get(name, name)]
  arm = next(system.arms[r] for r in _REGIMES if r in system.arms)
  settings = {**arm.trials[0], **_SETTINGS.get(name, {})}
  if l2 is not None:
    if 'l2' not in settings:
      raise app.UsageError(
        f'--l2={l2:g}: --method={name} has no ridge; leave --l2 out'
      )
    settings['l2'] = l2
  return (arm.model or system.model)(features, **settings), settings


def _features(
  data: interactions.Interactions, name: str, encoder: str
) -> Features:
  """Features that are computed only if the model reads them."""

  @functools.cache
  def found():
    read = features_lib.read(
      [data], encoder, cache_folder=None, num_features=128
    )
    if read.encoder is None:
      raise interactions.DataError(
        f'{data.name} has no item text, which --method={name} needs; give '
        '--item_path and --text_columns, or use --method=ease'
      )
    return read

  return Features(
    lambda part: found().own(part),
    lambda part, known=None: found().units(part, known),
    lambda part: found().shared(part),
    None,
    lambda part, known=None: found().views(part, known),
  )


if __name__ == '__main__':
  script.run(main, output_is_folder=True)
