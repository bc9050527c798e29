"""Runs a command so that its exit code shows whether it was stopped.

  python -m launch.preemptible python -m experiments.sasrec.run --workdir=DIR

A run that receives SIGTERM saves and exits with code 0. A cluster that preempts
the machine would conclude that the run is finished. This wrapper exits with
code 143 ("ended by SIGTERM") instead, so the cluster restarts the same command.
"""

import signal
import subprocess
import sys
from collections.abc import Sequence

STOPPED = 128 + signal.SIGTERM


def run(command: Sequence[str]) -> int:
  """Runs a command and forwards SIGTERM to it.

  Returns:
    `STOPPED` if SIGTERM was received, otherwise the command's exit code.
  """
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
    if told:  # SIGTERM came before the child was started
      child.terminate()
    code = child.wait()
  if told:
    return STOPPED
  return code if code >= 0 else 128 - code


if __name__ == '__main__':
  if len(sys.argv) == 1:
    sys.exit('give a command to run: python -m launch.preemptible COMMAND')
  sys.exit(run(sys.argv[1:]))
