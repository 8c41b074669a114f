"""What Schemathesis can't read out of the document: who is asking, a mobile number, a key for each request.

Configured by schemathesis.toml; schemathesis-check gives the server's URL.
"""

import base64
import itertools
import os
import time
import uuid

import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode

BASE = os.environ["ENROLL_TEST_URL"]
PASSWORD = "correct horse battery"
PENDING = "9811999999"
APP_HASH = os.environ["ENROLL__NOTIFY__ANDROID_APPS"]  # those that are known are a setting
MOBILES = ["9876543210", "+91 98765-43210", "0091 98765 43211", "(0)98765 43212", "+1 201-555-0123", "+447400123456"]
ENDS_THE_SESSION = {"deleteMe", "changePassword", "logOut", "logOutAll", "revokeSession", "verifyContactChange"}
NEEDS_A_SECRET = {"logIn", "refreshTokens", "verifyOtp", "verifyCode", "resetPassword"}

keys = itertools.count()
turns = itertools.count()
numbers = itertools.count(9_811_000_000)

# Which digits are a mobile number is libphonenumber's metadata, not a pattern.
schemathesis.openapi.format("phone", st.sampled_from(MOBILES))


def post(path: str, body: dict) -> dict:
    response = requests.post(f"{BASE}/api/v1{path}", json=body, timeout=10)
    response.raise_for_status()
    return response.json()


def begin_registration(mobile: str, password: str) -> str:
    return post("/auth/register", {"mobile": mobile, "password": password})["verification"]["verification_id"]


def proof(mobile: str, verification_id: str) -> dict:
    """The code that went to the mobile, and the verification it belongs to."""
    for _ in range(500):
        inbox = requests.get(f"{BASE}/dev/inbox", params={"to": f"+91{mobile}"}, timeout=10).json()
        codes = [message["otp"] for message in inbox if message["verification_id"] == verification_id]
        if codes:
            return {"verification_id": verification_id, "otp": codes[0]}
        time.sleep(0.01)
    raise RuntimeError(f"no code came to {mobile}")


def register(mobile: str) -> dict:
    """Makes an account, and answers the tokens of its first session."""
    return post("/auth/verify-otp", proof(mobile, begin_registration(mobile, PASSWORD)))


def operation_id(context) -> str:
    return context.operation.definition.raw.get("operationId", "")


def takes(scheme: str, context) -> bool:
    return any(scheme in requirement for requirement in context.operation.definition.raw.get("security", []))


class Token:
    def get(self, case, context):
        return register(str(next(numbers)))["access_token"]

    def set(self, case, token, context):
        case.headers["Authorization"] = f"Bearer {token}"


@schemathesis.auth().apply_to(
    lambda context: takes("bearer", context) and operation_id(context) not in ENDS_THE_SESSION
)
class OneAccount(Token):
    pass


@schemathesis.auth(refresh_interval=None).apply_to(
    lambda context: takes("bearer", context) and operation_id(context) in ENDS_THE_SESSION
)
class AnAccountForEachCase(Token):
    """These calls end the session or the account: with one token, all cases after the first would be 401."""


@schemathesis.auth().apply_to(lambda context: takes("basic", context))
class PendingRegistration:
    def get(self, case, context):
        return begin_registration(PENDING, PASSWORD) and f"{PENDING}:{PASSWORD}"

    def set(self, case, credentials, context):
        case.headers["Authorization"] = "Basic " + base64.b64encode(credentials.encode()).decode()


def right_body(operation: str) -> dict:
    """What can't be generated: secrets of an account that there is."""
    mobile = str(next(numbers))
    match operation:
        case "logIn":
            register(mobile)
            return {"mobile": mobile, "password": PASSWORD}
        case "refreshTokens":
            return {"refresh_token": register(mobile)["refresh_token"]}
        case "verifyOtp" | "verifyCode":
            return proof(mobile, begin_registration(mobile, PASSWORD))
        case "resetPassword":
            register(mobile)
            verification_id = post("/auth/forgot-password", {"mobile": mobile})["verification"]["verification_id"]
            return {"mobile": mobile, "new_password": "a better horse battery", **proof(mobile, verification_id)}


def without_nul(value):
    """`data` is any object but for NUL, however deep: no schema can say so."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [without_nul(item) for item in value]
    if isinstance(value, dict):
        return {without_nul(key): without_nul(item) for key, item in value.items()}
    return value


@schemathesis.hook
def before_call(context, case, kwargs):
    if not case.meta or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    # A key means one request: another body under the same key is 422 `idempotency_key_reused`.
    if "Idempotency-Key" in (case.headers or {}):
        case.headers["Idempotency-Key"] = str(uuid.UUID(int=next(keys)))
    if "wait" in (case.query or {}):
        case.query["wait"] = 1  # of the 25 s that each case could take
    operation = case.operation.definition.raw["operationId"]
    if isinstance(case.body, dict) and "data" in case.body:
        case.body["data"] = without_nul(case.body["data"])
    if isinstance(case.body, dict) and case.body.get("app_hash"):
        case.body["app_hash"] = APP_HASH
    if operation in NEEDS_A_SECRET and next(turns) % 4 == 0:
        case.body = right_body(operation)


@schemathesis.hook
def filter_case(context, case):
    # Schemathesis takes a registration without `mobile` for invalid though there is an `email`, of the other branch.
    if not case.meta or not case.meta.generation.mode.is_negative:
        return True
    description = getattr(case.meta.phase.data, "description", None) or ""
    is_other_branch = isinstance(case.body, dict) and "email" in case.body
    return not (description == "Missing required property: mobile" and is_other_branch)
