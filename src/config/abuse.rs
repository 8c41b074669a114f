//! Abuse: the pumping guard, its ceilings, and challenges.

use std::time::Duration;

use super::reader::Reader;
use crate::{
    domain::guard::GuardSettings,
    engine::{GuardMode, PuzzleMode},
    puzzles::SiteVerify,
};

/// The pumping guard, and challenges.
#[derive(Debug, Clone)]
pub struct AbuseSettings {
    /// Whether the guard holds anybody.
    pub guard: GuardMode,
    /// Its numbers.
    pub numbers: GuardSettings,
    /// When challenges are asked for.
    pub challenge: PuzzleMode,
    /// Iterations in one try of a proof of work.
    pub pow_cost: u32,
    /// A provider in place of the proof of work.
    pub site_verify: Option<SiteVerify>,
    /// Whether loopback clients have no limit but that of a minute.
    pub trusts_loopback: bool,
}

pub(super) fn abuse(settings: &mut Reader, trusts_loopback: bool) -> AbuseSettings {
    AbuseSettings {
        guard: settings.parsed("abuse.guard", GuardMode::Enforce, |text| match text {
            "enforce" => Ok(GuardMode::Enforce),
            "watch" => Ok(GuardMode::Watch),
            "off" => Ok(GuardMode::Off),
            _ => Err("must be enforce, watch or off"),
        }),
        numbers: numbers(settings),
        challenge: settings.parsed("abuse.challenge", PuzzleMode::Held, |text| match text {
            "held" => Ok(PuzzleMode::Held),
            "always" => Ok(PuzzleMode::Always),
            "off" => Ok(PuzzleMode::Off),
            _ => Err("must be held, always or off"),
        }),
        pow_cost: settings.u32("abuse.pow_cost", 400, 100..=1_000_000),
        site_verify: site_verify(settings),
        trusts_loopback,
    }
}

fn numbers(settings: &mut Reader) -> GuardSettings {
    let default = GuardSettings::default();
    let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    let ceiling = |text: &str| {
        let parsed = text.split_once('/').and_then(|(count, seconds)| {
            let (count, seconds) = (count.trim().parse::<u32>().ok()?, seconds.trim().parse::<i64>().ok()?);
            (count > 0 && (60..=86_400).contains(&seconds)).then_some((count, seconds * 1_000))
        });
        parsed.ok_or("must be a count and 60 to 86400 seconds, such as 1000/3600")
    };
    GuardSettings {
        share: settings.parsed("abuse.share", default.share, |text| {
            let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
            share.ok_or("must be a share from 0 to 1, such as 0.2")
        }),
        minimum: settings.u32("abuse.minimum", default.minimum, 1..=100_000),
        window_ms: millis(settings.seconds("abuse.window", 3_600, 60..=86_400)),
        hold_ms: millis(settings.seconds("abuse.hold", 86_400, 60..=604_800)),
        ceiling: settings.parsed("abuse.ceiling", default.ceiling, ceiling),
        ceiling_per_country: settings.parsed("abuse.ceiling_per_country", default.ceiling_per_country, ceiling),
    }
}

fn site_verify(settings: &mut Reader) -> Option<SiteVerify> {
    let url = settings.text("abuse.siteverify.url");
    let secret = settings.text("abuse.siteverify.secret");
    let site_key = settings.text("abuse.siteverify.site_key");
    match (url, secret, site_key) {
        (None, None, None) => None,
        (Some(url), Some(secret), Some(site_key)) => match SiteVerify::new(&url, secret, site_key) {
            Ok(provider) => Some(provider),
            Err(problem) => {
                settings.problem("abuse.siteverify.url", problem);
                None
            }
        },
        _ => {
            settings.problem("abuse.siteverify.url", "goes with abuse.siteverify.secret and abuse.siteverify.site_key");
            None
        }
    }
}
