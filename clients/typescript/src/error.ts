import type { Challenge } from "./challenge.js";
import type { ErrorCode, FieldError, Verification } from "./types.js";

/** The members of a problem answer (RFC 9457) that the client passes on. */
export interface Problem {
    code: ErrorCode;
    detail?: string;
    request_id?: string | undefined;
    errors?: FieldError[];
    challenge?: Challenge | undefined;
    verification?: Verification | null;
}

/**
 * Anything that went wrong with a call.
 *
 * `code` is the server's, or one of the client's own: `network` (no answer; status 0), `unexpected_answer`
 * (an answer that is not the service's), `session_changed` (another tab logged in as somebody else meanwhile).
 */
export class EnrollError extends Error {
    override readonly name = "EnrollError";
    readonly code: ErrorCode;
    readonly status: number;
    /** Seconds until the next try is welcome. */
    readonly retryAfter: number | undefined;
    readonly fields: FieldError[];
    readonly requestId: string | undefined;
    /** With `challenge_required`: what was not solved. */
    readonly challenge: Challenge | undefined;
    /** With `account_not_activated`: the verification that is still pending. */
    readonly verification: Verification | undefined;

    constructor(status: number, problem: Problem, retryAfter?: number, cause?: unknown) {
        super(problem.detail ?? problem.code, { cause });
        this.code = problem.code;
        this.status = status;
        this.retryAfter = retryAfter;
        this.fields = problem.errors ?? [];
        this.requestId = problem.request_id;
        this.challenge = problem.challenge;
        this.verification = problem.verification ?? undefined;
    }
}

/** What the server says to a call without a token, said before asking it. */
export function noSession(): EnrollError {
    return new EnrollError(401, { code: "missing_token", detail: "nobody is logged in" });
}
