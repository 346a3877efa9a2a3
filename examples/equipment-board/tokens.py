"""JSON Web Tokens with HS256 (RFC 7519), as far as this application needs them."""
import base64
import hashlib
import hmac
import json
import time


def _encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _sign(text, secret):
    return _encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())


def issue(claims, secret, lifetime_s):
    now = int(time.time())
    parts = ({"alg": "HS256", "typ": "JWT"}, {**claims, "iat": now, "exp": now + lifetime_s})
    text = ".".join(_encode(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    return text + "." + _sign(text, secret)


def verify(token, secret):
    """The claims of a good token, None for any other. The algorithm is ours, whatever the token's header says."""
    try:
        text, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), _sign(text, secret).encode()):
            return None
        claims = json.loads(_decode(text.split(".")[1]))
        return claims if claims["exp"] > time.time() else None
    except (ValueError, KeyError, IndexError, TypeError):
        return None
