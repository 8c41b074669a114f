import type { Clock } from "./clock.js";
import { EnrollError, type Problem } from "./error.js";

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface Credentials {
    username: string;
    password: string;
}

export interface Call {
    method: string;
    path: string;
    body?: unknown;
    headers?: Record<string, string | undefined> | undefined;
    signal?: AbortSignal | undefined;
    /** Milliseconds after which a silent connection counts as none; for calls without a signal. */
    timeout?: number;
}

/** The longest `Retry-After` that a GET waits out by itself, in seconds. */
const PATIENCE = 5;

/** Sends calls, reads answers, and learns how far the server's clock is from this device's. */
export class Transport {
    /** Milliseconds that the server is ahead, as far as is known. */
    skew = 0;

    constructor(
        private readonly root: string,
        private readonly fetch: Fetch,
        readonly clock: Clock,
    ) {}

    serverNow(): number {
        return this.clock.now() + this.skew;
    }

    /** Repeats a GET once when the server says that it will be back in a moment. */
    async send<T>(call: Call): Promise<T> {
        try {
            return await this.once<T>(call);
        } catch (error) {
            const wait = error instanceof EnrollError && error.status === 503 ? error.retryAfter : undefined;
            if (call.method !== "GET" || wait === undefined || wait > PATIENCE) throw error;
            await this.clock.sleep(wait * 1000, call.signal);
            return this.once<T>(call);
        }
    }

    private async once<T>({ method, path, body, headers, signal, timeout }: Call): Promise<T> {
        // Called without `this`: browsers refuse a `fetch` that belongs to anything but the window.
        const { fetch } = this;
        let response: Response;
        let text: string;
        try {
            response = await fetch(this.root + path, {
                method,
                headers: definedHeaders(body, headers),
                body: body === undefined ? null : JSON.stringify(body),
                signal: signal ?? (timeout ? AbortSignal.timeout(timeout) : null),
                // Tokens travel in headers; cookies of the site are nobody's business here.
                credentials: "omit",
            });
            text = await response.text();
        } catch (cause) {
            signal?.throwIfAborted();
            throw new EnrollError(0, { code: "network", detail: "no answer from the server" }, undefined, cause);
        }
        this.readDate(response);
        const answer = text ? parse(text) : undefined;
        if (response.ok && (response.status === 204 || isObject(answer))) return answer as T;
        throw new EnrollError(response.status, problemOf(response, answer), this.retryAfter(response, answer));
    }

    /** Not readable across origins unless the server exposes it; the skew then stays what it was. */
    private readDate(response: Response): void {
        const date = Date.parse(response.headers.get("Date") ?? "");
        // The header is cut to whole seconds: half of one is the best guess.
        if (date) this.skew = date + 500 - this.clock.now();
    }

    private retryAfter(response: Response, answer: unknown): number | undefined {
        const header = response.headers.get("Retry-After");
        if (header === null) return (answer as { retry_after?: number } | undefined)?.retry_after ?? undefined;
        // A proxy on the way may answer with a date.
        const seconds = Number(header);
        const wait = Number.isNaN(seconds) ? (Date.parse(header) - this.serverNow()) / 1000 : seconds;
        return wait >= 0 ? wait : undefined;
    }
}

export function basic({ username, password }: Credentials): string {
    return "Basic " + base64(`${username}:${password}`);
}

export function base64(text: string): string {
    return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

function definedHeaders(body: unknown, headers: Call["headers"]): Record<string, string> {
    const all = {
        Accept: "application/json",
        "Content-Type": body === undefined ? undefined : "application/json",
        ...headers,
    };
    return Object.fromEntries(Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

function problemOf(response: Response, answer: unknown): Problem {
    if (!response.ok && isObject(answer) && typeof answer.code === "string") return answer as unknown as Problem;
    return {
        code: "unexpected_answer",
        detail: `the answer (${response.status}) is not the service's`,
        request_id: response.headers.get("X-Request-Id") ?? undefined,
    };
}

function parse(text: string): unknown {
    try {
        return JSON.parse(text);
    } catch {
        return undefined;
    }
}

function isObject(value: unknown): value is Record<string, unknown> {
    return typeof value === "object" && value !== null;
}
