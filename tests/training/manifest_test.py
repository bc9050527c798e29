"""Tests that a workdir accepts one description and names differences."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from hyperrec.data import interactions as interactions_lib
from hyperrec.training import manifest

ROOT = pathlib.Path(__file__).parents[2]
KEEPS = {'kept': 1}


def data(**changes):
  columns = {'users': np.array([0, 1]), 'items': np.array([1, 0])}
  return interactions_lib.Interactions(
    **{**columns, 'num_users': 2, 'num_items': 2, 'name': 'toy', **changes}
  )


def described(flags=None, parts=None, **options):
  return manifest.describe(
    'a script',
    {'lr': 0.1, 'seed': 0, **(flags or {})},
    {'data': data()} if parts is None else parts,
    **{'keeps': KEEPS, **options},
  )


@pytest.fixture
def work(tmp_path):
  """A workdir that holds a kept file."""
  folder = tmp_path / 'work'
  manifest.claim(folder, described())
  (folder / 'kept').write_text('state')
  return folder


def refusal(work, description, **options):
  """The error message of a refused claim, which must not change any file."""
  before = {path: path.read_bytes() for path in work.iterdir()}
  with pytest.raises(manifest.OtherRunError) as error:
    manifest.claim(work, description, **options)
  assert {path: path.read_bytes() for path in work.iterdir()} == before
  assert '\n' not in str(error.value)
  return str(error.value)


def test_a_manifest_says_what_it_takes_to_run_again(work):
  found = json.loads((work / 'manifest.json').read_text())
  assert found['flags'] == {'lr': 0.1, 'seed': 0}
  assert found['versions']['jax']
  assert found['device']['platform'] == 'cpu'
  assert found['data']['data']['interactions'] == 2
  assert found['data']['data']['sha256'] == manifest.data_checksum(data())
  assert sorted(p.name for p in work.iterdir()) == ['kept', 'manifest.json']


def test_the_same_run_goes_on_and_the_manifest_stays(work):
  first = (work / 'manifest.json').read_bytes()
  manifest.claim(work, described())
  manifest.claim(work, described({'seed': 1}), free={'seed'})
  assert (work / 'manifest.json').read_bytes() == first
  lines = (work / 'resumed.jsonl').read_text().splitlines()
  assert [json.loads(line)['flags'] for line in lines] == [{}, {'seed': 1}]
  assert json.loads(lines[0])['versions']['numpy'] == np.__version__


def test_other_flags_are_named_with_both_values(work):
  told = refusal(work, described({'seed': 1, 'lr': 0.2}))
  assert told == (
    f'{work} holds a run with --lr=0.1, now it is 0.2; with --seed=0, now it '
    'is 1; give the same values, or another --workdir'
  )
  assert '--dim=none, now it is 3' in refusal(work, described({'dim': 3}))
  assert '--on=none, now it is False' in refusal(work, described({'on': False}))


def test_what_else_differs_is_named(work):
  told = refusal(work, described(keeps={'kept': 2}))
  assert 'format of kept 1, now it is 2' in told
  told = refusal(work, described(settings={'text encoder': 'tfidf'}))
  assert 'text encoder none, now it is tfidf' in told
  told = refusal(work, {**described(), 'script': 'another script'})
  assert 'script a script, now it is another script' in told


@pytest.mark.parametrize(
  'changes',
  [
    {'num_items': 3},
    {'items': np.array([0, 1])},
    {'ratings': np.array([1.0, 2.0])},
    {'timestamps': np.array([1, 2])},
    {'user_ids': np.array(['a', 'b'])},
    {'item_ids': np.array([0, 2])},
    {'item_text': np.array(['one', 'two'], object)},
    {'name': 'other'},
  ],
  ids=lambda changes: next(iter(changes)),
)
def test_every_column_of_the_data_counts(work, changes):
  told = refusal(work, described(parts={'data': data(**changes)}))
  assert 'the data set data: toy (2 users, 2 items, 2 interactions, ' in told


def test_the_checksum_tells_texts_apart_by_where_they_end():
  sums = {
    manifest.data_checksum(data(item_text=np.array(texts, object)))
    for texts in (['ab', 'c'], ['a', 'bc'], ['abc', ''], ['ab', 'd'])
  }
  assert len(sums) == 4
  assert manifest.data_checksum(data(user_ids=np.array([1, 2]))) != (
    manifest.data_checksum(data(user_ids=np.array(['1', '2'])))
  )
  assert manifest.data_checksum(data(name='other')) == (
    manifest.data_checksum(data())
  )


def test_files_count_by_name_and_content_not_by_place(tmp_path, work):
  folders = [tmp_path / name for name in 'abc']
  for folder, text in zip(folders, ('1', '1', '2'), strict=True):
    folder.mkdir()
    (folder / 'my.csv').write_text(text)
  first, moved, changed = (
    described(files={'path': [folder / 'my.csv']}) for folder in folders
  )
  other = tmp_path / 'other'
  manifest.claim(other, first)
  (other / 'kept').touch()
  manifest.claim(other, moved)
  told = refusal(other, changed)
  assert (
    '--path=my.csv (sha256 6b86b273ff34), now it is my.csv (sha256 ' in told
  )
  assert '--path=none, now it is my.csv' in refusal(work, first)


def test_data_that_is_added_later_counts_from_then_on(work):
  more = {'data': data(), 'domain': data(num_users=3, name='more')}
  manifest.claim(work, described(parts=more))
  manifest.claim(work, described())
  other = {**more, 'domain': data(num_users=4, name='more')}
  assert 'domain: more (3 users' in refusal(work, described(parts=other))


@pytest.mark.parametrize(
  ('content', 'told'),
  [
    (None, 'holds kept but no manifest.json'),
    ('{"flags": {"lr": 0.1, "seed": 0}}', 'has format None, now it is 1'),
    ('{"format": 1, "fl', 'cannot be read'),
    ('[]', 'cannot be read'),
    ('[' * 100_000, 'cannot be read'),
    ('{"format": 1}', 'lacks the keeps of its run'),
  ],
)
def test_state_that_nothing_describes_is_refused(work, content, told):
  path = work / 'manifest.json'
  path.unlink() if content is None else path.write_text(content)
  assert told in refusal(work, described())


@pytest.mark.parametrize('line', ['{"flags": {}}', '3', '{"data": []}'])
def test_a_resumption_that_does_not_tell_its_data_is_refused(work, line):
  (work / 'resumed.jsonl').write_text(line + '\n')
  told = refusal(work, described())
  assert 'resumed.jsonl lacks the data of its run' in told
  (work / 'manifest.json').write_text('{"format": 1}')
  assert 'manifest.json lacks the keeps' in refusal(work, described())


def test_a_torn_resumption_is_left_out(work):
  (work / 'resumed.jsonl').write_bytes(b'{"flags": "\xff"}\n{"data": {"x')
  manifest.claim(work, described())


def test_a_workdir_without_state_is_anyones(tmp_path):
  for name in ('work', 'used'):
    (tmp_path / name).mkdir()
  work = tmp_path / 'work'
  manifest.claim(work, described())
  manifest.claim(work, described())
  # This happens after a run that ended because of wrong flags.
  manifest.claim(work, described({'seed': 1}))
  assert manifest.read(work)['flags']['seed'] == 1
  assert [path.name for path in work.iterdir()] == ['manifest.json']
  (tmp_path / 'used' / 'notes.txt').touch()
  manifest.claim(tmp_path / 'used', described())


def test_what_another_script_keeps_is_state(work):
  other = {**described(keeps={'weights': 1}), 'script': 'another script'}
  assert 'holds a run with script a script' in refusal(work, other)
  (work / 'manifest.json').write_text('{"flags": {}}')
  assert 'has format None' in refusal(work, other)


def start(workdir):
  """Starts a process that claims a workdir and waits until its input ends."""
  code = (
    'import sys\n'
    'from hyperrec.training import manifest\n'
    'manifest.claim(sys.argv[1], manifest.describe("s", {}, {}, keeps={}))\n'
    'print("claimed", flush=True)\n'
    'sys.stdin.read()\n'
  )
  process = subprocess.Popen(
    [sys.executable, '-c', code, str(workdir)],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
  )  # fmt: skip
  assert process.stdout.readline() == 'claimed\n'
  return process


def test_a_run_that_is_at_work_keeps_its_workdir(tmp_path):
  first = start(tmp_path)
  assert 'holds a run with script s' in refusal(tmp_path, described())
  first.communicate('')
  resumed = start(tmp_path)
  assert 'holds a run with script s' in refusal(tmp_path, described())
  resumed.communicate('')
  manifest.claim(tmp_path, described())
  assert manifest.read(tmp_path)['script'] == 'a script'
  assert [path.name for path in tmp_path.iterdir()] == ['manifest.json']


def test_of_two_that_find_a_run_ended_one_takes_its_workdir(
  tmp_path, monkeypatch
):
  start(tmp_path).communicate('')
  discard, faster = manifest._discard, []

  def slow(workdir):
    monkeypatch.setattr(manifest, '_discard', discard)
    faster.append(start_other(workdir))
    discard(workdir)

  def start_other(workdir):
    (workdir / 'manifest.json').unlink()
    return start(workdir)

  monkeypatch.setattr(manifest, '_discard', slow)
  with pytest.raises(manifest.OtherRunError, match='holds a run with script s'):
    manifest.claim(tmp_path, described())
  assert manifest.read(tmp_path)['process']['id'] == faster[0].pid
  faster[0].communicate('')


def test_a_process_that_does_not_write_deletes_nothing(tmp_path, monkeypatch):
  start(tmp_path).communicate('')
  before = (tmp_path / 'manifest.json').read_bytes()
  monkeypatch.setattr(manifest.mesh, 'is_writer', lambda: False)
  manifest.claim(tmp_path, described())
  assert (tmp_path / 'manifest.json').read_bytes() == before


def test_of_two_processes_at_once_the_slower_one_reads(tmp_path, monkeypatch):
  write = manifest._write_new

  def faster(first):
    def interrupted(path, text):
      monkeypatch.setattr(manifest, '_write_new', write)
      manifest.claim(tmp_path, first)
      (tmp_path / 'kept').touch()
      return write(path, text)

    monkeypatch.setattr(manifest, '_write_new', interrupted)

  faster(described())
  manifest.claim(tmp_path, described())
  assert (tmp_path / 'resumed.jsonl').read_text().count('\n') == 1
  for path in tmp_path.iterdir():
    path.unlink()
  faster(described())
  with pytest.raises(manifest.OtherRunError, match='--seed=0, now it is 1'):
    manifest.claim(tmp_path, described({'seed': 1}))


def test_without_links_the_manifest_is_written_all_the_same(
  tmp_path, monkeypatch
):
  def link(*unused):
    raise OSError('no links here')

  monkeypatch.setattr(manifest.os, 'link', link)
  manifest.claim(tmp_path, described())
  assert manifest.read(tmp_path)['flags'] == {'lr': 0.1, 'seed': 0}
  assert not manifest._write_new(tmp_path / 'manifest.json', 'other')
  assert [p.name for p in tmp_path.iterdir()] == ['manifest.json']
  # The file is empty while another process writes it.
  (tmp_path / 'manifest.json').write_text('')
  assert 'cannot be read' in refusal(tmp_path, described())


def test_a_file_is_no_workdir(tmp_path):
  path = tmp_path / 'file'
  path.touch()
  with pytest.raises(manifest.OtherRunError, match='is a file'):
    manifest.claim(path, described())


def test_commit_is_none_outside_a_repository(monkeypatch):
  def fail(*args, **kwargs):
    raise subprocess.CalledProcessError(128, 'git')

  monkeypatch.setattr(subprocess, 'run', fail)
  assert manifest.git_commit() is None
