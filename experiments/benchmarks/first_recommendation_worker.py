"""Recommends from a CSV file with one library, as its documentation shows.

  python first_recommendation_worker.py LIBRARY FILE.csv USERS

The file has the columns user, item and time; USERS are the ids of users,
separated by commas. Each gets 10 items from EASE. This script imports nothing
but the library and what its documentation uses with it, so it also runs in an
environment without hyperrec. It prints one line of JSON: the number of lists,
and the shortest list.
"""

import json
import pathlib
import sys
import tempfile

K, L2 = 10, 300.0


def hyperrec(path, users):
  """As in the README: `load`, `fit`, `recommend`."""
  import hyperrec as hr

  data = hr.load('table', path=path, timestamp_column='time')
  recommender = hr.fit(hr.ease(l2=L2), data)
  return recommender.recommend(users=users, k=K)


def recbole(path, users):
  """As in "Use own dataset", "Use modules" and "Case study".

  The own data are written as an atomic file. Nothing is evaluated. RecBole
  1.2.1 needs names that NumPy 2 no longer has.
  """
  import numpy as np
  import pandas as pd

  np.float_, np.complex_, np.unicode_ = np.float64, np.complex128, np.str_
  from recbole.config import Config
  from recbole.data import create_dataset, data_preparation
  from recbole.utils import get_model, get_trainer, init_seed
  from recbole.utils.case_study import full_sort_topk

  with tempfile.TemporaryDirectory() as folder:
    own = pathlib.Path(folder) / 'own'
    own.mkdir()
    table = pd.read_csv(path)
    table.columns = ['user_id:token', 'item_id:token', 'timestamp:float']
    table.to_csv(own / 'own.inter', sep='\t', index=False)
    config = Config(
      model='EASE',
      dataset='own',
      config_dict={
        'data_path': folder,
        'load_col': {'inter': ['user_id', 'item_id', 'timestamp']},
        'reg_weight': L2,
        'device': 'cpu',
        'use_gpu': False,
        'show_progress': False,
        'checkpoint_dir': folder,
      },
    )
    init_seed(config['seed'], config['reproducibility'])
    dataset = create_dataset(config)
    train_data, _, test_data = data_preparation(config, dataset)
    model = get_model(config['model'])(config, train_data.dataset)
    trainer = get_trainer(config['MODEL_TYPE'], config['model'])(config, model)
    trainer.fit(train_data, saved=False, show_progress=False)
    rows = dataset.token2id(dataset.uid_field, users)
    _, items = full_sort_topk(rows, model, test_data, k=K)
    return dataset.id2token(dataset.iid_field, items.cpu()).tolist()


def rectools(path, users):
  """As in the README: `Dataset.construct`, `fit`, `recommend`."""
  import pandas as pd
  from rectools import Columns
  from rectools.dataset import Dataset
  from rectools.models import EASEModel

  table = pd.read_csv(path)
  table.columns = [Columns.User, Columns.Item, Columns.Datetime]
  table[Columns.Weight] = 1
  table[Columns.Datetime] = pd.to_datetime(table[Columns.Datetime], unit='s')
  dataset = Dataset.construct(table)
  model = EASEModel(regularization=L2)
  model.fit(dataset)
  found = model.recommend(
    users=[int(user) for user in users],
    dataset=dataset,
    k=K,
    filter_viewed=True,
  )
  return found.groupby(Columns.User)[Columns.Item].apply(list).tolist()


def lenskit(path, users):
  """As in "Getting started": `from_interactions_df`, a top-N pipeline."""
  import pandas as pd
  from lenskit.batch import recommend
  from lenskit.data import from_interactions_df
  from lenskit.knn import EASEScorer
  from lenskit.pipeline import topn_pipeline

  table = pd.read_csv(path)
  table.columns = ['user_id', 'item_id', 'timestamp']
  # It refuses repeated interactions.
  data = from_interactions_df(table.drop_duplicates(['user_id', 'item_id']))
  pipeline = topn_pipeline(EASEScorer(regularization=L2))
  pipeline.train(data)
  found = recommend(pipeline, [int(user) for user in users], n=K)
  return [items.ids().tolist() for items in found.lists()]


if __name__ == '__main__':
  # The folder of this script has modules that are named like packages.
  sys.path.pop(0)
  WAYS = {way.__name__: way for way in (hyperrec, recbole, rectools, lenskit)}
  lists = WAYS[sys.argv[1]](sys.argv[2], sys.argv[3].split(','))
  print(json.dumps({'lists': len(lists), 'shortest': min(map(len, lists))}))
