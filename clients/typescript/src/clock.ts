/** Time, so that tests need not wait for it. */
export interface Clock {
    /** Milliseconds since 1970, by this device. */
    now(): number;
    /** Ends early, without an error, when the signal is aborted. */
    sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
    now: () => Date.now(),
    sleep: (ms, signal) =>
        new Promise((resolve) => {
            if (signal?.aborted) return resolve();
            const end = () => {
                clearTimeout(timer);
                signal?.removeEventListener("abort", end);
                resolve();
            };
            const timer = setTimeout(end, ms);
            signal?.addEventListener("abort", end);
        }),
};
