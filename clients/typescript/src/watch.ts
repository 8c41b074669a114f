import type { Clock } from "./clock.js";
import { EnrollError } from "./error.js";
import type { VerificationStatus } from "./types.js";

export interface LookOptions {
    /** Seconds, 1 to 25, that the server may hold the answer back until the state is another than `state`. */
    wait?: number | undefined;
    state?: string | undefined;
    signal?: AbortSignal | undefined;
}

export interface WatchOptions {
    signal?: AbortSignal;
    onState?(status: VerificationStatus): void;
}

type Look = (id: string, options: LookOptions) => Promise<VerificationStatus>;

/** The longest that the server holds an answer back, in seconds. */
const WAIT = 25;

/** The shortest time between two looks at a server that does not wait, in milliseconds. */
const PACE = 1_500;

const LONGEST_BACK_OFF = 30_000;

/** The states of a verification as they come, until it is over, unknown, or the signal is aborted. */
export async function* watch(
    look: Look,
    clock: Clock,
    id: string,
    { signal, onState }: WatchOptions,
): AsyncGenerator<VerificationStatus, void, undefined> {
    let state: string | undefined;
    let waits = false;
    let failures = 0;
    while (!signal?.aborted) {
        const begun = clock.now();
        let pause: number;
        try {
            const status = await look(id, { wait: state === undefined ? undefined : WAIT, state, signal });
            const changed = status.state !== state;
            const held = clock.now() - begun >= PACE;
            failures = 0;
            state = status.state;
            if (changed) {
                onState?.(status);
                yield status;
            }
            if (state === "verified" || state === "expired") return;
            waits = held || (waits && changed);
            pause = waits ? 0 : begun + PACE - clock.now();
        } catch (error) {
            if (signal?.aborted || (error instanceof EnrollError && error.status === 404)) return;
            pause = pauseAfter(error, failures++);
        }
        if (pause > 0) await clock.sleep(pause, signal);
    }
}

/** Passes on what no patience cures. */
function pauseAfter(error: unknown, failures: number): number {
    const passing =
        error instanceof EnrollError && (error.status === 0 || error.status === 429 || error.status >= 500);
    if (!passing) throw error;
    const backOff = Math.min(PACE * 2 ** failures, LONGEST_BACK_OFF);
    return Math.max(backOff, (error.retryAfter ?? 0) * 1000);
}
