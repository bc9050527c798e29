"""The documentation: its links, its site, and the Python of its guides."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import pytest

import hyperrec

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / 'docs'
PAGES = sorted(
  path
  for folder in ('', 'docs', 'experiments', 'colabs', 'launch')
  for path in (ROOT / folder).glob('**/*.md' if folder else '*.md')
)

_BLOCK = re.compile(r'^```(\w*)\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_LINK = re.compile(r'\]\(([^)\s]+)\)|(?:src|srcset|href)="([^"]+)"')
_INCLUDE = re.compile(r'^<!-- include (\S+)', re.MULTILINE)
# A path between backticks, or that of a file in a command.
_PATH = r'(?:docs|hyperrec|experiments|launch|tests)/[\w./-]+'
_MENTION = re.compile(
  rf'`({_PATH})`|(?<![\w/.])({_PATH}\.(?:flags|json|md|py|sh))\b'
)
_MODULE = re.compile(r'python3? -m ((?:experiments|launch)\.[\w.]*\w)')


def name_of(path):
  return str(path.relative_to(ROOT))


def anchors(path):
  """Names of the headings of a file, as web pages of Markdown have them."""
  text = _BLOCK.sub('', path.read_text())
  return {
    re.sub(r'[^\w\- ]', '', heading.lower()).strip().replace(' ', '-')
    for heading in re.findall(r'^#+ (.+)$', text, re.MULTILINE)
  }


def leads(page, link):
  """Whether the file that a page links to exists, and the heading in it."""
  target, _, anchor = link.partition('#')
  found = page.parent / target if target else page
  if not found.exists():
    return False
  return not anchor or found.suffix != '.md' or anchor in anchors(found)


@pytest.mark.parametrize('page', PAGES, ids=name_of)
def test_all_links_and_paths_exist(page):
  whole = page.read_text()
  text = _BLOCK.sub('', whole)
  links = [match[1] or match[2] for match in _LINK.finditer(text)]
  links += _INCLUDE.findall(text)
  wrong = [
    link for link in links if '://' not in link and not leads(page, link)
  ]
  paths = [match[1] or match[2] for match in _MENTION.finditer(whole)]
  for module in _MODULE.findall(whole):
    path = module.replace('.', '/')
    paths.append(path if (ROOT / path).is_dir() else f'{path}.py')
  # SET stands for the name of any data set.
  wrong += [
    path for path in paths if 'SET' not in path and not (ROOT / path).exists()
  ]
  assert not wrong


def test_pages_name_no_place_of_one_machine():
  for page in PAGES:
    assert not re.search(r'(?<![\w.])/(tmp|work|home|root)/', page.read_text())


def test_the_site_builds_without_a_warning(tmp_path):
  for package in ('mkdocs', 'material', 'mkdocstrings'):
    if importlib.util.find_spec(package) is None:
      pytest.skip(f'{package} is absent: install the extra "docs"')
  site = tmp_path / 'site'
  done = subprocess.run(
    [sys.executable, '-m', 'mkdocs', 'build', '--strict', f'--site-dir={site}'],
    cwd=ROOT,
    env={**os.environ, 'NO_MKDOCS_2_WARNING': '1'},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  for readme in (ROOT / 'experiments').glob('*/README.md'):
    assert (site / 'experiments' / readme.parent.name / 'index.html').exists()
  html = {path: path.read_text() for path in site.rglob('*.html')}
  # What the hook includes is there, in both colours.
  index = html[site / 'index.html']
  assert 'Can a hypernetwork generate' in index
  for scheme in ('light', 'dark'):
    assert f'results/answer-{scheme}.svg#only-{scheme}' in index
  for path, text in html.items():
    assert '<!-- include' not in text, path
    assert not re.search(r'<(script|img|iframe)[^>]+src="https?:', text), path
    assert not re.search(r'<link[^>]+rel="stylesheet"[^>]+https?:', text), path
  # Every model that `hyperrec` offers is described.
  reference = ''.join(
    text for path, text in html.items() if 'reference' in path.parts
  )
  names = html[site / 'reference' / 'index.html']
  for name in set(hyperrec.__all__) - {'features'}:
    assert re.search(rf'id="hyperrec\.[\w.]+\.{name}"', reference), name
    assert re.search(rf'href="[^"]+\.{name}"', names), name


@pytest.mark.parametrize(
  'page', sorted((DOCS / 'how_to').glob('*.md')), ids=name_of
)
def test_the_python_of_a_guide_runs(page, monkeypatch):
  blocks = [code for kind, code in _BLOCK.findall(page.read_text())
            if kind == 'python']  # fmt: skip
  if not blocks:
    return
  monkeypatch.delenv('HYPERREC_DATA_DIR', raising=False)
  names = {'__name__': 'guide'}
  for code in blocks:
    exec(compile(code, name_of(page), 'exec'), names)
