//! Codes, rate limits and the cost of password hashes.

use std::time::Duration;

use super::{reader::Reader, settings::DAY};
use crate::{
    crypto::HashingCost,
    domain::{CodePolicy, Quota, RateLimit, TestIdentities},
    engine::{CodeSettings, LimitSettings},
};

const HOUR: Duration = Duration::from_hours(1);

macro_rules! policy {
    ($settings:ident, $purpose:literal, $digits:literal, $ttl:literal, $tries:literal) => {
        CodePolicy {
            digits: $settings.u32(concat!("codes.", $purpose, ".digits"), $digits, 4..=10),
            ttl: $settings.seconds(concat!("codes.", $purpose, ".ttl"), $ttl, 10..=DAY),
            tries: $settings.u32(concat!("codes.", $purpose, ".tries"), $tries, 1..=100),
        }
    };
}

pub(super) fn codes(settings: &mut Reader, limits: &LimitSettings) -> CodeSettings {
    CodeSettings {
        registration_sms: policy!(settings, "registration_sms", 6, 300, 5),
        registration_email: policy!(settings, "registration_email", 4, 60, 3),
        login: policy!(settings, "login", 6, 120, 3),
        password_reset: policy!(settings, "password_reset", 6, 600, 5),
        contact_change: policy!(settings, "contact_change", 6, 600, 5),
        resend_after: settings.seconds("codes.resend_after", 30, 0..=3_600),
        sends_per_destination: limits.sends_per_destination.clone(),
        test_identities: TestIdentities::default(),
        conceal_accounts: settings.flag("privacy.conceal_accounts", false),
    }
}

/// At most a day: the status of a verification is kept for so long. No code outlives its registration.
pub(super) fn registrations_ttl(settings: &mut Reader, codes: &CodeSettings) -> Duration {
    let ttl = settings.seconds("registrations.ttl", 3_600, 60..=DAY);
    if ttl < codes.registration_sms.ttl.max(codes.registration_email.ttl) {
        settings.problem("registrations.ttl", "must be at least the ttl of registration codes");
    }
    ttl
}

pub(super) fn limits(settings: &mut Reader, enabled: bool) -> LimitSettings {
    let in_a_row = settings.u32("limits.login_failures_in_a_row", 100, 1..=10_000);
    let wrong_codes = settings.parsed("limits.wrong_codes", Some(Quota::new(200, HOUR)), |text| match text {
        "none" => Ok(None),
        text => {
            let limit = RateLimit::parse(text).ok().filter(|limit| limit.iter().count() == 1);
            limit
                .and_then(|limit| limit.shortest())
                .map(Some)
                .ok_or("must be a count and seconds, such as 200/3600, or none")
        }
    });
    let mut limit = |setting: &'static str, default: &str| {
        let limit = settings.parsed(setting, None, |text| RateLimit::parse(text).map(Some));
        let limit = limit.unwrap_or_else(|| RateLimit::parse(default).unwrap_or_default());
        if enabled { limit } else { RateLimit::unlimited() }
    };
    LimitSettings {
        sends_per_client: limit("limits.sends_per_client", "5/60,40/3600,200/86400"),
        sends_per_destination: limit("limits.sends_per_destination", "5/3600,10/86400"),
        wrong_tries_per_destination: limit("limits.wrong_tries_per_destination", "10/3600,20/86400"),
        wrong_tries_per_client: limit("limits.wrong_tries_per_client", "50/3600"),
        login_failures_per_identifier: limit("limits.login_failures_per_identifier", "10/3600"),
        login_failures_per_client: limit("limits.login_failures_per_client", "50/3600"),
        logins_per_client: limit("limits.logins_per_client", "60/60"),
        wrong_codes: wrong_codes.filter(|_| enabled),
        login_failures_in_a_row: enabled.then_some(in_a_row),
    }
}

pub(super) fn hashing(settings: &mut Reader) -> HashingCost {
    let cost = HashingCost {
        memory_kib: settings.u32("passwords.memory_kib", 19_456, 8..=1 << 20),
        iterations: settings.u32("passwords.iterations", 2, 1..=64),
        parallelism: settings.u32("passwords.parallelism", 1, 1..=16),
    };
    if cost.memory_kib < 8 * cost.parallelism {
        settings.problem("passwords.memory_kib", "must be at least 8 KiB for each lane (RFC 9106, 3.1)");
    }
    cost
}
