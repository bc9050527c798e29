"""Tests that saved recommenders score the same and that changes are refused."""

import hashlib
import json
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
import safetensors.numpy
from absl import app

from experiments.export import run as export_run
from hyperrec import export
from hyperrec import method as method_lib
from hyperrec.data import sources
from hyperrec.systems import exports
from hyperrec.systems.baselines import popularity
from hyperrec.systems.linear import ease, item_knn
from hyperrec.systems.mult_vae import mult_vae
from hyperrec.systems.pref import pref
from hyperrec.systems.sequential import sasrec
from hyperrec.systems.vqrec import vqrec
from tests import makers

ROOT = pathlib.Path(__file__).parents[1]
KEY = jax.random.key(0)


@pytest.fixture(scope='module')
def data():
  return sources.load('synthetic', num_users=60, num_items=40, seed=0)


def few(data):
  return data.take_users(np.arange(10))


def make(name, data):
  """Returns the model to save, and the score function of the method."""
  if name == 'popularity':
    model = popularity.popularity()
    counts = model.fit(data, KEY).state
    return exports.popularity(counts), lambda h: model.score(counts, h)
  if name == 'mult_vae':
    model = mult_vae.mult_vae(hidden_dim=16, latent_dim=8, epochs=2)
    params = model.fit(data, KEY).state
    written = exports.mult_vae_network(model.config, params)
    return written, lambda h: model.score(params, h)
  if name in ('sasrec', 'sasrec_from_the_end'):
    model = sasrec.sasrec(
      length=6, dim=16, num_layers=1, num_heads=1, epochs=1, batch_size=16,
      from_the_end=name == 'sasrec_from_the_end',
    )  # fmt: skip
    state = model.fit(data, KEY).state
    written = exports.sasrec_network(model.config, state)
    return written, lambda h: model.score(state, h)
  if name == 'vqrec':
    network = vqrec.vqrec_from_scratch(
      makers.text_features(data),
      num_groups=2, num_codes=8, length=6, dim=16, num_layers=1, num_heads=1,
      hidden_dim=16, epochs=1, batch_size=16,
    )  # fmt: skip
    state = network.fit(data, KEY).state
    model = exports.vqrec_network(network.config, state)
    return model, lambda h: network.score(state, h)
  if name == 'pref':
    state = pref.pref(base='svd', rank=3).fit(data, KEY).state
    return exports.pref_network(state), lambda h: pref.score(state, h)
  builders = {
    'dense': lambda: (ease.ease(l2=5.0), data),
    'factored': lambda: (ease.ease(l2=5.0), few(data)),
    'sparse': lambda: (item_knn.item_knn(shrink=1.0, neighbours=5), data),
    'subset': lambda: (ease.ease(l2=5.0), data),
  }
  model, source = builders[name]()
  weights = model.fit(source, KEY).state
  exported = exports.linear(weights, source.item_counts())
  return exported, lambda h: model.score(weights, h)


@pytest.mark.parametrize(
  'name',
  [
    'popularity',
    'dense',
    'factored',
    'sparse',
    'mult_vae',
    'sasrec',
    'sasrec_from_the_end',
    'vqrec',
    'pref',
  ],
)
def test_what_is_read_scores_as_what_was_written(tmp_path, data, name):
  model, score = make(name, data)
  export.save(tmp_path / 'm', model, item_ids=data.item_ids)
  found = export.load(tmp_path / 'm')
  rows = data.by_user_and_time()
  for users in (np.arange(1), np.arange(7)):
    histories = method_lib.Histories.of(rows, users)
    names = [
      data.item_ids[items[mask]].tolist()
      for items, mask in zip(histories.items, histories.mask, strict=True)
    ]
    np.testing.assert_allclose(
      found.score(names), score(histories), rtol=2e-5, atol=2e-5
    )


@pytest.mark.parametrize('name', ['sasrec', 'vqrec'])
def test_sequential_models_rank_by_counts_without_a_history(
  tmp_path, data, name
):
  model, _ = make(name, data)
  export.save(tmp_path / 'm', model, item_ids=data.item_ids)
  (found,) = export.load(tmp_path / 'm').recommend([[]], 3)
  assert found.notes == ('popularity, since the history is empty',)
  counts = data.item_counts()
  assert [score for _, score in found] == sorted(counts.tolist())[-3:][::-1]
  np.testing.assert_array_equal(model.counts, counts)


def test_recommendations_leave_out_what_was_seen(tmp_path, data):
  model, _ = make('dense', data)
  titles = [f'title {i}' for i in data.item_ids]
  export.save(tmp_path / 'm', model, item_ids=data.item_ids, titles=titles)
  found = export.load(tmp_path / 'm')
  history = [str(i) for i in data.item_ids[:3]]
  (best,) = found.recommend([history], k=100)
  assert len(best) == data.num_items - 3
  assert not {name for name, _ in best} & set(history)
  assert [score for _, score in best] == sorted(
    (score for _, score in best), reverse=True
  )
  with pytest.raises(export.ExportError, match="such as 'nobody'"):
    found.score([[*history, 'nobody']])
  np.testing.assert_array_equal(
    found.score([[*history, 'nobody']], ignore_unknown=True),
    found.score([history]),
  )


def test_a_network_is_read_without_the_code_that_trained_it(tmp_path, data):
  model, score = make('mult_vae', data)
  export.save(tmp_path / 'm', model, item_ids=data.item_ids)
  code = (
    'import sys\n'
    'from hyperrec import export\n'
    f'found = export.load({str(tmp_path / "m")!r})\n'
    f'print(found.score([[{str(data.item_ids[0])!r}]]).sum())\n'
    'for name in ("systems", "nn", "training", "data"):\n'
    '  assert not any(m.startswith("hyperrec." + name) for m in sys.modules)\n'
    'assert "flax" not in sys.modules\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=False,
    cwd=ROOT,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  histories = method_lib.Histories(
    np.zeros((1, 1), np.int32), np.ones((1, 1), bool), data.num_items
  )
  assert float(done.stdout) == pytest.approx(score(histories).sum(), rel=1e-4)


@pytest.fixture
def written(tmp_path, data):
  model, _ = make('dense', data)
  export.save(tmp_path / 'm', model, item_ids=data.item_ids)
  return tmp_path / 'm'


@pytest.mark.parametrize('name', ['tensors.safetensors', 'items.json'])
def test_a_changed_cut_or_missing_file_is_refused_by_name(written, name):
  path = written / name
  whole = path.read_bytes()
  changed = bytearray(whole)
  changed[-3] ^= 1
  for content in (bytes(changed), whole[:-10]):
    path.write_bytes(content)
    with pytest.raises(export.ExportError, match=f'{name} is not the file'):
      export.load(written)
  path.unlink()
  with pytest.raises(export.ExportError, match=f'{name} cannot be read'):
    export.load(written)


@pytest.mark.parametrize(
  ('field', 'value', 'message'),
  [
    ('format', 1, 'format 1; this version reads 2; export it again'),
    ('format', 3, 'this version reads 2'),
    ('kind', 'magic', "kind 'magic' is none of"),
    ('kind', 'network', 'must name'),
    ('kind', 'sparse', "not those of kind 'sparse'"),
    ('sha256', {}, 'must name'),
    ('sha256', ['items.json'], 'must name'),
    ('sha256', {'../../secret': 'x'}, 'must name'),
    ('num_items', 38, '39 item ids for 38 items'),
    ('num_items', '40', "num_items is '40'"),
    ('length', 1.5, 'length is 1.5'),
  ],
)
def test_another_description_is_refused(written, field, value, message):
  path = written / 'recommender.json'
  head = json.loads(path.read_text())
  path.write_text(json.dumps({**head, field: value}))
  with pytest.raises(export.ExportError, match=message):
    export.load(written)
  del head[field]
  for text in ('{', '[]', 'null', '[' * 100_000, json.dumps(head)):
    path.write_text(text)
    with pytest.raises(export.ExportError, match='no description'):
      export.load(written)


def rewrite(folder, name, content):
  """Changes a file together with its checksum."""
  (folder / name).write_bytes(content)
  path = folder / 'recommender.json'
  head = json.loads(path.read_text())
  head['sha256'][name] = hashlib.sha256(content).hexdigest()
  path.write_text(json.dumps(head))


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'ids': None}, 'None item ids'),
    ({'ids': ['a'] * 39}, 'not distinct'),
    ({'ids': list(range(39))}, '0 is none of the item ids'),
    ({'titles': ['only one']}, '1 titles for 39 items'),
    ({'counts': [1.0] * 38}, '38 item counts for 39 items'),
    ({'counts': [-1] * 39}, '-1 is none of the item counts'),
    ({'counts': [float('nan')] * 39}, 'nan is none of the item counts'),
    ({'counts': [10**400] * 39}, '0 is none of the item counts'),
  ],
)
def test_items_that_do_not_fit_are_refused(written, change, message):
  items = json.loads((written / 'items.json').read_text())
  rewrite(written, 'items.json', json.dumps({**items, **change}).encode())
  with pytest.raises(export.ExportError, match=message):
    export.load(written)
  del items['counts']
  rewrite(written, 'items.json', json.dumps(items).encode())
  with pytest.raises(export.ExportError, match='no items'):
    export.load(written)


@pytest.mark.parametrize(
  ('tensors', 'message'),
  [
    ({'weights': np.full((39, 39), np.nan)}, 'weights holds NaN'),
    ({'weights': np.zeros((39, 38))}, "not those of kind 'dense'"),
    ({'other': np.zeros((39, 39))}, "not those of kind 'dense'"),
    ({}, "not those of kind 'dense'"),
  ],
)
def test_tensors_that_do_not_fit_are_refused(written, data, tensors, message):
  rewrite(written, 'tensors.safetensors', safetensors.numpy.save(tensors))
  with pytest.raises(export.ExportError, match=message):
    export.load(written)
  with pytest.raises(export.ExportError, match=message):
    model = export.Model('dense', tensors)
    export.save(written.with_name('n'), model, item_ids=data.item_ids)
  rewrite(written, 'tensors.safetensors', b'no tensors')
  with pytest.raises(export.ExportError, match='no tensors'):
    export.load(written)


@pytest.mark.parametrize('place', [-1, 39])
def test_places_beyond_the_catalogue_are_refused(tmp_path, data, place):
  model, _ = make('sparse', data)
  indices = model.tensors['indices'].copy()
  indices[0] = place
  broken = model._replace(tensors={**model.tensors, 'indices': indices})
  with pytest.raises(export.ExportError, match="kind 'sparse'"):
    export.save(tmp_path / 'm', broken, item_ids=data.item_ids)


def test_a_program_of_other_tensors_or_none_is_refused(tmp_path, data):
  model, _ = make('pref', data)
  export.save(tmp_path / 'm', model, item_ids=data.item_ids)
  fewer = {k: v for k, v in model.tensors.items() if k != 'choice'}
  tensors = safetensors.numpy.save(fewer)
  rewrite(tmp_path / 'm', 'tensors.safetensors', tensors)
  with pytest.raises(export.ExportError, match='reads other tensors'):
    export.load(tmp_path / 'm')
  rewrite(tmp_path / 'm', 'score.jaxexport', b'no program')
  with pytest.raises(export.ExportError, match='is no program'):
    export.load(tmp_path / 'm')


@pytest.mark.parametrize(('name', 'length'), [('sasrec', 3), ('sasrec', None),
                                              ('pref', 5)])  # fmt: skip
def test_a_length_that_the_program_does_not_read_is_refused(
  tmp_path, data, name, length
):
  model, _ = make(name, data)
  model = model._replace(length=length)
  export.save(tmp_path / 'm', model, item_ids=data.item_ids)
  with pytest.raises(export.ExportError, match=f'description is {length}; exp'):
    export.load(tmp_path / 'm')


def test_a_folder_that_holds_no_recommender_is_named(tmp_path):
  with pytest.raises(export.ExportError) as error:
    export.load(tmp_path / 'none')
  assert str(error.value).startswith(f'{tmp_path / "none"} is no folder; name ')
  with pytest.raises(export.ExportError) as error:
    export.load(tmp_path)
  assert str(error.value).startswith(f'{tmp_path} holds no recommender, since ')


def test_only_a_recommender_is_overwritten(tmp_path, data):
  model, _ = make('popularity', data)
  (tmp_path / 'thesis').mkdir()
  (tmp_path / 'thesis' / 'chapter.tex').write_text('years of work')
  with pytest.raises(export.ExportError, match='is no recommender'):
    export.save(
      tmp_path / 'thesis', model, item_ids=data.item_ids, overwrite=True
    )
  assert (tmp_path / 'thesis' / 'chapter.tex').exists()


def test_nothing_is_half_written(tmp_path, data, written):
  model, _ = make('dense', data)
  with pytest.raises(export.ExportError, match='is there already'):
    export.save(written, model, item_ids=data.item_ids)
  with pytest.raises(export.ExportError, match='not distinct'):
    export.save(tmp_path / 'n', model, item_ids=[1, '1'])
  broken = model._replace(tensors={'weights': np.array(['text'])})
  with pytest.raises(Exception):  # noqa: B017 - of safetensors
    export.save(tmp_path / 'n', broken, item_ids=data.item_ids)
  assert [p.name for p in tmp_path.iterdir()] == ['m']
  export.save(written, model, item_ids=data.item_ids, overwrite=True)
  assert export.load(written).head['kind'] == model.kind
  assert [p.name for p in tmp_path.iterdir()] == ['m']


def test_a_replacement_that_fails_leaves_the_old_recommender(
  data, written, monkeypatch
):
  before = {path.name: path.read_bytes() for path in written.iterdir()}
  rename = pathlib.Path.rename

  def interrupted(self, target):
    if pathlib.Path(target) == written and not self.name.endswith('-old'):
      raise KeyboardInterrupt
    return rename(self, target)

  monkeypatch.setattr(pathlib.Path, 'rename', interrupted)
  model, _ = make('popularity', data)
  with pytest.raises(KeyboardInterrupt):
    export.save(written, model, item_ids=data.item_ids, overwrite=True)
  assert {path.name: path.read_bytes() for path in written.iterdir()} == before
  assert [path.name for path in written.parent.iterdir()] == ['m']


@pytest.mark.slow
def test_the_commands_train_write_and_recommend(tmp_path):
  command = [
    sys.executable, '-m', 'experiments.export.run',
    '--source=movielens_small', '--min_rating=4', '--method=hyperease',
    '--min_item_interactions=10', f'--output={tmp_path / "m"}',
  ]  # fmt: skip
  done = subprocess.run(
    command, capture_output=True, text=True, check=False, cwd=ROOT
  )
  assert done.returncode == 0, done.stderr
  command = [sys.executable, '-m', 'experiments.export.recommend',
             f'--model={tmp_path / "m"}', '--history=260', '--k=3']  # fmt: skip
  done = subprocess.run(
    command, capture_output=True, text=True, check=False, cwd=ROOT
  )
  assert done.returncode == 0, done.stderr
  lines = done.stdout.splitlines()
  assert 'Star Wars' in lines[0]
  assert len(lines) == 4


def test_every_command_method_can_be_built(data):
  model, settings = export_run.train(data, 'slim', 3.0, 0)
  assert settings['l2'] == 3.0
  assert model.kind == 'subset'
  model, settings = export_run.train(data, 'ease_sparse', None, 0)
  assert settings['neighbours'] == 100
  assert model.kind == 'sparse'


@pytest.mark.parametrize('name', sorted(export_run.METHODS))
def test_a_ridge_that_a_method_has_not_is_refused(monkeypatch, data, name):
  made = []
  monkeypatch.setattr(export_run, '_linear', lambda *args: made.append(args))
  if name in ('ease', 'ease_sparse', 'slim', 'l3ae', 'hyperease'):
    export_run.train(data, name, 3.0, 0)
    assert made
    return
  with pytest.raises(app.UsageError, match=f'--method={name} has no ridge'):
    export_run.train(data, name, 3.0, 0)
