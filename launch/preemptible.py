"""Runs a command, and tells "was stopped" from "is done".

  python -m launch.preemptible python -m experiments.sasrec.run --workdir=DIR

A run that gets SIGTERM saves and exits with 0: it did as it was told. A cluster
that takes the machine away would read that as the end of the run. Started like
this the exit code is then 143, "ended by SIGTERM", and the cluster starts the
same command again.
"""

import signal
import subprocess
import sys
from collections.abc import Sequence

STOPPED = 128 + signal.SIGTERM


def run(command: Sequence[str]) -> int:
  """Runs it and passes SIGTERM on; gives `STOPPED` where that came."""
  children = []
  told = []

  def stop(*unused):
    del unused
    told.append(True)
    for child in children:
      child.terminate()

  signal.signal(signal.SIGTERM, stop)
  with subprocess.Popen(command) as child:
    children.append(child)
    if told:  # before there was a child to tell
      child.terminate()
    code = child.wait()
  if told:
    return STOPPED
  return code if code >= 0 else 128 - code


if __name__ == '__main__':
  if len(sys.argv) == 1:
    sys.exit('name a command: python -m launch.preemptible COMMAND')
  sys.exit(run(sys.argv[1:]))
