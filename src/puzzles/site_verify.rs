//! The widget of a provider, whose token the provider judges: Turnstile, hCaptcha, or another with the same form.

use std::time::Duration;

use reqwest::{Client, Url};
use serde::Deserialize;

use crate::outbound;

/// Asks a provider about tokens.
#[derive(Clone)]
pub struct SiteVerify {
    url: Url,
    secret: String,
    site_key: String,
    http: Client,
}

/// The provider did not answer, or not as it should.
#[derive(Debug, thiserror::Error)]
#[error("the provider of the challenge does not answer")]
pub struct SiteVerifyDown(#[source] pub anyhow::Error);

#[derive(Deserialize)]
struct Verdict {
    success: bool,
}

const TIMEOUT: Duration = Duration::from_secs(3);

impl SiteVerify {
    /// A provider with this `siteverify` endpoint.
    ///
    /// # Errors
    ///
    /// The URL is none.
    pub fn new(url: &str, secret: String, site_key: String) -> Result<Self, &'static str> {
        let url = Url::parse(url).ok().filter(|url| url.host_str().is_some());
        let url = url.ok_or("must be a URL such as https://challenges.cloudflare.com/turnstile/v0/siteverify")?;
        Ok(Self { url, secret, site_key, http: outbound::client(TIMEOUT) })
    }

    /// The widget's puzzle.
    pub fn puzzle(&self) -> super::Puzzle {
        super::Puzzle::SiteVerify { site_key: self.site_key.clone(), provider: self.provider() }
    }

    fn provider(&self) -> String {
        match self.url.host_str().unwrap_or_default() {
            "challenges.cloudflare.com" => "turnstile".to_owned(),
            host if host == "hcaptcha.com" || host.ends_with(".hcaptcha.com") => "hcaptcha".to_owned(),
            host => host.to_owned(),
        }
    }

    /// Whether the provider takes the token; it takes each once.
    pub async fn is_right(&self, token: &str, ip: std::net::IpAddr) -> Result<bool, SiteVerifyDown> {
        let form = [("secret", self.secret.as_str()), ("response", token), ("remoteip", &ip.to_string())];
        let answer = self.http.post(self.url.clone()).form(&form).send().await;
        // Without the URL: it may hold a key.
        let answer = answer.and_then(reqwest::Response::error_for_status).map_err(reqwest::Error::without_url);
        let body = outbound::body_of(answer.map_err(|error| SiteVerifyDown(error.into()))?).await;
        let verdict: Verdict = serde_json::from_slice(&body).map_err(|error| SiteVerifyDown(error.into()))?;
        Ok(verdict.success)
    }
}

impl std::fmt::Debug for SiteVerify {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.provider())
    }
}
