import type { components, operations } from "./schema.js";

type Schemas = components["schemas"];
type Json<Holder> = Holder extends { content: { "application/json": infer Body } } ? Body : never;

/** All fields, each optional unless every alternative needs it: one plain object in place of a union. */
type Plain<Union> = Pick<Union, keyof Union>;

/** The body that an operation of the OpenAPI document takes; which fields go together is said there, and by the server. */
export type Body<Id extends keyof operations> = Plain<NonNullable<Json<NonNullable<operations[Id]["requestBody"]>>>>;

/** What an operation answers when it went well. */
export type Answer<Id extends keyof operations> = Json<
    operations[Id]["responses"][keyof operations[Id]["responses"] & (200 | 202)]
>;

export type User = Schemas["User"];
export type Verification = Schemas["Verification"];
export type VerificationStatus = Schemas["StatusResponse"];
export type TokenAnswer = Schemas["TokenResponse"];
export type FieldError = Schemas["FieldError"];
export type ErrorCode = Schemas["ErrorCodeName"];
export type OpenSession = Schemas["Session"];

/** What any call that sends a code takes beside its own fields. */
export interface SendExtras {
    /** A solution, from who solves challenges before they are asked for. */
    challenge?: string;
    /** One of `notify.android_apps`, for Android's SMS Retriever. */
    app_hash?: string;
}

/** What may be told about a person who registers. */
export interface ProfileExtras {
    name?: string | null;
    locale?: string | null;
    data?: Record<string, unknown> | null;
}

export interface Export {
    user: User;
    sessions: unknown[];
    messages: unknown[];
    audit: unknown[];
}

/** What a client keeps between calls; names as on the wire. */
export interface Session {
    access_token: string;
    refresh_token: string;
    /** Milliseconds since 1970 by the server's clock. */
    expires_at: number;
    refresh_expires_at: number;
    user_id: string;
    /** How far the server's clock was ahead of this device's, in milliseconds. */
    skew: number;
}
