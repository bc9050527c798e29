"""The rule that learns nothing, on the published numbers and on ours."""

import json

from tests.experiments import commands

MODULE = 'experiments.p5.leak'


def test_published_numbers_leak_and_ours_do_not(data_dir, tmp_path):
  """The published P5-small has HR@5 .0503 on these very numbers."""
  path = tmp_path / 'leak.json'
  flags = '--sets=beauty', f'--data_dir={data_dir}', f'--output={path}'
  done = commands.run(None, *flags, module=MODULE)
  assert done.returncode == 0, done.stderr
  rows = json.loads(path.read_text())['rows']
  hits = {row['numbers']: row['metrics']['hr@5'] for row in rows}
  assert hits.pop('given') > 0.0503
  assert max(hits.values()) < 0.012
  assert hits['random'] < 0.001


def test_an_unknown_set_is_named(tmp_path):
  path = tmp_path / 'leak.json'
  done = commands.run(None, '--sets=yelp', f'--output={path}', module=MODULE)
  assert done.returncode != 0
  assert "--sets=['yelp'] is unknown" in done.stderr
  assert not path.exists()
