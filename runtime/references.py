"""Secrets by reference: ``${env:NAME}``, ``${file:/path}``, ``${aws-secret:arn#key}``; ``$${`` is a literal ``${``."""

from __future__ import annotations

import importlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<provider>[^:}]*):?(?P<name>[^}]*)\}")


class UnresolvedError(Exception):
    """A reference leads nowhere; ``what`` and ``fix`` never hold a secret."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what, self.fix = what, fix


def resolve(text: str) -> str:
    """Return a text with its references replaced by what they lead to; raises UnresolvedError for the first bad one.

    What a reference leads to is taken as it is: references in it are not followed.
    """
    return _REFERENCE.sub(_replace, text)


def _replace(match: re.Match[str]) -> str:
    if match["provider"] is None:
        return "${"
    provider = _PROVIDERS.get(match["provider"])
    if provider is None or not match["name"]:
        raise UnresolvedError(f"{match[0]!r} is no reference", "write ${env:NAME} or ${file:/path}; $${ for a plain ${")
    return provider(match["name"])


def _env(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise UnresolvedError(f"the environment variable {name} is not set", f"export {name}=...")
    return value


def _file(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UnresolvedError(
            f"cannot read the file {name}: {reason}", "write the secret into it, readable by us"
        ) from None


def _aws_secret(name: str) -> str:
    """Return a secret of AWS Secrets Manager; ``#key`` picks a member of a JSON secret."""
    arn, _, key = name.partition("#")
    try:
        boto3 = importlib.import_module("boto3")
    except ImportError:
        raise UnresolvedError("aws-secret needs boto3, which is not installed", "pip install boto3") from None
    try:
        text: str = boto3.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
    except Exception as error:  # noqa: BLE001 - botocore makes its exception classes at run time
        raise UnresolvedError(
            f"AWS Secrets Manager does not give {arn}: {type(error).__name__}",
            "check the ARN, the region, and that this role may call secretsmanager:GetSecretValue",
        ) from None
    return _member(text, key, arn) if key else text


def _member(text: str, key: str, arn: str) -> str:
    try:
        value: Any = json.loads(text)[key]
    except (ValueError, KeyError, TypeError):
        raise UnresolvedError(f"the secret {arn} has no member {key}", "correct what follows the #") from None
    return str(value)


_PROVIDERS: Final[dict[str, Callable[[str], str]]] = {"env": _env, "file": _file, "aws-secret": _aws_secret}
