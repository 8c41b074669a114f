//! The rules of registering.

use super::{Email, FieldCode, FieldError};

/// The rules of registering.
#[derive(Debug, Clone, Default)]
pub struct RegistrationRules {
    /// A code alone is enough, without a password.
    pub password_optional: bool,
    /// Nobody may but who is invited.
    pub closed: bool,
    /// The domains of emails that may; all if empty. In lower case.
    pub domains: Vec<String>,
    /// The domains that may not.
    pub denied_domains: Vec<String>,
}

impl RegistrationRules {
    /// Judges the domain of an email.
    pub fn check_domain(&self, email: &Email) -> Result<(), FieldError> {
        let key = email.key();
        let domain = key.rsplit_once('@').map_or("", |(_, domain)| domain);
        let is_in = |list: &[String]| list.iter().any(|listed| listed == domain);
        if is_in(&self.denied_domains) || !(self.domains.is_empty() || is_in(&self.domains)) {
            return Err(FieldError::new(
                "email",
                FieldCode::UnsupportedDomain,
                "has a domain that is not accepted here",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_exact() {
        let rules = |allowed: &[&str], denied: &[&str]| RegistrationRules {
            password_optional: false,
            closed: false,
            domains: allowed.iter().map(|&domain| domain.to_owned()).collect(),
            denied_domains: denied.iter().map(|&domain| domain.to_owned()).collect(),
        };
        let ok = |rules: &RegistrationRules, email: &str| rules.check_domain(&Email::parse(email).unwrap()).is_ok();
        assert!(ok(&rules(&[], &[]), "ann@example.com"));
        let only = rules(&["example.com"], &[]);
        assert!(ok(&only, "ann@EXAMPLE.com"));
        assert!(!ok(&only, "ann@sub.example.com") && !ok(&only, "ann@example.org"));
        let but = rules(&[], &["throwaway.example"]);
        assert!(ok(&but, "ann@example.com") && !ok(&but, "ann@throwaway.example"));
    }
}
