"""Comparison with other scanners.

The gate finds the secrets that detect-secrets knows by form, and lists the imports that picklescan
finds in a pickle.
"""

from __future__ import annotations

import base64
import io
import pickle
import random
import string
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from detect_secrets.core.scan import scan_line
from detect_secrets.settings import transient_settings
from picklescan.scanner import scan_bytes

from ckpt_tools.scan.folder import single
from ckpt_tools.scan.secrets import secrets
from tests.rules.test_ck8 import array, packed, tarred

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
BY_FORM = (
    "AWSKeyDetector",
    "AzureStorageKeyDetector",
    "BasicAuthDetector",
    "GitHubTokenDetector",
    "GitLabTokenDetector",
    "JwtTokenDetector",
    "MailchimpDetector",
    "NpmDetector",
    "OpenAIDetector",
    "PrivateKeyDetector",
    "PypiTokenDetector",
    "SendGridDetector",
    "SlackDetector",
    "SquareOAuthDetector",
    "StripeDetector",
    "TelegramBotTokenDetector",
    "TwilioKeyDetector",
)
"""Its detectors of forms that an issuer gives.

Those that go by entropy or by a variable's name alone are left out, and so is the id of a Twilio
account.
"""


def drawn(generator: random.Random, length: int, alphabet: str = ALNUM) -> str:
    return "".join(generator.choice(alphabet) for _ in range(length))


def jwt(draw: Callable[..., str]) -> str:
    parts = (
        b'{"alg": "HS256", "typ": "JWT"}',
        b'{"sub": "' + draw(12).encode() + b'", "admin": true}',
    )
    return ".".join(
        [*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), draw(43)]
    )


FORMS: dict[str, Callable[[Callable[..., str]], str]] = {
    "AWS Access Key": lambda draw: f"key: AKIA{draw(15, string.ascii_uppercase)}7",
    "AWS Access Key, temporary": lambda draw: f"ASIA{draw(15, string.ascii_uppercase)}2",
    "Azure Storage Account access key": lambda draw: f"AccountKey={draw(86)}==",
    "Basic Auth Credentials": lambda draw: f"https://ada:{draw(14)}@example.com/x",
    "GitHub Token": lambda draw: f"ghs_{draw(36)}",
    "GitLab Token": lambda draw: f"glpat-{draw(19)}5",
    "GitLab Token, deploy": lambda draw: f"gldt-{draw(19)}5",
    "GitLab Token, runner": lambda draw: f"GR1348941{draw(19)}x",
    "JSON Web Token": jwt,
    "Mailchimp Access Key": lambda draw: f"{draw(32, HEX)}-us12",
    "NPM tokens": lambda draw: f"//packages.example/:_authToken=npm_{draw(36)}",
    "OpenAI Token": lambda draw: f"sk-{draw(20)}T3BlbkFJ{draw(19)}1",
    "Private Key": lambda draw: f"-----BEGIN RSA PRIVATE KEY-----\n{draw(64)}\n",
    "PyPI Token": lambda draw: f"pypi-AgEIcHlwaS5vcmc{draw(80)}",
    "SendGrid API Key": lambda draw: f"SG.{draw(22)}.{draw(43)}",
    "Slack Token": lambda draw: f"xoxb-{draw(12, string.digits)}-{draw(24)}",
    "Square OAuth Secret": lambda draw: f"sq0csp-{draw(43)}",
    "Stripe Access Key": lambda draw: f"sk_live_{draw(24)}",
    "Telegram Bot Token": lambda draw: f"{draw(9, '123456789')}:AA{draw(33)}",
    "Twilio API Key": lambda draw: f"SK{draw(32, HEX)}",
}


@pytest.mark.parametrize("name", sorted(FORMS))
def test_secrets_that_detect_secrets_knows_by_form_are_found(name: str) -> None:
    generator = random.Random(name)  # noqa: S311 - secrets that open nothing
    with transient_settings({"plugins_used": [{"name": plugin} for plugin in BY_FORM]}):
        for _ in range(20):
            sample = FORMS[name](lambda *how: drawn(generator, *how))
            detected = {secret.type for line in sample.splitlines() for secret in scan_line(line)}
            assert name.partition(",")[0] in detected, "detect-secrets does not detect its own form"
            assert secrets(sample), sample


# --- pickles --------------------------------------------------------------------------------------


class Evil:
    """Runs a command when it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("1 + 1",)


VALUES: dict[str, object] = {
    "a call": Evil(),
    "a call inside": {"state": [1, Evil()]},
    "a harmless class": OrderedDict(a=1),
    "a function": [len],
}
CONTAINERS: dict[str, Callable[[bytes], bytes]] = {
    "bare": bytes,
    "zip": lambda data: packed(**{"archive__data.pkl": data}),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("value", VALUES)
def test_imports_that_picklescan_finds_are_listed(
    value: str, container: str, protocol: int, tmp_path: Path
) -> None:
    data = CONTAINERS[container](pickle.dumps(VALUES[value], protocol=protocol))
    detected = {
        f"{found.module}.{found.name}"
        for found in scan_bytes(
            io.BytesIO(data), "x.pkl", ".zip" if container == "zip" else ".pkl"
        ).globals
    }
    assert detected, "picklescan finds nothing"
    (tmp_path / "weights.png").write_bytes(data)
    (entry,) = single(str(tmp_path / "weights.png"))
    assert entry.pickle
    assert detected <= set(entry.imports)


@pytest.mark.parametrize("value", VALUES)
def test_imports_in_arrays_and_archives_are_listed(value: str, tmp_path: Path) -> None:
    for number, data in enumerate(
        (array(np.array([VALUES[value]], dtype=object)), tarred(pickle.dumps(VALUES[value])))
    ):
        path = tmp_path / f"{number}.png"
        path.write_bytes(data)
        (entry,) = single(str(path))
        assert entry.pickle
        assert entry.imports
