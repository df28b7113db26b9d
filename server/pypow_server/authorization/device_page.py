# SPDX-License-Identifier: Apache-2.0
"""The pages on which a person works for a device: its code first, then the work, then done."""

from html import escape
from typing import Final

from pypow_server.reply import Reply

from .authorize_page import alert, framed, work_fields
from .oauth_error import OAuthError
from .offers import Earning
from .place import DEVICE
from .user_codes import UserCode

_HERE: Final = ("'self'",)


def code_page(*, error: OAuthError | None = None) -> Reply:
    """Asks for the code that the device shows."""
    status = 200 if error is None else error.status
    return framed(status, _CODE.format(error=alert(error), action=DEVICE), _HERE)


def work_page(
    code: UserCode, earning: Earning, *, issuer: str, error: OAuthError | None = None
) -> Reply:
    """Offers work for the device that shows this code.

    Args:
        code: what it shows.
        earning: what is to be done.
        issuer: what the device would get into.
        error: what was wrong with what came before; None for nothing.
    """
    body = _WORK.format(
        code=code.text,
        issuer=escape(issuer),
        error=alert(error),
        action=DEVICE,
        work=work_fields(earning),
    )
    return framed(200, body, _HERE)


def done_page() -> Reply:
    """Sends the person back to the device."""
    return framed(200, _DONE, ("'none'",))


def retry_page(code: UserCode, receipt: str, *, error: OAuthError) -> Reply:
    """Asks to send again, without work, what could not be recorded."""
    body = _RETRY.format(error=alert(error), action=DEVICE, code=code.text, receipt=escape(receipt))
    return framed(error.status, body, _HERE)


_CODE: Final = """\
<h1>Let a device in</h1>
{error}
<form method="get" action="{action}">
<p><label>The code that it shows <input name="user_code" required maxlength="64" autofocus
 autocomplete="off" autocapitalize="characters" spellcheck="false"></label>
<button>Go on</button></p>
</form>
"""

_WORK: Final = """\
<h1>Let a device in</h1>
<p>A device or program that shows the code <strong>{code}</strong> asks for access to
<code>{issuer}</code>. There is no account: access is earned with a little computation. Go on only
if you have it before you and it shows just this code; leave this page if somebody sent you
here.</p>
{error}
<form id="work" method="post" action="{action}">
<input type="hidden" name="user_code" value="{code}">
{work}
</form>
"""

_DONE: Final = """\
<h1>Done</h1>
<p role="status">The device goes on by itself in a few seconds. You can close this page.</p>
"""

_RETRY: Final = """\
<h1>Not yet</h1>
{error}
<p>Your work was taken, and is not lost.</p>
<form method="post" action="{action}">
<input type="hidden" name="user_code" value="{code}">
<input type="hidden" name="receipt" value="{receipt}">
<p><button>Try again</button></p>
</form>
"""
