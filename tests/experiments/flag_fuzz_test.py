"""Whatever a flag is given, the script runs or refuses in a sentence.

For longer: HYPERREC_FUZZ=20000 python -m pytest
tests/experiments/flag_fuzz_test.py --hypothesis-seed=1
"""

import os
import pathlib
import subprocess
import sys

import hypothesis
from absl import app, flags
from absl.testing import flagsaver
from hypothesis import strategies as st

from tests.experiments import commands

EXAMPLES = int(os.environ.get('HYPERREC_FUZZ', '150'))
VALUES = st.one_of(
  st.sampled_from(
    ['', ' ', '0', '1', '-1', '2', '5', '7', '30', '1000000', '1e3', '1.5',
     'nan', 'inf', '-inf', 'true', 'false', 'five', '0,1', '1,,2', ',', ';',
     '0;5', 'user', 'item', 'title', 'title,user', 't', 'r', 'new_users',
     'new_catalogue', 'new_domain', 'drift', 'new_users,drift',
     'returning_users', 'ease', 'popularity', 'ease,l3ae', 'synthetic',
     'movielens_small', 'table', 'anime', 'Beauty', 'first', 'keep', 'error',
     'utf-8', 'utf-16', '~', '~nobody/x', '.', '/', '/dev/null',
     'nowhere.csv', 'x.toml', "r = '3'",
     'r > 3', '%Y', '%d.%m.%Y', '"', "'", '\\', '$HOME', '\u00e9', '\U0001f600',
     '--', '=']
  ),
  st.text(
    st.characters(blacklist_categories=('Cs',), blacklist_characters='\x00'),
    max_size=5,
  ),
)  # fmt: skip


def likely(flag):
  """Values of a flag, most of which it takes."""
  kinds = {
    'bool': st.sampled_from(['true', 'false']),
    'int': st.integers(0, 9).map(str),
    'float': st.sampled_from(['0', '0.5', '3', '-1']),
  }
  if isinstance(flag.parser, flags.EnumParser):
    usual = st.sampled_from(flag.parser.enum_values)
  else:
    usual = kinds.get(flag.flag_type(), VALUES)
  return st.one_of(usual, usual, usual, VALUES)


def main():
  """Fuzzes the adaptation script up to the point where cells are run."""
  # What is imported later would define its flags where they are not kept.
  import array_record.python.array_record_data_source  # noqa: F401

  from experiments import script
  from experiments.adaptation import run

  own = {
    flag.name: likely(flag)
    for module, defined in flags.FLAGS.flags_by_module_dict().items()
    if module.startswith('experiments')
    for flag in defined
    if flag.name not in ('workdir', 'multihost')
  }
  shop = pathlib.Path('shop.csv')
  rows = ''.join(
    f'{u},{(u * 3 + 5 * i) % 30},{i % 5},{1000 * u + i},thing {i % 7}\n'
    for u in range(40)
    for i in range(7)
  )
  shop.write_text(f'user,item,r,t,title\n{rows}')

  @hypothesis.settings(
    max_examples=EXAMPLES, deadline=None, database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
  )  # fmt: skip
  @hypothesis.seed(int(sys.argv[1]))
  @hypothesis.given(
    given=st.lists(
      st.sampled_from(list(own)).flatmap(
        lambda name: st.tuples(st.just(name), own[name])
      ),
      max_size=3,
    ),
    small=st.sampled_from([True, True, True, False]),
  )
  def fuzz(given, small):
    argv = ['run', '--source=table', '--path=shop.csv', '--methods=popularity']
    if small:
      argv += ['--num_heldout=8', '--regimes=new_users', '--user_budgets=1']
    with flagsaver.flagsaver():
      try:
        flags.FLAGS([*argv, *(f'--{k}={v}' for k, v in given)])
        script.check_flags()
        cells = list(run.plan())
        run.possible(run.load(), cells[:200])
      except (flags.Error, app.UsageError, *script.EXPLAINED) as error:
        assert str(error).strip()

  fuzz()
  print('done')


def test_any_flag_is_taken_or_refused(tmp_path):
  done = subprocess.run(
    [sys.executable, '-m', 'tests.experiments.flag_fuzz_test', '0'],
    capture_output=True, text=True, check=False, cwd=tmp_path,
    env={**os.environ, 'PYTHONPATH': str(commands.ROOT)},
  )  # fmt: skip
  assert done.returncode == 0, done.stderr[-3000:]
  assert done.stdout.splitlines()[-1] == 'done'


if __name__ == '__main__':
  main()
