"""VQ-Rec's arms on a made-up set, its model file, and items never seen."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from absl import app

from experiments.vqrec import arms, extension, model_file, rows
from hyperrec.data import interactions, item_text
from hyperrec.systems.vqrec import index as vqrec_index
from hyperrec.systems.vqrec import product_quantizer
from hyperrec.systems.vqrec import stages as vqrec_stages
from hyperrec.systems.vqrec import training as vqrec_training
from tests.data import item_text_test
from tests.experiments import commands

pytestmark = pytest.mark.usefixtures('scripts_compile_fast')
MODULE = 'experiments.vqrec.run'
SIZES = {
  'num_groups': 4,
  'num_codes': 16,
  'dim': 8,
  'num_layers': 1,
  'hidden_dim': 8,
  'length': 16,
}
SMALL = (
  *(f'--{name}={value}' for name, value in SIZES.items()),
  '--row=office',
  '--domains=synthetic',
  '--text_encoder=tfidf',
  '--features=16',
  '--epochs=2',
  '--pretrain_epochs=1',
  '--align_epochs=1',
  '--finetune_epochs=1',
  '--evaluate_every=20',
  '--seeds=1',
)
WIDTH, ITEMS = 8, 30


@pytest.mark.slow
def test_arms_are_run_resumed_and_kept(tmp_path, shop):
  output, work = tmp_path / 'office.json', tmp_path / 'work'
  flags = (*SMALL, *shop, '--arms=scratch,full,lookup', f'--output={output}')
  done = commands.run(work, *flags, module=MODULE)
  assert done.returncode == 0, done.stderr
  document = json.loads(output.read_text())
  arms = document['arms']
  assert [*arms] == ['scratch', 'full', 'lookup']
  for arm in arms.values():
    metrics = arm['metrics']
    assert 0 < metrics['ndcg@10']['mean'] < metrics['recall@10']['mean'] <= 1
    assert arm['codes']['codes_bytes'] == document['items'] * 4
  assert arms['lookup']['adapt']['flops'] < arms['full']['adapt']['flops'] / 100
  assert 'relative' in arms['full']['against_scratch']
  full, lookup = (work / 'cells' / f'{n}_0.json' for n in ('full', 'lookup'))
  before = full.stat().st_mtime_ns
  lookup.unlink()
  again = commands.run(work, *flags, module=MODULE)
  assert again.returncode == 0, again.stderr
  assert full.stat().st_mtime_ns == before
  resumed = json.loads(output.read_text())['arms']
  for name in arms:
    assert resumed[name]['metrics'] == arms[name]['metrics']
  other = commands.run(work, *flags, '--dim=16', module=MODULE)
  assert other.returncode == 2
  assert '--dim=8, now it is 16' in other.stderr.splitlines()[-1]


@pytest.mark.parametrize(
  'name',
  [
    'office',
    'scientific',
    'scientific_start',
    'scientific_transfer',
  ],
)
def test_flag_files_are_read(name, tmp_path):
  path = commands.ROOT / 'experiments' / 'vqrec' / f'{name}.flags'
  done = commands.run(
    tmp_path / 'work',
    f'--flagfile={path}',
    f'--data_dir={tmp_path}',
    f'--output={tmp_path / "out.json"}',
    module=MODULE,
  )
  assert done.returncode == 2
  assert 'Traceback' not in done.stderr
  assert 'error: ' in done.stderr
  assert not (tmp_path / 'work').exists()


@pytest.mark.parametrize(
  ('flags', 'told'),
  [
    (('--arms=full,best',), "--arms=['best']"),
    (('--domains=', '--arms=full'), 'name source domains'),
    (('--arms=scratch,full', '--save=x.npz'), 'name one of the --arms'),
    (('--expect=full/ndcg=1',), 'write ARM/METRIC=NUMBER'),
    (('--num_codes=4096', '--arms=scratch'), 'num_codes=4096'),
    (('--dim=7', '--arms=scratch'), 'num_heads=2 must divide dim=7'),
  ],
)
def test_mistakes_are_told(flags, told, tmp_path, shop):
  flags = (*SMALL, *shop, *flags, f'--output={tmp_path / "o"}')
  done = commands.run(tmp_path / 'w', *flags, module=MODULE)
  assert done.returncode != 0
  assert told in done.stdout + done.stderr
  assert 'Traceback' not in done.stderr
  assert not (tmp_path / 'o').exists()


@pytest.fixture
def model():
  """A network that has learned nothing."""
  random = np.random.default_rng(0)
  config = vqrec_stages.VqrecConfig(**SIZES)
  index = product_quantizer.ProductQuantizer(
    np.zeros(WIDTH, np.float32),
    np.eye(WIDTH, dtype=np.float32),
    random.normal(size=(4, 16, 2)).astype(np.float32),
  )
  state = vqrec_index.VqrecState(
    vqrec_training.init(config, jax.random.key(0)),
    index,
    random.integers(0, 16, (ITEMS, 4)).astype(np.uint8),
    random.random(ITEMS).astype(np.float32),
  )
  encoder = 'bert (0123456789ab), mean, normalise=True, 128 tokens'
  ids = np.array([f'old{i}' for i in range(ITEMS)])
  return model_file.SavedModel(config, encoder, state, ids)


def test_a_model_is_kept_in_a_file(model, tmp_path):
  path = tmp_path / 'deep' / 'model.npz'
  model_file.save(path, model)
  found = model_file.load(path)
  assert (found.config, found.text_encoder) == (
    model.config,
    model.text_encoder,
  )
  jax.tree.map(np.testing.assert_array_equal, found.state, model.state)
  np.testing.assert_array_equal(found.item_ids, model.item_ids)
  assert [p.name for p in path.parent.iterdir()] == ['model.npz']


@pytest.mark.parametrize(
  ('change', 'told'),
  [
    ({'config': {'dim': 16}}, r'codes.*\(4, 16, 8\), expected'),
    ({'config': {'num_codes': 8}}, 'has the shape .*, expected'),
    ({'codes': np.full((ITEMS, 4), 16, np.uint8)}, 'is outside 0..15'),
    ({'codes': np.zeros((ITEMS, 3), np.uint8)}, 'every item needs 4 codes'),
    ({'index': np.zeros((4, 8, 2), np.float32)}, r'index has \(4, 8\)'),
  ],
)
def test_a_model_of_other_sizes_is_told(model, change, told, tmp_path):
  config, state = model.config, model.state
  config = dataclasses.replace(config, **change.get('config', {}))
  if 'index' in change:
    index = state.index._replace(codebooks=change['index'])
    state = state._replace(index=index)
  state = state._replace(codes=change.get('codes', state.codes))
  path = tmp_path / 'model.npz'
  model_file.save(path, model._replace(config=config, state=state))
  with pytest.raises(interactions.DataError, match=told) as error:
    model_file.load(path)
  assert str(path) in str(error.value)


def test_a_model_of_another_run_is_not_taken_for_this_ones(model, tmp_path):
  path = tmp_path / 'model.npz'
  model_file.check_own(path, 'full of a run')
  model_file.save(path, model._replace(origin='full of a run'))
  model_file.check_own(path, 'full of a run')
  with pytest.raises(interactions.DataError, match='another run or arm'):
    model_file.check_own(path, 'lookup of a run')
  model_file.save(path, model)
  with pytest.raises(interactions.DataError, match='another run or arm'):
    model_file.check_own(path, 'full of a run')


def test_what_is_no_model_is_told(tmp_path):
  text = tmp_path / 'model.npz'
  text.write_text('no arrays')
  other = tmp_path / 'other.npz'
  np.savez(other, a=np.zeros(2))
  for path in (text, other, tmp_path / 'absent.npz'):
    with pytest.raises(interactions.DataError, match='--save=FILE'):
      model_file.load(path)


def test_new_items_stand_behind_the_old_ones(model):
  ids = np.array(['new0', 'new1'])
  table = np.random.default_rng(1).normal(size=(2, WIDTH)).astype(np.float32)
  found = extension.extended(model, ids, table)
  assert found.item_ids[-2:].tolist() == ['new0', 'new1']
  codes = found.state.codes
  np.testing.assert_array_equal(
    codes[-2:], vqrec_index.codes_of(model.state.index, table)
  )
  best = extension.recommended(found, ['old3', 'new0'], 5, num_left_out=ITEMS)
  assert [item for item, _ in best] == ['new1']
  everyone = extension.recommended(found, ['old3'], 99)
  assert len(everyone) == ITEMS + 1
  scores = [score for _, score in everyone]
  assert scores == sorted(scores, reverse=True)
  assert extension.num_taken(codes[:2], model.state.codes) == 2


def test_an_item_with_an_old_ones_text_gets_its_score(model):
  index = model.state.index
  old = np.asarray(product_quantizer.decode(index, model.state.codes[:1]))
  found = extension.extended(model, np.array(['twin']), old)
  scores = dict(extension.recommended(found, ['old3'], 99))
  assert scores['twin'] == scores['old0']


def test_wrong_new_items_are_told(model):
  table = np.zeros((1, WIDTH), np.float32)
  for ids, features, told in (
    (['old3'], table, "'old3' is not new"),
    (['new'], table[:, :4], 'items have 4 features'),
    (['new'], table * np.nan, 'not finite'),
  ):
    with pytest.raises(interactions.DataError, match=told):
      extension.extended(model, np.array(ids), features)
  with pytest.raises(interactions.DataError, match="'what' is neither"):
    extension.recommended(model, ['what'], 3)


@pytest.mark.parametrize(
  ('lines', 'told'),
  [
    ('id,text\na,alpha\nb, \n', "item 'b' has no text"),
    ('id,text\na,alpha\na,beta\n', "the id 'a' occurs twice"),
    ('id,title\na,alpha\n', "'text'"),
    ('id,text\n', 'no rows'),
  ],
)
def test_files_of_new_items_that_cannot_be_read(lines, told, tmp_path):
  path = tmp_path / 'new.csv'
  path.write_text(lines)
  with pytest.raises(interactions.DataError, match=told) as error:
    extension.read_items(str(path), 'id', 'text')
  assert str(path) in str(error.value)


@pytest.mark.slow
def test_new_items_are_coded_and_ranked_by_a_command(model, tmp_path):
  folder = item_text_test.make_folder(tmp_path / 'bert')
  path, new = tmp_path / 'model.npz', tmp_path / 'new.csv'
  codes_file = tmp_path / 'codes.jsonl'
  encoder = item_text.load_encoder(folder)
  about = model.text_encoder.replace('0123456789ab', encoder.digest[:12])
  model_file.save(path, model._replace(text_encoder=about))
  words = item_text_test.WORDS
  new.write_text(f'id,text\nx,{words[4]} {words[5]}\ny,{words[5]}\n')
  flags = (f'--model={path}', f'--items={new}', '--history=old3,x', '--k=3')
  done = commands.run(
    None, *flags, f'--text_encoder={folder}', f'--output={codes_file}',
    module='experiments.vqrec.new_items',
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  first, *best = done.stdout.splitlines()
  assert first.startswith('2 new items coded')
  assert len(best) == 3
  kept = [json.loads(line) for line in codes_file.read_text().splitlines()]
  table = item_text.encode([f'{words[4]} {words[5]}', words[5]], encoder)
  codes = vqrec_index.codes_of(model.state.index, table)
  assert kept == [
    {'id': name, 'codes': code}
    for name, code in zip('xy', codes.tolist(), strict=True)
  ]
  for name in ('tfidf', folder):
    # A folder of the same name holds another encoder.
    model_file.save(path, model)
    done = commands.run(
      None, *flags, f'--text_encoder={name}',
      module='experiments.vqrec.new_items',
    )  # fmt: skip
    assert done.returncode == 2
    told = done.stderr.splitlines()[-1]
    assert 'were made by bert (0123456789ab), mean' in told


def test_published_numbers_are_parsed():
  found = rows.parse_expected(
    ['full/ndcg@10=0.0643', 'full/recall@10=0.1'], ['full']
  )
  assert found == {'full': {'ndcg@10': 0.0643, 'recall@10': 0.1}}


def test_trials_are_parsed():
  assert arms.parse_trial('dim=300 from_the_end=true start=text') == (
    'scratch',
    {'dim': 300, 'from_the_end': True, 'start': 'text'},
  )
  assert arms.parse_trial('arm=full finetune_lr=0.01 align_epochs=2') == (
    'full',
    {'finetune_lr': 0.01, 'align_epochs': 2},
  )
  for wrong in (
    'num_codes=8', 'arm=all start=text', 'arm=full alignment=identity',
    'arm=all finetune_all=false',
  ):  # fmt: skip
    with pytest.raises(app.UsageError, match='ignores'):
      arms.parse_trial(wrong)
  for wrong in ('arm=best', 'width=3', 'dim=wide', 'finetune_all=yes', 'lr'):
    with pytest.raises(app.UsageError, match='neither arm=NAME'):
      arms.parse_trial(wrong)
