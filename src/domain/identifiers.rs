//! The email, mobile and login id of an account or a registration.

use super::{Address, Email, LoginId, Mobile, Password};

/// The email, mobile and login id of an account or a registration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identifiers {
    /// An email address.
    pub email: Option<Email>,
    /// A mobile number.
    pub mobile: Option<Mobile>,
    /// A name to log in by.
    pub login_id: Option<LoginId>,
}

/// The identifier that another account has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenIdentifier {
    /// Another account has proven the email.
    Email,
    /// Another account has proven the mobile.
    Mobile,
    /// Another account has the login id.
    LoginId,
}

/// One identifier, as a person names an account.
#[derive(Debug, Clone)]
pub enum Identifier {
    /// An email or a mobile.
    Address(Address),
    /// A login id.
    LoginId(LoginId),
}

impl Identifier {
    /// The text by which it is compared and counted.
    pub fn key(&self) -> String {
        match self {
            Self::Address(address) => address.key(),
            Self::LoginId(login_id) => login_id.key(),
        }
    }
}

impl Identifiers {
    /// The address that a code goes to: the mobile if there is one, otherwise the email.
    pub fn destination(&self) -> Option<Address> {
        let mobile = self.mobile.clone().map(Address::Mobile);
        mobile.or_else(|| self.email.clone().map(Address::Email))
    }

    /// Whether the address is one of these, whatever its spelling.
    pub fn contains(&self, address: &Address) -> bool {
        match address {
            Address::Mobile(mobile) => self.mobile.as_ref() == Some(mobile),
            Address::Email(email) => self.email.as_ref().is_some_and(|own| own.key() == email.key()),
        }
    }

    /// The addresses and the login id by which no two accounts may be found.
    pub fn keys(&self) -> Vec<String> {
        let email = self.email.as_ref().map(Email::key);
        let mobile = self.mobile.as_ref().map(|mobile| mobile.as_str().to_owned());
        let login_id = self.login_id.as_ref().map(|login_id| format!("login_id {}", login_id.key()));
        [email, mobile, login_id].into_iter().flatten().collect()
    }

    /// Whether the password is one of these, or the part before the `@`, however it is written: anyone who
    /// knows the person would try it first (NIST SP 800-63B, 3.1.1.2).
    pub fn is_equal_to(&self, password: &Password) -> bool {
        let password = password.expose().to_lowercase();
        let digits: String = password.chars().filter(|c| !" +-().".contains(*c)).collect();
        let email = self.email.as_ref().map(Email::key).is_some_and(|email| {
            email == password || email.rsplit_once('@').is_some_and(|(local, _)| local == password)
        });
        let mobile = self.mobile.as_ref().is_some_and(|mobile| {
            let forms = [mobile.as_str().trim_start_matches('+'), mobile.national()];
            forms.iter().any(|form| digits.trim_start_matches('0') == form.trim_start_matches('0'))
        });
        email || mobile || self.login_id.as_ref().is_some_and(|login_id| login_id.key() == password)
    }
}

impl From<Address> for Identifiers {
    fn from(address: Address) -> Self {
        match address {
            Address::Email(email) => Self { email: Some(email), ..Self::default() },
            Address::Mobile(mobile) => Self { mobile: Some(mobile), ..Self::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{PhoneRules, Region};

    #[test]
    fn ones_own_names_are_no_passwords() {
        let rules = PhoneRules { default_region: Region::IN, allowed_regions: vec![] };
        let own = Identifiers {
            email: Some(Email::parse("Ann.Brown@example.com").unwrap()),
            mobile: Some(Mobile::parse("9876543210", &rules).unwrap()),
            login_id: Some(LoginId::parse("Officer.17").unwrap()),
        };
        let refused = |text: &str| own.is_equal_to(&Password::for_comparison(text).unwrap());
        for own in ["ann.brown@EXAMPLE.com", "Ann.Brown", "+91 98765-43210", "9876543210", "09876543210", "officer.17"]
        {
            assert!(refused(own), "{own}");
        }
        for other in ["ann.brown@example.org", "9876543211", "officer.18", "ann brown", ""] {
            assert!(!refused(other), "{other}");
        }
    }
}
