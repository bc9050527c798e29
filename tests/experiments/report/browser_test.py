"""The report in a browser: Debian's chromium, without a window."""

import re

import pytest

from experiments.adaptation import report
from tests.experiments import browser
from tests.experiments.report.rows import generated_rows, row

pytestmark = browser.needed
EVIL = '<img src=x onerror=alert(1)>'
# What a reader does, and what the page then shows.
ACTIONS = """
const tip = document.querySelector('.tip');
const shown = () => [...document.querySelectorAll('section')].filter(
  (s) => s.offsetParent !== null).map((s) => s.dataset.regime);
found.asked = shown();
const box = document.querySelector('select[data-field=regime]');
const pick = (value) => {
  box.value = value;
  box.dispatchEvent(new Event('change'));
};
pick('new_users');
found.picked = shown();
found.address = location.hash;
found.advice = [...document.querySelectorAll('li[data-regime]')].filter(
  (i) => i.offsetParent !== null).length;
pick('');
found.all = shown();
const figure = document.querySelector('section svg');
figure.scrollIntoView();
const points = [...figure.querySelectorAll('.point')];
const point = points.find((p) => p.ariaLabel.startsWith('l3ae, budget 5'));
const place = point.getBoundingClientRect();
figure.dispatchEvent(new PointerEvent('pointermove', {
  bubbles: true, clientX: place.x + 3, clientY: place.y + 3 }));
found.pointed = [tip.hidden, tip.textContent];
figure.dispatchEvent(new PointerEvent('pointerleave'));
found.left = tip.hidden;
const press = (key) => document.activeElement.dispatchEvent(
  new KeyboardEvent('keydown', { key, bubbles: true }));
found.stops = points.filter((p) => p.tabIndex === 0).length;
focus(points[0]);
found.focused = tip.textContent;
press('ArrowRight');
found.next = [tip.textContent, points[1].ariaLabel];
press('Escape');
found.escaped = tip.hidden;
found.evil = points.filter((p) => p.ariaLabel.startsWith('<img')).length;
found.images = document.querySelectorAll('img').length;
found.page = getComputedStyle(document.body).backgroundColor;
found.requests = performance.getEntriesByType('resource').length;
"""


@pytest.fixture(scope='module')
def page(tmp_path_factory):
  """A report of two regimes, with a method that is named to do harm."""
  path = tmp_path_factory.mktemp('browser') / 'report.html'
  some = [*generated_rows(), row(EVIL, 0.1)]
  some += [{**one, 'regime': 'drift'} for one in generated_rows()]
  report.write_report(some, path)
  browser.add_script(path, ACTIONS)
  return path


def test_choosing_and_pointing(page, tmp_path):
  found = browser.opened(page, tmp_path / 'profile', '#regime=drift')
  assert found['asked'] == ['drift']
  assert found['picked'] == ['new_users']
  assert found['address'] == '#regime=new_users'
  assert found['advice'] == 1
  assert found['all'] == ['new_users', 'drift']
  hidden, text = found['pointed']
  assert not hidden
  assert re.fullmatch(
    r'l3ae, budget 5: NDCG@100 0\.\d{4} \(95% interval 0\.\d{4} to 0\.\d{4}\); '
    r'10 MFLOP and 10 ms, 2 KiB stored; seeds: 3', text
  )  # fmt: skip
  assert found['left']
  assert found['stops'] == 1
  assert 'budget 0' in found['focused']
  assert found['next'][0] == found['next'][1] != found['focused']
  assert found['escaped']
  assert found['evil'] == 1
  assert found['images'] == found['requests'] == 0
  assert found['page'] == 'rgb(255, 255, 255)'


def test_dark_mode_and_an_unknown_choice(page, tmp_path):
  dark = '--blink-settings=preferredColorScheme=0'
  found = browser.opened(page, tmp_path / 'profile', '#regime=unheard', dark)
  assert found['page'] == 'rgb(20, 24, 29)'
  assert found['asked'] == ['new_users', 'drift']
