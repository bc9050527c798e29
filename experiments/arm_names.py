"""Names of arms: a system, and what is different about it, after colons."""

ORACLE = 'oracle'


def family(method: str) -> str:
  """The name of the method's system, without the suffixes of variants."""
  return method.partition(':')[0]


def suffixes(method: str) -> tuple[str, ...]:
  """The parts of the name after colons, such as ('retrain', 'oracle')."""
  return tuple(method.split(':')[1:])


def is_oracle(method: str) -> bool:
  """Whether the method was tuned on validation users of the target."""
  return ORACLE in suffixes(method)


def plain(method: str) -> str:
  """The name of the same method, tuned without the target's users."""
  return method.removesuffix(f':{ORACLE}')
