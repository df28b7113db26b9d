# SPDX-License-Identifier: Apache-2.0
"""`pypow l402`: what is sold for sats, seen from the side of callers and of operators."""

import typer

from . import l402_doctor, l402_ledger

app = typer.Typer(help="Look at what is sold for sats.")
app.command("doctor", epilog=l402_doctor.EPILOG)(l402_doctor.doctor)
app.command("ledger", epilog=l402_ledger.EPILOG)(l402_ledger.ledger)
