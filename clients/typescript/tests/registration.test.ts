import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createClient, EnrollError, type Fetch, type Session } from "../src/index.js";
import { FakeClock, MINUTE } from "./support/clock.js";
import { startEnroll, type Enroll } from "./support/enroll.js";
import { startFront, type Front } from "./support/front.js";
import { join, PASSWORD, someMobile } from "./support/people.js";

let enroll: Enroll;
let front: Front;

before(async () => {
    enroll = await startEnroll();
    front = await startFront(enroll.url);
});

after(async () => {
    await front.stop();
    await enroll.stop();
});

test("from registration to logout", async () => {
    front.reset();
    const clock = (front.clock = new FakeClock());
    const client = createClient({ baseUrl: front.url, clock });
    const seen: (Session | null)[] = [];
    client.session.onChange((session) => seen.push(session));
    const mobile = someMobile();

    const { verification, status } = await client.register({ mobile, password: PASSWORD, name: "Ann" });
    assert.equal(status, "pending");
    assert.equal(await client.session.current(), null);
    const { otp } = await enroll.messageTo(mobile);
    const verification_id = verification.verification_id;

    const wrong = otp === "000000" ? "000001" : "000000";
    await assert.rejects(client.verify({ verification_id, otp: wrong }), { code: "invalid_code", status: 400 });
    assert.equal(await client.session.current(), null);
    const answer = await client.verify({ verification_id, otp: otp! });
    assert.equal(answer.user.mobile, mobile);
    const me = await client.me();
    assert.equal(me.name, "Ann");

    const first = await client.session.current();
    clock.ahead += 31 * MINUTE;
    await client.me();
    const second = await client.session.current();
    assert.equal(front.count("POST /api/v1/auth/refresh"), 1);
    assert.notEqual(second?.refresh_token, first?.refresh_token);
    assert.equal(second?.user_id, me.id);

    await client.logout();
    assert.equal(await client.session.current(), null);
    await assert.rejects(client.me(), { code: "missing_token", status: 401 });
    const dead = second!.access_token;
    const call = client.request("GET", "/users/me", { headers: { Authorization: `Bearer ${dead}` } });
    await assert.rejects(call, { code: "invalid_token" });
    assert.deepEqual(seen, [first, second, null]);
});

test("a call of one's own API finds a token that lasts", async () => {
    const clock = new FakeClock();
    const client = createClient({ baseUrl: enroll.url, clock });
    await join(client, enroll);
    const before = await client.session.fresh();
    clock.ahead += 29 * MINUTE + 45_000;
    const after = await client.session.fresh();
    assert.notEqual(after?.access_token, before?.access_token);
});

test("the fields of a 422", async () => {
    const client = createClient({ baseUrl: enroll.url });
    const error: EnrollError = await client.register({ mobile: "12", password: "short" }).then(assert.fail, (e) => e);
    assert.ok(error instanceof EnrollError);
    assert.equal(error.code, "invalid_fields");
    assert.equal(error.status, 422);
    assert.deepEqual(error.fields.map(({ field }) => field).sort(), ["mobile", "password"]);
    assert.equal(error.fields.find(({ field }) => field === "password")?.code, "too_short");
    assert.ok(error.requestId);
});

test("an idempotency key goes with the calls that send a code", async () => {
    const keys: (string | null)[] = [];
    const noting: Fetch = async (_, init) => {
        keys.push(new Headers(init.headers).get("Idempotency-Key"));
        return Response.json({});
    };
    const client = createClient({ fetch: noting });
    const mobile = someMobile();
    await client.register({ mobile, password: PASSWORD }, { idempotencyKey: "one" });
    await client.resend({ mobile }, { idempotencyKey: "two" });
    await client.sendCode({ mobile }, { idempotencyKey: "three" });
    await client.sendCode({ mobile });
    assert.deepEqual(keys, ["one", "two", "three", null]);
});

test("a pending registration is told at login, and HTTP Basic activates it", async () => {
    const client = createClient({ baseUrl: enroll.url });
    const mobile = someMobile();
    const password = "a böse passphrase";
    const { verification } = await client.register({ mobile, password });
    const error: EnrollError = await client.login({ mobile, password }).then(assert.fail, (e) => e);
    assert.equal(error.code, "account_not_activated");
    assert.equal(error.verification?.verification_id, verification.verification_id);

    const { otp } = await enroll.messageTo(mobile);
    const { user } = await client.activate({ username: mobile, password }, { otp: otp! });
    assert.equal(user.mobile, mobile);
    assert.equal(await client.session.current(), null);
    const late = client.resendCode({ username: mobile, password });
    await assert.rejects(late, { code: "invalid_credentials", status: 401 });
});

test("login by code", async () => {
    const client = createClient({ baseUrl: enroll.url });
    const mobile = await join(client, enroll);
    await client.logout();
    const { verification } = await client.sendCode({ mobile });
    const { otp } = await enroll.messageTo(mobile, "login");
    await client.verify({ verification_id: verification.verification_id, otp: otp! });
    assert.equal((await client.me()).mobile, mobile);
});

test("recovery ends the sessions there were", async () => {
    const client = createClient({ baseUrl: enroll.url });
    const mobile = await join(client, enroll);
    const { verification } = await client.forgotPassword({ mobile });
    const { verification_id } = verification;
    const { otp } = await enroll.messageTo(mobile, "password_reset");
    await client.resetPassword({ mobile, verification_id, otp: otp!, new_password: "another long battery" });
    await assert.rejects(client.me(), { code: "invalid_token" });
    assert.equal(await client.session.current(), null);
    await client.login({ mobile, password: "another long battery" });
    assert.equal((await client.me()).mobile, mobile);
});

test("the account", async () => {
    front.reset();
    const client = createClient({ baseUrl: front.url });
    const mobile = await join(client, enroll);
    assert.equal((await client.updateMe({ name: "Bea" })).name, "Bea");
    await client.changePassword({ current_password: PASSWORD, new_password: "another long battery" });

    const email = "bea@example.com";
    const { verification } = await client.addContact({ email, current_password: "another long battery" });
    const { otp } = await enroll.messageTo(email);
    const verification_id = verification.verification_id;
    assert.equal((await client.verifyContact({ verification_id, otp: otp! })).email, email);
    const removed = await client.removeContact("email", { current_password: "another long battery" });
    assert.equal(removed.email, null);

    const other = createClient({ baseUrl: enroll.url });
    await other.login({ mobile, password: "another long battery" });
    const { sessions } = await client.sessions();
    assert.equal(sessions.length, 2);
    await client.revokeSession(sessions.find(({ current }) => !current)!.id);
    await assert.rejects(other.me(), { code: "invalid_token" });

    front.judge = (call) =>
        call === "GET /api/v1/users/me/export" ? { status: 200, body: { user: {}, audit: [1] } } : undefined;
    assert.deepEqual((await client.exportMe()).audit, [1]);

    await client.deleteMe({ current_password: "another long battery" });
    assert.equal(await client.session.current(), null);
    await assert.rejects(client.login({ mobile, password: "another long battery" }), { code: "invalid_credentials" });
});

test("logging out everywhere", async () => {
    const client = createClient({ baseUrl: enroll.url });
    const mobile = await join(client, enroll);
    const other = createClient({ baseUrl: enroll.url });
    await other.login({ mobile, password: PASSWORD });
    await client.logoutAll();
    assert.equal(await client.session.current(), null);
    await assert.rejects(other.me(), { code: "invalid_token" });
});
