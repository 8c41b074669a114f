//! Authentication: HTTP Basic and Bearer.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::client_ip::RequestClient;
use crate::{
    domain::{Address, Password, PhoneRules},
    engine::{Actor, BasicCredentials},
    error::Error,
    http::{Api, problem::Problem},
};

/// HTTP Basic (RFC 7617): an email or a mobile, a colon, and the password, in UTF-8.
pub(in crate::http) struct Basic(pub(in crate::http) BasicCredentials);

impl FromRequestParts<Api> for Basic {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let credentials = header.and_then(|header| parse_basic(header, &api.phone));
        credentials.map(Self).ok_or_else(|| Problem::from(Error::InvalidCredentials).with_basic_challenge())
    }
}

fn parse_basic(header: &str, phone: &PhoneRules) -> Option<BasicCredentials> {
    let (scheme, encoded) = header.split_once(' ')?;
    let decoded = STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let text = String::from_utf8(decoded).ok()?;
    let (identifier, password) = text.split_once(':')?;
    if text.chars().any(char::is_control) || identifier.len() > 300 {
        return None;
    }
    Some(BasicCredentials {
        address: Address::parse(identifier, phone).ok(),
        identifier: identifier.to_owned(),
        password: Password::for_comparison(password),
    })
}

/// The owner of the access token (RFC 6750).
pub(in crate::http) struct Bearer(pub(in crate::http) Actor);

impl FromRequestParts<Api> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let token = bearer_token(&parts.headers).ok_or(Error::MissingToken)?;
        let (user, session) = api.sessions.authenticate(token).await?;
        let RequestClient(client) = RequestClient::from_request_parts(parts, api).await?;
        Ok(Self(Actor { user, session, client }))
    }
}

/// The token of an `Authorization: Bearer` header.
pub(in crate::http) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Region;

    fn india() -> PhoneRules {
        PhoneRules { default_region: Region::IN, allowed_regions: vec![] }
    }

    #[test]
    fn name_and_password_split_at_the_first_colon() {
        let header = format!("basic {}", STANDARD.encode("ann@example.com:pass:wörd"));
        let basic = parse_basic(&header, &india()).unwrap();
        assert_eq!(basic.identifier, "ann@example.com");
        assert_eq!(basic.password.unwrap().expose(), "pass:wörd");
        for wrong in ["", "Basic", "Basic !!!", "Bearer abc", &format!("Basic {}", STANDARD.encode("no colon"))] {
            assert!(parse_basic(wrong, &india()).is_none(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_answered(header in "\\PC{0,80}", text in "\\PC{0,40}:\\PC{0,40}") {
            parse_basic(&header, &india());
            let encoded = format!("Basic {}", STANDARD.encode(&text));
            if let Some(basic) = parse_basic(&encoded, &india()) {
                prop_assert_eq!(basic.identifier.as_str(), text.split(':').next().unwrap());
            }
        }
    }
}
