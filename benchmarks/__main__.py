"""Benchmarks: verify, time, compare.

python -m benchmarks            the named layers against every installed peer
python -m benchmarks micro      percent of the FMA peak
python -m benchmarks overhead   import time, microseconds a call
python -m benchmarks report     tables and picture of results in --json FILE

For example: python -m benchmarks --quick --layers mnist --peers torch
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import machine
from .peers import PEERS
from .problems import CONV_COMPUTATIONS, POOL_COMPUTATIONS

_FILES = ("--json", "--markdown", "--picture")
COMPUTATIONS = tuple(dict.fromkeys(CONV_COMPUTATIONS + POOL_COMPUTATIONS))


def main() -> int:
    """Run one command; 1 where a result of fastconv was wrong."""
    if sys.argv[1:2] == ["worker"]:
        return _worker(*sys.argv[2:])
    options = _parser().parse_args()
    if options.command == "compare":
        return _compare(options)
    if options.command == "report":
        return _present(json.loads(options.json.read_text(encoding="utf-8")), options)
    _restrict(options.threads)
    if options.command == "micro":
        from . import micro

        result = micro.run(options.threads, [options.isa] if options.isa else [], options.quick)
    else:
        from . import overhead

        if options.isa:
            os.environ["FASTCONV_ISA"] = options.isa
        result = overhead.run(options.threads, options.quick)
    _write_json(options.json, result)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("command", nargs="?", default="compare", choices=("compare", "micro", "overhead", "report"))
    add("--layers", default="", metavar="REGEX", help="only layers whose name matches")
    add("--peers", type=_names(PEERS), default=PEERS, metavar="A,B", help=",".join(PEERS))
    add(
        "--computations",
        type=_names(COMPUTATIONS),
        default=COMPUTATIONS,
        metavar="A,B",
        help=",".join(COMPUTATIONS),
    )
    add("--environment", choices=("both", "default", "tuned"), default="both")
    add("--threads", type=int, default=machine.usable_cpus(), help="the same for everyone")
    add("--isa", help="force fastconv's instruction set")
    add("--precision", choices=("high", "highest"), default="high", help="of fastconv")
    add("--quick", action="store_true", help="fewer samples: to look, not to quote")
    add("--json", type=Path, metavar="FILE")
    add("--markdown", type=Path, metavar="FILE", help="the tables that are printed")
    add("--picture", type=Path, metavar="FILE", help="PNG or SVG of the ratios")
    return parser


def _names(known: tuple[str, ...]) -> Any:
    def parse(text: str) -> tuple[str, ...]:
        names = tuple(filter(None, text.split(",")))
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(known)}")
        return names

    return parse


def _compare(options: argparse.Namespace) -> int:
    from . import report
    from .compare import Settings

    wanted = ("default", "tuned") if options.environment == "both" else (options.environment,)
    environments = {}
    for name in wanted:
        print(f"== {name} environment ==", file=sys.stderr, flush=True)
        settings = Settings(
            peers=options.peers,
            computations=options.computations,
            layers=options.layers,
            threads=options.threads,
            tuned=name == "tuned",
            quick=options.quick,
            precision=options.precision,
        )
        environments[name] = _in_own_process(settings, options.isa)
    result = {
        "schema": 1,
        "command": shlex.join(["python", "-m", "benchmarks", *_public(sys.argv[1:])]),
        "machine": machine.facts(),
        "threads": options.threads,
        "environments": environments,
        "summary": report.summarize(environments),
    }
    _write_json(options.json, result)
    return _present(result, options)


def _present(result: dict[str, Any], options: argparse.Namespace) -> int:
    from . import report

    text = report.markdown(result)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    if options.picture:
        from . import picture

        picture.draw(result, options.picture)
    print(text)
    return int(any(f["peer"] == "fastconv" for f in result["summary"]["failures"]))


def _public(arguments: list[str]) -> list[str]:
    """Drop the names of the files written from the command line."""
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if skip or argument.startswith(tuple(f"{name}=" for name in _FILES)):
            skip = False
        elif argument in _FILES:
            skip = True
        else:
            kept.append(argument)
    return kept


def _in_own_process(settings: Any, isa: str | None) -> dict[str, Any]:
    """Run a worker: malloc reads its tunables, and each runtime its CPUs, only once."""
    environment = {k: v for k, v in os.environ.items() if k not in machine.TUNED_ENVIRONMENT}
    if settings.tuned:
        environment |= machine.TUNED_ENVIRONMENT
    if isa:
        environment["FASTCONV_ISA"] = isa
    environment |= {"JAX_PLATFORMS": "cpu", "NPROC": str(settings.threads)}
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder, "report.json")
        worker = ["worker", json.dumps(asdict(settings)), str(answer)]
        checkout = Path(__file__).resolve().parent.parent
        command = [sys.executable, "-m", "benchmarks", *worker]
        status = subprocess.run(command, env=environment, cwd=checkout).returncode
        if status != 0:
            raise SystemExit(status)
        return json.loads(answer.read_text(encoding="utf-8"))


def _worker(text: str, answer: str) -> int:
    values = json.loads(text)
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    _restrict(values["threads"])
    from .compare import Settings, run

    Path(answer).write_text(json.dumps(run(Settings(**values))), encoding="utf-8")
    return 0


def _restrict(threads: int) -> None:
    """Leave this process as many CPUs as threads: some runtimes cannot be told otherwise."""
    usable = sorted(os.sched_getaffinity(0))
    if threads < len(usable):
        os.sched_setaffinity(0, usable[:threads])


def _write_json(path: Path | None, result: dict[str, Any]) -> None:
    if path:
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
