"""Pages in a browser: Debian's chromium, without a window."""

import html
import json
import re
import shutil
import subprocess

import pytest

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')
needed = pytest.mark.skipif(
  CHROMIUM is None, reason='chromium is not installed'
)
_FOCUS = """
const focus = (element) => {
  element.focus();
  if (!document.hasFocus()) element.dispatchEvent(new FocusEvent('focus'));
};
"""
_TELL = """
const out = document.createElement('pre');
out.id = 'found';
out.textContent = JSON.stringify(found);
document.body.append(out);
"""


def add_script(path, actions):
  """Adds actions to a page, which put what they find into `found`.

  They call `focus(element)`, since the window of a busy machine may not be the
  active one yet, and then the browser tells nobody of a new focus.
  """
  text = path.read_text(encoding='utf-8')
  script = f'<script>{{const found = {{}};{_FOCUS}{actions}{_TELL}}}</script>'
  path.write_text(text.replace('</body>', f'{script}</body>'), encoding='utf-8')


def opened(page, profile, fragment='', *flags):
  """What the actions find on the page, opened at the fragment."""
  done = subprocess.run(
    [
      CHROMIUM, '--headless', '--no-sandbox', '--disable-gpu',
      '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync',
      f'--user-data-dir={profile}', '--window-size=1100,900', *flags,
      '--dump-dom', f'{page.as_uri()}{fragment}',
    ],
    capture_output=True, text=True, timeout=120, check=True,
  )  # fmt: skip
  text = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
  return json.loads(html.unescape(text.group(1)))
