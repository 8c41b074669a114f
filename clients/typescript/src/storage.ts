/** Where a session is kept: one text. Any part may be asynchronous, so that keychains fit as well. */
export interface SessionStorage {
    get(): string | null | Promise<string | null>;
    set(value: string): void | Promise<void>;
    remove(): void | Promise<void>;
    /** Calls back when somebody else may have changed the text; without it changes show at the next refresh. */
    watch?(changed: () => void): void;
}

/** What is used of `localStorage`. */
export interface WebStorage {
    getItem(key: string): string | null;
    setItem(key: string, value: string): void;
    removeItem(key: string): void;
}

/** Keeps the session as long as the page or the process lives. */
export function memoryStorage(): SessionStorage {
    let text: string | null = null;
    const watchers: (() => void)[] = [];
    const put = (value: string | null) => {
        text = value;
        for (const changed of watchers) changed();
    };
    return {
        get: () => text,
        set: put,
        remove: () => put(null),
        watch: (changed) => void watchers.push(changed),
    };
}

/** Keeps the session in `localStorage` or `sessionStorage` and tells the other tabs. */
export function webStorage(store: WebStorage, key = "enroll.session"): SessionStorage {
    const channel = typeof BroadcastChannel === "function" ? new BroadcastChannel(key) : undefined;
    // Only Node has it: an open channel must not keep the process alive.
    (channel as { unref?(): void } | undefined)?.unref?.();
    return {
        get: () => store.getItem(key),
        set(value) {
            store.setItem(key, value);
            channel?.postMessage(0);
        },
        remove() {
            store.removeItem(key);
            channel?.postMessage(0);
        },
        watch(changed) {
            channel?.addEventListener("message", changed);
            if (typeof window === "undefined") return;
            // `key` is null when the whole storage was cleared.
            window.addEventListener("storage", (event) => {
                if (event.key === key || event.key === null) changed();
            });
        },
    };
}
