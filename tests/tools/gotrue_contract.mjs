// The server as npm's @supabase/auth-js sees it: each operation, each error as it shows it, and its events in order.
// For tests/tools/gotrue-check. $1: where it is installed.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createRequire } from "node:module";

const { AuthClient } = createRequire(`${process.argv[2]}/`)("@supabase/auth-js");
const { ENROLL_TEST_URL: base, ENROLL_TEST_PART: part, ENROLL_TEST_BACKEND: backend, ENROLL_TEST_LOCK: lock } = process.env;
const PASSWORD = "correct horse", BETTER = "a better horse";
let operations = 0;
const errors = new Set();

/** A client of a person's own, and the events that it raised. */
function client() {
    const kept = new Map();
    const auth = new AuthClient({
        url: `${base}/auth/v1`,
        headers: { apikey: "anon" },
        autoRefreshToken: false,
        storage: {
            getItem: (key) => kept.get(key) ?? null,
            setItem: (key, value) => void kept.set(key, value),
            removeItem: (key) => void kept.delete(key),
        },
    });
    const events = [];
    auth.onAuthStateChange((event) => void events.push(event));
    return { auth, events };
}

/** The data of an operation that works. */
async function works(operation) {
    const { data, error } = await operation;
    assert.equal(error, null, JSON.stringify(error));
    operations += 1;
    return data;
}

/** An operation that is refused by this code. */
async function refused(operation, code, status, name = "AuthApiError") {
    const { error } = await operation;
    assert.ok(error, `${code} was expected`);
    assert.deepEqual([error.name, error.code, error.status], [name, code, status], error.message);
    errors.add(code ?? name);
    return error;
}

/** The newest code to an address, once so many came. */
async function code(to, count = 1) {
    for (let tries = 0; tries < 400; tries += 1) {
        const messages = await (await fetch(`${base}/dev/inbox?to=${encodeURIComponent(to)}`)).json();
        const codes = messages.filter(({ otp }) => otp).map(({ otp }) => otp);
        if (codes.length >= count) return codes[0];
        await sleep(25);
    }
    throw new Error(`${count} codes were expected`);
}

const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const other = (otp) => (otp[0] === "9" ? "0" : "9") + otp.slice(1);
const random = () => String(Math.floor(Math.random() * 1e7)).padStart(7, "0");
const newPhone = () => `91987${random()}`;
const newEmail = () => `ann${random()}@example.com`;

/** A person with a phone and a session. */
async function person(phone = newPhone()) {
    const { auth, events } = client();
    const { user, session } = await works(auth.signUp({ phone, password: PASSWORD, options: { data: { nick: "Annie" } } }));
    assert.deepEqual([user.phone, user.user_metadata, session], [phone, { nick: "Annie" }, null]);
    const token = await code(`+${phone}`);
    await refused(auth.verifyOtp({ phone, token: other(token), type: "sms" }), "otp_expired", 403);
    const verified = await works(auth.verifyOtp({ phone, token, type: "sms" }));
    assert.equal(verified.user.id, user.id);
    assert.ok(verified.user.phone_confirmed_at && verified.session.expires_at > Date.now() / 1000);
    return { auth, events, phone, user: verified.user };
}

async function settled(events, expected) {
    await sleep(20);
    assert.deepEqual(events.splice(0), expected);
}

async function signedUp() {
    const { auth, events, phone, user } = await person();
    await settled(events, ["INITIAL_SESSION", "SIGNED_IN"]);
    assert.equal((await works(auth.getUser())).user.id, user.id);
    const { claims, header } = await works(auth.getClaims());
    assert.deepEqual([claims.sub, claims.role, claims.aal], [user.id, "authenticated", "aal1"]);
    assert.equal(claims.session_id, claims.sid);
    assert.equal(claims.amr[0].method, "otp");
    assert.ok(header.kid && !claims.email && !claims.phone);

    const first = (await auth.getSession()).data.session.refresh_token;
    await works(auth.refreshSession());
    await settled(events, ["TOKEN_REFRESHED"]);
    // Two tabs at once have the same refresh token.
    const { session } = (await auth.getSession()).data;
    const tabs = [client(), client()];
    for (const tab of tabs) await works(tab.auth.setSession(session));
    const both = await Promise.all(tabs.map((tab) => works(tab.auth.refreshSession())));
    assert.equal(both[0].session.refresh_token, both[1].session.refresh_token);
    for (const tab of tabs) await settled(tab.events, ["INITIAL_SESSION", "SIGNED_IN", "TOKEN_REFRESHED"]);
    await works(auth.setSession(both[0].session));
    await settled(events, ["SIGNED_IN"]);

    // A session that a code opened needs no current password for a new one.
    await works(auth.updateUser({ password: BETTER }));
    await settled(events, ["USER_UPDATED"]);
    const updated = await works(auth.updateUser({ data: { nick: null, color: "red" } }));
    assert.deepEqual(updated.user.user_metadata, { color: "red" });
    const email = newEmail();
    assert.equal((await works(auth.updateUser({ email }))).user.new_email, email);
    assert.equal((await works(auth.getUser())).user.new_email, email);
    await works(auth.resend({ type: "email_change", email }));
    await settled(events, ["USER_UPDATED", "USER_UPDATED"]);
    const token = await code(email, 2);
    await refused(auth.verifyOtp({ email, token: other(token), type: "email_change" }), "otp_expired", 403);
    const changed = await works(auth.verifyOtp({ email, token, type: "email_change" }));
    assert.deepEqual([changed.user.email, changed.user.new_email ?? null], [email, null]);
    assert.deepEqual(changed.user.app_metadata.providers, ["phone", "email"]);
    await settled(events, ["SIGNED_IN"]);
    const newer = newPhone();
    await works(auth.updateUser({ phone: newer }));
    const moved = await works(auth.verifyOtp({ phone: newer, token: await code(`+${newer}`), type: "phone_change" }));
    assert.equal(moved.user.phone, newer);
    assert.notEqual(moved.user.phone, phone);
    await settled(events, ["USER_UPDATED", "SIGNED_IN"]);

    // A refresh token of before ends the session, for whoever has it.
    await sleep(2_100);
    await refused(client().auth.refreshSession({ refresh_token: first }), "refresh_token_already_used", 400);
    await refused(auth.getUser(), undefined, 400, "AuthSessionMissingError");
    await settled(events, ["SIGNED_OUT"]);
    return { phone: newer, email };
}

async function inAndOut({ phone, email }) {
    const one = client(), two = client(), three = client();
    await works(one.auth.signInWithPassword({ phone, password: BETTER }));
    await works(two.auth.signInWithPassword({ email, password: BETTER }));
    await works(three.auth.signInWithPassword({ email, password: BETTER }));
    assert.equal((await works(one.auth.getClaims())).claims.amr[0].method, "password");
    await works(one.auth.signOut({ scope: "others" }));
    await works(one.auth.getUser());
    await refused(two.auth.getUser(), undefined, 400, "AuthSessionMissingError");
    await settled(one.events, ["INITIAL_SESSION", "SIGNED_IN"]);
    await settled(two.events, ["INITIAL_SESSION", "SIGNED_IN", "SIGNED_OUT"]);
    await refused(three.auth.refreshSession(), "refresh_token_not_found", 400);
    await works(three.auth.signInWithPassword({ phone, password: BETTER }));
    const { session } = (await three.auth.getSession()).data;
    await works(three.auth.signOut({ scope: "local" }));
    await refused(client().auth.getUser(session.access_token), undefined, 400, "AuthSessionMissingError");
    await works(one.auth.getUser());
    await works(one.auth.signOut());
    await settled(one.events, ["SIGNED_OUT"]);
    assert.equal((await one.auth.getSession()).data.session, null);
}

async function byCode({ phone, email }) {
    const known = client();
    await works(known.auth.signInWithOtp({ phone }));
    await works(known.auth.verifyOtp({ phone, token: await code(`+${phone}`, 2), type: "sms" }));
    await works(known.auth.signOut());
    await works(known.auth.signInWithOtp({ email, options: { shouldCreateUser: false } }));
    const logged = await works(known.auth.verifyOtp({ email, token: await code(email, 3), type: "email" }));
    assert.equal(logged.user.email, email);
    await settled(known.events, ["INITIAL_SESSION", "SIGNED_IN", "SIGNED_OUT", "SIGNED_IN"]);

    const stranger = client(), address = newEmail();
    await works(stranger.auth.signInWithOtp({ email: address, options: { data: { nick: "Bob" } } }));
    const made = await works(stranger.auth.verifyOtp({ email: address, token: await code(address), type: "email" }));
    assert.deepEqual([made.user.email, made.user.user_metadata], [address, { nick: "Bob" }]);
    await works(stranger.auth.updateUser({ password: PASSWORD }));
    await works(client().auth.signInWithPassword({ email: address, password: PASSWORD }));

    const forgetful = client();
    await works(forgetful.auth.resetPasswordForEmail(email));
    const token = await code(email, 4);
    await refused(forgetful.auth.verifyOtp({ email, token, type: "email" }), "otp_expired", 403);
    await works(forgetful.auth.verifyOtp({ email, token, type: "recovery" }));
    await works(forgetful.auth.updateUser({ password: "the best horse" }));
    await settled(forgetful.events, ["INITIAL_SESSION", "PASSWORD_RECOVERY", "USER_UPDATED"]);
    await refused(client().auth.signInWithPassword({ email, password: BETTER }), "invalid_credentials", 400);
    await works(client().auth.signInWithPassword({ email, password: "the best horse" }));
}

async function byEmail() {
    const { auth, events } = client(), email = newEmail();
    await works(auth.signUp({ email, password: PASSWORD }));
    await code(email);
    await works(auth.resend({ type: "signup", email }));
    await refused(auth.signInWithPassword({ email, password: PASSWORD }), "email_not_confirmed", 400);
    await works(auth.verifyOtp({ email, token: await code(email, 2), type: "signup" }));
    await settled(events, ["INITIAL_SESSION", "SIGNED_IN"]);
}

async function errorsAsShown() {
    const { auth, phone } = await person();
    const taken = await person();
    const { session } = (await auth.getSession()).data;
    const anybody = client().auth;
    await refused(anybody.signUp({ phone, password: PASSWORD }), "user_already_exists", 422);
    await refused(auth.updateUser({ phone: taken.phone }), "user_already_exists", 422);
    for (const [password, reason] of [["short", "length"], ["password1", "pwned"], [`+${phone}`, "own_identifier"]]) {
        const error = await refused(
            reason === "own_identifier" ? auth.updateUser({ password }) : anybody.signUp({ phone: newPhone(), password }),
            "weak_password", 422, "AuthWeakPasswordError",
        );
        assert.deepEqual(error.reasons, [reason]);
    }
    await refused(auth.updateUser({ password: PASSWORD, current_password: PASSWORD }), "same_password", 422);
    await refused(auth.updateUser({ password: BETTER, current_password: "wrong" }), "invalid_credentials", 400);
    const bare = client().auth;
    await works(bare.signInWithPassword({ phone, password: PASSWORD }));
    await refused(bare.updateUser({ password: BETTER }), "reauthentication_needed", 400);
    await works(bare.updateUser({ password: BETTER, current_password: PASSWORD }));
    await refused(anybody.signInWithPassword({ phone, password: PASSWORD }), "invalid_credentials", 400);
    const pending = newPhone();
    await works(anybody.signUp({ phone: pending, password: PASSWORD }));
    await refused(anybody.signInWithPassword({ phone: pending, password: PASSWORD }), "phone_not_confirmed", 400);
    // A second password is a second registration: none of the two is meant.
    await works(anybody.signUp({ phone: pending, password: BETTER }));
    await refused(anybody.resend({ type: "sms", phone: pending }), "conflict", 409);
    await refused(anybody.signUp({ phone: "12", password: PASSWORD }), "validation_failed", 422);
    await refused(anybody.refreshSession({ refresh_token: "none" }), "refresh_token_not_found", 400);
    const [head, body] = session.access_token.split(".");
    await refused(anybody.getUser(`${head}.${body}.AAAA`), "bad_jwt", 403);
    await refused(anybody.getUser(" "), "no_authorization", 401);
    await refused(anybody.signInWithIdToken({ provider: "google", token: "x" }), "feature_disabled", 400);
    await refused(anybody.signInAnonymously(), "feature_disabled", 400);
    await refused(anybody.verifyOtp({ token_hash: "x", type: "email" }), "feature_disabled", 400);
    await refused(bare.mfa.enroll({ factorType: "totp" }), "feature_disabled", 404);
    const unknown = newPhone();
    for (let wrong = 0; wrong < 5; wrong += 1) {
        await refused(anybody.verifyOtp({ phone: unknown, token: "123456", type: "sms" }), "otp_expired", 403);
    }
    await refused(anybody.verifyOtp({ phone: unknown, token: "123456", type: "sms" }), "over_request_rate_limit", 429);
}

/** Whatever is down logs nobody out, and is tried again. */
async function faults() {
    const { auth, events, phone } = await person();
    await settled(events, ["INITIAL_SESSION", "SIGNED_IN"]);
    const [command, ...words] = JSON.parse(lock);
    const locking = spawn(command, words, { stdio: ["ignore", "pipe", "inherit"] });
    await new Promise((done) => locking.stdout.once("data", done));
    const { error } = await client().auth.signInWithPassword({ phone, password: PASSWORD });
    assert.equal(error?.name, "AuthRetryableFetchError", JSON.stringify(error));
    assert.equal(error.status, backend === "fleet" ? 504 : 503);
    errors.add(`retryable ${error.status}`);
    await works(auth.refreshSession()); // it tries until the lock is gone
    await settled(events, ["TOKEN_REFRESHED"]);
    if (locking.exitCode === null) await new Promise((done) => locking.once("exit", done));
}

const parts = {
    async operations() {
        const contacts = await signedUp();
        await inAndOut(contacts);
        await byCode(contacts);
        await byEmail();
        await errorsAsShown();
        await faults();
    },
    async keys() {
        const { auth } = await person();
        const { claims, header } = await works(auth.getClaims());
        assert.deepEqual([header.alg, claims.role], ["ES256", "authenticated"]);
        const { session } = (await auth.getSession()).data;
        const [head, body, signature] = session.access_token.split(".");
        const forged = `${head}.${body}.${(signature[0] === "A" ? "B" : "A") + signature.slice(1)}`;
        await refused(auth.getClaims(forged), "invalid_jwt", 400, "AuthInvalidJwtError");
    },
    async limits() {
        const { auth } = client(), phone = newPhone(), email = newEmail();
        await works(auth.signInWithOtp({ phone }));
        await refused(auth.signInWithOtp({ phone }), "over_sms_send_rate_limit", 429);
        await works(auth.resetPasswordForEmail(email));
        await refused(auth.resetPasswordForEmail(email), "over_email_send_rate_limit", 429);
        await works(auth.signUp({ email, password: PASSWORD }));
        await refused(auth.resend({ type: "signup", email }), "over_email_send_rate_limit", 429);
    },
    async challenge() {
        const { auth } = client(), phone = newPhone();
        await refused(auth.signUp({ phone, password: PASSWORD }), "captcha_failed", 400);
        const captchaToken = await solved(phone);
        await works(auth.signUp({ phone, password: PASSWORD, options: { captchaToken } }));
        await refused(auth.signInWithOtp({ phone: newPhone(), options: { captchaToken } }), "captcha_failed", 400);
        await works(auth.verifyOtp({ phone, token: await code(`+${phone}`), type: "sms" }));
    },
    async closed() {
        await refused(client().auth.signUp({ phone: newPhone(), password: PASSWORD }), "signup_disabled", 422);
        const settings = await (await fetch(`${base}/auth/v1/settings`)).json();
        assert.deepEqual([settings.disable_signup, settings.external.google], [true, false]);
    },
};

/** The solution of the challenge for a phone. */
async function solved(phone) {
    const headers = { "content-type": "application/json" };
    const asked = await fetch(`${base}/auth/v1/challenge`, { method: "POST", headers, body: JSON.stringify({ phone }) });
    const { challenge: { parameters, signature } } = await asked.json();
    const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));
    const work = { name: "PBKDF2", hash: "SHA-256", iterations: parameters.cost, salt: bytes(parameters.salt) };
    for (let counter = 0; ; counter += 1) {
        const password = new Uint8Array([...bytes(parameters.nonce), counter >>> 24, counter >>> 16, counter >>> 8, counter]);
        const key = await crypto.subtle.importKey("raw", password, "PBKDF2", false, ["deriveBits"]);
        const derived = await crypto.subtle.deriveBits(work, key, parameters.keyLength * 8);
        const derivedKey = Buffer.from(derived).toString("hex");
        if (derivedKey.startsWith(parameters.keyPrefix)) {
            const solution = { counter, derivedKey };
            return Buffer.from(JSON.stringify({ challenge: { parameters, signature }, solution })).toString("base64");
        }
    }
}

await parts[part]();
console.log(`gotrue-check: auth-js, ${backend}, ${part}: ${operations} operations, ${errors.size} errors (${[...errors].sort().join(" ")})`);
process.exit(0);
