//! Signing webhooks as Standard Webhooks 1.0 says: id, timestamp and body under HMAC-SHA256.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::domain::Timestamp;

/// A secret of 24 to 64 octets. Its `Debug` shows nothing.
#[derive(Clone)]
pub struct WebhookSecret(Box<hmac::Key>);

/// Signs with the present secret, and with the previous one too while receivers change over.
#[derive(Debug, Clone)]
pub struct WebhookSigner {
    secret: WebhookSecret,
    previous_secret: Option<WebhookSecret>,
}

impl WebhookSecret {
    /// Parses `whsec_` and base64.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let octets = STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).ok();
        let octets = octets.filter(|octets| (24..=64).contains(&octets.len()));
        let octets = octets.ok_or("must be `whsec_` and 24 to 64 octets in base64")?;
        Ok(Self(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &octets))))
    }

    fn sign(&self, signed: &str) -> String {
        format!("v1,{}", STANDARD.encode(hmac::sign(&self.0, signed.as_bytes())))
    }
}

impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}

impl WebhookSigner {
    /// Signs with these.
    pub fn new(secret: WebhookSecret, previous_secret: Option<WebhookSecret>) -> Self {
        Self { secret, previous_secret }
    }

    /// The headers of a request with this body. The id is the same when it is sent again; the time is the real one,
    /// which the receiver compares with its own.
    pub fn headers(&self, id: &str, now: Timestamp, body: &str) -> [(&'static str, String); 3] {
        let signed = format!("{id}.{}.{body}", now.seconds());
        let secrets = std::iter::once(&self.secret).chain(&self.previous_secret);
        let signatures: Vec<String> = secrets.map(|secret| secret.sign(&signed)).collect();
        [
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", now.seconds().to_string()),
            ("webhook-signature", signatures.join(" ")),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by Python's `hmac`; `tests/tools/provider-check` asks the reference libraries.
    #[test]
    fn each_secret_signs() {
        let secret = WebhookSecret::parse("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
        let (id, body) = ("01a2161f-8eca-7739-9837-47bd87847028", r#"{"specversion":"1.0"}"#);
        let now = Timestamp::from_millis(1_800_000_000_999);
        let alone = WebhookSigner::new(secret.clone(), None).headers(id, now, body);
        let signature = "v1,XxrWHzDrg9tPlPQlMXZsYHLOUWRLAPpdALFDgrk+nDY=";
        let headers = [("webhook-id", id), ("webhook-timestamp", "1800000000"), ("webhook-signature", signature)];
        assert_eq!(alone, headers.map(|(name, value)| (name, value.to_owned())));
        let new = WebhookSecret::parse(&STANDARD.encode([7; 64])).unwrap();
        let [.., (_, both)] = WebhookSigner::new(new, Some(secret)).headers(id, now, body);
        assert!(both.len() > signature.len() * 2 && both.ends_with(&format!(" {signature}")), "{both}");
    }

    #[test]
    fn a_secret_has_24_to_64_octets() {
        for (octets, fits) in [(23, false), (24, true), (64, true), (65, false)] {
            assert_eq!(WebhookSecret::parse(&STANDARD.encode(vec![1; octets])).is_ok(), fits, "{octets}");
        }
        assert!(WebhookSecret::parse("whsec_not base64").is_err());
    }
}
