"""Quality and time of local closed forms beside the dense ones on real data.

  python -m experiments.benchmarks.size_quality citeulike_a

Prints a row for each method as JSON. `size` starts this script.
"""

import json
import sys
import time
from typing import Any

import hyperrec as hr
from hyperrec.systems.hyperease import local_columns
from hyperrec.systems.linear import ease_local

# Held-out users for test, budget of a new user, interactions of a new item.
_HELD, _SHOWN, _EVIDENCE = 1000, 5, 5
_L2, _L2_FEATURES, _TRUST, _SHARPNESS = 300.0, 3.0, 0.7, 1.0
_NEIGHBOURS = 64
# A regression on few items gives each a larger share than one on all items, so
# it is trusted less; chosen on another split of citeulike_a.
_LOCAL_TRUST = 0.1
# Larger catalogues have no dense form on a common machine.
_MOST_DENSE = 20_000


def main(name: str) -> None:
  """Evaluates all methods on a data set, and prints a row for each."""
  data = load(name)
  for row in compare(data):
    print(json.dumps({'data': name, 'items': data.num_items, **row}))


def load(name: str) -> hr.Interactions:
  """A data set: the name of a text domain, or of a source without text."""
  if name in ('diginetica', 'gowalla', 'synthetic'):
    return hr.load(name)
  return hr.load('text_domain', domain=name)


def compare(data: hr.Interactions) -> list[dict[str, Any]]:
  """NDCG@100 and time of each method in its regime.

  Dense forms of more than 20,000 items are left out.
  """
  rows = []
  for (regime, form, kind), method in methods(data).items():
    if kind == 'dense' and data.num_items > _MOST_DENSE:
      continue
    budget = _SHOWN if regime == 'new_users' else _EVIDENCE
    held = min(_HELD, data.num_users // 5)
    start = time.perf_counter()
    found = hr.evaluate(
      method, data, regime=regime, budget=budget, num_heldout=held
    )
    rows.append(
      {
        'regime': regime,
        'form': form,
        'kind': kind,
        'ndcg@100': found['ndcg@100'],
        'seconds': time.perf_counter() - start,
      }
    )
  return rows


def methods(data: hr.Interactions) -> dict[tuple[str, str, str], Any]:
  """(regime, form, 'local' or 'dense') -> method."""
  near = {'neighbours': _NEIGHBOURS}
  found = {
    ('new_users', 'popularity', 'popularity'): hr.frozen(hr.popularity()),
    ('new_users', 'EASE', 'local'): hr.frozen(
      ease_local.ease_local(l2=_L2, **near)
    ),
    ('new_users', 'EASE', 'dense'): hr.frozen(hr.ease(l2=_L2)),
  }
  if data.item_text is None:
    return found
  text = hr.features.read([data], 'tfidf', cache_folder=None, num_features=128)
  kernel = {
    'l2': _L2, 'l2_features': _L2_FEATURES, 'trust': _TRUST,
    'sharpness': _SHARPNESS,
  }  # fmt: skip
  columns = {
    'l2': _L2, 'l2_kernel': _L2_FEATURES, 'sharpness': _SHARPNESS,
  }  # fmt: skip
  return {
    **found,
    ('new_users', 'L3AE with a kernel', 'local'): hr.frozen(
      ease_local.l3ae_local(
        text.units,
        similar=_NEIGHBOURS,
        **near,
        **kernel | {'trust': _LOCAL_TRUST},
      )
    ),
    ('new_users', 'L3AE with a kernel', 'dense'): hr.frozen(
      hr.l3ae(text.units, **kernel)
    ),
    ('new_items', 'HyperEASE for items', 'local'): hr.generated(
      local_columns.local_columns(
        text.units, similar=_NEIGHBOURS, **near, **columns
      )
    ),
    ('new_items', 'HyperEASE for items', 'dense'): hr.generated(
      hr.item_columns(text.units, **columns)
    ),
  }


if __name__ == '__main__':
  main(sys.argv[1])
