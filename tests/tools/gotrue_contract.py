"""What PyPI's supabase-auth makes of the server: each operation, each error as it shows it, and its events in order.

For tests/tools/gotrue-check.
"""

import hashlib
import json
import os
import secrets
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from base64 import b64encode

from supabase_auth import SyncGoTrueClient
from supabase_auth.errors import AuthApiError, AuthRetryableError, AuthWeakPasswordError

BASE, PART, BACKEND = (os.environ[f"ENROLL_TEST_{name}"] for name in ("URL", "PART", "BACKEND"))
PASSWORD, BETTER = "correct horse", "a better horse"
operations, errors = 0, set()


def client():
    """A client of a person's own, and the events that it raised."""
    auth = SyncGoTrueClient(url=f"{BASE}/auth/v1", headers={"apikey": "anon"}, auto_refresh_token=False)
    events = []
    auth.on_auth_state_change(lambda event, _: events.append(event))
    return auth, events


def works(operation, *arguments):
    global operations
    answer = operation(*arguments)
    operations += 1
    return answer


def refused(code, status, operation, *arguments, kind=AuthApiError):
    try:
        operation(*arguments)
    except kind as error:
        assert (error.code, error.status) == (code, status), (error.code, error.status, error.message)
        errors.add(code)
        return error
    raise AssertionError(f"{code} was expected")


def code(to, count=1):
    """The newest code to an address, once so many came."""
    for _ in range(400):
        with urllib.request.urlopen(f"{BASE}/dev/inbox?to={urllib.parse.quote(to)}") as inbox:
            codes = [message["otp"] for message in json.load(inbox) if message["otp"]]
        if len(codes) >= count:
            return codes[0]
        time.sleep(0.025)
    raise AssertionError(f"{count} codes were expected")


def other(otp):
    return ("0" if otp[0] == "9" else "9") + otp[1:]


def new_phone():
    return f"91987{secrets.randbelow(10**7):07}"


def new_email():
    return f"ann{secrets.token_hex(4)}@example.com"


def person():
    """A person with a phone and a session."""
    (auth, events), phone = client(), new_phone()
    data = {"data": {"nick": "Annie"}}
    signed_up = works(auth.sign_up, {"phone": phone, "password": PASSWORD, "options": data})
    assert (signed_up.session, signed_up.user.phone) == (None, phone)
    assert signed_up.user.user_metadata == {"nick": "Annie"}
    token = code(f"+{phone}")
    refused("otp_expired", 403, auth.verify_otp, {"phone": phone, "token": other(token), "type": "sms"})
    verified = works(auth.verify_otp, {"phone": phone, "token": token, "type": "sms"})
    assert verified.user.id == signed_up.user.id and verified.session.expires_at > time.time()
    return auth, events, phone


def taken(events):
    seen = list(events)
    events.clear()
    return seen


def signed_up():
    auth, events, phone = person()
    assert taken(events) == ["SIGNED_IN"]
    user = works(auth.get_user).user
    claims = works(auth.get_claims)["claims"]
    assert (claims["sub"], claims["role"], claims["aal"]) == (user.id, "authenticated", "aal1")
    first = auth.get_session().refresh_token
    works(auth.refresh_session)
    assert taken(events) == ["TOKEN_REFRESHED"]
    # Two processes at once have the same refresh token.
    session, tabs = auth.get_session(), [client()[0], client()[0]]
    for tab in tabs:
        works(tab.set_session, session.access_token, session.refresh_token)
    refreshed = [None, None]

    def refresh(index):
        refreshed[index] = tabs[index].refresh_session()

    threads = [threading.Thread(target=refresh, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refreshed[0].session.refresh_token == refreshed[1].session.refresh_token
    works(auth.set_session, refreshed[0].session.access_token, refreshed[0].session.refresh_token)
    taken(events)

    works(auth.update_user, {"password": BETTER})
    assert works(auth.update_user, {"data": {"nick": None, "color": "red"}}).user.user_metadata == {"color": "red"}
    email = new_email()
    assert works(auth.update_user, {"email": email}).user.new_email == email
    assert taken(events) == ["USER_UPDATED"] * 3
    changed = works(auth.verify_otp, {"email": email, "token": code(email), "type": "email_change"})
    assert (changed.user.email, changed.user.new_email) == (email, None)
    newer = new_phone()
    works(auth.update_user, {"phone": newer})
    moved = works(auth.verify_otp, {"phone": newer, "token": code(f"+{newer}"), "type": "phone_change"})
    assert moved.user.phone == newer
    assert taken(events) == ["SIGNED_IN", "USER_UPDATED", "SIGNED_IN"]
    time.sleep(2.1)
    refused("refresh_token_already_used", 400, client()[0].refresh_session, first)
    refused("session_not_found", 403, auth.get_user)
    return newer, email


def in_and_out(phone, email):
    (one, events), (two, _), (three, _) = client(), client(), client()
    works(one.sign_in_with_password, {"phone": phone, "password": BETTER})
    works(two.sign_in_with_password, {"email": email, "password": BETTER})
    works(three.sign_in_with_password, {"email": email, "password": BETTER})
    works(one.sign_out, {"scope": "others"})
    works(one.get_user)
    refused("session_not_found", 403, two.get_user)
    refused("refresh_token_not_found", 400, three.refresh_session)
    works(two.sign_in_with_password, {"phone": phone, "password": BETTER})
    works(two.sign_out, {"scope": "local"})
    works(one.get_user)
    works(one.sign_out)
    assert taken(events) == ["SIGNED_IN", "SIGNED_OUT"]


def by_code(phone, email):
    auth, events = client()
    works(auth.sign_in_with_otp, {"phone": phone})
    works(auth.verify_otp, {"phone": phone, "token": code(f"+{phone}", 2), "type": "sms"})
    stranger, address = client()[0], new_email()
    works(stranger.sign_in_with_otp, {"email": address, "options": {"data": {"nick": "Bob"}}})
    made = works(stranger.verify_otp, {"email": address, "token": code(address), "type": "email"})
    assert made.user.user_metadata == {"nick": "Bob"}
    works(auth.reset_password_for_email, email)
    works(auth.verify_otp, {"email": email, "token": code(email, 2), "type": "recovery"})
    works(auth.update_user, {"password": "the best horse"})
    assert taken(events) == ["SIGNED_IN", "PASSWORD_RECOVERY", "USER_UPDATED"], events
    works(client()[0].sign_in_with_password, {"email": email, "password": "the best horse"})


def errors_as_shown():
    auth, _, phone = person()
    session, anybody = auth.get_session(), client()[0]
    refused("user_already_exists", 422, anybody.sign_up, {"phone": phone, "password": PASSWORD})
    weak = {"phone": new_phone(), "password": "short"}
    error = refused("weak_password", 422, anybody.sign_up, weak, kind=AuthWeakPasswordError)
    assert error.reasons == ["length"]
    same = {"password": PASSWORD, "current_password": PASSWORD}
    refused("same_password", 422, auth.update_user, same)
    bare = client()[0]
    works(bare.sign_in_with_password, {"phone": phone, "password": PASSWORD})
    refused("reauthentication_needed", 400, bare.update_user, {"password": BETTER})
    refused("invalid_credentials", 400, anybody.sign_in_with_password, {"phone": phone, "password": BETTER})
    pending, email = new_phone(), new_email()
    works(anybody.sign_up, {"phone": pending, "password": PASSWORD})
    refused("phone_not_confirmed", 400, anybody.sign_in_with_password, {"phone": pending, "password": PASSWORD})
    works(anybody.sign_up, {"email": email, "password": PASSWORD})
    refused("email_not_confirmed", 400, anybody.sign_in_with_password, {"email": email, "password": PASSWORD})
    works(anybody.resend, {"type": "signup", "email": email})
    works(anybody.sign_up, {"phone": pending, "password": BETTER})
    refused("conflict", 409, anybody.resend, {"type": "sms", "phone": pending})
    refused("validation_failed", 422, anybody.sign_up, {"phone": "12", "password": PASSWORD})
    refused("refresh_token_not_found", 400, anybody.refresh_session, "none")
    head, body, _ = session.access_token.split(".")
    refused("bad_jwt", 403, anybody.get_user, f"{head}.{body}.AAAA")
    refused("feature_disabled", 400, anybody.sign_in_anonymously)
    refused("feature_disabled", 404, bare.mfa.enroll, {"factor_type": "totp"})
    unknown = {"phone": new_phone(), "token": "123456", "type": "sms"}
    for _ in range(5):
        refused("otp_expired", 403, anybody.verify_otp, unknown)
    refused("over_request_rate_limit", 429, anybody.verify_otp, unknown)


def faults():
    """Whatever is down logs nobody out."""
    auth, _, phone = person()
    with subprocess.Popen(json.loads(os.environ["ENROLL_TEST_LOCK"]), stdout=subprocess.PIPE) as locking:
        locking.stdout.readline()
        credentials = {"phone": phone, "password": PASSWORD}
        try:
            client()[0].sign_in_with_password(credentials)
            raise AssertionError("it should have been refused")
        except AuthRetryableError as error:
            assert error.status == (504 if BACKEND == "fleet" else 503), error.status
            errors.add(f"retryable {error.status}")
    time.sleep(1.5)  # a dependency that timed out is not asked for a second
    works(auth.get_user)


def solved(phone):
    """The solution of the challenge for a phone."""
    body = json.dumps({"phone": phone}).encode()
    request = urllib.request.Request(f"{BASE}/auth/v1/challenge", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        challenge = json.load(answer)["challenge"]
    parameters = challenge["parameters"]
    nonce, salt = (bytes.fromhex(parameters[name]) for name in ("nonce", "salt"))
    counter, key = -1, ""
    while not key.startswith(parameters["keyPrefix"]) or counter < 0:
        counter += 1
        work = nonce + counter.to_bytes(4, "big")
        key = hashlib.pbkdf2_hmac("sha256", work, salt, parameters["cost"], parameters["keyLength"]).hex()
    solution = {"counter": counter, "derivedKey": key}
    signed = {"parameters": parameters, "signature": challenge["signature"]}
    return b64encode(json.dumps({"challenge": signed, "solution": solution}).encode()).decode()


def run_operations():
    contacts = signed_up()
    in_and_out(*contacts)
    by_code(*contacts)
    errors_as_shown()
    faults()


def run_keys():
    auth, _, _ = person()
    claims = works(auth.get_claims)
    assert (claims["headers"]["alg"], claims["claims"]["role"]) == ("ES256", "authenticated")


def run_limits():
    (auth, _), phone, email = client(), new_phone(), new_email()
    works(auth.sign_in_with_otp, {"phone": phone})
    refused("over_sms_send_rate_limit", 429, auth.sign_in_with_otp, {"phone": phone})
    works(auth.reset_password_for_email, email)
    refused("over_email_send_rate_limit", 429, auth.reset_password_for_email, email)


def run_challenge():
    (auth, _), phone = client(), new_phone()
    credentials = {"phone": phone, "password": PASSWORD}
    refused("captcha_failed", 400, auth.sign_up, credentials)
    works(auth.sign_up, {**credentials, "options": {"captcha_token": solved(phone)}})
    works(auth.verify_otp, {"phone": phone, "token": code(f"+{phone}"), "type": "sms"})


def run_closed():
    refused("signup_disabled", 422, client()[0].sign_up, {"phone": new_phone(), "password": PASSWORD})


globals()[f"run_{PART}"]()
named = " ".join(sorted(errors))
print(f"gotrue-check: supabase-auth, {BACKEND}, {PART}: {operations} operations, {len(errors)} errors ({named})")
sys.stdout.flush()
