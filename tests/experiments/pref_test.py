"""The simulated users and the tables of PReF."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from experiments.pref import (
  curves,
  people,
  recommendation,
  summary,
  tables,
)
from hyperrec import features
from hyperrec.data import interactions
from hyperrec.systems.pref import pref
from tests.experiments import commands

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope='module')
def data():
  random = np.random.default_rng(0)
  users, items = np.nonzero(random.random((60, 25)) < 0.6)
  return interactions.from_columns(
    users,
    items,
    rating=random.integers(1, 6, len(users)).astype(float),
    item_text={i: f'Film {i}' for i in range(25)},
    name='rated',
  )


def test_answers_and_targets_do_not_overlap(data):
  drawn = people.draw(data, num_test=20, min_rows=1, liked=4.0, seed=0)
  assert drawn.answers.multiply(drawn.targets).nnz == 0
  assert drawn.train.num_users == 40
  assert (drawn.targets[drawn.liked.nonzero()] >= 4).all()
  likes = people.some_likes(drawn, 3, 4.0, seed=0)
  assert likes.user_counts().max() <= 3
  assert (drawn.answers[likes.users, likes.items] >= 4).all()
  fewer = people.some_likes(drawn, 2, 4.0, seed=0)
  assert fewer.num_items == drawn.train.num_items


def test_auc_counts_ordered_pairs(data):
  drawn = people.draw(data, num_test=20, min_rows=1, liked=4.0, seed=0)
  perfect = drawn.targets.toarray()
  np.testing.assert_allclose(people.aucs(perfect, drawn), 1)
  np.testing.assert_allclose(people.aucs(-perfect, drawn), 0)
  np.testing.assert_allclose(people.aucs(0 * perfect, drawn), 0.5)
  scores = np.random.default_rng(1).normal(size=perfect.shape)
  for user, found in zip(drawn.judged, people.aucs(scores, drawn), strict=True):
    rated = drawn.targets[user].indices
    above = perfect[user, rated][:, None] > perfect[user, rated][None]
    right = scores[user, rated][:, None] > scores[user, rated][None]
    assert found == pytest.approx(right[above].mean(), abs=0.1)


def test_ratings_are_needed(data):
  bare = interactions.from_columns([0, 1], [0, 1], name='bare')
  with pytest.raises(interactions.DataError, match='ratings'):
    people.draw(bare, num_test=1, min_rows=1, liked=4.0, seed=0)
  with pytest.raises(interactions.DataError, match='num_test=60'):
    people.draw(data, num_test=60, min_rows=1, liked=4.0, seed=0)


def scaled(data, scale):
  return dataclasses.replace(data, ratings=scale(data.ratings))


@pytest.mark.parametrize(
  ('scale', 'liked'),
  [
    (lambda stars: stars, 4.0),
    (lambda stars: stars / 2 + 2.5, 4.5),
    (lambda stars: 5 * stars - 15, 5.0),
    (lambda stars: (stars > 3).astype(np.float32), 0.75),
  ],
)
def test_the_upper_quarter_of_the_scale_is_liked(data, scale, liked):
  assert people.least_liked(scaled(data, scale)) == pytest.approx(liked)


def test_a_scale_needs_two_ratings(data):
  with pytest.raises(interactions.DataError, match='all ratings are 3'):
    people.least_liked(scaled(data, lambda stars: np.full_like(stars, 3)))
  bare = interactions.from_columns([0, 1], [0, 1], name='bare')
  with pytest.raises(interactions.DataError, match='--rating_column'):
    people.least_liked(bare)


def test_a_rating_of_0_is_a_rating(data):
  def moved(by):
    own = scaled(data, lambda stars: stars - by)
    return people.draw(own, num_test=20, min_rows=1, liked=4.0 - by, seed=0)

  plain, drawn = moved(0.0), moved(3.0)
  assert (drawn.answers.data == 0).any()
  np.testing.assert_array_equal(drawn.pairs, plain.pairs)
  scores = np.random.default_rng(1).normal(size=drawn.answers.shape)
  np.testing.assert_array_equal(
    people.judge(scores, scores, drawn, 'ndcg@5')['ndcg@5'],
    people.judge(scores, scores, plain, 'ndcg@5')['ndcg@5'],
  )


def test_nobody_to_judge_by_is_told(data):
  with pytest.raises(interactions.DataError, match=r'none .* at least 9'):
    people.draw(data, num_test=20, min_rows=1, liked=9.0, seed=0)
  alike = scaled(data, lambda stars: np.full_like(stars, 4))
  with pytest.raises(interactions.DataError, match='two different'):
    people.draw(alike, num_test=20, min_rows=1, liked=4.0, seed=0)
  with pytest.raises(interactions.DataError, match='--min_rows=60'):
    people.draw(data, num_test=20, min_rows=60, liked=4.0, seed=0)


def test_a_run_says_whether_asking_is_worth_it():
  random = np.random.default_rng(0)
  start = random.random(200)

  def measured(arm, condition, questions, gain):
    metrics = {'ndcg@5': start + gain}
    return curves.Measured(arm, condition, questions, 1.0, metrics)

  rows = [
    measured('popularity, mean rating', 'nothing', 0, -0.1),
    measured('pref', 'known', 0, 0.0),
    measured('pref', 'known', 5, 0.1),
    measured('pref', 'known', 20, 0.1001),
    measured('bald', 'known', 0, 0.0),
    measured('bald', 'known', 5, 0.01),
    measured('bald', 'known', 20, 0.01),
    measured('pref', 'all', 5, -0.2),
  ]
  known, everything = summary.advice(rows, 'ndcg@5')
  assert '"pref": asking is worth it. With 5 questions' in known
  assert 'up to 20 add less than 1%' in known
  assert 'asking makes the ranking worse' in everything
  drawn = summary.table(curves.points(rows), 'ndcg@5')
  assert 'asked only about items that the user has rated' in drawn
  assert f'{start.mean() + 0.1:.3f} ±' in drawn
  (none,) = summary.advice(rows[:1], 'ndcg@5')
  assert 'no question was asked' in none


def test_a_pair_that_is_rated_again_has_its_last_rating(data):
  twice = dataclasses.replace(
    data,
    users=np.concatenate([data.users, data.users]),
    items=np.concatenate([data.items, data.items]),
    ratings=np.concatenate([6 - data.ratings, data.ratings]),
  )
  drawn, wanted = (
    people.draw(each, num_test=20, min_rows=1, liked=4.0, seed=0)
    for each in (twice, data)
  )
  assert drawn.answers.multiply(drawn.targets).nnz == 0
  assert (drawn.targets != wanted.targets).nnz == 0
  assert (drawn.answers != wanted.answers).nnz == 0
  assert len(drawn.train) == len(wanted.train)


def test_an_unknown_metric_is_refused_before_data_is_read():
  # Flags of a second script cannot be defined in this process.
  done = commands.run(
    None, '--metric=foo', '--source=table', module='experiments.pref.run'
  )
  assert done.returncode == 2
  told = done.stderr.strip().splitlines()
  assert told[-1].startswith("error: --metric: metric 'foo' is unknown")
  assert 'Traceback' not in done.stderr


def test_there_are_84_users():
  # Flags of a second script cannot be defined in this process.
  code = (
    'import json\n'
    'from experiments.pref import attributes\n'
    'print(json.dumps(attributes.users().tolist()))\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], check=True, capture_output=True, cwd=ROOT
  )
  found = np.array(json.loads(done.stdout))
  assert len(np.unique(found, axis=0)) == 84
  assert (np.abs(found).sum(axis=1) == 2).all()


@pytest.mark.slow
def test_every_arm_is_measured_and_compared(data):
  drawn = people.draw(data, num_test=20, min_rows=1, liked=4.0, seed=0)
  measured = list(
    recommendation.measure(
      drawn,
      pref.PrefConfig(rank=3, liked=4.0),
      budgets=[0, 3],
      num_pool=8,
      metric='ndcg@5',
      seed=0,
      noise=0.0,
      arms=['random', 'tree', 'published', 'likes'],
      features=features.read(
        [data], 'tfidf', cache_folder=None, num_features=4
      ),
      num_trials=2,
    )
  )
  places = {(row.arm, row.condition, row.questions) for row in measured}
  assert len(places) == len(measured)
  assert ('tree', 'all', 3) in places
  assert ('published', 'known', 3) in places
  assert {arm for arm, kind, _ in places if kind == 'likes'} >= {'pref', 'ease'}
  found = curves.points(measured)
  for point in found:
    assert 0 <= point['metrics']['auc']['mean'] <= 1
    assert (
      point['metrics']['ndcg@5']['low'] <= point['metrics']['ndcg@5']['high']
    )
    is_compared = point['condition'] in ('known', 'all')
    assert bool(point['against_random']) == (
      is_compared and point['arm'] != 'random'
    )


def test_tables_and_plots_come_from_results():
  numbers = {'mean': 0.5, 'low': 0.4, 'high': 0.6, 'by_seed': [0.5]}
  document = {
    'curves': [
      {
        'arm': arm,
        'condition': condition,
        'questions': q,
        'answered': 1.0,
        'metrics': {'auc': numbers},
        'against_random': {},
      }
      for arm, condition in (('bald', 'all'), ('ease', 'likes'))
      for q in (0, 10)
    ]
  }
  assert '| bald | 0.500 ±0.100 |' in tables.curves_table(document, 'auc')
  assert len(tables.draw(document, 'auc').axes) == 1


def test_latency_tells_whether_goals_are_met():
  row = {'what': 'x', 'median': '2 µs', 'best': '1 µs', 'goal': '< 3 µs'}
  found = tables.latency_table({'rows': [{**row, 'is_met': True}]})
  assert '| x | 2 µs | 1 µs | < 3 µs | met |' in found


def test_bases_are_rows(tmp_path):
  numbers = {'mean': 0.5, 'low': 0.4, 'high': 0.6, 'by_seed': [0.5]}
  curve = [
    {
      'arm': 'pref',
      'condition': 'known',
      'questions': q,
      'metrics': {'auc': numbers},
    }
    for q in (0, 10)
  ]
  file = tmp_path / 'ials.json'
  file.write_text(json.dumps({'curves': curve, 'flags': {'rank': 16}}))
  found = tables.bases_table([file], 10)
  assert '| base | J | auc, q = 0 | auc, q = 10 |' in found
  assert '| ials | 16 | 0.500 ±0.100 | 0.500 ±0.100 |' in found


def test_what_is_no_number_is_null():
  text = curves.as_json({'a': [float('nan'), 1.5]})
  assert json.loads(text) == {'a': [None, 1.5]}
