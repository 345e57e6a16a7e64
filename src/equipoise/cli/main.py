"""The entry point: `equipoise COMMAND`. Commands import what they need when they run, so that help is instant."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import warnings

# One BLAS thread a process: the kernels bring their own threads (measured: up to 600 times slower otherwise).
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import typer  # noqa: E402

from equipoise import __version__  # noqa: E402
from equipoise.cli import (  # noqa: E402
    analyse,
    appraise,
    design,
    fit,
    importing,
    judgements,
    landscape,
    natural_history,
    posterior,
    power,
    questions,
    records,
    replicate,
    simulate,
    studio,
    surrogate,
    winners_curse,
)
from equipoise.errors import EquipoiseError  # noqa: E402

# The base of Typer's usage errors; which module holds it differs between its releases.
_USAGE: type[typer.BadParameter] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
_INTERRUPTED = 130

WELCOME = """\
[bold]Equipoise[/bold] {version}: the appraisal of a clinical trial, made executable.

Try first:
  [bold]equipoise appraise valor[/bold]        write the page: what was published, rebuilt, tested, explained
  [bold]equipoise replicate valor[/bold]       the published trial beside thousands of virtual ones
  [bold]equipoise records[/bold]               the trials on record; [bold]records show valor[/bold] reads one

Also:
  equipoise simulate valor --adam DIR   virtual trials as data files
  equipoise analyse PLAN --data FOLDER  a real trial's ADaM files through the same estimators
  equipoise design next-als             designs of the next trial, judged in every world
  equipoise power mmrm ...              power and sample size in closed form
  equipoise studio                      all of this in the browser
  equipoise import NCT01234567          a registry entry as a record
  equipoise fit valor --out FILE        fit the disease and the drug to the published curves again
  equipoise posterior valor             what the published numbers say of how the drug works
  equipoise --help                      every command; COMMAND --help its options
"""

app = typer.Typer(
    name="equipoise",
    help="The appraisal of a clinical trial, made executable.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help needs no import of rich: 0.2 s less
)
app.command("appraise")(appraise.appraise)
app.command("replicate")(replicate.replicate)
app.command("simulate")(simulate.simulate)
app.command("design")(design.design)
app.command("fit")(fit.fit)
app.command("posterior")(posterior.posterior)
app.command("analyse")(analyse.analyse)
app.command("landscape")(landscape.landscape)
app.command("natural-history")(natural_history.natural_history)
app.command("winners-curse")(winners_curse.winners_curse)
app.command("surrogate")(surrogate.surrogate)
app.command("questions")(questions.questions)
app.command("judgements")(judgements.judgements)
app.command("studio")(studio.studio)
app.command("import")(importing.import_study)
app.add_typer(records.app, name="records")
app.add_typer(power.app, name="power")


@app.callback(invoke_without_command=True)
def welcome(
    context: typer.Context, version: bool = typer.Option(False, "--version", help="Print the version and stop.")
) -> None:
    """The appraisal of a clinical trial, made executable."""
    if version:
        print(f"equipoise {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        from rich.console import Console

        Console(highlight=False).print(WELCOME.format(version=__version__))


def main() -> None:
    """Run the command line; a user's mistake ends in one message and exit code 2, Ctrl-C in 130, SIGTERM in 143."""
    _open_standard_streams()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that temporary folders are cleared then, too
    warnings.showwarning = _show_warning
    code: object = 0
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except EquipoiseError as error:
        _tell(f"error: {error.message}" + (f"\n  hint: {error.hint}" if error.hint else ""))
        code = error.exit_code
    except _USAGE as error:
        error.show()
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except BrokenPipeError:
        _discard_output()  # whoever read the output has seen enough
    except OSError as error:
        place = "standard output" if error.filename is None else str(error.filename)[:120]
        _tell(f"error: {place}: cannot be written or read ({error.strerror or error})")
        _discard_output()
        code = 2
    except MemoryError:
        _tell("error: not enough memory for this")
        code = 2
    if code == _INTERRUPTED:
        _tell("interrupted")
    sys.exit(code if isinstance(code, int) else 0)


def _open_standard_streams() -> None:
    """Give a closed standard stream a place, so that no file of ours gets its number; writing to it is an error."""
    for number, name, mode in ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, mode)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))  # noqa: SIM115


def _discard_output() -> None:
    """Send what is left in the buffer nowhere, so that the interpreter does not stumble over it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _tell(text: str) -> None:
    """A message on standard error; if that is full or closed there is nobody to tell."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    _tell(f"warning: {message}")
