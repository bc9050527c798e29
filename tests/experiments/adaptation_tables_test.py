"""Runs are taken into one file for each data set and regime."""

import re

import pytest
from absl import flags
from absl.testing import flagsaver

from experiments.adaptation import tables
from experiments.adaptation.report import numbers
from hyperrec.evaluation import results
from tests.experiments import commands
from tests.experiments.report.rows import row


@pytest.fixture
def folder(tmp_path, monkeypatch):
  monkeypatch.setattr(tables, '_RESULTS', tmp_path)
  return tmp_path


def test_rows_that_are_there_are_kept(folder):
  tables.take_in([row('ease', 0.3), row('ease', 0.3, regime='drift')])
  assert sorted(p.name for p in folder.iterdir()) == [
    'made_drift.json', 'made_new_users.json',
  ]  # fmt: skip
  tables.take_in([row('ease', 0.9), row('l3ae', 0.4), row('ease', 0.2, seed=1)])
  found = results.read_json(folder / 'made_new_users.json')
  assert [(r['method'], r['seed']) for r in found] == [
    ('ease', 0), ('ease', 1), ('l3ae', 0),
  ]  # fmt: skip
  assert found[0]['metrics']['ndcg@100'] < 0.5
  assert len(tables.committed()) == 4


def test_the_words_of_the_readmes(folder):
  tables.take_in([row('ease', 0.3), row('hyperease', 0.4)])
  tasks = results.by_task(tables.committed())
  analyses = {t: numbers.analyse(cells) for t, cells in tasks.items()}
  told = tables.answer(analyses)
  assert '- Better than the cheaper ways of adapting? Yes: it ranks' in told
  assert len(list(folder.glob('answer-*.svg'))) == 2
  assert '| H2, EASE: ranks better than EASE | holds |' in tables.hypotheses(
    tasks
  )
  assert '**New users: made**' in tables.verdict(tasks, analyses)


def test_every_block_of_the_readmes_is_made(folder, monkeypatch):
  tables.take_in([row('ease', 0.3), row('hyperease', 0.4)])
  made = set()
  if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()
  monkeypatch.setattr(
    tables.readme,
    'replace_block',
    lambda path, name, text: made.add((path, name)),
  )
  with flagsaver.flagsaver(take=[], report=None):
    tables.main([])
  written = {path for path, _ in made}
  assert made == {
    (path, name)
    for path in written
    for name in re.findall(
      r'results:begin (\w+)', (commands.ROOT / path).read_text()
    )
  }


def test_who_has_fewer_seeds_is_said(folder):
  tables.take_in([row('ease', 0.3, seed=s) for s in range(2)])
  tables.take_in([row('l3ae', 0.3)])
  tasks = results.by_task(tables.committed())
  assert tables.seeds(tasks) == '- New users: made: 2 (1: l3ae)'
