"""Benchmarks: verify, time, compare.

python -m benchmarks            the named layers against every installed peer
python -m benchmarks errors     accuracy on easy and on hard data
python -m benchmarks memory     peak memory against PyTorch's
python -m benchmarks grid       random problems of many kinds of networks against PyTorch
python -m benchmarks bfloat16   convolutions of bfloat16 against PyTorch's
python -m benchmarks quantized  int8 convolution against ONNX Runtime
python -m benchmarks networks   inference of whole networks against every installed peer
python -m benchmarks report     docs/performance.md from all of these
python -m benchmarks points     interpolation points of Winograd's transforms
python -m benchmarks micro      percent of the FMA peak
python -m benchmarks overhead   import time, microseconds a call

With --json FILE each keeps its results in FILE, a section beside those of the others.
For example: python -m benchmarks --quick --layers mnist --peers torch
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import machine, processes
from .peers import PEERS
from .problems import CONV_COMPUTATIONS, POOL_COMPUTATIONS

COMPUTATIONS = tuple(dict.fromkeys(CONV_COMPUTATIONS + POOL_COMPUTATIONS))
#: Of a section, the options that change its results.
OPTIONS = {
    "compare": ("layers", "peers", "computations", "environment", "threads", "isa", "precision"),
    "errors": ("layers", "threads", "isa"),
    "memory": ("layers", "threads", "isa"),
    "grid": ("count", "seed", "threads", "isa"),
    "bfloat16": ("layers", "threads", "isa"),
    "quantized": ("layers", "threads", "isa"),
    "networks": ("layers", "threads", "isa"),
    "micro": ("threads", "isa"),
    "overhead": ("threads", "isa"),
}


def main() -> int:
    """Run one command; 1 where a result of fastconv was wrong."""
    if sys.argv[1:2] == ["worker"]:
        return processes.worker(*sys.argv[2:])
    options = _parser().parse_args()
    if options.command == "report":
        return _report(options)
    return _measure(options.command, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("command", nargs="?", default="compare", choices=(*COMMANDS, "report"))
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
    add("--count", type=int, default=300, help="problems of the grid")
    add("--seed", type=int, default=0, help="of the grid")
    add("--quick", action="store_true", help="fewer samples: to look, not to quote")
    add("--json", type=Path, metavar="FILE", help="where results are kept")
    add(
        "--docs",
        type=_folder,
        metavar="FOLDER",
        help="where the pages of report (docs/ by default) and networks go",
    )
    return parser


def _names(known: tuple[str, ...]) -> Any:
    def parse(text: str) -> tuple[str, ...]:
        names = tuple(filter(None, text.split(",")))
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(known)}")
        return names

    return parse


def _folder(text: str) -> Path:
    """Make the folder, before anything is measured for it."""
    path = Path(text)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error.strerror}") from error
    return path


# ---- commands: options to results, printed as they come


def _compare(options: argparse.Namespace) -> dict[str, Any]:
    from . import summary, tables
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
        environments[name] = processes.in_own_process(
            "compare",
            asdict(settings),
            threads=options.threads,
            tuned=settings.tuned,
            isa=options.isa,
        )
    result = {
        "machine": machine.facts(),
        "threads": options.threads,
        "environments": environments,
        "summary": summary.summarize(environments),
    }
    print(tables.markdown(result))
    return result


def _errors(options: argparse.Namespace) -> dict[str, Any]:
    from . import errors

    return errors.run(options.layers, options.threads, options.quick, options.isa)


def _memory(options: argparse.Namespace) -> dict[str, Any]:
    from . import memory

    return memory.run(options.layers, options.threads, options.isa)


def _grid(options: argparse.Namespace) -> dict[str, Any]:
    from . import grid

    return grid.run(options.count, options.seed, options.threads, options.quick, options.isa)


def _bfloat16(options: argparse.Namespace) -> dict[str, Any]:
    from . import bfloat16

    return bfloat16.run(options.layers, options.threads, options.quick, options.isa)


def _quantized(options: argparse.Namespace) -> dict[str, Any]:
    from . import quantized

    return quantized.run(options.layers, options.threads, options.quick, options.isa)


def _networks(options: argparse.Namespace) -> dict[str, Any]:
    from . import networks

    return networks.run(options.layers, options.threads, options.quick, options.isa)


def _points(options: argparse.Namespace) -> dict[str, Any]:
    from . import accuracy

    return accuracy.run(options.quick)


def _micro(options: argparse.Namespace) -> dict[str, Any]:
    from . import micro

    processes.restrict(options.threads)
    return micro.run(options.threads, [options.isa] if options.isa else [], options.quick)


def _overhead(options: argparse.Namespace) -> dict[str, Any]:
    from . import overhead

    processes.restrict(options.threads)
    if options.isa:
        os.environ["FASTCONV_ISA"] = options.isa
    return overhead.run(options.threads, options.quick)


#: Each with the section that it keeps.
COMMANDS: dict[str, tuple[str, Callable[[argparse.Namespace], dict[str, Any]]]] = {
    "compare": ("comparison", _compare),
    "errors": ("errors", _errors),
    "memory": ("memory", _memory),
    "grid": ("grid", _grid),
    "quantized": ("quantized", _quantized),
    "networks": ("networks", _networks),
    "points": ("points", _points),
    "bfloat16": ("bfloat16", _bfloat16),
    "micro": ("micro", _micro),
    "overhead": ("overhead", _overhead),
}


def _measure(command: str, options: argparse.Namespace) -> int:
    section, run = COMMANDS[command]
    result = {"command": _spelled(command, options), **run(options)}
    if options.json:
        _keep(options.json, _kept(options.json) | {section: result})
    if command == "networks" and options.docs:
        from . import networks

        networks.write(result, options.docs)
    return int(_wrong(result))


def _report(options: argparse.Namespace) -> int:
    from . import report

    options.json = options.json or Path("build", "benchmarks.json")
    commands = {section: command for command, (section, _) in COMMANDS.items()}
    for section in report.SECTIONS:
        if section not in _kept(options.json):
            _measure(commands[section], options)
    results = _kept(options.json)
    report.write(results, options.docs or report.DOCS)
    return int(any(_wrong(results[section]) for section in report.SECTIONS))


def _wrong(result: dict[str, Any]) -> bool:
    """Whether a result of fastconv's failed its verification."""
    failures = [f["peer"] for f in result.get("summary", {}).get("failures", ())]
    failures += [f for row in result.get("rows", ()) for f in row.get("failures", ())]
    return any(failure.startswith("fastconv") for failure in failures)


def _spelled(command: str, options: argparse.Namespace) -> str:
    """Return the command line of a section, without what only names files."""
    names = (*OPTIONS.get(command, ()), "quick")
    default = _parser().parse_args([command])
    words = ["python", "-m", "benchmarks", command]
    for name in names:
        value = getattr(options, name)
        if value is True:
            words.append(f"--{name}")
        elif value != getattr(default, name) or name in ("count", "seed"):
            words += [f"--{name}", ",".join(value) if isinstance(value, tuple) else str(value)]
    return shlex.join(words)


def _kept(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _keep(path: Path, results: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
