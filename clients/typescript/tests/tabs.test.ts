import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { createClient, memoryStorage, webStorage, type SessionStorage } from "../src/index.js";
import { FakeClock, MINUTE } from "./support/clock.js";
import { startEnroll, type Enroll } from "./support/enroll.js";
import { problem, startFront, type Front } from "./support/front.js";
import { join, localStorageOf, PASSWORD, someMobile } from "./support/people.js";

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

/** As `localStorage` is to a tab that sleeps: nobody tells it of changes. */
function silent({ get, set, remove }: SessionStorage): SessionStorage {
    return { get, set, remove };
}

function tab(storage: SessionStorage, clock = new FakeClock()) {
    return createClient({ baseUrl: front.url, storage, clock });
}

test("many calls at once share one refresh", async () => {
    const clock = (front.clock = new FakeClock());
    const client = tab(memoryStorage(), clock);
    await join(client, enroll);
    clock.ahead += 31 * MINUTE;
    await Promise.all([client.me(), client.me(), client.sessions(), client.session.fresh()]);
    assert.equal(front.count(REFRESH), 1);
});

test("two tabs that refresh at once are both still logged in", async () => {
    const clock = (front.clock = new FakeClock());
    const storage = silent(memoryStorage());
    const [one, two] = [tab(storage, clock), tab(storage, clock)];
    await join(one, enroll);
    const old = await two.session.current();
    clock.ahead += 31 * MINUTE;
    // Neither refresh is answered before both were asked for.
    let release = () => {};
    const both = new Promise<void>((resolve) => (release = resolve));
    front.judge = async (call) => {
        if (!call.startsWith(REFRESH)) return undefined;
        if (front.count(REFRESH) === 2) release();
        await both;
        return undefined;
    };
    await Promise.all([one.me(), two.me()]);
    assert.equal(front.count(REFRESH), 2);
    const session = await one.session.current();
    assert.notEqual(session?.refresh_token, old?.refresh_token);
    assert.deepEqual(await two.session.current(), session);
    await Promise.all([one.me(), two.me()]);
});

test("a tab that slept takes the session of the one that refreshed", async () => {
    const clock = (front.clock = new FakeClock());
    const storage = silent(memoryStorage());
    const [awake, asleep] = [tab(storage, clock), tab(storage, clock)];
    await join(awake, enroll);
    await asleep.session.current();
    for (let times = 0; times < 2; times++) {
        clock.ahead += 31 * MINUTE;
        await awake.me();
    }
    // By the second refresh, the sleeper's token is one that would end the session for all.
    await asleep.me();
    assert.equal(front.count(REFRESH), 2);
    assert.deepEqual(await asleep.session.current(), await awake.session.current());
});

test("a refresh that was refused takes the session that another tab stored meanwhile", async () => {
    const clock = (front.clock = new FakeClock());
    const storage = silent(memoryStorage());
    const [winner, loser] = [tab(storage, clock), tab(storage, clock)];
    await join(winner, enroll);
    await loser.session.current();
    clock.ahead += 31 * MINUTE;
    front.judge = async (call) => {
        if (!call.startsWith(REFRESH) || front.count(REFRESH) > 1) return undefined;
        await winner.me();
        return problem(401, "token_reused");
    };
    const me = await loser.me();
    assert.equal(front.count(REFRESH), 2);
    assert.equal((await loser.session.current())?.user_id, me.id);
    assert.deepEqual(await loser.session.current(), await winner.session.current());
});

test("a logout during a refresh stays a logout", async () => {
    const clock = (front.clock = new FakeClock());
    const storage = silent(memoryStorage());
    const [one, two] = [tab(storage, clock), tab(storage, clock)];
    await join(one, enroll);
    await two.session.current();
    clock.ahead += 31 * MINUTE;
    front.judge = async (call) => {
        if (call.startsWith(REFRESH)) await storage.remove();
        return undefined;
    };
    await assert.rejects(two.me(), { code: "missing_token" });
    assert.equal(await storage.get(), null);
});

test("a reused token logs out", async () => {
    const clock = (front.clock = new FakeClock());
    const storage = memoryStorage();
    const client = tab(storage, clock);
    await join(client, enroll);
    const first = await storage.get();
    for (let times = 0; times < 2; times++) {
        clock.ahead += 31 * MINUTE;
        await client.me();
    }
    const thief = createClient({ baseUrl: front.url, storage: memoryOf(first!), clock });
    await assert.rejects(thief.me(), { code: "token_reused", status: 401 });
    assert.equal(await thief.session.current(), null);

    const seen: unknown[] = [];
    client.session.onChange((session) => seen.push(session));
    await assert.rejects(client.me(), { code: "invalid_token" });
    assert.equal(await client.session.current(), null);
    assert.equal(await storage.get(), null);
    assert.deepEqual(seen, [null]);
});

function memoryOf(text: string): SessionStorage {
    const storage = memoryStorage();
    void storage.set(text);
    return storage;
}

test("an access token that the server no longer takes is renewed once", async () => {
    const storage = silent(memoryStorage());
    await join(tab(storage), enroll);
    await storage.set(JSON.stringify({ ...JSON.parse((await storage.get())!), access_token: "worn.out.token" }));
    const client = tab(storage);
    await client.me();
    assert.equal(front.count(REFRESH), 1);
    assert.equal(front.count("GET /api/v1/users/me"), 2);

    front.judge = (call) => (call.startsWith("GET /api/v1/users/me") ? problem(401, "invalid_token") : undefined);
    await assert.rejects(client.me(), { code: "invalid_token" });
    assert.equal(front.count(REFRESH), 2);
    assert.notEqual(await client.session.current(), null);
});

test("what was asked for one person is not done to another", async () => {
    const clock = (front.clock = new FakeClock());
    const storage = silent(memoryStorage());
    const [one, two] = [tab(storage, clock), tab(storage, clock)];
    await join(one, enroll);
    await join(two, enroll);
    clock.ahead += 31 * MINUTE;
    await assert.rejects(one.updateMe({ name: "Ann" }), { code: "session_changed" });
    assert.equal(front.count("PATCH"), 0);
    assert.equal((await one.me()).id, (await two.me()).id);
});

test("other tabs hear of login and logout", async () => {
    const shared = new Map<string, string>();
    const one = tab(webStorage(localStorageOf(shared), "tabs-test"));
    const two = tab(webStorage(localStorageOf(shared), "tabs-test"));
    const seen: (string | undefined)[] = [];
    const off = two.session.onChange((session) => seen.push(session?.user_id));
    const mobile = await join(one, enroll);
    const { id } = await one.me();
    await heard(() => seen.length === 1);
    await one.logout();
    await heard(() => seen.length === 2);
    assert.deepEqual(seen, [id, undefined]);
    assert.equal(await two.session.current(), null);
    off();
    await one.login({ mobile, password: PASSWORD });
    await two.me();
    assert.equal(seen.length, 2);
});

test("without a BroadcastChannel, the window's storage events tell", async (t) => {
    const window = new EventTarget();
    const { BroadcastChannel } = globalThis;
    t.after(() => Object.assign(globalThis, { BroadcastChannel, window: undefined }));
    Object.assign(globalThis, { BroadcastChannel: undefined, window });

    const store = localStorageOf();
    const [one, two] = [tab(webStorage(store)), tab(webStorage(store))];
    await join(one, enroll);
    const seen: unknown[] = [];
    two.session.onChange((session) => seen.push(session));
    window.dispatchEvent(Object.assign(new Event("storage"), { key: "another" }));
    await pause(20);
    assert.deepEqual(seen, []);
    window.dispatchEvent(Object.assign(new Event("storage"), { key: "enroll.session" }));
    await heard(() => seen.length === 1);
    assert.deepEqual(seen, [await one.session.current()]);
});

async function heard(done: () => boolean) {
    for (let tries = 0; tries < 200 && !done(); tries++) await pause(10);
}

test("a storage that is full costs the persistence only", async () => {
    const clock = (front.clock = new FakeClock());
    const store = localStorageOf();
    const client = tab(webStorage(store, "full-test"), clock);
    await join(client, enroll);
    const old = store.getItem("full-test");
    store.setItem = () => {
        throw new Error("QuotaExceededError");
    };
    const tokens = new Set([(await client.session.current())!.refresh_token]);
    for (let times = 0; times < 3; times++) {
        clock.ahead += 31 * MINUTE;
        tokens.add((await client.session.fresh())!.refresh_token);
        await client.me();
    }
    assert.equal(tokens.size, 4);
    assert.equal(store.getItem("full-test"), old);
    await client.logout();
    assert.equal(await client.session.current(), null);
    assert.equal(store.getItem("full-test"), null);
});

test("what is no session is none", async () => {
    const store = localStorageOf();
    const client = tab(webStorage(store, "broken-test"));
    for (const text of ["{oops", '{"access_token":"a"}', "5", "null", ""]) {
        store.setItem("broken-test", text);
        assert.equal(await client.session.current(), null, text);
    }
    await client.register({ mobile: someMobile(), password: PASSWORD });
    await join(client, enroll);
    await client.me();
});
