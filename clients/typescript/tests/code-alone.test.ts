import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createClient } from "../src/index.js";
import { startEnroll, type Enroll } from "./support/enroll.js";
import { someMobile } from "./support/people.js";

let enroll: Enroll;

before(async () => {
    enroll = await startEnroll({ ENROLL__REGISTRATIONS__PASSWORD: "optional", ENROLL__CODES__RESEND_AFTER: "0" });
});

after(() => enroll.stop());

test("one call signs up, and in the next time", async () => {
    const client = createClient({ baseUrl: enroll.url });
    const mobile = someMobile();
    const enter = async () => {
        const sent = await client.sendCode({ mobile, register: true, name: "Ann", data: { nick: "A" } });
        const { verification_id } = sent.verification;
        const message = await enroll.messageTo(mobile);
        return client.verify({ verification_id, otp: message.otp! });
    };
    const up = await enter();
    assert.equal(up.is_new, true);
    assert.deepEqual([up.user.name, up.user.has_password, up.user.data], ["Ann", false, { nick: "A" }]);
    const again = await enter();
    assert.equal(again.is_new, false);
    assert.equal(again.user.id, up.user.id);
    assert.equal((await client.me()).id, up.user.id);
});

test("a registration without a password", async () => {
    const client = createClient({ baseUrl: enroll.url });
    const mobile = someMobile();
    const { verification } = await client.register({ mobile });
    const { otp } = await enroll.messageTo(mobile);
    const answer = await client.verify({ verification_id: verification.verification_id, otp: otp! });
    assert.deepEqual([answer.is_new, answer.user.has_password], [true, false]);
});
