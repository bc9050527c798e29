"""The interview of a person at the terminal and in a notebook."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from experiments.recommend import dialogue, learning, widget, wording
from hyperrec.data import interactions
from hyperrec.systems.pref import pref
from hyperrec.systems.pref import session as session_lib
from tests.experiments import commands


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


@pytest.fixture(scope='module')
def session(data):
  return learning.learn(
    data, pref.PrefConfig(rank=3, liked=4.0), num_questions=10, num_pool=25
  )


def talk(session, keys, end=EOFError):
  keys, lines = iter(keys), []

  def read(prompt):
    lines.append(prompt)
    try:
      return next(keys)
    except StopIteration:
      raise end from None

  after = dialogue.hold(session, 4, read=read, show=lines.append)
  return '\n'.join(lines), after


@pytest.mark.parametrize('end', [EOFError, KeyboardInterrupt])
def test_wrong_input_asks_again_and_the_end_recommends(session, end):
  said, after = talk(session, ['1', 'x', '2', '', '0'], end)
  assert "'x' is not an answer" in said
  assert said.count('which do you like better') == 4
  assert [given for _, given in after.answers] == ['first', 'second', 'neither']
  _, recommended = said.split('Recommended to you:\n')
  best = session_lib.recommend(after, 4)
  assert [line[6:] for line in recommended.splitlines()] == [
    found.text for found in best
  ]


def test_q_stops_and_who_has_not_chosen_is_not_told_who_she_is(session):
  said, after = talk(session, ['0', 'Q', '1'])
  assert len(after.answers) == 1
  assert 'nothing is known' in said
  assert 'lean' not in said
  assert 'Recommended to you:' in said


def test_ten_questions_are_enough(session):
  said, after = talk(session, ['1'] * 30)
  assert said.count('which do you like better') == 10
  assert len(after.answers) == 10
  together, *_ = wording.leanings(after)
  assert f'{"towards":9s}  {together.towards[0]}' in said
  assert f'{"away from":9s}  {together.away[0]}' in said


def test_the_most_certain_coefficients_are_named_first(session, monkeypatch):
  def found(name, value, error):
    return session_lib.Coefficient(name, value, error, ('A', 'B'), ('C',))

  coefficients = [
    found('popularity', -0.5, 1.0),
    found('', 1.0, 0.5),
    found('', -0.1, 1.0),
    found('mean rating', 0.9, 1.0),
    found('', 0.4, 1.0),
  ]
  monkeypatch.setattr(session_lib, 'coefficients', lambda _: coefficients)
  _, after = talk(session, ['1'])
  _, *parts = wording.leanings(after)
  assert parts == [
    wording.Leaning('98% sure: you lean [1.0 ± 0.5]', ('A', 'B'), ('C',)),
    wording.Leaning(
      '82% sure: you prefer what people rate high [0.9 ± 1.0]',
      ('A', 'B'),
      ('C',),
    ),
    wording.Leaning(
      '69% sure: you prefer what few people rate [0.5 ± 1.0]',
      ('C',),
      ('A', 'B'),
    ),
  ]


def test_long_texts_are_cut():
  assert wording.shorten('a long text', 6) == 'a lon…'
  assert wording.shorten('ab cd', 4) == 'ab…'
  assert wording.shorten('short', 5) == 'short'


def test_an_item_without_text_is_shown_by_its_id(data):
  texts = data.item_text.copy()
  texts[3], texts[4] = ' ', 'two\nlines'
  found = learning.titles(dataclasses.replace(data, item_text=texts))
  assert found[2:5] == ['Film 2', str(data.item_ids[3]), 'two lines']
  with pytest.raises(interactions.DataError, match='--text_columns'):
    learning.titles(dataclasses.replace(data, item_text=None))


def test_items_that_few_users_rated_are_left_out(data):
  number = int(data.item_counts().min()) + 1
  left = learning.rated_items(data, number)
  assert left.num_items < 25
  assert left.item_counts().min() >= number
  with pytest.raises(interactions.DataError, match=r'0 of 25 .*--min_rows=99'):
    learning.rated_items(data, 99)


def test_base_functions_may_be_made_of_text(data):
  config = pref.PrefConfig(
    base='text', rank=3, liked=4.0, steps=20, per_user=20, batch_size=64
  )
  found = learning.learn(data, config, num_questions=2, num_pool=25)
  said, _ = talk(found, ['1', '2'])
  assert said.count('which do you like better') == 2


class TestWidget:
  """Its buttons, pressed without a browser."""

  @pytest.fixture
  def parts(self, session):
    pytest.importorskip('ipywidgets', reason='ipywidgets is not installed')
    return widget.show(session, k=4).children

  def test_a_press_is_an_answer(self, session, parts):
    heading, first, second, neither, _, told = parts
    question = session_lib.ask(session)
    assert 'Question 1 of 10' in heading.value
    assert first.description == question.first
    assert second.description == question.second
    before = told.value
    assert 'lean' not in before
    second.click()
    after = session_lib.answer(session, question, 'second')
    assert 'Question 2 of 10' in heading.value
    assert first.description == session_lib.ask(after).first
    for found in session_lib.recommend(after, 4):
      assert f'<li>{found.text}</li>' in told.value
    assert 'All your answers together' in told.value
    neither.click()
    assert 'Question 3 of 10' in heading.value

  def test_the_questions_end_and_start_again(self, parts):
    heading, first, second, neither, again, told = parts
    before = told.value
    for _ in range(12):
      first.click()
    assert heading.value == '<b>That was the last question.</b>'
    assert all(button.disabled for button in (first, second, neither))
    again.click()
    assert 'Question 1 of 10' in heading.value
    assert told.value == before
    assert not any(button.disabled for button in (first, second, neither))

  def test_texts_are_escaped(self, session):
    pytest.importorskip('ipywidgets', reason='ipywidgets is not installed')
    marked = session._replace(texts=['<script>'] * 25)
    *_, told = widget.show(marked).children
    assert '<li>&lt;script&gt;</li>' in told.value
    assert '<script>' not in told.value

  def test_a_missing_package_is_named(self, session, monkeypatch):
    monkeypatch.setitem(sys.modules, 'ipywidgets', None)
    with pytest.raises(ImportError, match=r'pip install "\.\[colab\]"'):
      widget.show(session)


def run(keys, *flags):
  return subprocess.run(
    [sys.executable, '-m', 'experiments.recommend.interview', *flags],
    input=keys, capture_output=True, check=False, cwd=commands.ROOT,
  )  # fmt: skip


@pytest.fixture
def table(tmp_path, data):
  """Flags that read ratings and titles from a file."""
  rows = [
    f'{user},{item},{rating:g},Film é {item}'
    for user, item, rating in zip(
      data.users, data.items, data.ratings, strict=True
    )
  ]
  path = tmp_path / 'ratings.csv'
  path.write_text('\n'.join(['user,item,stars,title', *rows]))
  return (
    '--source=table',
    f'--path={path}',
    '--rating_column=stars',
    '--rank=3',
  )


def test_answers_may_come_from_a_pipe(table):
  done = run(
    b'1\n\xff\n2\n', *table, '--text_columns=title', '--questions=5', '--k=3'
  )
  said = done.stdout.decode()
  assert done.returncode == 0, done.stderr
  assert done.stderr == b''
  assert 'Question 1 of 5' in said
  assert 'Question 3 of 5' in said
  assert 'Question 4 of 5' not in said
  assert 'is not an answer' in said
  assert '1, 2, 0 or q: 1\n' in said
  *_, last = said.splitlines()
  assert last.startswith('   3  Film é ')


def test_mistakes_are_told_in_one_line(table):
  for flags, message in (
    ((), b'error: ratings: an interview shows the text of items'),
    (('--text_columns=title', '--min_rows=99'), b'error: ratings: 0 of 25'),
  ):
    done = run(b'', *table, *flags)
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert done.stderr.count(b'\n') == 1
