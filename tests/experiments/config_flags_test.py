"""Flags made from dataclasses, and the help of the scripts that have them."""

import dataclasses
import json
import re
import subprocess
import sys

import hypothesis
import pytest
from absl import flags
from hypothesis import strategies as st

from experiments import config_flags
from hyperrec import config as config_lib
from hyperrec.data import interactions
from hyperrec.systems.p5 import p5
from hyperrec.systems.pref import pref
from hyperrec.systems.sequential import sasrec
from hyperrec.systems.vqrec import stages as vqrec_stages
from tests.experiments import commands


@dataclasses.dataclass(frozen=True)
class Config:
  """Hyperparameters.

  Attributes:
    width: Width of a layer, an even
      number.
    dropout: Share of values: those that are set to 0.
    kind: Kind of layer.
    name: Name of the layer.
    is_fast: Whether it is fast.
    limit: Largest norm, such as 1.
    most: Largest number.

  Raises:
    DataError: a wrong value.
  """

  width: int = config_lib.field(4, least=2)
  dropout: float = config_lib.field(0.5, least=0, below=1)
  kind: str = config_lib.field('dense', choices=('dense', 'sparse'))
  name: str = 'first'
  is_fast: bool = False
  limit: float | None = config_lib.field(None, above=0)
  most: int | None = None

  def __post_init__(self):
    config_lib.check(self)
    if self.width % 2:
      raise interactions.DataError(f'width={self.width} must be even')


def define(*args, **kwargs):
  values = flags.FlagValues()
  return config_flags.define(*args, flag_values=values, **kwargs), values


def test_without_arguments_the_flags_are_the_dataclass():
  for given in (Config(), Config(width=8, is_fast=True, limit=2.0)):
    made, values = define(given)
    values(['script'])
    assert made.value() == given


def test_every_type_is_read():
  made, values = define(Config())
  values(
    ['script', '--width=6', '--dropout=0', '--kind=sparse', '--name=x y',
     '--is_fast', '--limit=3', '--most=-7']
  )  # fmt: skip
  found = made.value()
  assert found == Config(6, 0.0, 'sparse', 'x y', True, 3.0, -7)
  assert isinstance(found.limit, float)
  assert isinstance(found.most, int)


def test_values_that_no_flag_has_are_given():
  made, values = define(Config(), leave_out=['width', 'most'])
  assert not {'width', 'most'} & set(values)
  values(['script', '--name=x'])
  assert made.value() == Config(name='x')
  assert made.value(width=2, name='y') == Config(width=2, name='y')


def test_help_is_what_the_docstring_says():
  _, values = define(Config())
  told = {name: values[name].help for name in ('width', 'dropout', 'most')}
  assert told == {
    'width': 'Width of a layer, an even number. It must be at least 2.',
    'dropout': 'Share of values: those that are set to 0. It must be at least '
    '0 and below 1.',
    'most': 'Largest number.',
  }
  assert '--kind: <dense|sparse>: Kind of layer.' in values.get_help()


def test_flags_belong_to_the_module_that_asks_for_them():
  _, values = define(Config())
  assert set(values.flags_by_module_dict()) == {__name__}


@pytest.mark.parametrize(
  ('given', 'told'),
  [
    ('--width=0', '--width=0: must be at least 2'),
    ('--width=2.5', '--width=2.5'),
    ('--width=x', '--width=x'),
    ('--width=', '--width='),
    ('--dropout=1', '--dropout=1.0: must be at least 0 and below 1'),
    ('--dropout=nan', '--dropout=nan: must be a finite number'),
    ('--limit=inf', '--limit=inf: must be a finite number'),
    ('--limit=0', '--limit=0.0: must be above 0'),
    ('--kind=round', '--kind=round: value should be one of <dense|sparse>'),
    ('--is_fast=maybe', '--is_fast=maybe'),
  ],
)
def test_unusable_values_are_refused_in_a_line(given, told):
  _, values = define(Config())
  with pytest.raises(flags.IllegalFlagValueError) as error:
    values(['script', given])
  assert told in str(error.value)
  assert '\n' not in str(error.value)


def test_values_that_do_not_fit_together_are_told():
  made, values = define(Config())
  values(['script', '--width=3'])
  with pytest.raises(interactions.DataError, match='width=3 must be even'):
    made.value()


@pytest.mark.parametrize(
  'config',
  [
    sasrec.SasrecConfig(),
    vqrec_stages.VqrecConfig(),
    p5.P5Config(),
    pref.PrefConfig(),
  ],
  ids=['sasrec', 'vqrec', 'p5', 'pref'],
)
@hypothesis.given(data=st.data())
@hypothesis.settings(max_examples=200, deadline=None, derandomize=True)
def test_any_value_is_taken_or_refused(config, data):
  made, values = define(config)
  usual = st.sampled_from(
    ['', '0', '1', '-1', '2', '7', '1e3', '0.5', '1.0', 'nan', 'inf', '-inf',
     'true', 'x', '1' * 5000, 'random', 'text', ',', '\u00e9']
  )  # fmt: skip
  given = data.draw(
    st.dictionaries(st.sampled_from(sorted(made.holders)), usual, max_size=3)
  )
  try:
    values(['script', *(f'--{name}={value}' for name, value in given.items())])
    made.value()
  except (flags.Error, interactions.DataError) as error:
    assert str(error).strip()


def test_fields_without_a_text_or_not_there_are_told():
  @dataclasses.dataclass(frozen=True)
  class Silent:
    """Hyperparameters.

    Attributes:
      told: A number.
    """

    told: int = 1
    untold: int = 1

  with pytest.raises(ValueError, match=r"Attributes:\": \['untold'\]"):
    define(Silent())
  define(Silent(), leave_out=['untold'])
  with pytest.raises(ValueError, match=r"exist: \['width'\]"):
    define(Silent(), leave_out=['untold', 'width'])


# Fields of its configuration for which a script has no flag, and why.
LEFT_OUT = {
  'sasrec.run': (
    sasrec.SasrecConfig,
    {'finetune_epochs': 'it never fine-tunes'},
  ),
  'vqrec.run': (
    vqrec_stages.VqrecConfig,
    dict.fromkeys(('index', 'alignment', 'finetune_all'), 'arms choose them'),
  ),
  'p5.run': (
    p5.P5Config,
    {
      'head_dim': 'it follows from dim',
      'name_tokens': 'items are not called by texts',
    },
  ),
  'pref.run': (pref.PrefConfig, {}),
  'recommend.interview': (pref.PrefConfig, {}),
}
# Other scripts that load data by `source_flags`.
OTHERS = (
  'adaptation.run', 'ease.claims', 'export.run', 'recommend.advise',
  'recommend.fit', 'recommend.update',
)  # fmt: skip
CODE = """
import json, runpy, sys
from absl import flags
module = sys.argv[1]
sys.argv = ['script', '--help']
try:
  runpy.run_module(module, run_name='__main__', alter_sys=True)
finally:
  print('defined:', json.dumps([
    flag.name
    for name, defined in flags.FLAGS.flags_by_module_dict().items()
    if not name.startswith(('absl', 'jax', 'chex', 'orbax', 'etils'))
    for flag in defined
  ]))
"""


@pytest.mark.parametrize('name', [*LEFT_OUT, *OTHERS])
def test_help_shows_every_flag(name):
  done = subprocess.run(
    [sys.executable, '-c', CODE, f'experiments.{name}'],
    capture_output=True, text=True, check=False, cwd=commands.ROOT,
  )  # fmt: skip
  text, _, defined = done.stdout.rpartition('defined: ')
  defined = set(json.loads(defined))
  shown = set(re.findall(r'^  --(?:\[no\])?(\w+):', text, re.MULTILINE))
  assert {'source', 'path', 'data_dir', 'mesh_items'} <= defined
  assert defined <= shown
  if name in LEFT_OUT:
    config, left_out = LEFT_OUT[name]
    fields = {field.name for field in dataclasses.fields(config)}
    assert fields - shown == set(left_out)
