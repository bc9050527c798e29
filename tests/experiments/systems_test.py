"""The table of systems has a row for every flag file that it names."""

import pathlib

from experiments import systems

ROOT = pathlib.Path(__file__).parents[2] / 'experiments'


def test_every_row_has_its_flag_file():
  for row in systems.ROWS:
    assert (ROOT / row.folder / f'{row.flags}.flags').exists(), row


def test_published_numbers_stand_beside_ours():
  table = systems.table(systems.ROWS, ROOT)
  assert len(table.splitlines()) == 2 + len(systems.ROWS)
  assert (
    '| EASE | Gowalla | recall@20, ndcg@20 | 0.1765, 0.1467 | 0.1765, 0.1467 |'
  ) in table


def test_what_was_not_run_says_so(tmp_path):
  (tmp_path / 'ease').mkdir()
  (tmp_path / 'ease' / 'msd.flags').write_text('--expect=a@1=0.5,b@1=0.25\n')
  row = systems.Row('EASE', 'MSD', 'ease', 'msd')
  assert '| a@1, b@1 | 0.5000, 0.2500 | not run |' in systems.table(
    (row,), tmp_path
  )


def test_the_state_of_a_system_gives_both_numbers():
  """Without a published number that was made again, it says so."""
  assert 'Gowalla: recall@20 0.1765 of 0.1765' in systems.state('EASE', ROOT)
  assert 'looked up: recall@10' in systems.state('VQ-Rec', ROOT)
  assert systems.state('L3AE', ROOT) == 'no published number is made again here'
