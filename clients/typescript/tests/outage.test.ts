import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { createClient, EnrollError, memoryStorage } from "../src/index.js";
import { FakeClock, MINUTE } from "./support/clock.js";
import { startEnroll, type Enroll } from "./support/enroll.js";
import { problem, startFront, type Front, type Trouble } from "./support/front.js";
import { join } from "./support/people.js";

const REFRESH = "POST /api/v1/auth/refresh";

let enroll: Enroll;
let front: Front;

before(async () => {
    enroll = await startEnroll();
    front = await startFront(enroll.url);
});

beforeEach(() => front.reset());

after(async () => {
    await front.stop();
    await enroll.stop();
});

async function loggedIn() {
    const clock = (front.clock = new FakeClock());
    const client = createClient({ baseUrl: front.url, storage: memoryStorage(), clock });
    await join(client, enroll);
    front.calls.length = 0;
    return { client, clock };
}

const troubles: [string, Trouble, string, number][] = [
    ["no network", "drop", "network", 0],
    ["503", problem(503, "unavailable"), "unavailable", 503],
    ["500", problem(500, "internal"), "internal", 500],
    ["429", problem(429, "too_many_requests"), "too_many_requests", 429],
    ["a proxy's page", { status: 502, body: "<h1>Bad Gateway</h1>" }, "unexpected_answer", 502],
    ["a proxy's 401", { status: 401, body: "<h1>Log in to the Wi-Fi</h1>" }, "unexpected_answer", 401],
    ["a 503 that names the token", problem(503, "invalid_token"), "invalid_token", 503],
    ["a captive portal", { status: 200, body: "<h1>Welcome</h1>" }, "unexpected_answer", 200],
    ["an answer without tokens", { status: 200, body: {} }, "unexpected_answer", 200],
    ["a refusal that is not about the token", problem(403, "forbidden"), "forbidden", 403],
];

for (const [name, trouble, code, status] of troubles) {
    test(`${name} at a refresh logs nobody out`, async () => {
        const { client, clock } = await loggedIn();
        const session = await client.session.current();
        clock.ahead += 31 * MINUTE;
        front.judge = (call) => (call.startsWith(REFRESH) ? trouble : undefined);
        await assert.rejects(client.me(), { code, status });
        assert.deepEqual(await client.session.current(), session);
        front.judge = () => undefined;
        await client.me();
        assert.notDeepEqual(await client.session.current(), session);
    });
}

test("no network at a call is an error of its own", async () => {
    const { client } = await loggedIn();
    front.judge = () => "drop";
    const error: EnrollError = await client.me().then(assert.fail, (e) => e);
    assert.equal(error.code, "network");
    assert.equal(error.status, 0);
    assert.ok(error.cause instanceof Error);
    assert.notEqual(await client.session.current(), null);
});

test("an early refresh that fails leaves the token that still lives", async () => {
    const { client, clock } = await loggedIn();
    const session = await client.session.current();
    clock.ahead += session!.expires_at - clock.now() - 20_000;
    front.judge = (call) => (call.startsWith(REFRESH) ? problem(503, "unavailable") : undefined);
    await client.me();
    assert.equal(front.count(REFRESH), 1);
});

test("a refresh that was told to wait waits", async () => {
    const { client, clock } = await loggedIn();
    clock.ahead += 31 * MINUTE;
    front.judge = (call) =>
        call.startsWith(REFRESH) ? problem(429, "too_many_requests", { "retry-after": "60" }) : undefined;
    await assert.rejects(client.me(), { code: "too_many_requests", retryAfter: 60 });
    front.judge = () => undefined;
    clock.ahead += 20_000;
    const error: EnrollError = await client.me().then(assert.fail, (e) => e);
    assert.equal(error.status, 429);
    assert.ok(error.retryAfter! > 30 && error.retryAfter! <= 40, String(error.retryAfter));
    assert.equal(front.count(REFRESH), 1);
    clock.ahead += 41_000;
    await client.me();
    assert.equal(front.count(REFRESH), 2);
});

test("a GET is repeated once after a short Retry-After", async () => {
    const { client, clock } = await loggedIn();
    front.judge = () => (front.calls.length === 1 ? problem(503, "overloaded", { "retry-after": "3" }) : undefined);
    await client.me();
    assert.deepEqual(clock.sleeps, [3000]);
    assert.equal(front.calls.length, 2);

    front.judge = () => problem(503, "overloaded", { "retry-after": "3" });
    await assert.rejects(client.me(), { code: "overloaded", retryAfter: 3 });
    assert.equal(front.calls.length, 4);
});

test("nothing else is repeated", async () => {
    const { client, clock } = await loggedIn();
    front.judge = () => problem(503, "unavailable", { "retry-after": "6" });
    await assert.rejects(client.me(), { code: "unavailable", retryAfter: 6 });
    front.judge = () => problem(503, "unavailable", { "retry-after": "1" });
    await assert.rejects(client.updateMe({ name: "Ann" }), { code: "unavailable" });
    front.judge = () => problem(429, "too_many_requests", { "retry-after": "1" });
    await assert.rejects(client.me(), { code: "too_many_requests" });
    assert.equal(front.calls.length, 3);
    assert.deepEqual(clock.sleeps, []);
});

test("Retry-After as a date, and in the body alone", async () => {
    const { client } = await loggedIn();
    const date = new Date(Date.now() + 90_000).toUTCString();
    front.judge = () => problem(503, "unavailable", { "retry-after": date });
    const error: EnrollError = await client.me().then(assert.fail, (e) => e);
    assert.ok(Math.abs(error.retryAfter! - 90) <= 2, String(error.retryAfter));
    front.judge = () => ({ status: 429, body: { code: "too_many_attempts", retry_after: 7 } });
    await assert.rejects(client.me(), { code: "too_many_attempts", retryAfter: 7 });
});

test("a challenge is handed on", async () => {
    const { client } = await loggedIn();
    const challenge = { kind: "siteverify", site_key: "k" };
    front.judge = () => ({ status: 403, body: { code: "challenge_required", challenge } });
    const error: EnrollError = await client.sendCode({ mobile: "9876543210" }).then(assert.fail, (e) => e);
    assert.deepEqual(error.challenge, challenge);
});

test("logging out works without a network", async () => {
    const { client } = await loggedIn();
    front.judge = () => "drop";
    await assert.rejects(client.logout(), { code: "network" });
    assert.equal(await client.session.current(), null);
});

test("a call that was called off rejects as fetch does", async () => {
    const { client } = await loggedIn();
    const stop = new AbortController();
    front.judge = async () => {
        stop.abort();
        return undefined;
    };
    await assert.rejects(client.me({ signal: stop.signal }), { name: "AbortError" });
});
