"""Stand-ins for both vendors on loopback, for anybody who has no test account: no vendor offers one."""

import argparse
import sys
from pathlib import Path

from keepstep_sandbox.serve import run


def main(arguments: list[str] | None = None) -> int:
    """The command line. Exit codes: 0 stopped, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="keepstep-sandbox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="both vendors and the control door, until stopped")
    where = serving.add_mutually_exclusive_group()
    where.add_argument("--port-base", type=int, help="four ports from here on; without it, free ones are taken")
    where.add_argument("--ports-file", type=Path, help="write the URLs here as JSON instead of printing them")
    serving.add_argument("--seed", type=int, default=0)
    serving.add_argument(
        "--clock", choices=("virtual", "wall"), default="virtual", help="virtual: time moves only by the control door"
    )
    chosen = parser.parse_args(arguments)
    run(chosen.port_base, chosen.ports_file, chosen.seed, chosen.clock == "wall")
    return 0


if __name__ == "__main__":
    sys.exit(main())
