"""Closed forms on a fixed split: settings are chosen on a part of train."""

import json

import numpy as np
import pytest

from experiments import script
from experiments.graph import rows, tables
from hyperrec.data import sources, splits
from tests.experiments import commands
from tests.makers import pairs


def made_split():
  data = sources.load('synthetic', num_users=120, num_items=60, seed=0)
  return splits.fold_in(data, seed=0)


def test_hidden_items_are_of_train_and_are_not_shown():
  train, _ = made_split()
  left, held = rows.hold_out(train, 30, seed=1)
  assert held.histories.num_users == 30
  assert not pairs(left) & pairs(held.targets)
  assert pairs(left) | pairs(held.targets) <= pairs(train)
  assert (held.targets.user_counts() > 0).all()
  assert left.num_items == train.num_items


@pytest.mark.parametrize('name', rows.ROWS)
def test_every_row_is_chosen_and_run(name):
  train, test = made_split()
  row = rows.ROWS[name]
  assert set(row.published) == set(row.axes)
  # One setting of two values is enough to choose.
  first, *others = row.axes
  axes = {first: row.axes[first][:2], **{n: row.axes[n][:1] for n in others}}
  chosen, trials = rows.choose(
    row._replace(axes=axes, most_items=50), train, 40, seed=0
  )
  assert len(trials) == 2
  best = max(trials, key=lambda t: t['recall@20'])
  assert chosen == best['settings']
  found = rows.run(row, chosen, train, splits.HeldOut(train, test))
  assert found['settings'] == chosen
  assert 0 < found['metrics']['recall@20'] <= 1
  assert found['prepare']['flops'] > 0
  assert found['prepare']['stored_bytes'] > 0


def test_a_fit_is_shared_by_settings_that_only_change_the_scores(monkeypatch):
  train, _ = made_split()
  fits = []
  row = rows.ROWS['gf_cf']

  def build(**settings):
    model = row.build(**settings)

    def fit(*args):
      fits.append(settings['rank'])
      return model.fit(*args)

    return model.__class__('counted', model.config, fit, model.score)

  axes = {'rank': (4, 8), 'low_pass': (0.1, 0.3, 1.0)}
  _, trials = rows.choose(
    row._replace(build=build, axes=axes), train, 40, seed=0
  )
  assert len(trials) == 4
  assert len(fits) <= 3


def test_a_missed_number_is_told(capsys):
  document = {
    'expected': {'recall@20': 0.2, 'ndcg@20': 0.1},
    'metrics': {'recall@20': 0.2005, 'ndcg@20': 0.12},
    'tolerance': 1e-3,
  }
  assert script.report_misses(document) == 1
  said = capsys.readouterr().out.splitlines()
  assert said[0].endswith('reproduced') and said[1].endswith('MISSED')


def test_the_tables_of_the_readme_are_those_of_the_results():
  text = (commands.ROOT / 'experiments/graph/README.md').read_text()
  folder = commands.ROOT / 'experiments' / 'graph' / 'results'
  for file in folder.glob('*.json'):
    document = json.loads(file.read_text())
    assert f'{document["metrics"]["recall@20"]:.4f}' in text
  assert np.isin(list(rows.ROWS), list(tables._TITLES)).all()
