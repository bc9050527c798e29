"""The page for someone with a file, in a browser."""

import pytest

from experiments.recommend import advice, cases, page
from hyperrec.data import description, interactions
from hyperrec.evaluation import results
from tests.experiments import browser
from tests.experiments.recommend import advice_test

pytestmark = browser.needed
EVIL = '<img src=x onerror=alert(1)>'
# What a reader does, and what the page then shows.
ACTIONS = """
const tip = document.querySelector('.tip');
const figure = document.querySelector('section svg');
const points = [...figure.querySelectorAll('.point')];
focus(points[0]);
found.focused = tip.textContent;
document.activeElement.dispatchEvent(
  new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }));
found.next = tip.textContent;
document.activeElement.dispatchEvent(
  new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }));
found.escaped = tip.hidden;
found.explained = document.querySelector('.answer abbr').title;
found.first = document.querySelector('.answer li').textContent;
const link = document.querySelector('a[download]');
found.table = decodeURIComponent(link.href.split(',').slice(1).join(','));
found.name = link.download;
found.images = document.querySelectorAll('img').length;
found.requests = performance.getEntriesByType('resource').length;
found.wide = document.documentElement.scrollWidth > innerWidth;
found.page = getComputedStyle(document.body).backgroundColor;
"""


@pytest.fixture(scope='module')
def path(tmp_path_factory):
  """A page of one case, of data that are named to do harm."""
  path = tmp_path_factory.mktemp('page') / 'advice.html'
  values = advice_test.values
  rows = [
    advice_test.row(method, budget, values(0.1 * place, seed=place))
    for budget in (1, 5)
    for place, method in enumerate(('popularity', 'ease', 'cease'), 1)
  ]
  rows.append(advice_test.row('popularity', 0, values(0.1)))
  (cells,) = results.by_task(rows).values()
  data = interactions.from_columns(
    [1, 1, 2], [1, 2, 1], item_text={1: EVIL}, name=EVIL
  )
  page.write(
    path,
    description.describe(data),
    [advice.advise(advice_test.CASE, cells)],
    [f'a note with {EVIL}'],
  )
  browser.add_script(path, ACTIONS)
  return path


def test_a_reader_looks_around(path, tmp_path):
  found = browser.opened(path, tmp_path / 'profile')
  assert found['first'].startswith('New users: use cease. It ranks ')
  assert 'With 0 shown items, only popularity serves.' in found['first']
  assert found['explained'] == cases.WORDS['cease'].text
  assert found['focused'].startswith('cease: 0.')
  assert found['next'].startswith('ease: 0.')
  assert found['escaped']
  assert found['name'] == 'new_users.csv'
  lines = found['table'].splitlines()
  assert lines[0] == 'method,quality,95% interval,time,recommended'
  assert [line.split(',')[0] for line in lines[1:]] == [
    'cease', 'ease', 'popularity',
  ]  # fmt: skip
  assert found['images'] == found['requests'] == 0
  assert not found['wide']
  assert found['page'] == 'rgb(255, 255, 255)'


def test_a_phone_in_the_dark(path, tmp_path):
  found = browser.opened(
    path,
    tmp_path / 'profile',
    '',
    '--blink-settings=preferredColorScheme=0',
    '--window-size=500,900',
  )
  assert found['page'] == 'rgb(20, 24, 29)'
  assert not found['wide']
