"""`python -m cfaig_integrations.simulator`: run the simulator until interrupted."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
import threading
from collections.abc import Sequence

from cfaig_integrations.simulator import Simulator


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until interrupted; print the environment variables to export."""
    parser = argparse.ArgumentParser(prog="python -m cfaig_integrations.simulator", description=main.__doc__)
    parser.add_argument("--port", type=int, default=8787, help="TCP port, 0 for any free one (default 8787)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--database", default=":memory:", metavar="FILE", help="keep gateways and logs in this file")
    parser.add_argument("--pace", type=float, default=0.02, metavar="SECONDS", help="pause between events of a stream")
    options = parser.parse_args(arguments)
    simulator = Simulator(options.port, host=options.host, database=options.database, pace=options.pace)
    try:
        simulator.start()
    except OSError as error:
        parser.exit(1, f"{error.strerror}\n")
    exports = [f"export {name}={shlex.quote(value)}" for name, value in simulator.environment.items()]
    sys.stdout.write("\n".join([*exports, f"# Listening on {simulator.url}; Ctrl-C stops.", ""]))
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
    simulator.stop()


if __name__ == "__main__":
    main()
