//! Settings that are valid and unwise.

use super::Settings;
use crate::{
    domain::{Clock as _, CodePolicy, SystemClock},
    engine::{GuardMode, PuzzleMode},
    events::RabbitUrl,
};

impl Settings {
    /// Everything in these settings that is valid and unwise.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |is_unwise: bool, warning: &str| {
            if is_unwise {
                warnings.push(warning.to_owned());
            }
        };
        let prints_codes = self.notify.prints_codes();
        let ttls = [self.codes.registration_sms.ttl, self.codes.registration_email.ttl];
        let is_hasty = ttls.iter().any(|ttl| ttl.as_secs() < 300);
        let is_public = !self.server.address.ip().is_loopback();
        warn(!self.limits_enabled, "ENROLL__LIMITS__ENABLED is false: nobody is kept from guessing codes");
        warn(prints_codes, "`console` is a provider: it prints every code to standard output");
        warn(!prints_codes && is_hasty, "registration codes expire within 300 s, and messages may take that long");
        let inbox = "ENROLL__NOTIFY__INBOX is true: everybody who reaches this server can read every code";
        warn(self.notify.inbox_is_explicit, inbox);
        let proxies = "no trusted proxies are set: behind a proxy all clients share its IP and its limits";
        let everybody = self.server.trusted_proxies.iter().any(|network| network.prefix_len() == 0);
        warn(everybody, "ENROLL__SERVER__TRUSTED_PROXIES trusts everybody: each client can choose its own IP");
        let empty_vhost = self.events.rabbitmq.as_ref().is_some_and(RabbitUrl::has_empty_vhost);
        warn(empty_vhost, "AMQP_URL ends with a slash, which names the virtual host \"\"; the default one is %2f");
        let (now, identities) = (SystemClock.now(), &self.codes.test_identities);
        let live = identities.live(now).count();
        let known = format!("{live} test identities: whoever knows their codes can use these addresses");
        warn(live > 0, &known);
        for address in identities.ended(now) {
            warn(
                true,
                &format!("the last day of the test identity {} is over: it is like any other", address.masked()),
            );
        }
        let cannot_ask = self.abuse.guard == GuardMode::Enforce && self.abuse.challenge == PuzzleMode::Off;
        warn(cannot_ask, "ENROLL__ABUSE__CHALLENGE is off: the guard holds nobody, only the ceilings refuse");
        let cannot_solve = self.abuse.guard == GuardMode::Enforce && !self.server.camel_prefixes.is_empty();
        let older = "older clients (ENROLL__SERVER__CAMEL_PREFIXES) solve no challenges: ENROLL__ABUSE__GUARD=watch \
            serves them all the same";
        warn(cannot_solve, older);
        for warning in self.gotrue_warnings() {
            warn(true, warning);
        }
        for (name, meant) in &self.misspelled {
            let meant = meant.as_deref().unwrap_or("ENROLL__SECTION__KEY");
            warn(true, &format!("{name} is ignored: the name is {meant}"));
        }
        warn(is_public && self.server.trusted_proxies.is_empty(), proxies);
        warnings
    }

    /// Remarks on settings under which GoTrue's clients cannot do something.
    fn gotrue_warnings(&self) -> Vec<&'static str> {
        let mut warnings = Vec::new();
        if self.server.gotrue_prefix.is_none() {
            return warnings;
        }
        let mut warn = |is_unwise: bool, warning| warnings.extend(is_unwise.then_some(warning));
        let codes = &self.codes;
        let policies =
            [codes.registration_sms, codes.registration_email, codes.login, codes.password_reset, codes.contact_change];
        warn(
            !self.registration_rules.password_optional,
            "GoTrue's clients sign nobody up by a code alone: ENROLL__REGISTRATIONS__PASSWORD is required, not optional",
        );
        warn(
            policies.iter().any(CodePolicy::needs_id),
            "GoTrue's clients cannot verify codes of fewer than six digits (ENROLL__CODES__…__DIGITS), for they send no id",
        );
        let asks = self.abuse.guard == GuardMode::Enforce && self.abuse.challenge != PuzzleMode::Off;
        warn(
            asks || self.abuse.challenge == PuzzleMode::Always,
            "GoTrue's clients solve no challenges unless the app does (POST /challenge): ENROLL__ABUSE__GUARD=watch \
             serves them all the same",
        );
        warn(
            self.tokens.keys.sign_with_ed25519(),
            "GoTrue's JavaScript client does not verify EdDSA (getClaims): ENROLL__TOKENS__ALGORITHM=ES256",
        );
        warnings
    }
}
