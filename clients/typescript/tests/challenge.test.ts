import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { createClient, EnrollError, type CodeOptions, type EnrollClient, type SessionStorage } from "../src/index.js";
import { proofOfWork, startGate, type Gate } from "./support/gate.js";

const mobile = "+919876543210";
const credentials = { username: mobile, password: "a long horse battery" };
/** For a challenge that any key with the prefix solves, not the one that the server knows alone. */
const anyKey = { counter: undefined, hmacKeySignatureSecret: undefined };
const siteverify = { kind: "siteverify", site_key: "k", provider: "turnstile" };

let gate: Gate;

before(async () => (gate = await startGate()));
beforeEach(() => gate.reset());
after(() => gate.stop());

/** A session that lasts, for the calls that need one. */
const loggedIn: SessionStorage = {
    get: () => JSON.stringify({ access_token: "t", refresh_token: "r", expires_at: Date.now() + 3_600_000, skew: 0 }),
    set: () => {},
    remove: () => {},
};

const calls: [string, (client: EnrollClient, options: CodeOptions) => Promise<unknown>][] = [
    ["POST /api/v1/auth/register", (client, options) => client.register({ mobile, password: "long enough" }, options)],
    ["POST /api/v1/auth/send-otp", (client, options) => client.sendCode({ mobile, register: true }, options)],
    ["POST /api/v1/auth/resend-otp", (client, options) => client.resend({ mobile }, options)],
    ["POST /api/v1/users/resend-code", (client, options) => client.resendCode(credentials, undefined, options)],
    ["POST /api/v1/auth/forgot-password", (client, options) => client.forgotPassword({ mobile }, options)],
    ["POST /api/v1/users/me/contacts", (client, options) => client.addContact({ email: "a@example.com" }, options)],
];

for (const [call, send] of calls) {
    test(`${call} proves what it is asked to, and goes on`, async () => {
        const seen: string[] = [];
        const client = createClient({ baseUrl: gate.url, storage: loggedIn });
        await send(client, { onChallenge: ({ kind }) => seen.push(kind) });
        assert.deepEqual(seen, ["pow"]);
        assert.deepEqual(gate.asked.map((asked) => asked.call), [call, call]);
        const [first, second] = gate.asked;
        const { challenge, ...rest } = second!.body;
        assert.equal(typeof challenge, "string");
        assert.deepEqual(rest, first!.body);
        assert.equal(second!.headers.authorization, first!.headers.authorization);
    });
}

test("nobody is asked twice, and both times it is one request", async () => {
    const client = createClient({ baseUrl: gate.url });
    await client.sendCode({ mobile }, { idempotencyKey: "k" });
    assert.deepEqual(gate.asked.map(({ headers }) => headers["idempotency-key"]), ["k", "k"]);

    gate.reset();
    gate.accepts = () => false;
    const last = await proofOfWork();
    gate.challenge = (tries) => (tries === 2 ? last : proofOfWork());
    const error: EnrollError = await client.sendCode({ mobile }).then(assert.fail, (e) => e);
    assert.equal(error.code, "challenge_required");
    assert.deepEqual(error.challenge, JSON.parse(JSON.stringify(last)));
    assert.equal(gate.asked.length, 2);
});

for (const [name, options] of Object.entries({
    "a prefix that anybody may find": { ...anyKey, keyPrefix: "00" },
    "half a byte": { ...anyKey, keyPrefix: "a" },
    "the first counter of all": { counter: 0 },
    "counters of two bytes": { counter: 300, cost: 10 },
    "another hash": { algorithm: "PBKDF2/SHA-512" },
    "a longer key": { keyLength: 48 },
    "data beyond ASCII": { data: { to: "आशा" } },
})) {
    test(`ALTCHA's library takes the solution: ${name}`, async () => {
        gate.challenge = () => proofOfWork(options);
        await createClient({ baseUrl: gate.url }).sendCode({ mobile });
        assert.equal(gate.asked.length, 2);
    });
}

test("50,000 iterations a try leave the thread free", async () => {
    gate.challenge = () => proofOfWork({ cost: 50_000, counter: 40 });
    const delay = monitorEventLoopDelay({ resolution: 5 });
    const begun = performance.now();
    delay.enable();
    await createClient({ baseUrl: gate.url }).sendCode({ mobile });
    delay.disable();
    const took = performance.now() - begun;
    const longest = delay.max / 1e6;
    assert.ok(took < 5_000, `${took} ms`);
    assert.ok(longest < took / 2 && longest < 200, `${longest} of ${took} ms`);
});

test("a solver of one's own answers the provider's challenge, with the client's for the rest", async () => {
    gate.challenge = (tries) => (tries === 1 ? siteverify : proofOfWork());
    gate.accepts = (challenge) => challenge === "from the widget";
    const client = createClient({
        baseUrl: gate.url,
        solve: async (challenge) => (challenge.kind === "siteverify" ? "from the widget" : undefined),
    });
    await client.register({ mobile });
    assert.equal(gate.asked.length, 2);

    gate.reset();
    await client.register({ mobile });
    assert.equal(gate.asked.length, 2);
});

test("what can't be solved stays the server's refusal, and tells why", async () => {
    gate.challenge = () => siteverify;
    const refused = { code: "challenge_required", status: 403, challenge: siteverify };
    await assert.rejects(createClient({ baseUrl: gate.url }).sendCode({ mobile }), refused);

    const closed = new Error("the widget was closed");
    const client = createClient({ baseUrl: gate.url, solve: () => Promise.reject(closed) });
    await assert.rejects(client.sendCode({ mobile }), { ...refused, cause: closed });

    const argon = { ...(await proofOfWork()), parameters: { algorithm: "ARGON2ID", nonce: "00", salt: "00" } };
    gate.challenge = () => argon;
    await assert.rejects(createClient({ baseUrl: gate.url }).sendCode({ mobile }), { ...refused, challenge: argon });
    assert.equal(gate.asked.length, 3);
});

test("a page without a secure context has no WebCrypto, and is told so by the refusal", async (t) => {
    const challenge = await proofOfWork();
    gate.challenge = () => challenge;
    t.mock.getter(globalThis.crypto, "subtle", () => undefined);
    const client = createClient({ baseUrl: gate.url });
    const error: EnrollError = await client.sendCode({ mobile }).then(assert.fail, (e) => e);
    assert.equal(error.code, "challenge_required");
    assert.ok(error.cause instanceof TypeError);
});

test("calling it off ends the work", async () => {
    gate.challenge = () => proofOfWork({ ...anyKey, keyPrefix: "0".repeat(32) });
    const stop = new AbortController();
    const onChallenge = () => setTimeout(() => stop.abort(), 50);
    const call = createClient({ baseUrl: gate.url }).sendCode({ mobile }, { signal: stop.signal, onChallenge });
    await assert.rejects(call, { name: "AbortError" });
    assert.equal(gate.asked.length, 1);
});
