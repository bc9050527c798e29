"""The commands of the tutorial, on fewer users."""

import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[3]
_BLOCK = re.compile(r'^```(\w*)\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_commands_of_the_tutorial_run(tmp_path, scripts_compile_fast):
  del scripts_compile_fast
  blocks = _BLOCK.findall((ROOT / 'docs' / 'tutorial.md').read_text())
  (script,) = [code for kind, code in blocks if kind == 'python']
  commands = ''.join(code for kind, code in blocks if kind == 'bash')
  # A few users, whose commands take seconds; user 17 is one of them.
  rows = '    for row in rows:\n'
  assert script.count(rows) == 1
  few = '      if int(films.user_ids[films.users[row]]) % 5 != 2: continue\n'
  (tmp_path / 'make_files.py').write_text(script.replace(rows, rows + few))
  module = 'experiments.recommend.advise'
  assert module in commands
  commands = commands.replace(
    module, f'{module} --trials=1 --num_heldout=15 --cases=new_items'
  )
  output = run(commands, tmp_path)
  # What is advised for new items is what is fitted.
  advised = re.search(r'New items: use (\w+)\.', output)[1]
  assert f'\n{advised} with {{' in output
  assert output.count('user 17, who has ') == 1
  assert 'has  260' in output
  assert re.search(r'took in [\d,]+ interactions, \d+ new users', output)
  assert re.search('a refit is due|no refit is due', output)
  lists = (tmp_path / 'recommendations.csv').read_text().splitlines()
  assert lists[0] == '"user","rank","item","score"'
  assert len(lists) % 10 == 1


def run(commands, folder):
  """What shell commands print, in which `python` is the one of this test."""
  python = f'python() {{ {shlex.quote(sys.executable)} "$@"; }}'
  done = subprocess.run(
    ['bash', '-euc', f'{python}\n{commands}'],
    cwd=folder,
    env={**os.environ, 'PYTHONPATH': str(ROOT)},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stdout + done.stderr
  return done.stdout
