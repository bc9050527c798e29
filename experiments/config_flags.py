"""Makes flags from a dataclass of hyperparameters.

  _CONFIG = config_flags.define(sasrec.SasrecConfig())

  def main(argv):
    config = _CONFIG.value()

A flag has the name, the type, the default and the limits of its field. Its help
is the text of the field under "Attributes:" in the docstring of the class.
"""

import dataclasses
import inspect
import re
import typing
from collections.abc import Collection, Mapping
from typing import Any, Generic, TypeVar

from absl import flags

from hyperrec import config as config_lib

# The flags belong to the script that calls `define`, so that its --help shows
# them.
flags.disclaim_key_flags()

Config = TypeVar('Config')


@dataclasses.dataclass(frozen=True)
class ConfigFlags(Generic[Config]):
  """The flags of a dataclass.

  Attributes:
    defaults: the dataclass that the flags were made from.
    holders: field name -> its flag.
  """

  defaults: Config
  holders: Mapping[str, flags.FlagHolder]

  def value(self, **others: Any) -> Config:
    """Returns the dataclass with the values of the flags.

    Args:
      **others: values of further fields.

    Raises:
      DataError: the values do not fit together.
    """
    given = {name: holder.value for name, holder in self.holders.items()}
    return dataclasses.replace(self.defaults, **{**given, **others})


def define(
  defaults: Config,
  *,
  leave_out: Collection[str] = (),
  flag_values: flags.FlagValues = flags.FLAGS,
) -> ConfigFlags[Config]:
  """Makes a flag for each field of a dataclass.

  Args:
    defaults: instance of a frozen dataclass that holds the default values. Its
      fields have the type int, float, str or bool; they may allow None.
    leave_out: fields that get no flag and keep their default values.
    flag_values: where the flags are registered.

  Raises:
    ValueError: a field in `leave_out` does not exist, or the docstring of the
      class does not describe a field.
  """
  fields = {field.name: field for field in dataclasses.fields(defaults)}
  help_texts = _help_texts(type(defaults))
  unknown = {*leave_out} - set(fields)
  unexplained = set(fields) - {*leave_out} - set(help_texts)
  if unknown or unexplained:
    raise ValueError(
      f'{type(defaults).__qualname__}: fields in leave_out that do not '
      f'exist: {sorted(unknown)}; fields without a text under "Attributes:": '
      f'{sorted(unexplained)}'
    )
  return ConfigFlags(
    defaults,
    {
      name: _define_one(
        field, getattr(defaults, name), help_texts[name], flag_values
      )
      for name, field in fields.items()
      if name not in leave_out
    },
  )


def _define_one(
  field: dataclasses.Field,
  default: Any,
  help_text: str,
  flag_values: flags.FlagValues,
) -> flags.FlagHolder:
  """Defines the flag of one field."""
  (kind,) = set(typing.get_args(field.type) or [field.type]) - {type(None)}
  given = field.name, default
  if 'choices' in field.metadata:
    choices = list(field.metadata['choices'])
    return flags.DEFINE_enum(*given, choices, help_text, flag_values)
  makers = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
  }
  limits = config_lib.describe_limits(field)
  if limits:
    help_text = f'{help_text} It must be {limits}.'
  holder = makers[kind](*given, help_text, flag_values=flag_values)

  def is_allowed(value):
    mistake = config_lib.find_mistake(field, value)
    if mistake:
      raise flags.ValidationError(mistake)
    return True

  flags.register_validator(holder, is_allowed, flag_values=flag_values)
  return holder


def _help_texts(kind: type) -> dict[str, str]:
  """Returns attribute -> its text in the docstring of a class."""
  text = inspect.getdoc(kind) or ''
  _, _, attributes = text.partition('\nAttributes:\n')
  attributes, *_ = re.split(r'\n\n(?=\S)', attributes)
  found = re.findall(r'^  (\w+): (.*(?:\n {4}.*)*)', attributes, re.MULTILINE)
  return {name: ' '.join(words.split()) for name, words in found}
