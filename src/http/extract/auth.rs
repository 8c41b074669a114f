use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use uuid::Uuid;

use crate::{
    domain::{Address, Password, PhoneRules, User},
    engine::BasicCredentials,
    error::Error,
    http::{Api, problem::Problem},
};

/// HTTP Basic (RFC 7617): an email or a mobile, a colon, and the password; UTF-8.
pub(in crate::http) struct Basic(pub(crate) BasicCredentials);

impl FromRequestParts<Api> for Basic {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let credentials = header.and_then(|header| read(header, &api.phone));
        credentials.map(Self).ok_or_else(|| Problem::from(Error::InvalidCredentials).basic())
    }
}

fn read(header: &str, phone: &PhoneRules) -> Option<BasicCredentials> {
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
        password: Password::given(password),
    })
}

/// Who the access token belongs to (RFC 6750).
pub(in crate::http) struct Bearer {
    pub(in crate::http) user: User,
    pub(in crate::http) session: Uuid,
}

/// The token of an `Authorization: Bearer` header.
pub(in crate::http) fn token(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

impl FromRequestParts<Api> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let token = token(&parts.headers).ok_or(Error::MissingToken)?;
        let (user, session) = api.sessions.authenticate(token).await?;
        Ok(Self { user, session })
    }
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
        let basic = read(&header, &india()).unwrap();
        assert_eq!(basic.identifier, "ann@example.com");
        assert_eq!(basic.password.unwrap().expose(), "pass:wörd");
        for wrong in ["", "Basic", "Basic !!!", "Bearer abc", &format!("Basic {}", STANDARD.encode("no colon"))] {
            assert!(read(wrong, &india()).is_none(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_answered(header in "\\PC{0,80}", text in "\\PC{0,40}:\\PC{0,40}") {
            read(&header, &india());
            let encoded = format!("Basic {}", STANDARD.encode(&text));
            if let Some(basic) = read(&encoded, &india()) {
                prop_assert_eq!(basic.identifier.as_str(), text.split(':').next().unwrap());
            }
        }
    }
}
