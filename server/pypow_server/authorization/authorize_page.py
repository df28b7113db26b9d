# SPDX-License-Identifier: Apache-2.0
"""The page on which a person lets a browser work for a code; without scripts it says how."""

from collections.abc import Sequence
from html import escape
from typing import Final

from pypow import difficulty
from pypow_server.reply import Header, Reply
from pypow_server.scope import Scope

from .codes import Wanted
from .oauth_error import OAuthError
from .offers import Earning
from .place import AUTHORIZE, SCRIPT, STYLE
from .redirects import origin

_TITLE: Final = "Earn access"


def page(
    wanted: Wanted, earning: Earning, *, request: str, error: OAuthError | None = None
) -> Reply:
    """The page for one request.

    Args:
        wanted: what its client asks for.
        earning: what would earn it.
        request: what is sent back with that.
        error: what was wrong with what came before; None for nothing.
    """
    name = escape(wanted.client_name) or "A program"
    body = _BODY.format(
        name=name,
        where=escape(origin(wanted.redirect_uri)),
        resource=escape(wanted.audience),
        error=alert(error),
        action=AUTHORIZE,
        request=escape(request),
        work=work_fields(earning),
        payment="" if earning.invoice is None else _payment(earning, request),
    )
    # Where a form leads on to counts as one of its targets (CSP 3, section 6.1.9).
    targets = ("'self'", origin(wanted.redirect_uri))
    return framed(200, body, targets)


def error_page(error: OAuthError, *, back: str | None = None) -> Reply:
    """What a person sees whose client gets no code.

    Args:
        error: why.
        back: where the client is told so; None where it must not be.
    """
    body = f"<h1>This does not work</h1>{alert(error)}"
    if back is not None:
        where = escape(origin(back))
        body += f'<p><a href="{escape(back)}">Tell the program at <code>{where}</code></a></p>'
    return framed(error.status, body, ("'none'",))


def reads_html(scope: Scope) -> bool:
    """Whether a page is wanted, and not JSON."""
    accepts = b",".join(value for name, value in scope["headers"] if name.lower() == b"accept")
    return b"text/html" in accepts.lower()


def alert(error: OAuthError | None) -> str:
    """What was wrong, as a page says it; nothing for nothing."""
    return "" if error is None else f'<p role="alert">{escape(error.detail)}</p>'


def work_fields(earning: Earning) -> str:
    """The fields of a form that lets a browser, or its person, work."""
    published = earning.challenge.published()
    return _WORK.format(
        challenge=escape(earning.challenge.text),
        target=published["target"],
        expires=published["expires_at"],
        bits=difficulty.bits(earning.challenge.q),
        solve=escape(earning.solve),
    )


def _payment(earning: Earning, request: str) -> str:
    return _PAYMENT.format(
        sats=earning.sats,
        invoice=escape(earning.invoice or ""),
        macaroon=escape(earning.macaroon),
        action=AUTHORIZE,
        request=escape(request),
    )


def framed(status: int, body: str, targets: Sequence[str]) -> Reply:
    """A page of this server.

    Args:
        status: HTTP status code.
        body: HTML.
        targets: where its forms may lead.
    """
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; worker-src 'self'; "
        f"base-uri 'none'; form-action {' '.join(targets)}; frame-ancestors 'none'"
    )
    headers: tuple[Header, ...] = (
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", policy.encode("ascii")),
        (b"cache-control", b"no-store"),
        (b"referrer-policy", b"no-referrer"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
    )
    text = _PAGE.format(title=_TITLE, style=STYLE, script=SCRIPT, body=body)
    return Reply(status, headers, text.encode("utf-8"))


_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="{style}">
<script src="{script}" defer></script>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""

_BODY: Final = """\
<h1>Earn access</h1>
<p><strong>{name}</strong> asks for access to <code>{resource}</code>. There is no account: access
is earned with a little computation. It will be handed to <code>{where}</code>; leave this page if
that is not where you come from.</p>
{error}
<form id="work" method="post" action="{action}">
<input type="hidden" name="request" value="{request}">
{work}
</form>
{payment}
"""

_WORK: Final = """\
<input type="hidden" name="challenge" value="{challenge}" data-target="{target}"
 data-expires="{expires}">
<p id="solving" hidden>
<button type="button" id="solve">Let this browser work for it</button>
<span id="state" role="status"></span></p>
<details id="by-hand" open>
<summary>By hand</summary>
<p>This takes 2<sup>{bits:g}</sup> hashes on average. Run this, and enter the nonce that it
prints:</p>
<pre><code>{solve}</code></pre>
<p><label>Nonce <input id="nonce" name="nonce" required pattern="[0-9A-Za-z_\\-]+" maxlength="15"
 autocomplete="off" spellcheck="false"></label>
<button>Send</button></p>
</details>
"""

_PAYMENT: Final = """\
<section aria-labelledby="pay">
<h2 id="pay">Or pay {sats} sats</h2>
<p>Pay this Lightning invoice, and enter the preimage that your wallet shows as proof:</p>
<pre><code>{invoice}</code></pre>
<form method="post" action="{action}">
<input type="hidden" name="request" value="{request}">
<input type="hidden" name="macaroon" value="{macaroon}">
<p><label>Preimage <input name="preimage" required pattern="[0-9a-fA-F]{{64}}" maxlength="64"
 autocomplete="off" spellcheck="false"></label>
<button>Send</button></p>
</form>
</section>
"""
