# SPDX-License-Identifier: Apache-2.0
"""A Django project behind the gate; the last lines are what belongs in its ``asgi.py``.

Run it with ``python examples/gate_a_django_app.py`` and ask with
``curl -i http://127.0.0.1:8402/search``.
"""

import uvicorn
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from pypow_server import guard


def search(request: HttpRequest) -> JsonResponse:
    """What the work buys."""
    return JsonResponse({"charged": request.scope["pypow.principal"]})


urlpatterns = [path("search", search)]

if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"])

application = guard(get_asgi_application(), prices={"GET /search": 12})

if __name__ == "__main__":
    uvicorn.run(application, host="127.0.0.1", port=8402, proxy_headers=False)
