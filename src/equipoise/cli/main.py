"""The entry point: `equipoise COMMAND`. Commands import what they need when they run, so that help is instant."""

from __future__ import annotations

import os
import sys

# One BLAS thread a process: the kernels bring their own threads (measured: up to 600 times slower otherwise).
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import typer  # noqa: E402

from equipoise.cli import records  # noqa: E402
from equipoise.errors import EquipoiseError  # noqa: E402

app = typer.Typer(
    name="equipoise",
    help="The appraisal of a clinical trial, made executable.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(records.app, name="records")


def main() -> None:
    """Run the command line; a user's mistake ends in one message and exit code 2, Ctrl-C in 130."""
    try:
        app(standalone_mode=True)
    except EquipoiseError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  hint: {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
