"""Entry point: the group of sub-commands, and exit codes for everything that can go wrong.

0 done, 1 error (printed with what to do about it), 2 wrong usage, 3 some inputs of several failed, 130 interrupted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from types import FrameType

import click

from lrmcodec import __version__
from lrmcodec.cli.archive import archive
from lrmcodec.cli.bench import bench
from lrmcodec.cli.console import Console, printable, take_any_text
from lrmcodec.cli.decode import decode
from lrmcodec.cli.demo import demo
from lrmcodec.cli.encode import encode
from lrmcodec.cli.export import export
from lrmcodec.cli.info import info
from lrmcodec.cli.packs import packs
from lrmcodec.cli.plot import plot
from lrmcodec.cli.readout import readout
from lrmcodec.cli.report import report
from lrmcodec.cli.simulate import simulate
from lrmcodec.cli.train import train
from lrmcodec.cli.verify import verify
from lrmcodec.cli.walk import walk
from lrmcodec.cli.wrap import unwrap, wrap
from lrmcodec.formats.errors import LrmError

FAILED, INTERRUPTED = 1, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.option("-q", "--quiet", is_flag=True, help="Print errors and asked-for data only.")
@click.option("-v", "--verbose", is_flag=True, help="Print every step, and the cause behind an error.")
@click.pass_context
def cli(context: click.Context, quiet: bool, verbose: bool) -> None:
    """Low-rank-modulated codec for ultrasound video.

    \b
    lrmcodec encode clip.avi --ratio 300     writes clip.lrm
    lrmcodec decode clip.lrm --fps 100       writes clip.mp4, with frames at any times
    lrmcodec info clip.lrm                   says where every byte goes
    lrmcodec readout clip.lrm                beats, end diastole and end systole
    """  # noqa: D301 (click reads \b)
    if quiet and verbose:
        raise click.UsageError("--quiet and --verbose exclude each other.")
    context.ensure_object(Console).level = int(verbose) - int(quiet)


for command in (encode, decode, info, readout, plot, walk, report, verify, archive, export, packs, wrap, unwrap,
                simulate, train, bench, demo):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; `arguments` default to those of the process."""
    # Two threads gain a few percent here, but beside other work they wait for each other several times longer.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch's threads would spin while they wait
    console = Console()
    take_any_text(sys.stdout, sys.stderr)
    try:
        with _interruptible(console):
            code = cli.main(arguments, prog_name="lrmcodec", standalone_mode=False, obj=console)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except (LrmError, OSError, MemoryError) as error:
        return _failed(error, console.level > 0)


@contextlib.contextmanager
def _interruptible(console: Console) -> Iterator[None]:
    """Keep in mind that Ctrl-C was pressed; where it is ignored, as after nohup, that is left alone."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        console.interrupted = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _failed(error: LrmError | OSError | MemoryError, verbose: bool) -> int:
    """Print an error the way all errors are printed."""
    if isinstance(error, OSError) and not isinstance(error, LrmError):
        _drop_stdout()
        if error.errno == errno.EPIPE:  # whoever read our output has gone
            return FAILED
    what, hint = _explain(error)
    click.echo(f"error: {printable(what)}", err=True)
    if hint:
        click.echo(f"  {printable(hint)}", err=True)
    cause = error.__cause__
    while verbose and cause is not None:
        click.echo(f"  because of {type(cause).__name__}: {printable(cause)}", err=True)
        cause = cause.__cause__
    return FAILED


def _explain(error: LrmError | OSError | MemoryError) -> tuple[str, str]:
    if isinstance(error, LrmError):
        return error.what, error.hint
    if isinstance(error, MemoryError):
        return "there is not enough memory.", "Use a part of the clip with --duration, or smaller frames with --size."
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or type(error).__name__}.", ""


def _drop_stdout() -> None:
    """Send what is still buffered nowhere, so that the interpreter does not fail on it again when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
