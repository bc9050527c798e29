"""Puts the READMEs of the repository, and parts of them, into the site.

A page includes a part of a README by a line of its own:

    <!-- include ../README.md section Known gaps -->
    <!-- include ../README.md block answer -->
    <!-- include ../README.md item A method -->
    <!-- include ../README.md intro -->

A section is the text below a heading, a block is the text between the markers
of `experiments.readme`, an item is that of a list whose bold first words have
this name, and the intro is the text below the title.

The line `<!-- names of hyperrec -->` becomes a list of the names of
`hyperrec.face`, each with a link to its description.

Pages and READMEs link to files as they lie in the repository. In the site such
a link leads to the page of a README, to the reference of a module, or to a copy
of the file.
"""

import ast
import os
import pathlib
import re
import textwrap
from collections.abc import Callable, Iterator

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / 'docs'

_CODE = re.compile(r'^```.*?^```$', re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r'^(#+) (.+)$', re.MULTILINE)
_INCLUDE = re.compile(
  r'^<!-- include (\S+) (section|block|item|intro) ?(.*?) ?-->$', re.MULTILINE
)
_LINK = re.compile(r'\[([^\]]*)\]\(([^)\s:#]+)(#[^)\s]*)?\)')
_NAMES = '<!-- names of hyperrec -->'
_PICTURE = re.compile(
  r'<picture><source media="\(prefers-color-scheme: dark\)" srcset="([^"]+)">'
  r'<img alt="([^"]*)" src="([^"]+)"></picture>'
)
_REFERENCE = re.compile(r'^::: (\S+)$', re.MULTILINE)


def on_config(config):
  """Adds the READMEs of all experiments to the navigation."""
  config.nav.append({'Experiments': [_uri(path) for path in _experiments()]})


def on_files(files, config):
  """Adds the READMEs, and the files that they and the pages link to."""
  found = [pathlib.Path(f.abs_src_path) for f in files.documentation_pages()]
  found += [*_experiments(), ROOT / 'launch' / 'README.md', ROOT / 'README.md']
  seen = set()
  while found:
    path = found.pop()
    if path in seen or path.is_dir():
      continue
    seen.add(path)
    if path.suffix == '.md':
      found += _linked(path)
    uri = _uri(path)
    if files.get_file_from_path(uri) is None:
      files.append(File.generated(config, uri, abs_src_path=str(path)))
  return files


def on_page_markdown(markdown, page, config, files):
  """Includes parts of READMEs, and makes all links those of the site."""
  del config, files
  path, uri = pathlib.Path(page.file.abs_src_path), page.file.src_uri

  def included(match: re.Match) -> str:
    source = _resolved(path, match[1])
    text = _part(source.read_text(encoding='utf-8'), match[2], match[3])
    if text is None:
      raise PluginError(f'{path}: nothing to include for {match[0]}')
    return _with_links_of_site(text, source, uri)

  own = _with_links_of_site(markdown, path, uri)
  return _INCLUDE.sub(included, own.replace(_NAMES, _names()))


def _experiments() -> list[pathlib.Path]:
  """The READMEs of the experiments and of the notebooks."""
  folder = ROOT / 'experiments'
  own = sorted(folder.glob('*/README.md'))
  return [folder / 'README.md', *own, ROOT / 'colabs' / 'README.md']


def _names() -> str:
  """A list with an entry for each package that `face` takes names from."""
  face = ROOT / 'hyperrec' / 'face.py'
  links = {}
  for node in ast.parse(face.read_text(encoding='utf-8')).body:
    if isinstance(node, ast.ImportFrom):
      links.setdefault(_family(node.module), []).extend(
        f'[`{alias.name}`][{node.module}.{alias.name}]' for alias in node.names
      )
  return '\n'.join(f'- {name}: {", ".join(own)}' for name, own in links.items())


def _family(module: str) -> str:
  """Name of a family of systems; all other modules are one group."""
  _, has_family, rest = module.partition('hyperrec.systems.')
  return rest.split('.')[0] if has_family else 'data, policies and recommending'


def _uri(path: pathlib.Path) -> str:
  """Where a file of the repository is in the site, before it is rendered."""
  if path == ROOT / 'README.md':
    return 'index.md'
  return path.relative_to(DOCS if DOCS in path.parents else ROOT).as_posix()


def _linked(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """The files that a Markdown file links to, apart from documented modules."""
  text = _CODE.sub('', path.read_text(encoding='utf-8'))
  targets = [match[2] for match in _LINK.finditer(text)]
  for match in _PICTURE.finditer(text):
    targets += [match[1], match[3]]
  for target in targets:
    found = _resolved(path, target)
    if _documented(found) is None:
      yield found


def _resolved(path: pathlib.Path, target: str) -> pathlib.Path:
  """The file or folder that a link of a file leads to.

  Raises:
    PluginError: there is none.
  """
  found = pathlib.Path(os.path.normpath(path.parent / target))
  if not found.exists() or ROOT not in found.parents:
    raise PluginError(f'{path}: {target} is not in the repository')
  return found


def _documented(path: pathlib.Path) -> str | None:
  """Name of the module or package of a path, if the reference has it."""
  name = '.'.join(path.relative_to(ROOT).with_suffix('').parts)
  for page in (DOCS / 'reference').rglob('*.md'):
    for known in _REFERENCE.findall(page.read_text(encoding='utf-8')):
      if name == known or name.startswith(f'{known}.'):
        return name
  return None


def _part(text: str, kind: str, name: str) -> str | None:
  """A part of a README without its heading or markers; None if not there."""
  if kind == 'block':
    begin, end = (f'<!-- results:{w} {name} -->' for w in ('begin', 'end'))
    _, has_begin, rest = text.partition(begin)
    block, has_end, _ = rest.partition(end)
    return block if has_begin and has_end else None
  if kind == 'item':
    start = re.escape(f'- **{name}**')
    item = re.search(
      rf'^{start}.*?(?=^\S|^$|\Z)', text, re.DOTALL | re.MULTILINE
    )
    return item and textwrap.dedent(f'  {item[0].removeprefix("- ")}')
  # Lines of code that start with '#' are no headings.
  blank = _CODE.sub(lambda code: ' ' * len(code[0]), text)
  headings = list(_HEADING.finditer(blank))
  for heading, *below in (headings[i:] for i in range(len(headings))):
    if kind == 'intro':
      ends = below
    elif heading[2] == name:
      ends = [h for h in below if len(h[1]) <= len(heading[1])]
    else:
      continue
    return text[heading.end() : ends[0].start() if ends else None]
  return None


def _with_links_of_site(text: str, source: pathlib.Path, uri: str) -> str:
  """Makes the links of a text those of a page of the site.

  Args:
    text: Markdown.
    source: file that the text is from, to which its links are relative.
    uri: the page that will hold the text.
  """

  def address(target: str) -> str:
    found = _resolved(source, target)
    while found.is_dir():
      inside = found / 'README.md'
      found = inside if inside.exists() else found.parent
    return os.path.relpath(_uri(found), os.path.dirname(uri))

  def link(match: re.Match) -> str:
    name = _documented(_resolved(source, match[2]))
    if name is not None:
      return f'[{match[1]}][{name}]'
    return f'[{match[1]}]({address(match[2])}{match[3] or ""})'

  def picture(match: re.Match) -> str:
    dark, alt, light = match.groups()
    return ''.join(
      f'![{alt}]({address(image)}#only-{scheme})'
      for image, scheme in ((light, 'light'), (dark, 'dark'))
    )

  return _outside_code(
    text, lambda part: _PICTURE.sub(picture, _LINK.sub(link, part))
  )


def _outside_code(text: str, change: Callable[[str], str]) -> str:
  """Changes all of a Markdown text but its fenced blocks."""
  pieces, start = [], 0
  for code in _CODE.finditer(text):
    pieces += [change(text[start : code.start()]), code[0]]
    start = code.end()
  return ''.join([*pieces, change(text[start:])])
