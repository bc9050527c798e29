"""Tests that saved recommenders score the same and that changes are refused."""

import dataclasses
import functools
import hashlib
import json
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
import safetensors.numpy
import scipy.sparse
from absl import app

from experiments.export import run as export_run
from hyperrec import adapting, export, scorers
from hyperrec import features as features_lib
from hyperrec import method as method_lib
from hyperrec.data import sources
from hyperrec.systems import exports
from hyperrec.systems.baselines import (
  blended,
  popularity,
  random_scores,
  two_tower,
)
from hyperrec.systems.factors import dropoutnet, ials, ials_features
from hyperrec.systems.graph import alpharec, cheby_cf, gf_cf, turbo_cf
from hyperrec.systems.hyperease import (
  hyperease,
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

ROOT = pathlib.Path(__file__).parents[1]
KEY = jax.random.key(0)


@pytest.fixture(scope='module')
def data():
  return sources.load('synthetic', num_users=60, num_items=40, seed=0)


def few(data):
  return data.take_users(np.arange(10))


SMALL = {'dim': 8, 'hidden_dim': 8, 'steps': 2}
VAE = {'hidden_dim': 16, 'latent_dim': 8, 'epochs': 2}
SASREC = {'length': 6, 'dim': 16, 'num_layers': 1, 'num_heads': 1, 'epochs': 1,
          'batch_size': 16}  # fmt: skip
VQREC = {**SASREC, 'num_groups': 2, 'num_codes': 8, 'hidden_dim': 16}
USER = {'l2': 5.0, 'rank': 4, 'steps': 4, 'members': 2}


def vae_blend(first):
  vae = mult_vae.mult_vae(**VAE)
  return blended.blended(first, vae, 0.4, mult_vae.pass_flops)


# Models by name, made from the features of the items.
MODELS = {
  'popularity': lambda f: popularity.popularity(),
  'dense': lambda f: ease.ease(l2=5.0),
  'factored': lambda f: ease.ease(l2=5.0),
  'sparse': lambda f: item_knn.item_knn(shrink=1.0, neighbours=5),
  'ease_sparse': lambda f: ease_sparse.ease_sparse(l2=5.0, neighbours=5),
  'ease_dynamic': lambda f: ease_dynamic.ease_dynamic(l2=5.0),
  'subset': lambda f: slim.slim(l1=1.0, l2=5.0),
  'esler': lambda f: esler.esler(l2=5.0),
  'elsa': lambda f: esler.elsa(rank=4, epochs=1),
  'dan': lambda f: dan.dan(l2=5.0, dropout=0.4, item_power=0.2, user_power=0.2),
  'gf_cf': lambda f: gf_cf.gf_cf(rank=8),
  'cheby_cf': lambda f: cheby_cf.cheby_cf(rank=8),
  'turbo_cf': lambda f: turbo_cf.turbo_cf(power=0.7),
  'turbo_cf_dense': lambda f: turbo_cf.turbo_cf(order=2),
  'content_knn': lambda f: content_knn.content_knn(f.units),
  'content_knn_sharp': lambda f: content_knn.content_knn(f.units, sharpness=2),
  'cease': lambda f: cease.cease(f.units, l2=5.0, alpha=3.0),
  'l3ae': lambda f: l3ae.l3ae(
    f.units, l2=5.0, l2_features=2.0, trust=0.9, sharpness=1.0, popularity=0.2
  ),
  'marec': lambda f: marec.marec(
    f.views, l2=5.0, l2_features=9.0, strength=0.1
  ),
  'added_popularity': lambda f: added_popularity.added_popularity(
    ease.ease(l2=5.0), 0.3
  ),
  'ials': lambda f: ials.ials(dim=8, epochs=2),
  # The penalty is strong, so that single precision solves to 1e-5.
  'ials_features': lambda f: ials_features.ials_features(
    f.units, dim=8, epochs=2, l2=0.1
  ),
  'dropoutnet': lambda f: dropoutnet.dropoutnet(f.units, epochs=2, **SMALL),
  'alpharec': lambda f: alpharec.alpharec(f.units, **SMALL),
  'two_tower': lambda f: two_tower.two_tower(f.own, **SMALL),
  'mult_vae': lambda f: mult_vae.mult_vae(**VAE),
  'mult_dae': lambda f: mult_vae.mult_dae(latent_dim=8, epochs=2),
  'sasrec': lambda f: sasrec.sasrec(**SASREC),
  'sasrec_from_the_end': lambda f: sasrec.sasrec(**SASREC, from_the_end=True),
  'vqrec': lambda f: vqrec.vqrec_from_scratch(f.own, **VQREC),
  'pref': lambda f: pref.pref(base='svd', rank=3),
  'generated_head': lambda f: generated_head.generated_head(base=VAE, epochs=1),
  'hyperease_user': lambda f: hyperease_user.hyperease_user(**USER),
  'hyperease_user_shuffled': lambda f: hyperease_user.hyperease_user(
    **USER, conditioning='shuffled', together=False
  ),
  'hyperease_user_few': lambda f: hyperease_user.hyperease_user(**USER),
  'blended': lambda f: vae_blend(
    hyperease_user.hyperease_user(f.units, alpha=2.0, popularity=0.3, **USER)
  ),
  'item_columns': lambda f: item_columns.item_columns(f.units, l2=5.0),
  'item_generator': lambda f: item_generator.item_generator(
    f.units, l2=5.0, rank=4, hidden_dim=8, members=1, steps=2
  ),
}  # fmt: skip


def all_kept(state):
  """Lets HyperEASE for users correct, also where nothing surely gains."""
  if isinstance(state, blended.State):
    return state._replace(first=all_kept(state.first))
  if isinstance(state, hyperease_user.UserState):
    kept = np.array([0.3, 0.6, 1.0], np.float32)
    return state._replace(generators=state.generators._replace(kept=kept))
  return state


@functools.cache
def fitted(name):
  """The model, its state and the data that it was fitted on."""
  data = sources.load('synthetic', num_users=60, num_items=40, seed=0)
  read = features_lib.read([data], 'tfidf', cache_folder=None, num_features=8)
  model = MODELS[name](read)
  if name in ('factored', 'hyperease_user_few'):
    data = few(data)
  return model, all_kept(model.fit(data, KEY).state), data


def make(name, data):
  """Returns the model to save, and the score function of the method."""
  model, state, source = fitted(name)
  exported = exports.of(model, state, source.item_counts())
  return exported, lambda h: np.asarray(model.score(state, h))


def lists(histories):
  """The item numbers of each history, as a scorer takes them."""
  pairs = zip(histories.items, histories.mask, strict=True)
  return [items[mask].tolist() for items, mask in pairs]


def run_program(model, histories):
  """The scores of the program, which all kinds have."""
  path = pathlib.Path('score.jaxexport')
  score = scorers.network(
    model.program, model.tensors, model.length, histories.num_items, path
  )
  return score(lists(histories))


@pytest.mark.parametrize('name', MODELS)
def test_what_is_read_scores_as_what_was_written(tmp_path, data, name):
  model, score = make(name, data)
  export.save(tmp_path / 'm', model, item_ids=data.item_ids)
  found = export.load(tmp_path / 'm')
  rows = data.by_user_and_time()
  for users in (np.arange(1), np.arange(3), np.arange(20, 37)):
    histories = method_lib.Histories.of(rows, users)
    names = [data.item_ids[items].tolist() for items in lists(histories)]
    want = score(histories)
    np.testing.assert_allclose(found.score(names), want, rtol=1e-5, atol=1e-5)
    program = run_program(model, histories)
    np.testing.assert_allclose(program, want, rtol=1e-5, atol=1e-5)
    assert np.ptp(want) > 1e-3


@pytest.mark.parametrize('name', MODELS)
def test_a_program_scores_empty_histories_as_the_model_does(data, name):
  model, score = make(name, data)
  histories = method_lib.Histories(
    np.array([[3, 1], [0, 0], [7, 0]], np.int32),
    np.array([[True, True], [False, False], [True, False]]),
    data.num_items,
  )
  np.testing.assert_allclose(
    run_program(model, histories), score(histories), rtol=1e-5, atol=1e-5
  )


def test_kinds_of_linear_weights_are_kept(data):
  kinds = {
    'dense': 'dense', 'factored': 'factored', 'sparse': 'sparse',
    'subset': 'subset', 'popularity': 'popularity', 'turbo_cf': 'sparse',
    'turbo_cf_dense': 'dense', 'elsa': 'factored', 'item_columns': 'dense',
    'added_popularity': 'network', 'hyperease_user': 'network',
  }  # fmt: skip
  assert {name: make(name, data)[0].kind for name in kinds} == kinds


def test_a_sparse_row_of_many_chunks_is_added_whole():
  size = 700
  random = np.random.default_rng(0)
  dense = random.random((size, size)) * (random.random((size, size)) < 0.01)
  dense[5] = random.random(size)
  weights = scipy.sparse.csr_matrix(dense.astype(np.float32))
  model = item_knn.item_knn(shrink=1.0, neighbours=5)
  histories = method_lib.Histories(
    np.array([[5, 9, 4], [8, 0, 0]], np.int32),
    np.array([[True, True, True], [True, False, False]]),
    size,
  )
  exported = exports.of(model, weights)
  np.testing.assert_allclose(
    run_program(exported, histories), histories.csr() @ dense, rtol=1e-5
  )
  nothing = exports.of(model, scipy.sparse.csr_matrix((size, size)))
  assert not run_program(nothing, histories).any()


@pytest.mark.parametrize('name', ['item_columns', 'item_generator'])
def test_a_catalogue_that_has_grown_is_exported(tmp_path, data, name):
  read = features_lib.read([data], 'tfidf', cache_folder=None, num_features=8)
  known = np.arange(0, data.num_items, 2)
  method = adapting.generated(MODELS[name](read))
  shared = method.prepare(data.take_items(known), KEY).state
  new = data.rows(~np.isin(data.items, known))
  state = method.adapt(shared, new, KEY).state
  assert isinstance(state, item_columns.Grown)
  model = exports.of(method, state, data.item_counts())
  export.save(tmp_path / 'm', model, item_ids=data.item_ids)
  histories = method_lib.Histories.of(data.by_user_and_time(), np.arange(3))
  want = method.score(state, histories)
  names = [data.item_ids[items].tolist() for items in lists(histories)]
  found = export.load(tmp_path / 'm').score(names)
  np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-5)
  is_new = ~np.isin(np.arange(data.num_items), known)
  assert found[:, is_new].any()


def test_weights_of_a_catalogue_are_exported_after_they_are_generated(data):
  read = features_lib.read([data], 'tfidf', cache_folder=None, num_features=8)
  method = adapting.generated(
    hyperease.hyperease(
      read.units, l2=30.0, l2_features=2.0, trust=0.8, relation=0.2,
      transfer=0.2, popularity=0.2, sharpness=1.0,
    )
  )  # fmt: skip
  old, new = (np.arange(20), np.arange(20, data.num_items))
  shared = method.prepare(data.take_items(old), KEY).state
  with pytest.raises(
    export.ExportError, match='hyperease cannot be exported: '
  ):
    exports.of(method, shared.state)
  evidence = data.take_items(new)
  state = method.adapt(shared, evidence, KEY).state
  histories = method_lib.Histories.of(evidence.by_user_and_time(), np.arange(3))
  np.testing.assert_allclose(
    run_program(exports.of(method, state), histories),
    method.score(state, histories),
    rtol=1e-5,
    atol=1e-5,
  )


@pytest.mark.parametrize(
  ('model', 'state', 'message'),
  [
    (random_scores.random_scores(), 9, 'random cannot be exported: its scores'),
    (p5.p5(), None, 'p5 cannot be exported: its scores are no function'),
    (pref_interview.pref_interview(), None, 'interview cannot be exported: '),
    (
      added_popularity.added_popularity(p5.p5(), 0.1), None,
      'p5 and popularity cannot be exported',
    ),
    (vae_blend(p5.p5()), None, 'p5 and mult_vae cannot be exported'),
    (
      blended.blended(
        sasrec.sasrec(length=5), sasrec.sasrec(length=6), 0.5, len
      ),
      None,
      'its two models read the last 5 and the last 6 items',
    ),
    (
      two_tower.two_tower(None), two_tower.TowerState({}, None, None),
      'two_tower cannot be exported: the towers were trained on several',
    ),
    (
      alpharec.alpharec(None), alpharec.AlpharecState({}),
      'AlphaRec was trained on several domains and has no items',
    ),
    (
      ials_features.ials_features(None),
      ials_features.MappedFactors(None, None, 0, None, 1.0),
      'feature-aware iALS was fitted on several domains and has no items',
    ),
    (
      ease.ease(l2=1.0), method_lib.Part(np.zeros((2, 2)), np.arange(2)),
      'ease knows only some items of this catalogue; export the state of its',
    ),
  ],
)  # fmt: skip
def test_what_cannot_be_exported_is_refused_with_the_reason(
  model, state, message
):
  if state is None and isinstance(model.config, blended.BlendConfig):
    states = [fitted('sasrec')[1]] * 2
    state = blended.State(*states)
  with pytest.raises(export.ExportError, match=message):
    exports.of(model, state)


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
    ('format', 2, 'format 2; this version reads 3; export it again'),
    ('format', 4, 'this version reads 3'),
    ('kind', 'magic', "kind 'magic' is none of"),
    ('sha256', {'items.json': 'x', 'tensors.safetensors': 'x'}, 'must name'),
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
  start = 'holds no exported recommender, since '
  assert str(error.value).startswith(f'{tmp_path / "none"} {start}')
  with pytest.raises(export.ExportError) as error:
    export.load(tmp_path)
  assert str(error.value).startswith(f'{tmp_path} {start}')


def test_only_a_recommender_is_overwritten(tmp_path, data):
  model, _ = make('popularity', data)
  (tmp_path / 'thesis').mkdir()
  (tmp_path / 'thesis' / 'chapter.tex').write_text('years of work')
  with pytest.raises(export.ExportError, match='is no exported recommender'):
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
  command = [sys.executable, '-m', 'experiments.recommend.recommend',
             f'--model={tmp_path / "m"}', '--history=260', '--k=3']  # fmt: skip
  done = subprocess.run(
    command, capture_output=True, text=True, check=False, cwd=ROOT
  )
  assert done.returncode == 0, done.stderr
  lines = done.stdout.splitlines()
  assert 'Star Wars' in lines[0]
  assert len(lines) == 4


def test_a_model_without_a_program_is_not_written(tmp_path, data):
  model, _ = make('dense', data)
  with pytest.raises(export.ExportError, match='the model has no program'):
    export.save(
      tmp_path / 'm', model._replace(program=b''), item_ids=data.item_ids
    )
  assert not (tmp_path / 'm').exists()


def test_a_changed_program_is_refused_also_where_numpy_scores(written):
  path = written / 'score.jaxexport'
  path.write_bytes(path.read_bytes()[:-1])
  with pytest.raises(export.ExportError, match='jaxexport is not the file'):
    export.load(written)


@pytest.mark.parametrize(
  'name', ['dense', 'sparse', 'popularity', 'sasrec', 'blended', 'ials']
)
def test_the_consumer_needs_no_hyperrec_and_recommends_the_same(
  tmp_path, data, name
):
  model, _ = make(name, data)
  export.save(tmp_path / 'm', model, item_ids=data.item_ids)
  ids = [str(i) for i in data.item_ids]
  found = export.load(tmp_path / 'm')
  code = (
    'import runpy, sys\n'
    f'path = {str(ROOT / "experiments/export/consumer.py")!r}\n'
    'for history in sys.argv[1:]:\n'
    f'  sys.argv = ["", "--model", {str(tmp_path / "m")!r}, "--k=4"]\n'
    '  sys.argv += ["--history", *history.split()]\n'
    '  runpy.run_path(path, run_name="__main__")\n'
    'names = ("hyperrec", "experiments", "flax")\n'
    'assert not [name for name in names if name in sys.modules]\n'
  )
  histories = [ids[2:3], ids[4:13], [ids[3], ids[5], ids[3]], []]
  done = subprocess.run(
    [sys.executable, '-c', code, *map(' '.join, histories)],
    capture_output=True, text=True, check=False, cwd=tmp_path,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  lines = [line.split('\t') for line in done.stdout.splitlines()]
  want = [pair for row in found.recommend(histories, k=4) for pair in row]
  assert [line[0] for line in lines] == [pair[0] for pair in want]
  np.testing.assert_allclose(
    [float(line[1]) for line in lines], [pair[1] for pair in want], atol=1e-5
  )


def test_the_command_trains_methods_of_the_catalogue(data):
  model, settings = export_run.train(data, 'slim', 3.0, 0)
  assert settings['l2'] == 3.0
  assert model.kind == 'subset'
  model, settings = export_run.train(data, 'ease_sparse', None, 0)
  assert settings['neighbours'] == 100
  assert model.kind == 'sparse'


@pytest.mark.parametrize('name', export_run.METHODS)
def test_every_method_of_the_command_can_be_exported(name):
  nothing = features_lib.Features(None, None, None, None)
  model, settings = export_run.build(nothing, name, None)
  assert model.program is not None
  if 'l2' in settings:
    assert export_run.build(nothing, name, 3.0)[1]['l2'] == 3.0
    return
  with pytest.raises(app.UsageError, match=f'--method={name} has no ridge'):
    export_run.build(nothing, name, 3.0)


def test_methods_with_a_ridge_take_it():
  nothing = features_lib.Features(None, None, None, None)
  for name in ('ease', 'ease_sparse', 'slim', 'l3ae', 'hyperease'):
    assert 'l2' in export_run.build(nothing, name, 3.0)[1]
  for name in ('popularity', 'itemknn', 'mult_vae', 'sasrec', 'pref'):
    assert 'l2' not in export_run.build(nothing, name, None)[1]


def test_a_method_that_reads_text_names_it_where_there_is_none(data):
  textless = dataclasses.replace(data, item_text=None)
  with pytest.raises(
    sources.DataError, match='no item text, which --method=l3'
  ):
    export_run.train(textless, 'l3ae', None, 0)
