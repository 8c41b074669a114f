import { EnrollError, noSession } from "./error.js";
import type { SessionStorage } from "./storage.js";
import type { Transport } from "./transport.js";
import type { Session, TokenAnswer } from "./types.js";

export type SessionListener = (session: Session | null) => void;

/** An access token with less left, in milliseconds, is renewed before it is used. */
const MARGIN = 30_000;

/** A refresh that hears nothing for so long, in milliseconds, failed: every other call waits for it. */
const REFRESH_TIMEOUT = 30_000;

/**
 * Keeps the session of one tab in step with the storage that it shares with other tabs.
 *
 * Nothing locks the tabs against each other: the server gives the same successor to a refresh token that comes twice
 * within its grace, and who comes later still finds the winner's session in the storage.
 */
export class SessionKeeper {
    private held: Session | null = null;
    private flight: Promise<Session> | undefined;
    /** The last refresh was told to wait. */
    private barred: { token: string; until: number; error: EnrollError } | undefined;
    /** The storage could not be written: what it holds is older than `held`, and its refresh token is spent. */
    private detached = false;
    private queue: Promise<unknown> = Promise.resolve();
    private readonly listeners = new Set<SessionListener>();

    constructor(
        private readonly storage: SessionStorage,
        private readonly transport: Transport,
    ) {
        storage.watch?.(() => void this.look());
    }

    async current(): Promise<Session | null> {
        return this.held ?? this.look();
    }

    onChange(listener: SessionListener): () => void {
        this.listeners.add(listener);
        return () => void this.listeners.delete(listener);
    }

    async save(answer: TokenAnswer): Promise<void> {
        const session = this.sessionOf(answer);
        await this.inTurn(() => this.write(session));
    }

    async drop(): Promise<void> {
        await this.inTurn(() => this.write(null));
    }

    /** The session, renewed first when its access token is about to end. */
    async fresh(): Promise<Session | null> {
        const session = await this.current();
        if (!session || this.lasts(session)) return session;
        try {
            return await this.renew(session);
        } catch (error) {
            // While it can't be renewed, its last seconds are good enough.
            if (this.held === session && session.expires_at > this.transport.serverNow()) return session;
            throw error;
        }
    }

    /** The session after `stale`; many callers share one refresh. */
    async renew(stale: Session): Promise<Session> {
        this.flight ??= this.succeed(stale).finally(() => (this.flight = undefined));
        const next = await this.flight;
        if (next.user_id === stale.user_id) return next;
        // What was asked for one person must not be done to another.
        throw new EnrollError(401, { code: "session_changed", detail: "somebody else has logged in meanwhile" });
    }

    private async succeed(stale: Session): Promise<Session> {
        const stored = await this.look();
        if (!stored) throw noSession();
        if (stored.refresh_token !== stale.refresh_token && this.lasts(stored)) return stored;
        try {
            const next = this.sessionOf(await this.exchange(stored.refresh_token));
            return (await this.replace(stored, next)) ?? Promise.reject(noSession());
        } catch (error) {
            if (!endsSession(error)) throw error;
            const winner = await this.replace(stored, null);
            if (!winner) throw error;
            return this.lasts(winner) ? winner : this.succeed(winner);
        }
    }

    private async exchange(token: string): Promise<TokenAnswer> {
        const { clock } = this.transport;
        if (this.barred?.token === token && clock.now() < this.barred.until) {
            const { error, until } = this.barred;
            const left = Math.ceil((until - clock.now()) / 1000);
            throw new EnrollError(error.status, { code: error.code, detail: error.message }, left);
        }
        try {
            const body = { refresh_token: token };
            return await this.transport.send({ method: "POST", path: "/auth/refresh", body, timeout: REFRESH_TIMEOUT });
        } catch (error) {
            if (error instanceof EnrollError && error.retryAfter !== undefined) {
                this.barred = { token, until: clock.now() + error.retryAfter * 1000, error };
            }
            throw error;
        }
    }

    /** Puts `next` in the place of `old`, unless another tab was faster: then its session is taken. */
    private replace(old: Session, next: Session | null): Promise<Session | null> {
        return this.inTurn(async () => {
            const stored = await this.read();
            return stored?.refresh_token === old.refresh_token ? this.write(next) : this.adopt(stored);
        });
    }

    private look(): Promise<Session | null> {
        return this.inTurn(async () => this.adopt(await this.read()));
    }

    /** One at a time, so that a slow storage can't answer with what has been replaced meanwhile. */
    private inTurn<T>(task: () => Promise<T>): Promise<T> {
        const result = this.queue.then(task);
        this.queue = result.catch(() => undefined);
        return result;
    }

    private async read(): Promise<Session | null> {
        if (this.detached) return this.held;
        try {
            return decode(await this.storage.get());
        } catch {
            return this.held;
        }
    }

    private async write(session: Session | null): Promise<Session | null> {
        try {
            await (session ? this.storage.set(JSON.stringify(session)) : this.storage.remove());
            this.detached = false;
        } catch {
            // A full or forbidden storage costs the next page load, not the session.
            this.detached = true;
        }
        return this.adopt(session);
    }

    private adopt(session: Session | null): Session | null {
        if (session?.access_token === this.held?.access_token) return this.held;
        this.held = session;
        if (session) this.transport.skew = session.skew;
        // Later, so that a listener that throws breaks nothing here.
        for (const listener of this.listeners) queueMicrotask(() => listener(session));
        return session;
    }

    private lasts(session: Session): boolean {
        return session.expires_at - this.transport.serverNow() > MARGIN;
    }

    private sessionOf(answer: TokenAnswer): Session {
        if (typeof answer.access_token !== "string") {
            throw new EnrollError(200, { code: "unexpected_answer", detail: "the answer has no tokens" });
        }
        const now = this.transport.serverNow();
        return {
            access_token: answer.access_token,
            refresh_token: answer.refresh_token,
            expires_at: now + answer.expires_in * 1000,
            refresh_expires_at: now + answer.refresh_expires_in * 1000,
            user_id: answer.user.id,
            skew: this.transport.skew,
        };
    }
}

/** Nothing but the server's own word on the refresh token does: no outage and no limit logs anybody out. */
function endsSession(error: unknown): boolean {
    return (
        error instanceof EnrollError &&
        error.status === 401 &&
        (error.code === "invalid_token" || error.code === "token_reused")
    );
}

function decode(text: string | null): Session | null {
    try {
        const session = JSON.parse(text ?? "null") as Session | null;
        return typeof session?.refresh_token === "string" ? session : null;
    } catch {
        return null;
    }
}
