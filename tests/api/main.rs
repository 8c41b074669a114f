//! The API as a client sees it: HTTP to a real server on a free port, the same stories over
//! SQLite + memory and PostgreSQL + Redis.

include!("../support/prelude.rs");

test_program!(
    admin_commands,
    attacks,
    audit,
    camel_case_clients,
    challenges,
    code_login,
    concealment,
    connections,
    contacts,
    delivery,
    events,
    fuzz,
    gotrue,
    idempotency,
    imports,
    limits,
    login,
    mail_refusals,
    openapi_coverage,
    outages,
    pending_registrations,
    pre_hijacking,
    profile,
    real_providers,
    recovery,
    refresh,
    refusals,
    registration,
    test_identities,
    removed_contacts,
    suspended_contacts,
    tokens,
    typed_and_pasted,
    validation,
    verification_waits,
    webhook_events
);
