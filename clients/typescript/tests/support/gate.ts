import { createChallenge, verifySolution, type CreateChallengeOptions, type Payload } from "altcha-lib";
import { deriveKey } from "altcha-lib/algorithms/pbkdf2";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

const secrets = { hmacSignatureSecret: "of challenges", hmacKeySignatureSecret: "of keys" };

export interface Asked {
    call: string;
    headers: IncomingHttpHeaders;
    body: Record<string, unknown>;
}

/** A server that takes what ALTCHA's own library verifies, and asks all others for a proof first. */
export async function startGate() {
    const asked: Asked[] = [];
    const gate = {
        url: "",
        asked,
        /** The challenge of a refusal. */
        challenge: proofOfWork as (tries: number) => unknown,
        accepts: verifies as (challenge: unknown) => boolean | Promise<boolean>,
        reset() {
            asked.length = 0;
            gate.challenge = () => proofOfWork();
            gate.accepts = verifies;
        },
        async stop() {
            server.closeAllConnections();
            server.close();
            await once(server, "close");
        },
    };
    gate.reset();

    const server = createServer(async (request, response) => {
        const body = await read(request);
        asked.push({ call: `${request.method} ${request.url}`, headers: request.headers, body });
        const passes = await gate.accepts(body.challenge);
        const challenge = passes ? undefined : await gate.challenge(asked.length);
        response.writeHead(passes ? 200 : 403, { "content-type": "application/json" });
        response.end(JSON.stringify(passes ? { status: "sent" } : { code: "challenge_required", challenge }));
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    gate.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return gate;
}

export type Gate = Awaited<ReturnType<typeof startGate>>;

/** As the service writes it: ALTCHA's challenge with `kind` beside it. */
export async function proofOfWork(options: Partial<CreateChallengeOptions> = {}) {
    const challenge = await createChallenge({
        algorithm: "PBKDF2/SHA-256",
        cost: 1000,
        counter: 20,
        deriveKey,
        expiresAt: new Date(Date.now() + 300_000),
        data: { to: "a hash" },
        ...secrets,
        ...options,
    });
    return { kind: "pow", ...challenge };
}

async function verifies(payload: unknown): Promise<boolean> {
    if (typeof payload !== "string") return false;
    const { challenge, solution } = JSON.parse(Buffer.from(payload, "base64").toString()) as Payload;
    const { verified } = await verifySolution({ challenge, solution, deriveKey, ...secrets });
    return verified && !("kind" in challenge);
}

async function read(request: IncomingMessage): Promise<Record<string, unknown>> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    return parts.length ? JSON.parse(Buffer.concat(parts).toString()) : {};
}
