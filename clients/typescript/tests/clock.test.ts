import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { createClient, memoryStorage, type Fetch } from "../src/index.js";
import { FakeClock, HOUR, MINUTE } from "./support/clock.js";
import { startEnroll, type Enroll } from "./support/enroll.js";
import { startFront, type Front } from "./support/front.js";
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

function nearly(actual: number, expected: number) {
    assert.ok(Math.abs(actual - expected) < 5_000, `${actual} is not nearly ${expected}`);
}

for (const hours of [5, -5]) {
    test(`a clock that is ${hours} hours off costs no refresh`, async () => {
        const clock = new FakeClock(hours * HOUR);
        const storage = memoryStorage();
        const client = createClient({ baseUrl: front.url, storage, clock });
        await join(client, enroll);
        nearly((await client.session.current())!.expires_at, Date.now() + 30 * MINUTE);
        await client.me();

        // The next page knows the clock's fault from the stored session, before any answer.
        const reloaded = createClient({ baseUrl: front.url, storage, clock });
        await reloaded.me();
        assert.equal(front.count(REFRESH), 0);

        clock.ahead += 30 * MINUTE - 20_000;
        await reloaded.session.fresh();
        assert.equal(front.count(REFRESH), 1);
    });
}

test("a clock that is set right meanwhile costs one refresh at most", async () => {
    const clock = new FakeClock(-5 * HOUR);
    const client = createClient({ baseUrl: front.url, clock });
    await join(client, enroll);
    clock.ahead = 0;
    await client.me();
    await client.me();
    assert.equal(front.count(REFRESH), 1);
});

test("where the Date can't be read, the device's clock is taken", async () => {
    const dateless: Fetch = async (url, init) => {
        const response = await fetch(url, init);
        const headers = new Headers(response.headers);
        headers.delete("Date");
        return new Response(await response.text(), { status: response.status, headers });
    };
    const clock = new FakeClock(5 * HOUR);
    const client = createClient({ baseUrl: front.url, clock, fetch: dateless });
    await join(client, enroll);
    const session = await client.session.current();
    assert.equal(session?.skew, 0);
    nearly(session.expires_at, clock.now() + 30 * MINUTE);
    await client.me();
    assert.equal(front.count(REFRESH), 0);
    clock.ahead += 31 * MINUTE;
    await client.me();
    assert.equal(front.count(REFRESH), 1);
});
