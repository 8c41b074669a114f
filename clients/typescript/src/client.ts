import { solvePow, type Challenge, type Solve } from "./challenge.js";
import { systemClock, type Clock } from "./clock.js";
import { EnrollError, noSession } from "./error.js";
import { SessionKeeper, type SessionListener } from "./session.js";
import { memoryStorage, type SessionStorage } from "./storage.js";
import { basic, Transport, type Credentials, type Fetch } from "./transport.js";
import type { Answer, Body, Export, ProfileExtras, SendExtras, Session, TokenAnswer } from "./types.js";
import { watch, type LookOptions, type WatchOptions } from "./watch.js";

export interface ClientOptions {
    /** The origin of the service; by default the page's own. */
    baseUrl?: string;
    /** One of the server's `server.prefixes`; not a camelCase one. */
    prefix?: string;
    storage?: SessionStorage;
    fetch?: Fetch;
    clock?: Clock;
    /** For challenges of kind `siteverify`, or for a solver of one's own. */
    solve?: Solve;
}

export interface CallOptions {
    signal?: AbortSignal;
}

/** For the calls that send a code. */
export interface CodeOptions extends CallOptions {
    /** The server asks for a proof first: the call goes on when that is found, which may take seconds. */
    onChallenge?: (challenge: Challenge) => void;
}

export interface SendOptions extends CodeOptions {
    /** The same key and body get the same answer again and send nothing: for a call whose answer was lost. */
    idempotencyKey?: string;
}

export interface RequestOptions extends CallOptions {
    body?: unknown;
    headers?: Record<string, string | undefined>;
    /** True sends the session's token, and renews it when need be; a name and password go as HTTP Basic. */
    auth?: boolean | Credentials;
}

export type EnrollClient = ReturnType<typeof createClient>;

export function createClient({
    baseUrl = "",
    prefix = "/api/v1",
    storage = memoryStorage(),
    fetch = (url, init) => globalThis.fetch(url, init),
    clock = systemClock,
    solve,
}: ClientOptions = {}) {
    const transport = new Transport((baseUrl + prefix).replace(/\/+$/, ""), fetch, clock);
    const keeper = new SessionKeeper(storage, transport);

    /** Any call of the service; `path` is what comes after the prefix. */
    async function request<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
        const { auth, body, headers, signal } = options;
        const send = (Authorization?: string) =>
            transport.send<T>({ method, path, body, signal, headers: { Authorization, ...headers } });
        if (auth === true) return authorised((session) => send(`Bearer ${session.access_token}`), signal);
        return send(auth ? basic(auth) : undefined);
    }

    /** Once more with a new token when the server no longer takes this one. */
    async function authorised<T>(send: (session: Session) => Promise<T>, signal?: AbortSignal): Promise<T> {
        const session = await keeper.fresh();
        signal?.throwIfAborted();
        if (!session) throw noSession();
        try {
            return await send(session);
        } catch (error) {
            if (!(error instanceof EnrollError && error.code === "invalid_token")) throw error;
            const next = await keeper.renew(session);
            signal?.throwIfAborted();
            return send(next);
        }
    }

    const post = <T>(path: string, body?: unknown, options?: RequestOptions & SendOptions) =>
        request<T>("POST", path, {
            ...options,
            body,
            headers: { "Idempotency-Key": options?.idempotencyKey, ...options?.headers },
        });

    /** Solves what the server asks for before it sends a code, and asks once more. */
    async function postForCode<T>(path: string, body?: object, options?: RequestOptions & SendOptions): Promise<T> {
        try {
            return await post<T>(path, body, options);
        } catch (error) {
            if (!(error instanceof EnrollError && error.challenge)) throw error;
            options?.onChallenge?.(error.challenge);
            const challenge = await solved(error, error.challenge, options?.signal);
            return post<T>(path, { ...body, challenge }, options);
        }
    }

    /** What stays unsolved rejects with the server's refusal, and has why as its cause. */
    async function solved(refusal: EnrollError, challenge: Challenge, signal?: AbortSignal): Promise<string> {
        try {
            return (await solve?.(challenge, signal)) ?? (await solvePow(challenge, signal));
        } catch (cause) {
            throw Object.assign(refusal, { cause });
        } finally {
            signal?.throwIfAborted();
        }
    }

    async function open(path: string, body: unknown, options?: CallOptions): Promise<TokenAnswer> {
        const answer = await post<TokenAnswer>(path, body, options);
        await keeper.save(answer);
        return answer;
    }

    const verification = (id: string, { wait, state, signal }: LookOptions = {}) => {
        const query = new URLSearchParams();
        if (wait) query.set("wait", String(wait));
        if (state) query.set("state", state);
        const path = `/auth/verifications/${encodeURIComponent(id)}?${query}`;
        return request<Answer<"getVerification">>("GET", path, signal && { signal });
    };

    return {
        request,

        session: {
            current: (): Promise<Session | null> => keeper.current(),
            /** The session with an access token that lives for another half a minute, for calls to one's own API. */
            fresh: (): Promise<Session | null> => keeper.fresh(),
            /** Called at login, refresh and logout, in other tabs as well; the answer unsubscribes. */
            onChange: (listener: SessionListener): (() => void) => keeper.onChange(listener),
        },

        // Registration and codes

        register: (body: Body<"register"> & SendExtras & ProfileExtras, options?: SendOptions) =>
            postForCode<Answer<"register">>("/auth/register", body, options),

        /** Proves a code, of a registration or a login, and keeps the session that it opens. */
        verify: (body: Body<"verifyOtp">, options?: CallOptions) => open("/auth/verify-otp", body, options),

        resend: (body: Body<"resendCode"> & SendExtras, options?: SendOptions) =>
            postForCode<Answer<"resendCode">>("/auth/resend-otp", body, options),

        verification,

        /** Follows what becomes of a code. */
        watch: (id: string, options: WatchOptions = {}) => watch(verification, clock, id, options),

        /** By HTTP Basic, for who kept no id; opens no session. */
        activate: (credentials: Credentials, body: Body<"activateUser">, options?: CallOptions) =>
            post<Answer<"activateUser">>("/users/activate", body, { ...options, auth: credentials }),

        /** By HTTP Basic, for who kept no id. */
        resendCode: (credentials: Credentials, body?: SendExtras, options?: CodeOptions) =>
            postForCode<Answer<"resendActivationCode">>("/users/resend-code", body, { ...options, auth: credentials }),

        // Login and recovery

        login: (body: Body<"logIn">, options?: CallOptions) => open("/auth/login", body, options),

        /** Sends a code to log in by; `verify` takes it. */
        sendCode: (
            body: Body<"sendLoginCode"> & SendExtras & ProfileExtras,
            options?: SendOptions,
        ) => postForCode<Answer<"sendLoginCode">>("/auth/send-otp", body, options),

        forgotPassword: (body: Body<"forgotPassword"> & SendExtras, options?: CodeOptions) =>
            postForCode<Answer<"forgotPassword">>("/auth/forgot-password", body, options),

        resetPassword: (body: Body<"resetPassword">, options?: CallOptions) =>
            post<void>("/auth/reset-password", body, options),

        /** Forgets the session at once; rejects when the server could not be told. */
        async logout(options?: CallOptions): Promise<void> {
            const session = await keeper.current();
            if (!session) return;
            await keeper.drop();
            await post("/auth/logout", { refresh_token: session.refresh_token }, options);
        },

        /** Ends every session of the account; rejects, and keeps this one, when the server could not be told. */
        async logoutAll(options?: CallOptions): Promise<void> {
            await post("/auth/logout-all", undefined, { ...options, auth: true });
            await keeper.drop();
        },

        // The account

        me: (options?: CallOptions) => request<Answer<"getMe">>("GET", "/users/me", { ...options, auth: true }),

        /** Absent is unchanged, null is cleared; `data` is merged. */
        updateMe: (body: Body<"updateMe"> & ProfileExtras, options?: CallOptions) =>
            request<Answer<"updateMe">>("PATCH", "/users/me", { ...options, body, auth: true }),

        async deleteMe(body?: Body<"deleteMe">, options?: CallOptions): Promise<void> {
            await request("DELETE", "/users/me", { ...options, body, auth: true });
            await keeper.drop();
        },

        /** Everything that the service holds about the person. */
        exportMe: (options?: CallOptions) => request<Export>("GET", "/users/me/export", { ...options, auth: true }),

        /** Ends every other session. */
        changePassword: (body: Body<"changePassword">, options?: CallOptions) =>
            post<void>("/users/me/password", body, { ...options, auth: true }),

        addContact: (body: Body<"requestContactChange"> & SendExtras, options?: CodeOptions) =>
            postForCode<Answer<"requestContactChange">>("/users/me/contacts", body, { ...options, auth: true }),

        verifyContact: (body: Body<"verifyContactChange">, options?: CallOptions) =>
            post<Answer<"verifyContactChange">>("/users/me/contacts/verify", body, { ...options, auth: true }),

        removeContact: (contact: "email" | "mobile", body?: Body<"removeEmail">, options?: CallOptions) =>
            request<Answer<"removeEmail">>("DELETE", `/users/me/contacts/${contact}`, { ...options, body, auth: true }),

        sessions: (options?: CallOptions) =>
            request<Answer<"listSessions">>("GET", "/users/me/sessions", { ...options, auth: true }),

        revokeSession: (id: string, options?: CallOptions) =>
            request<void>("DELETE", `/users/me/sessions/${encodeURIComponent(id)}`, { ...options, auth: true }),
    };
}
