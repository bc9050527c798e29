"""Rows of several runs stand beside each other only where they may."""

import collections

import pytest

from experiments import pooled
from experiments.adaptation import stored_rows
from experiments.verdict import matrix, stored
from hyperrec.data import sources
from hyperrec.evaluation import results
from hyperrec.training import manifest
from tests.experiments import commands
from tests.experiments.report.rows import row


def workdir(folder, *rows, seed=0):
  """A workdir as `experiments.adaptation.run` leaves it."""
  data = sources.load('synthetic', num_users=9, num_items=9, seed=seed)
  description = manifest.describe(
    'experiments.adaptation.run', {}, {'data': data}, keeps={'cells.jsonl': 1}
  )
  manifest.claim(folder, description)
  for one in rows:
    results.append_json_line(one, folder / 'cells.jsonl')
  return folder


def test_rows_are_read_with_the_checksum_of_their_data(tmp_path):
  folder = workdir(tmp_path / 'a', row('ease', 0.3), row('ease', 0.4))
  (found,) = stored_rows.read(folder)
  assert found['metrics'] == row('ease', 0.4)['metrics']
  data = sources.load('synthetic', num_users=9, num_items=9, seed=0)
  assert found['data'] == {'data': manifest.data_checksum(data)}
  (folder / 'manifest.json').unlink()
  with pytest.raises(manifest.OtherRunError, match='cannot be read'):
    stored_rows.read(folder)


def test_rows_of_other_data_are_refused(tmp_path):
  first = stored_rows.read(workdir(tmp_path / 'a', row('ease', 0.3)))
  more = stored_rows.read(workdir(tmp_path / 'b', row('l3ae', 0.3)))
  stored_rows.check_alike([*first, *more])
  other = stored_rows.read(workdir(tmp_path / 'c', row('l3ae', 0.3), seed=1))
  with pytest.raises(results.ResultError, match='sha256 of data='):
    stored_rows.check_alike([*first, *other])


def test_rows_of_other_test_users_are_not_taken_in(tmp_path):
  flags = {'num_heldout': 20, 'trials': 3, 'domains': ['a']}
  pooled.take_in([row('ease', 0.3, flags=flags)], tmp_path)
  before = (tmp_path / 'made.json').read_text()
  other = row('l3ae', 0.3, flags={**flags, 'num_heldout': 30})
  with pytest.raises(results.ResultError, match='--num_heldout=20 and with'):
    pooled.take_in([other], tmp_path)
  assert [path.name for path in tmp_path.iterdir()] == ['made.json']
  assert (tmp_path / 'made.json').read_text() == before
  alike = {**flags, 'trials': 1, 'domains': []}
  pooled.take_in([row('l3ae', 0.3, flags=alike)], tmp_path)
  assert len(pooled.read(tmp_path)) == 2


@pytest.mark.parametrize('regime', matrix.PARTS)
def test_no_committed_row_repeats_another_seeds(regime):
  rows = pooled.read(commands.ROOT / stored.FOLDER / regime)
  for name in {one['dataset'] for one in rows}:
    own = [one for one in rows if one['dataset'] == name]
    stored_rows.check_alike(own)
    seeds = collections.defaultdict(set)
    for one in own:
      # A ranking without any hit is the same for every seed.
      if any(one.get('per_user', ())):
        seeds[str(one['per_user'])].add(one['seed'])
    assert [found for found in seeds.values() if len(found) > 1] == []
