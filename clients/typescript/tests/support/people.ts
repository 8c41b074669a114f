import type { EnrollClient, WebStorage } from "../../src/index.js";
import type { Enroll } from "./enroll.js";

export const PASSWORD = "a long horse battery";

let people = 0;

/** A mobile that nobody has. */
export function someMobile(): string {
    return `+9198765${String(10_000 + people++)}`;
}

/** Registers somebody new and logs the client in. */
export async function join(client: EnrollClient, enroll: Enroll): Promise<string> {
    const mobile = someMobile();
    const { verification } = await client.register({ mobile, password: PASSWORD });
    const { otp } = await enroll.messageTo(mobile);
    await client.verify({ verification_id: verification.verification_id, otp: otp! });
    return mobile;
}

/** What two tabs of one browser share. */
export function localStorageOf(entries = new Map<string, string>()): WebStorage {
    return {
        getItem: (key) => entries.get(key) ?? null,
        setItem: (key, value) => void entries.set(key, value),
        removeItem: (key) => void entries.delete(key),
    };
}
