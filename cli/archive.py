"""`lrmcodec archive`: folders of studies into an archive, which is checked, searched and restored by sub-commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lrmcodec.cli import options
from lrmcodec.cli.archive_check import repair, verify
from lrmcodec.cli.archive_find import find, list_files, stats
from lrmcodec.cli.archive_report import report
from lrmcodec.cli.archive_restore import restore
from lrmcodec.cli.archive_shared import SOME_FAILED, amount_bytes, json_option, ratio_words, workers_options
from lrmcodec.cli.console import Console, Rows, pass_console
from lrmcodec.cli.files import DICOM_NOTE, amount

if TYPE_CHECKING:
    from lrmcodec.archive.create import Plan, Summary
    from lrmcodec.archive.policy import Policy
    from lrmcodec.archive.sources import Source
    from lrmcodec.archive.workers import Workers

DEFAULT = "create"
WORDS = {
    "clip": "coded clips", "still": "stills", "report": "reports", "waveform": "waveforms", "color": "color clips",
    "index": "DICOMDIRs", "other": "other files", "policy": "clips that the policy keeps",
    "uncodable": "clips that cannot be coded", "archived": "in the archive already", "unreadable": "unreadable files",
}
SHOWN = 20
"""Failures that are printed; --json has them all."""


class DefaultGroup(click.Group):
    """A group whose command `create` need not be named."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Put the default command in front of arguments that name none."""
        if args and args[0] not in {*self.commands, "-h", "--help"}:
            args = [DEFAULT, *args]
        return super().parse_args(context, args)


@click.group(cls=DefaultGroup)
def archive() -> None:
    """Archive echo studies: clips coded, everything else kept byte for byte.

    \b
    lrmcodec archive STUDIES -o ARCHIVE       make an archive, or go on with one; see 'archive create --help'
    lrmcodec archive verify ARCHIVE           check that everything can be restored
    lrmcodec archive list ARCHIVE             say what is in it
    lrmcodec archive restore ARCHIVE --all -o DIR

    A folder that is named like a sub-command is given as ./verify.
    """  # noqa: D301 (click reads \b)


@archive.command(DEFAULT)
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("-o", "--output", metavar="ARCHIVE", required=True, help="Folder, or a URL such as s3://bucket/archive.")
@click.option("--quality", type=options.parse_quality, metavar="Q",
              help="Clips: the smallest that keep a quality, 0 to 100, preview, review (default) or diagnostic.")
@click.option("--ratio", type=click.FloatRange(min=1), metavar="X", help="Clips: X times smaller than their pixels.")
@click.option("--psnr", type=options.POSITIVE, metavar="DB", help="Clips: a mean PSNR of at least DB.")
@click.option("--min-ssim", type=options.MIN_SSIM, metavar="S",
              help="Clips: an SSIM3D of at least S, whatever else is asked; else keep the file.")
@click.option("--policy", metavar="TOML", help="File of targets by modality, view and path; see docs/archive.md.")
@click.option("--pack", metavar="P", help="Decoder pack: a shipped one's name, or a folder.")
@click.option("--lossless-originals", is_flag=True, help="Keep every file byte for byte as well.")
@click.option("--keep-study", is_flag=True, help="Keep patient and study data of DICOM headers; else nothing of it.")
@click.option("--mask", type=click.Choice(["sector"]), help="Set what lies beside the ultrasound of clips to 0.")
@click.option("--review", metavar="DIR", help="With --mask: write contact sheets of clips before and after to DIR, and "
              "archive nothing yet.")
@click.option("--hash-paths", is_flag=True, help="Store digests instead of the files' names.")
@click.option("--shard", metavar="I/N", help="Do only part I of N, for job arrays; all write to one archive.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@workers_options
@json_option
@pass_console
def create(console: Console, /, sources: tuple[str, ...], output: str, shard: str | None, dry_run: bool,
           review: str | None, processes: int | None, scheduler: str | None, as_json: bool, **asked: Any) -> int:
    """Archive files, folders, DICOMDIRs and zips.

    Clips become .lrm; stills, reports, waveforms, color and whatever cannot be coded are kept byte for byte. Sources
    are never changed. What is in the archive is skipped, so that the same command goes on after an interruption. An
    archive keeps the settings that it was made with. The exit code is 3 when some files could not be read or decoded.
    """
    from lrmcodec.archive.sources import walk
    from lrmcodec.cli.archive_shared import make_workers

    options.at_most_one(**{name: asked[name] for name in ("quality", "ratio", "psnr")})
    if review is not None and asked["mask"] is None:
        raise click.UsageError("--review shows what --mask does; give both.")
    policy = _policy(asked)
    part = _shard(shard)
    workers = make_workers(processes, scheduler)
    if dry_run:
        _show_plan(console, _plan(console, output, sources, part), as_json)
        return 0
    with console.progress() as progress:
        progress(None, "looking for files")
        found = list(walk(sources, output))
    if review is not None:
        return _review(console, found, Path(review), workers, as_json)
    summary = _run(console, output, policy, found, part, workers)
    _show(console, output, summary, as_json, asked["keep_study"])
    return SOME_FAILED if summary.has_failed else 0


def _policy(asked: dict[str, Any]) -> Policy | None:
    """What the options say; None when they say nothing, and the archive's own settings hold."""
    from lrmcodec.archive.policy import policy_from, read_policy
    from lrmcodec.decoders.registry import find_pack

    given = {key: value for key, value in asked.items() if value not in (None, False)}
    if not given:
        return None
    values = read_policy(Path(given.pop("policy"))) if "policy" in given else {}
    target = {key: given.pop(key) for key in ("quality", "ratio", "psnr") if key in given}
    default = dict(values.get("default", {}))
    if target:
        default = {key: value for key, value in default.items() if key == "min_ssim"} | target
    if "min_ssim" in given:
        default["min_ssim"] = given.pop("min_ssim")
    policy = policy_from({**values, **given, "default": default})
    find_pack(policy.pack)
    return policy


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, _, last = text.partition("/")
    if not (first.isdigit() and last.isdigit() and 1 <= int(first) <= int(last)):
        raise click.UsageError(f"--shard {text} is not of the form I/N with I from 1 to N.")
    return int(first), int(last)


def _run(console: Console, output: str, policy: Policy | None, found: list[Source], part: tuple[int, int] | None,
         workers: Workers) -> Summary:
    from lrmcodec.archive.create import create as run
    from lrmcodec.archive.home import make_archive
    from lrmcodec.archive.sources import in_shard

    if part is not None:
        found = [source for source in found if in_shard(source, part)]
    total = max(sum(source.size_bytes for source in found), 1)

    def watch(summary: Summary) -> None:
        progress(summary.bytes / total, f"{summary.files:,} of {len(found):,} files, {amount_bytes(summary.bytes)}"
                                        f"{ratio_words(summary.bytes, summary.stored_bytes)}")

    with console.progress() as progress:
        return run(make_archive(output, policy), found, workers, shard=part, watch=watch)


def _review(console: Console, found: list[Source], folder: Path, workers: Workers, as_json: bool) -> int:
    """Write contact sheets and say what to do with them."""
    from lrmcodec.archive.review import Reviewed
    from lrmcodec.archive.review import review as run

    def watch(done: Reviewed) -> None:
        count = done.sheets + done.others + len(done.unmasked)
        progress(count / len(found), f"{count:,} of {len(found):,} files, {amount(done.sheets, 'sheet')}")

    with console.progress() as progress:
        done = run(found, folder, workers, watch)
    if as_json:
        console.data({"sheets": done.sheets, "output": str(folder), "others": done.others,
                      "unmasked": [{"path": path, "reason": reason} for path, reason in done.unmasked]})
    elif console.level >= 0:
        console.facts([("Written", f"{amount(done.sheets, 'contact sheet')} to {folder}"),
                       ("Next", "look at all of them; then run the command again without --review")])
    for path, reason in done.unmasked[:SHOWN] if not as_json else ():
        console.warn(f"{path}: {reason.rstrip('.')}")
    return SOME_FAILED if done.unmasked else 0


def _plan(console: Console, output: str, sources: tuple[str, ...], part: tuple[int, int] | None) -> Plan:
    """Walks twice instead of keeping a list of all files, of which there may be millions."""
    from lrmcodec.archive.create import plan
    from lrmcodec.archive.errors import ArchiveError
    from lrmcodec.archive.home import open_archive
    from lrmcodec.archive.sources import walk

    try:
        there = open_archive(output)
    except ArchiveError:
        there = None
    with console.progress() as progress:
        progress(None, "looking for files")
        count = sum(1 for _ in walk(sources, output))
        return plan(there, walk(sources, output), part,
                    lambda made: progress(made.files.total() / count, "reading headers"))


def _show_plan(console: Console, made: Plan, as_json: bool) -> None:
    if as_json:
        console.data({"files": dict(made.files), "bytes": dict(made.bytes)})
    elif made.files:
        console.table([(f"{count:,}", WORDS[kind], amount_bytes(made.bytes[kind]))
                       for kind, count in made.files.most_common()], ("Files", "What", "Size"))
    else:
        console.facts([("Files", "none")])


def _show(console: Console, output: str, summary: Summary, as_json: bool, keep_study: bool) -> None:
    failed = [{"path": path, "reason": reason, "kept": True} for path, reason in summary.uncodable]
    failed += [{"path": failure.path, "reason": failure.reason, "kept": False} for failure in summary.failures]
    if as_json:
        console.data({
            "archive": output, "files": summary.files, "bytes": summary.bytes, "new": summary.new,
            "skipped": summary.skipped, "stored_bytes": summary.stored_bytes, "kinds": dict(summary.kinds),
            "failed": failed,
            "ratio": round(summary.bytes / summary.stored_bytes, 3) if summary.stored_bytes else None})
    elif console.level >= 0:
        rows: Rows = [
            ("Archive", output),
            ("Files", f"{summary.files:,}: {summary.new:,} new, {summary.skipped:,} in the archive already, "
                      f"{len(summary.failures):,} not archived"),
            *[("", f"{count:,} {WORDS[kind]}") for kind, count in summary.kinds.most_common()],
            ("Size", f"{amount_bytes(summary.bytes)} in, {amount_bytes(summary.stored_bytes)} stored"
                     f"{ratio_words(summary.bytes, summary.stored_bytes)}"),
        ]
        console.facts(rows)
    kept = summary.files - len(summary.failures) - summary.kinds["clip"]
    if kept and not keep_study:
        console.note(f"{amount(kept, 'file')} kept byte for byte: whatever they say about patients, they still say.")
    if summary.kinds["clip"]:
        console.note(DICOM_NOTE)
    for each in failed[:SHOWN]:
        what = "kept byte for byte" if each["kept"] else "not archived"
        console.warn(f"{each['path']}: {str(each['reason']).rstrip('.')} ({what})")
    if len(failed) > SHOWN:
        console.warn(f"and {len(failed) - SHOWN:,} more; --json lists them all")


for command in (verify, repair, restore, list_files, find, stats, report):
    archive.add_command(command)

