"""Flags that are made from a dataclass of hyperparameters.

  _CONFIG = config_flags.define(sasrec.SasrecConfig())

  def main(argv):
    config = _CONFIG.value()

A flag has the name, the type, the default and the limits of its field; its help
is what the docstring of the class says of the field under "Attributes:".
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
    defaults: the dataclass that they were made from.
    holders: the flag of each field that has one.
  """

  defaults: Config
  holders: Mapping[str, flags.FlagHolder]

  def value(self, **others: Any) -> Config:
    """The dataclass that the flags describe.

    Args:
      **others: values of fields that do not come from flags.

    Raises:
      DataError: values that do not fit together.
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
    defaults: an instance of a frozen dataclass, which has the default values.
      Its fields are of type int, float, str or bool, or None as well.
    leave_out: fields that get no flag; their values stay the default ones.
    flag_values: where the flags are registered.

  Raises:
    ValueError: a field to be left out that does not exist, or a field that the
      docstring of the class does not describe.
  """
  fields = {field.name: field for field in dataclasses.fields(defaults)}
  help_texts = _help_texts(type(defaults))
  unknown = {*leave_out} - set(fields)
  unexplained = set(fields) - {*leave_out} - set(help_texts)
  if unknown or unexplained:
    raise ValueError(
      f'{type(defaults).__qualname__}: fields to be left out that do not '
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
  """The flag of one field."""
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
  """What the docstring of a class says of each of its attributes."""
  text = inspect.getdoc(kind) or ''
  _, _, attributes = text.partition('\nAttributes:\n')
  attributes, *_ = re.split(r'\n\n(?=\S)', attributes)
  found = re.findall(r'^  (\w+): (.*(?:\n {4}.*)*)', attributes, re.MULTILINE)
  return {name: ' '.join(words.split()) for name, words in found}
