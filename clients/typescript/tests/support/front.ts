import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { FakeClock } from "./clock.js";

/** What the front does in place of passing a request on; "drop" closes the connection. */
export type Trouble = "drop" | { status: number; headers?: Record<string, string>; body?: unknown };

export type Judge = (call: string) => Trouble | undefined | Promise<Trouble | undefined>;

/** A reverse proxy that notes every call and makes trouble when told to. */
export async function startFront(target: string) {
    const calls: string[] = [];
    const front = {
        url: "",
        calls,
        /** Gets "METHOD /path?query" of each call. */
        judge: (() => undefined) as Judge,
        /** The server's clock, as far as a client can see it; by default the real time. */
        clock: undefined as FakeClock | undefined,
        count: (start: string) => calls.filter((call) => call.startsWith(start)).length,
        reset() {
            calls.length = 0;
            front.judge = () => undefined;
            front.clock = undefined;
        },
        async stop() {
            server.closeAllConnections();
            server.close();
            await once(server, "close");
        },
    };

    const server = createServer(async (request, response) => {
        const call = `${request.method} ${request.url}`;
        calls.push(call);
        const trouble = await front.judge(call);
        const date = new Date(front.clock?.now() ?? Date.now()).toUTCString();
        if (trouble === "drop") return void request.socket.destroy();
        if (trouble) {
            response.writeHead(trouble.status, { date, ...trouble.headers });
            return void response.end(typeof trouble.body === "string" ? trouble.body : JSON.stringify(trouble.body));
        }
        const answer = await passOn(target, request);
        response.writeHead(answer.status, { ...Object.fromEntries(answer.headers), date });
        response.end(await answer.text());
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    front.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return front;
}

export type Front = Awaited<ReturnType<typeof startFront>>;

async function passOn(target: string, request: IncomingMessage): Promise<Response> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    const { authorization, "content-type": type } = request.headers;
    const headers = Object.entries({ authorization, "content-type": type });
    return fetch(target + request.url, {
        method: request.method!,
        headers: headers.filter((entry): entry is [string, string] => entry[1] !== undefined),
        body: parts.length ? Buffer.concat(parts) : null,
    });
}

/** A problem answer as the service writes it. */
export function problem(status: number, code: string, headers: Record<string, string> = {}): Trouble {
    return {
        status,
        headers: { "content-type": "application/problem+json", ...headers },
        body: { type: `/docs/errors#${code}`, title: "", status, detail: code, code, request_id: "r1" },
    };
}
