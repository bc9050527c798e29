"""Changes every flag of one script, and tells what its workdir says to that.

  python -m tests.experiments.claims MODULE FLAG... [--again:NAME=VALUE...]

Prints JSON: `told`, for each flag the refusal, or None where it is not refused;
`free` and `places`, the flags that may change, with reasons; and `touched`, for
each --again the kept files that changed when the script ran again with it.
"""

import contextlib
import importlib
import io
import json
import pathlib
import sys

from absl import flags

from experiments import script
from hyperrec.training import manifest

FLAGS = flags.FLAGS
AGAIN = '--again:'


def main(name, *arguments):
  module = importlib.import_module(name)
  given = [a for a in arguments if not a.startswith(AGAIN)]
  FLAGS(['script', *given])
  read = reader(module)
  data = read()
  changes = [a.removeprefix(AGAIN) for a in arguments if a.startswith(AGAIN)]
  with contextlib.redirect_stdout(io.StringIO()):
    touched = run_again(module, changes) if changes else {}
  module.claim(data)
  workdir = pathlib.Path(FLAGS.workdir)
  if not changes:
    for pattern in json.loads((workdir / 'manifest.json').read_text())['keeps']:
      (workdir / pattern.replace('*', 'x')).touch()
  told = {flag.name: told_of(module, data, flag) for flag in own_flags()}
  free = module._FREE
  return {'told': told, 'free': free, 'touched': touched}


def reader(module):
  """How the script reads its data."""
  for holder, name in (
    (module, 'load'),
    (getattr(module, 'laboratory', None), 'read'),
    (getattr(module, 'chaos_training', None), 'load'),
    (getattr(module, 'source_flags', None), 'load'),
  ):
    if hasattr(holder, name):
      return getattr(holder, name)
  raise AssertionError(f'{module} reads nothing')


def own_flags():
  """Every flag of this project."""
  return [
    flag
    for module, defined in FLAGS.flags_by_module_dict().items()
    if module.split('.')[0] in ('experiments', 'hyperrec')
    for flag in defined
    if flag.name not in ('workdir',)
  ]


def told_of(module, data, flag):
  before = flag.value
  flag.value = other(flag)
  try:
    module.claim(data)
  except manifest.OtherRunError as error:
    return str(error)
  finally:
    flag.value = before
  return None


def other(flag):
  """Another value of the flag's own type."""
  value, parser = flag.value, flag.parser
  if flag.name in ('path', 'item_path'):
    (path,) = value if isinstance(value, list) else [value]
    changed = pathlib.Path(path).with_name('changed')
    changed.mkdir(exist_ok=True)
    copy = changed / pathlib.Path(path).name
    copy.write_bytes(pathlib.Path(path).read_bytes() + b'\n')
    return [str(copy)] if isinstance(value, list) else str(copy)
  if isinstance(parser, flags.EnumParser):
    values = list(parser.enum_values)
    return values[(values.index(value) + 1) % len(values)]
  if isinstance(value, list) or flag.flag_type().startswith('comma'):
    return [*(value or []), 'another']
  return {
    'bool': lambda: not value,
    'int': lambda: (value or 0) + 1,
    'float': lambda: 1.5 * (value or 0) + 0.25,
    'string': lambda: f'{value or ""}another',
    'multi string': lambda: [*(value or []), 'another'],
  }[flag.flag_type()]()


def run_again(module, changes):
  """What is kept after the script ran, and what of it changes later."""
  module.main([])
  before = kept()
  touched = {}
  for change in changes:
    name, _, value = change.partition('=')
    saved = FLAGS[name].value
    FLAGS[name].value = FLAGS[name]._parse(value)
    module.main([])
    FLAGS[name].value = saved
    after = kept()
    touched[name] = [
      path
      for path, content in before.items()
      # Rows are added to a file; all others stay as they are.
      if not after[path].startswith(content)
      or (after[path] != content and not path.endswith('cells.jsonl'))
    ]
  return touched


def kept():
  workdir = pathlib.Path(FLAGS.workdir)
  patterns = json.loads((workdir / 'manifest.json').read_text())['keeps']
  return {
    str(path.relative_to(workdir)): path.read_bytes()
    for pattern in [*patterns, 'manifest.json']
    for found in workdir.glob(pattern)
    for path in (found, *found.rglob('*'))
    if path.is_file()
  }


if __name__ == '__main__':
  found = main(*sys.argv[1:])
  print(json.dumps({**found, 'places': script.PLACES}))
