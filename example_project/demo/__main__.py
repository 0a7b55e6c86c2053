"""Runs the example shop with everything around it: the site, a worker, and a fake mail provider.

`./demo` in the root of the repository prepares an environment and calls this. With `--check` it plays a visitor, looks
at what arrived, kills a worker in the middle of its work, and says whether all is well.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from demo.check import play
from demo.programs import HERE, Programs, StartError, free_port
from demo.talk import CheckError, say

DATA = HERE.parent / ".demo"
IN_A_HURRY = {
    "COMMUNIQUE_LEASE_SECONDS": "3",
    "COMMUNIQUE_POLL_SECONDS": "0.2",
    "COMMUNIQUE_RETRY_DELAYS": "[0.5, 1, 2]",
}


def run(port: int, fresh: bool) -> None:
    """Starts everything and stays until Ctrl-C."""
    if fresh:
        shutil.rmtree(DATA, ignore_errors=True)
    with Programs(DATA, site_port=free_port(port)) as programs:
        programs.start_provider()
        say("Migrating the database ...")
        programs.manage("migrate", "--verbosity=0")
        say("Filling the shop with a week of history, unless it is filled already ...")
        programs.manage("seed_shop")
        programs.start_worker()
        programs.start_site()
        say()
        say(f"  Shop      {programs.site_url}/")
        say(f"  Mailbox   {programs.site_url}/mailbox/")
        say(f"  Admin     {programs.site_url}/admin/  (admin / admin)")
        say()
        say(f"  Logs and data are in {programs.data}. Ctrl-C stops everything; `./demo --fresh` starts all over.")
        while True:
            programs.raise_if_one_ended()
            time.sleep(0.5)


def check() -> None:
    """Plays one scripted round in a folder and on ports of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="communique-demo-") as data,
        Programs(Path(data), site_port=free_port(), environment=IN_A_HURRY) as programs,
    ):
        play(programs)


def main() -> int:
    parser = argparse.ArgumentParser(prog="./demo", description="The example shop with everything around it.")
    parser.add_argument("--check", action="store_true", help="play one scripted round, say what happened, and end")
    parser.add_argument("--fresh", action="store_true", help="forget the data of earlier demos first")
    parser.add_argument("--port", type=int, default=8000, help="port of the site; another one if it is taken (8000)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts us in the background ignores it
    try:
        check() if options.check else run(options.port, options.fresh)
    except KeyboardInterrupt:
        say("\nStopped.")
        return 1 if options.check else 0
    except (StartError, CheckError) as trouble:
        say(f"FAILED  {trouble}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
