"""The report says what the rows say, and no more."""

import html.parser
import io
import itertools
import re
import xml.etree.ElementTree as ET

import pytest
import rich.console

from experiments import catalogue, readme
from experiments.adaptation import report
from experiments.adaptation.report import (
  commands,
  figures,
  numbers,
  tables,
  words,
)
from hyperrec.evaluation import results
from tests.experiments.report.rows import generated_rows, refusal, row, rows

VOID = {'meta', 'br'}


class Checker(html.parser.HTMLParser):
  """Counts tags, and fails on one that is not closed."""

  def __init__(self):
    super().__init__()
    self.open, self.tags, self.ids, self.used = [], [], [], []

  def handle_starttag(self, tag, attrs):
    self.tags.append(tag)
    attributes = dict(attrs)
    self.ids += [attributes['id']] if 'id' in attributes else []
    for name in ('href', 'src', 'xlink:href'):
      self.used += [attributes[name]] if name in attributes else []
    if tag not in VOID:
      self.open.append(tag)

  def handle_startendtag(self, tag, attrs):
    self.handle_starttag(tag, attrs)
    self.handle_endtag(tag)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag


def page_of(some, tmp_path):
  path = tmp_path / 'report.html'
  report.write_report(some, path)
  assert [p.name for p in tmp_path.iterdir()] == ['report.html']
  return path.read_text(encoding='utf-8')


def checked(page):
  checker = Checker()
  checker.feed(page)
  assert checker.open == []
  return checker


def sentences(some):
  (cells,) = results.by_task(some).values()
  found = numbers.analyse(cells)
  told = words.verdict(found) + words.leads(found)
  return ' '.join(told)


def test_the_verdict_in_words():
  text = sentences(rows())
  assert 'Budget 5: l3ae ranks best (NDCG@100 0.36' in text
  assert re.search(r'Next is ease(:retrain)? at -16\.\d%.*clearly behind', text)
  assert (
    'The best cheaper adaptation, compared with full retraining, is better at'
  ) in text
  assert 'budget 5 (l3ae +2' in text
  assert '1/50 of the operations' in text
  assert 'oracle' not in text


def test_advice_is_the_cheapest_that_is_not_clearly_behind(tmp_path):
  (told,) = report.write_report(rows(), tmp_path / 'r.html')
  assert told.startswith('New users: made, by interactions')
  assert 'popularity' not in told
  assert 'ease at 0 (' in told
  assert 'l3ae at 5 (NDCG@100 0.36' in told


def test_where_retraining_did_not_run_is_said():
  some = [*rows(), row('l3ae', 0.1, 2)]
  assert 'Full retraining did not run at budget 2.' in sentences(some)
  assert 'Full retraining did not run' not in sentences(rows())
  assert 'contain no adaptation with fewer operations' in sentences(
    [row('l3ae', 0.1)]
  )


def test_the_verdict_on_hypernetworks():
  text = sentences(generated_rows())
  assert (
    'The best hypernetwork, compared with the best other way of adapting, is'
  ) in text
  assert 'The outcome flips between budgets 0 and 20.' in text
  assert 'The leader changes with the budget: hyperease at 0' in text
  assert 'Budget 0: hyperease ranks best' in text


def test_the_report_is_one_file_that_escapes_its_data(tmp_path):
  evil = '<script>alert("1")</script>'
  some = [*rows(), row(evil, 0.1), row('$x_{', 0.2), row('_y', 0.3)]
  some = [{**one, 'dataset': '<i>made</i>'} for one in some]
  page = page_of(some, tmp_path)
  found = checked(page)
  assert found.tags.count('script') == 1
  assert 'i' not in found.tags
  assert 'it has &lt;no&gt; weights' in page
  assert all(link.startswith('#') for link in found.used)
  assert '@import' not in page
  assert 'url(http' not in page
  assert not {'img', 'link', 'iframe', 'image'} & set(found.tags)


def test_figures_take_the_colours_of_the_page(tmp_path):
  page = page_of(rows(), tmp_path)
  found = checked(page)
  assert 'prefers-color-scheme: dark' in page
  assert 'currentColor' in page
  assert '#010203' not in page
  # Curves, oracle arms, and three costs at each of two budgets.
  assert found.tags.count('svg') == 2 + 2 * 3
  assert 'new-users-made' in found.ids
  figures = re.findall(r'<svg.*?</svg>', page, re.DOTALL)
  for figure in figures:
    assert re.search(r'aria-label="[^"]+"', figure)
    ET.fromstring(figure)
  assert '<title>l3ae, budget 5: NDCG@100 0.36' in page


@pytest.mark.parametrize(
  'some',
  [
    [row('ease', 0.3)],
    [refusal('slim')],
    [row('ease:oracle', 0.3)],
    [row('ease', 0.3, 0, seconds=0.0), row('slim', 0.2, 0, seconds=0.0)],
    [row('ease', 0.3, per_user=[]), row('slim', 0.2, per_user=[])],
    [row('ease', 0.0, per_user=[0.0] * 5, metrics={'ndcg@100': 0.0})],
  ],
)
def test_small_inputs_make_a_report(tmp_path, some):
  checked(page_of(some, tmp_path))


def test_refusals_only_say_so(tmp_path):
  page = page_of([refusal('slim'), refusal('ease', 0)], tmp_path)
  assert 'Nothing could run in this regime.' in page
  assert 'What cannot run, and why' in page
  assert '<svg' not in page


def test_no_rows_is_an_error(tmp_path):
  with pytest.raises(results.ResultError, match='run an experiment'):
    report.write_report([], tmp_path / 'r.html')
  assert list(tmp_path.iterdir()) == []


def test_never_and_worse_are_said(tmp_path):
  dear = [row('dear', 0.25, 5, seed, seconds=9.0) for seed in range(3)]
  page = page_of([*rows(), *dear], tmp_path)
  (line,) = re.findall(r'<tr><td>dear</td><td class="soft">never.*?</tr>', page)
  assert 'worse' in line


def test_provenance_is_shown(tmp_path):
  some = [
    row('ease', 0.3, commit='abc', versions={'jax': '9'}, flags={'a': 1}),
    row('slim', 0.3, commit='abd', versions={'jax': '8'}, flags={'a': 1},
        tuning={'trials': 3, 'seconds': 90.0}),
  ]  # fmt: skip
  page = page_of(some, tmp_path)
  assert '<dd>abc, abd</dd>' in page
  assert 'jax 9 or 8' in page
  assert '--a=1' in page
  assert '<dd>1.5 min</dd>' in page


def test_every_method_has_a_look_of_its_own():
  looks = {}
  for method in (
    *(s.name for s in catalogue.SYSTEMS if s.look),
    'ease:retrain',
    'mult_vae:retrain',
  ):
    looks.setdefault(figures.style(method), []).append(method)
  assert [names for names in looks.values() if len(names) > 1] == []
  assert figures.style('ease:oracle') == figures.style('ease')
  assert figures.style('unheard of')


def test_curves_label_every_line_apart():
  ((_, cells),) = results.by_task(generated_rows()).items()
  figure = figures.curves([c for c in cells if ':' not in c.method])
  texts = [t for t in figure.axes[0].texts if t.get_text()]
  assert {t.get_text() for t in texts} == {
    'popularity', 'ease', 'l3ae', 'hyperease',
  }  # fmt: skip
  heights = sorted(t.get_position()[1] for t in texts)
  assert min(b - a for a, b in itertools.pairwise(heights)) >= 10


def test_terminal_table_fits():
  console = rich.console.Console(width=80, file=io.StringIO())
  console.print(tables.terminal_table([*rows(), row('[bold]x', 0.1)]))
  text = console.file.getvalue()
  assert 'New users: made' in text
  assert re.search(r'slim +cannot', text)
  assert re.search(r'l3ae +0\.30\d +0\.3[56]\d +10 ms +10 M +2 KiB', text)
  assert '[bold]x' in text


def test_a_plain_table_tells_who_ran_on_fewer_seeds():
  some = [row('ease', 0.2), row('ease', 0.4, seed=1), row('slim', 0.5)]
  console = rich.console.Console(width=80, file=io.StringIO())
  console.print(tables.terminal_table(some))
  text = console.file.getvalue()
  assert re.search(r'ease +0\.30\d ', text)
  assert re.search(r'slim +0\.501 \(1\)', text)


def test_readme_block(tmp_path):
  path = tmp_path / 'README.md'
  path.write_text('a\n<!-- results:begin x -->\nold\n<!-- results:end x -->\nb')
  readme.replace_block(path, 'x', '| l3ae |')
  text = path.read_text()
  assert text.startswith('a\n')
  assert text.endswith('\nb')
  assert '| l3ae |' in text
  assert 'old' not in text
  with pytest.raises(results.ResultError, match='results:begin y'):
    readme.replace_block(path, 'y', '')
  path.write_text('<!-- results:end x --> <!-- results:begin x -->')
  with pytest.raises(results.ResultError, match='results:begin x'):
    readme.replace_block(path, 'x', '')


def test_every_number_has_its_command(tmp_path):
  flags = {'source': 'made', 'oracle': True, 'regimes': ['a', 'b'],
           'trials': 3, 'path': None, 'domains': ['c']}  # fmt: skip
  write = [
    row('ease', 0.3, 5, 0, flags=flags),
    row('ease', 0.3, 0, 2, flags={**flags, 'seeds': 3, 'evidence_folds': 0}),
    row('l3ae', 0.3, flags={**flags, 'trials': 5}),
    row('l3ae:oracle', 0.3, flags={**flags, 'trials': 5}),
  ]
  report.write_report(write, tmp_path / 'r.html')
  page = (tmp_path / 'r.html').read_text()
  run = 'python -m experiments.adaptation.run --source=made'
  of_users = '--data_dir=DIR --regimes=new_users'
  assert (
    f'{run} --trials=3 {of_users} --user_budgets=0,5 --seeds=3 --nooracle '
    '--methods=ease --workdir=again/made_new_users_1'
  ) in page
  assert (
    f'{run} --trials=5 {of_users} --user_budgets=5 --seeds=1 '
    '--methods=l3ae --workdir=again/made_new_users_2'
  ) in page


def test_one_task_can_be_chosen_on_the_page(tmp_path):
  other = [{**one, 'regime': 'drift'} for one in rows()]
  report.write_report([*rows(), *other], tmp_path / 'r.html')
  page = (tmp_path / 'r.html').read_text()
  assert page.count('<section data-regime=') == 2
  assert '<option value="drift">Drift</option>' in page
  assert 'src=' not in page
  report.write_report(rows(), tmp_path / 'one.html')
  assert '<select' not in (tmp_path / 'one.html').read_text()


def without_evidence():
  """Users who return: nothing is known beside the source."""
  some = [
    row('ease', 0.30, 0, seconds=0.0),
    row('hyperease_user', 0.36, 0, seconds=0.1),
    row('random', 0.01, 0, seconds=0.0),
    refusal('l3ae', 0),
  ]
  return [{**one, 'regime': 'returning_users'} for one in some]


def test_a_regime_without_evidence_is_told_without_budgets(tmp_path):
  some = without_evidence()
  path = tmp_path / 'r.html'
  (told,) = report.write_report(some, path)
  assert told.startswith(
    'Returning users: made, without new evidence: use hyperease_user (NDCG@100'
  )
  page = path.read_text(encoding='utf-8')
  checked(page)
  assert words.NO_EVIDENCE in page
  for text in (
    'by :',
    'number of .',
    'leads at',
    'Quality over the budget',
    'fewer operations than full retraining.',
    '<h3>Break-even</h3>',
  ):
    assert text not in page, text
  assert 'hyperease_user leads.' in page
  assert 'is better (hyperease_user +' in page


def test_tables_of_a_regime_without_evidence_have_no_budgets():
  some = without_evidence()
  out = io.StringIO()
  rich.console.Console(file=out, width=200).print(tables.terminal_table(some))
  title, _, head, *_ = out.getvalue().splitlines()
  assert title.strip() == 'Returning users: made (NDCG@100)'
  assert head.split() == ['method', 'NDCG@100', 'time', 'FLOP', 'stored']
  assert 'budget' not in out.getvalue()
  leaders = {
    task: numbers.leaders(cells)
    for task, cells in results.by_task(some).items()
  }
  assert '| Returning users: made | none | `hyperease_user` |' in (
    words.guide(leaders)
  )


def test_a_command_of_a_regime_without_evidence_names_no_budgets():
  some = [{**one, 'flags': {'trials': 2}} for one in without_evidence()]
  (line,) = commands.commands(some)
  assert '--regimes=returning_users --seeds=1' in line
  assert 'budgets' not in line


def test_energy_has_a_column_only_where_it_was_measured():
  measured = row('ease', 0.3)
  measured['adapt'] |= {'joules': 12.5}
  for some, count in (([row('ease', 0.3)], 0), ([measured], 1)):
    ((_, cells),) = results.by_task([*some, row('l3ae', 0.4)]).items()
    for made in (tables.quality(cells), tables.everything(cells)):
      assert made.count('>energy<') == count
      assert made.count('12.5 J') == count
