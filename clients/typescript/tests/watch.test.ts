import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { createClient, type VerificationStatus } from "../src/index.js";
import { FakeClock } from "./support/clock.js";
import { startEnroll, type Enroll } from "./support/enroll.js";
import { problem, startFront, type Front, type Trouble } from "./support/front.js";
import { PASSWORD, someMobile } from "./support/people.js";

const PATH = "/api/v1/auth/verifications/some-id";

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

async function statesOf(watched: AsyncIterable<VerificationStatus>): Promise<string[]> {
    const states: string[] = [];
    for await (const { state } of watched) states.push(state);
    return states;
}

const at = (state: string): Trouble => ({ status: 200, body: { state } });

/** The front answers the looks in turn. */
function script(...answers: (Trouble | (() => Trouble))[]) {
    front.judge = () => {
        const next = answers.shift() ?? assert.fail("one look too many");
        return typeof next === "function" ? next() : next;
    };
}

test("it shows the code's way till the code is used", async () => {
    const client = createClient({ baseUrl: front.url });
    const mobile = someMobile();
    const { verification } = await client.register({ mobile, password: PASSWORD });
    const id = verification.verification_id;
    const { otp } = await enroll.messageTo(mobile);
    const heard: string[] = [];
    const watched = client.watch(id, {
        onState({ state }) {
            heard.push(state);
            if (state === "sent") void client.verify({ verification_id: id, otp: otp! });
        },
    });
    const states = await statesOf(watched);
    assert.equal(states.at(-1), "verified");
    assert.ok(states.includes("sent"), states.join());
    assert.deepEqual(heard, states);
});

test("a server that holds its answers back is asked again at once", async () => {
    const clock = new FakeClock();
    const held = (state: string) => () => {
        clock.ahead += 20_000;
        return at(state);
    };
    script(at("sent"), held("sent"), held("delivered"), at("undelivered"), held("verified"));
    const client = createClient({ baseUrl: front.url, clock });
    assert.deepEqual(await statesOf(client.watch("some-id")), ["sent", "delivered", "undelivered", "verified"]);
    assert.equal(clock.sleeps.length, 1);
    assert.deepEqual(front.calls, [
        `GET ${PATH}`,
        `GET ${PATH}?wait=25&state=sent`,
        `GET ${PATH}?wait=25&state=sent`,
        `GET ${PATH}?wait=25&state=delivered`,
        `GET ${PATH}?wait=25&state=undelivered`,
    ]);
});

test("a server that answers at once is asked every second and a half at most", async () => {
    const clock = new FakeClock();
    const times: number[] = [];
    const answers = ["sent", "sent", "sent", "delivered", "delivered", "expired"];
    front.judge = () => {
        times.push(clock.now());
        return at(answers.shift()!);
    };
    const client = createClient({ baseUrl: front.url, clock });
    assert.deepEqual(await statesOf(client.watch("some-id")), ["sent", "delivered", "expired"]);
    const gaps = times.slice(1).map((time, index) => time - times[index]!);
    assert.equal(gaps.length, 5);
    assert.ok(gaps.every((gap) => gap >= 1_400 && gap < 3_000), gaps.join());
});

test("it outlives a bad network and obeys Retry-After", async () => {
    const clock = new FakeClock();
    const told = problem(429, "too_many_requests", { "retry-after": "40" });
    script("drop", "drop", at("sent"), told, "drop", at("verified"));
    const client = createClient({ baseUrl: front.url, clock });
    assert.deepEqual(await statesOf(client.watch("some-id")), ["sent", "verified"]);
    const [first, second, pace, third, last] = clock.sleeps;
    assert.deepEqual([first, second, third], [1_500, 3_000, 40_000]);
    assert.ok(pace! <= 1_500 && last === 3_000, clock.sleeps.join());
});

test("it ends where the id is unknown", async () => {
    const client = createClient({ baseUrl: enroll.url });
    assert.deepEqual(await statesOf(client.watch("00000000-0000-4000-8000-000000000000")), []);
});

test("it passes on what no waiting cures", async () => {
    script(problem(422, "invalid_fields"));
    const client = createClient({ baseUrl: front.url });
    await assert.rejects(statesOf(client.watch("some-id")), { code: "invalid_fields" });
});

test("it ends when it is called off", { timeout: 10_000 }, async () => {
    const stop = new AbortController();
    front.judge = async () => {
        if (front.calls.length === 1) return at("sent");
        stop.abort();
        return new Promise(() => {});
    };
    const client = createClient({ baseUrl: front.url });
    assert.deepEqual(await statesOf(client.watch("some-id", { signal: stop.signal })), ["sent"]);
});
