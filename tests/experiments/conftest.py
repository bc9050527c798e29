"""A table of one's own."""

import pytest

from tests import compiling, makers


@pytest.fixture
def shop(tmp_path):
  """Flags that read a table with item text, which is no other data set."""
  data = makers.made_domain('shop', 3)
  for file, columns, lines in (
    ('shop.csv', 'user,item', zip(data.users, data.items, strict=True)),
    ('text.csv', 'item,text', enumerate(data.item_text)),
  ):
    written = [columns, *(f'{a},{b}' for a, b in lines)]
    (tmp_path / file).write_text('\n'.join(written) + '\n')
  return (
    '--source=table',
    f'--path={tmp_path / "shop.csv"}',
    f'--item_path={tmp_path / "text.csv"}',
    '--text_columns=text',
  )


@pytest.fixture
def scripts_compile_fast(monkeypatch):
  """Scripts of a test compile as the test itself does; see tests/conftest."""
  monkeypatch.setenv('JAX_DISABLE_MOST_OPTIMIZATIONS', '1')
  monkeypatch.setenv('XLA_FLAGS', compiling.XLA_FLAGS)
