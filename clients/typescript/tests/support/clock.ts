import { setTimeout as pause } from "node:timers/promises";
import type { Clock } from "../../src/index.js";

/** Runs beside the real time; sleeping moves it on and takes no time. */
export class FakeClock implements Clock {
    readonly sleeps: number[] = [];

    constructor(public ahead = 0) {}

    now() {
        return Date.now() + this.ahead;
    }

    async sleep(ms: number) {
        this.sleeps.push(ms);
        this.ahead += ms;
        await pause(5);
    }
}

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
