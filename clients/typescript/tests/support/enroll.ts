import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const BINARY = resolve(process.env.ENROLL_BIN ?? "../../target/debug/enroll");

export interface Message {
    to: string;
    purpose: string;
    otp: string | null;
    verification_id: string | null;
}

/** A real server with an empty database; `stop` ends it. */
export async function startEnroll(settings: Record<string, string> = {}) {
    const home = await mkdtemp(join(tmpdir(), "enroll-client-"));
    const address = `127.0.0.1:${await freePort()}`;
    const url = `http://${address}`;
    const server = spawn(BINARY, ["serve"], {
        cwd: home,
        stdio: ["ignore", "ignore", "pipe"],
        env: {
            PATH: process.env.PATH,
            ENROLL__SERVER__ADDRESS: address,
            ENROLL__ADMIN__ADDRESS: "off",
            ENROLL__DATA_DIR: home,
            ENROLL__LIMITS__ENABLED: "false",
            ...settings,
        },
    });
    const ended = new Promise((resolve) => server.on("exit", resolve));
    let log = "";
    server.stderr.on("data", (lines) => (log += lines));
    let failed = false;
    server.on("error", (error) => {
        log += error.message;
        failed = true;
    });
    // Whatever becomes of the tests, the server ends with them.
    process.on("exit", () => server.kill());
    const ready = until(async () => (await fetch(`${url}/readyz`)).ok, () => failed || server.exitCode !== null);
    await ready.catch(async (cause) => {
        server.kill();
        await rm(home, { recursive: true });
        throw new Error(`${BINARY} does not start: ${log}`, { cause });
    });

    /** The newest message to an address, as soon as it is there. */
    async function messageTo(to: string, purpose?: string): Promise<Message> {
        let found: Message | undefined;
        await until(async () => {
            const inbox = await messagesTo(to);
            found = inbox.find((message) => message.otp && (!purpose || message.purpose === purpose));
            return found !== undefined;
        });
        return found!;
    }

    const messagesTo = async (to: string): Promise<Message[]> =>
        (await fetch(`${url}/dev/inbox?to=${encodeURIComponent(to)}`)).json();

    async function stop() {
        server.kill();
        await ended;
        await rm(home, { recursive: true });
    }

    return { url, messageTo, messagesTo, stop };
}

export type Enroll = Awaited<ReturnType<typeof startEnroll>>;

async function until(done: () => Promise<boolean>, hopeless = () => false) {
    for (let tries = 0; tries < 400; tries++) {
        if (hopeless()) break;
        if (await done().catch(() => false)) return;
        await sleep(25);
    }
    throw new Error("it did not come about");
}

async function freePort(): Promise<number> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, "close");
    return port;
}
