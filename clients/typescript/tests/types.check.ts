// Compiled, never run: what an application may and may not write, by the declarations that are built.
import { createClient, EnrollError, memoryStorage, webStorage, type Session, type User } from "enroll-client";

export async function mayBeWritten(): Promise<void> {
    const client = createClient({ baseUrl: "https://id.example.com", storage: webStorage(localStorage) });
    const solving = createClient({ solve: async (asked) => (asked.kind === "pow" ? undefined : asked.site_key) });
    await solving.forgotPassword({ mobile: "9876543210" }, { onChallenge: ({ kind }) => console.log(kind) });
    const form: { email?: string; mobile?: string } = { email: "ann@example.com" };
    await client.login({ ...form, password: "long enough" });
    const begun = await client.register({ mobile: "9876543210", password: "long enough" }, { idempotencyKey: "k" });
    const { user } = await client.verify({ verification_id: begun.verification.verification_id, otp: "123456" });
    const me: User = await client.me();
    const session: Session | null = await client.session.current();
    const off: () => void = client.session.onChange((now) => console.log(now?.user_id));
    for await (const { state, channel } of client.watch("id")) console.log(state, channel satisfies string);
    await client.updateMe({ name: null, data: { theme: "dark" } });
    await client.removeContact("email");
    const page = await client.request<{ items: string[] }>("GET", "/elsewhere", { auth: true });
    console.log(user.id, me.mobile, session, off, page.items, new EnrollError(0, { code: "network" }).fields[0]?.field);
}

export async function mayNotBeWritten(): Promise<void> {
    // @ts-expect-error: no such option.
    const client = createClient({ storage: memoryStorage(), prefx: "/" });
    // @ts-expect-error: a misspelt field.
    await client.register({ mobile: "9876543210", pasword: "long enough" });
    // @ts-expect-error: no such purpose.
    await client.verify({ mobile: "9876543210", otp: "123456", purpose: "password_reset" });
    // @ts-expect-error: the code is missing.
    await client.verify({ verification_id: "id" });
    // @ts-expect-error: a login sends no code.
    await client.login({ mobile: "9876543210", password: "long enough" }, { onChallenge: console.log });
    // @ts-expect-error: there is no such contact.
    await client.removeContact("fax");
    // @ts-expect-error: the answer has no such field.
    (await client.me()).mobileNumber;
}
