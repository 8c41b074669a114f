import { base64 } from "./transport.js";

/** What the server asks for before it sends a code: work, or what a provider's widget answers. */
export type Challenge = PowChallenge | SiteVerifyChallenge;

/** ALTCHA's proof of work, version 2: a counter whose derived key begins as asked. All bytes are in hex. */
export interface PowChallenge {
    kind: "pow";
    parameters: {
        algorithm: string;
        nonce: string;
        salt: string;
        /** Iterations of PBKDF2 in one try. */
        cost: number;
        /** Of the derived key, in bytes. */
        keyLength: number;
        keyPrefix: string;
        [signed: string]: unknown;
    };
    signature: string;
}

export interface SiteVerifyChallenge {
    kind: "siteverify";
    site_key: string;
    provider: string;
}

/** Answers what goes to the server as `challenge`. Undefined leaves a proof of work to the client. */
export type Solve = (challenge: Challenge, signal?: AbortSignal) => Promise<string | undefined>;

/** Tries under way at once. None runs on the page's own thread; a platform may give each a core. */
const LANES = 4;

/** How long the server takes a solution, in milliseconds. */
const LIFE = 300_000;

/** The client's own solver: answers ALTCHA's payload. */
export async function solvePow(challenge: Challenge, signal?: AbortSignal): Promise<string> {
    if (challenge.kind !== "pow") throw new Error(`the client can't solve ${challenge.kind}`);
    const { parameters, signature } = challenge;
    const [, hash] = parameters.algorithm.split("PBKDF2/");
    if (!hash) throw new Error(`the client can't compute ${parameters.algorithm}`);
    const work = { name: "PBKDF2", hash, iterations: parameters.cost, salt: bytesOf(parameters.salt) };
    const nonce = bytesOf(parameters.nonce);
    const end = performance.now() + LIFE;
    let next = 0;
    let solution: { counter: number; derivedKey: string } | undefined;

    async function lane() {
        while (!solution) {
            signal?.throwIfAborted();
            if (performance.now() > end) throw new Error("not solved in time");
            const counter = next++;
            const password = new Uint8Array([...nonce, counter >>> 24, counter >>> 16, counter >>> 8, counter]);
            const key = await crypto.subtle.importKey("raw", password, "PBKDF2", false, ["deriveBits"]);
            const derivedKey = hexOf(await crypto.subtle.deriveBits(work, key, parameters.keyLength * 8));
            if (derivedKey.startsWith(parameters.keyPrefix)) solution = { counter, derivedKey };
        }
    }

    await Promise.all(Array.from({ length: LANES }, lane));
    return base64(JSON.stringify({ challenge: { parameters, signature }, solution }));
}

function bytesOf(hex: string): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function hexOf(bytes: ArrayBuffer): string {
    return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
