//! Password hashes that other systems made. The first login by password replaces them.

use std::{fmt, num::NonZeroU32};

use argon2::{Algorithm, Argon2, Params, Version, password_hash::phc::PasswordHash};
use aws_lc_rs::{
    cipher::{AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey},
    constant_time::verify_slices_are_equal,
    iv::FixedLength,
    pbkdf2,
};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use sha_crypt::{PasswordHashRef, PasswordVerifier as _, ShaCrypt};

use crate::domain::{Password, hex, sha256};

/// A password hash that another system made. Its `Debug` shows nothing.
#[derive(Clone)]
pub struct ForeignHash(Form);

#[derive(Clone)]
enum Form {
    Argon2 {
        algorithm: Algorithm,
        version: Version,
        params: Params,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
    /// `of_digest`: of the password's SHA-256, in hexadecimal digits.
    Bcrypt {
        text: String,
        of_digest: bool,
    },
    Scrypt {
        params: scrypt::Params,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
    /// `output` is the project's signer key, encrypted under what scrypt makes of the password.
    Firebase {
        params: scrypt::Params,
        salt: Vec<u8>,
        signer_key: Vec<u8>,
        output: Vec<u8>,
    },
    Pbkdf2 {
        algorithm: pbkdf2::Algorithm,
        iterations: NonZeroU32,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
    ShaCrypt(String),
}

/// The hash that PBKDF2 iterates, and the octets of a block.
type Prf = (pbkdf2::Algorithm, usize);
const SHA1: Prf = (pbkdf2::PBKDF2_HMAC_SHA1, 20);
const SHA256: Prf = (pbkdf2::PBKDF2_HMAC_SHA256, 32);
const SHA512: Prf = (pbkdf2::PBKDF2_HMAC_SHA512, 64);

/// A text is no hash that can be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForeignHashError {
    /// It has none of the known forms.
    #[error("is no hash of Argon2, bcrypt, scrypt, PBKDF2, SHA-crypt or Firebase that is known here")]
    Unknown,
    /// It has a known form, but not wholly.
    #[error("is damaged: a part is missing, too short or too long")]
    Malformed,
    /// Each login would take too long.
    #[error("costs too much: each login would take more than a second, or 256 MiB of memory")]
    TooCostly,
}

// About a second of one core, and 256 MiB.
const ARGON2_MEMORY_KIB: u32 = 1 << 18;
const ARGON2_KIB_PASSES: u64 = 1 << 20;
const BCRYPT_COST: u32 = 14;
/// Blocks of 128 octets.
const SCRYPT_BLOCKS: u64 = 1 << 21;
const PBKDF2_ITERATIONS: u64 = 2_000_000;
const SHA_CRYPT_ROUNDS: u32 = 1_000_000;
/// SHA-crypt alone reads the whole password in every round.
const SHA_CRYPT_LONGEST: usize = 256;

/// Base64 as the systems write it: with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl ForeignHash {
    /// Reads a hash: a PHC string, a crypt string, or one of Django, passlib or Firebase.
    ///
    /// # Errors
    ///
    /// None of them names a part of the hash.
    pub fn parse(text: &str) -> Result<Self, ForeignHashError> {
        // Django's own forms begin with a name, not with a dollar.
        let form = match text.split_once('$').ok_or(ForeignHashError::Unknown)? {
            ("argon2", rest) => argon2(&format!("${rest}")),
            ("bcrypt", rest) => bcrypt(rest, false),
            ("bcrypt_sha256", rest) => bcrypt(rest, true),
            ("pbkdf2_sha256", rest) => django_pbkdf2(SHA256, rest),
            ("pbkdf2_sha1", rest) => django_pbkdf2(SHA1, rest),
            ("scrypt", rest) => django_scrypt(rest),
            ("", rest) => match rest.split_once('$').ok_or(ForeignHashError::Unknown)? {
                ("argon2i" | "argon2d" | "argon2id", _) => argon2(text),
                ("2a" | "2b" | "2y", _) => bcrypt(text, false),
                ("5" | "6", rest) => sha_crypt(text, rest),
                ("scrypt", rest) => phc_scrypt(rest),
                ("fbscrypt", rest) => firebase(rest),
                ("pbkdf2" | "pbkdf2-sha1", rest) => phc_pbkdf2(SHA1, rest),
                ("pbkdf2-sha256", rest) => phc_pbkdf2(SHA256, rest),
                ("pbkdf2-sha512", rest) => phc_pbkdf2(SHA512, rest),
                _ => Err(ForeignHashError::Unknown),
            },
            _ => Err(ForeignHashError::Unknown),
        };
        form.map(Self)
    }

    /// Whether it is the hash of this password.
    pub fn is_of(&self, password: &Password) -> bool {
        let password = password.expose().as_bytes();
        match &self.0 {
            Form::Argon2 { algorithm, version, params, salt, output } => {
                let mut derived = vec![0; output.len()];
                let argon2 = Argon2::new(*algorithm, *version, params.clone());
                argon2.hash_password_into(password, salt, &mut derived).is_ok() && are_equal(&derived, output)
            }
            Form::Bcrypt { text, of_digest: false } => bcrypt::verify(password, text).unwrap_or(false),
            Form::Bcrypt { text, of_digest: true } => bcrypt::verify(hex(&sha256(password)), text).unwrap_or(false),
            Form::Scrypt { params, salt, output } => {
                let mut derived = vec![0; output.len()];
                scrypt::scrypt(password, salt, params, &mut derived).is_ok() && are_equal(&derived, output)
            }
            Form::Firebase { params, salt, signer_key, output } => {
                firebase_output(password, params, salt, signer_key).is_some_and(|derived| are_equal(&derived, output))
            }
            Form::Pbkdf2 { algorithm, iterations, salt, output } => {
                pbkdf2::verify(*algorithm, *iterations, salt, password, output).is_ok()
            }
            Form::ShaCrypt(text) => {
                password.len() <= SHA_CRYPT_LONGEST
                    && ShaCrypt::default().verify_password(password, text.as_str()).is_ok()
            }
        }
    }
}

impl fmt::Debug for ForeignHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForeignHash(..)")
    }
}

fn are_equal(derived: &[u8], stored: &[u8]) -> bool {
    verify_slices_are_equal(derived, stored).is_ok()
}

/// The signer key under AES-256-CTR with the first half of what scrypt derives, from counter 0.
fn firebase_output(password: &[u8], params: &scrypt::Params, salt: &[u8], signer_key: &[u8]) -> Option<Vec<u8>> {
    let mut derived = [0; 64];
    scrypt::scrypt(password, salt, params, &mut derived).ok()?;
    // In this mode both directions are one.
    let key = DecryptingKey::ctr(UnboundCipherKey::new(&AES_256, &derived[..32]).ok()?).ok()?;
    let mut output = signer_key.to_vec();
    key.decrypt(&mut output, DecryptionContext::Iv128(FixedLength::from([0; 16]))).ok()?;
    Some(output)
}

fn argon2(text: &str) -> Result<Form, ForeignHashError> {
    let hash = PasswordHash::new(text).map_err(|_| ForeignHashError::Malformed)?;
    let params = Params::try_from(&hash).map_err(|_| ForeignHashError::Malformed)?;
    // The first hashes say nothing of their version, which is 16.
    let version = Version::try_from(hash.version.unwrap_or(16)).map_err(|_| ForeignHashError::Malformed)?;
    let passes = u64::from(params.m_cost()) * u64::from(params.t_cost());
    if params.m_cost() > ARGON2_MEMORY_KIB || passes > ARGON2_KIB_PASSES {
        return Err(ForeignHashError::TooCostly);
    }
    Ok(Form::Argon2 {
        algorithm: Algorithm::new(hash.algorithm).map_err(|_| ForeignHashError::Unknown)?,
        version,
        params,
        salt: hash.salt.ok_or(ForeignHashError::Malformed)?.as_ref().to_vec(),
        output: output(hash.hash.ok_or(ForeignHashError::Malformed)?.as_bytes().to_vec())?,
    })
}

fn bcrypt(text: &str, of_digest: bool) -> Result<Form, ForeignHashError> {
    let parts: bcrypt::HashParts = text.parse().map_err(|_| ForeignHashError::Malformed)?;
    if parts.get_cost() > BCRYPT_COST {
        return Err(ForeignHashError::TooCostly);
    }
    Ok(Form::Bcrypt { text: text.to_owned(), of_digest })
}

/// `ln=…,r=…,p=…$salt$output`
fn phc_scrypt(rest: &str) -> Result<Form, ForeignHashError> {
    let [params, salt, output] = parts(rest)?;
    let [log_n, r, p] = ["ln", "r", "p"].map(|name| param(params, name).and_then(number));
    let params = scrypt_params(log_n?, r?, p?)?;
    Ok(Form::Scrypt { params, salt: decode(salt)?, output: decode_output(output)? })
}

/// `N$salt$r$p$output`, its salt a text.
fn django_scrypt(rest: &str) -> Result<Form, ForeignHashError> {
    let [n, salt, r, p, output] = parts(rest)?;
    let n = number(n)?;
    let log_n = n.is_power_of_two().then(|| n.ilog2()).ok_or(ForeignHashError::Malformed)?;
    let params = scrypt_params(log_n, number(r)?, number(p)?)?;
    Ok(Form::Scrypt { params, salt: salt.as_bytes().to_vec(), output: decode_output(output)? })
}

/// `v=1,n=…,r=…,p=1,ss=…,sk=…$salt$output`: `n` is the memory cost, `ss` the salt separator and `sk` the signer key.
fn firebase(rest: &str) -> Result<Form, ForeignHashError> {
    let [params, salt, output] = parts(rest)?;
    let number_of = |name| param(params, name).and_then(number);
    if (number_of("v")?, number_of("p")?) != (1, 1) {
        return Err(ForeignHashError::Malformed);
    }
    let salt = [decode(salt)?, decode(param(params, "ss").unwrap_or_default())?].concat();
    let (signer_key, output) = (decode(param(params, "sk")?)?, decode_output(output)?);
    if signer_key.len() != output.len() {
        return Err(ForeignHashError::Malformed);
    }
    Ok(Form::Firebase { params: scrypt_params(number_of("n")?, number_of("r")?, 1)?, salt, signer_key, output })
}

/// `i=…$salt$output`, or the iterations alone.
fn phc_pbkdf2(prf: Prf, rest: &str) -> Result<Form, ForeignHashError> {
    let [params, salt, output] = parts(rest)?;
    let iterations = param(params, "i").unwrap_or(params);
    pbkdf2_of(prf, iterations, decode(salt)?, output)
}

/// `iterations$salt$output`, its salt a text.
fn django_pbkdf2(prf: Prf, rest: &str) -> Result<Form, ForeignHashError> {
    let [iterations, salt, output] = parts(rest)?;
    pbkdf2_of(prf, iterations, salt.as_bytes().to_vec(), output)
}

fn pbkdf2_of((algorithm, block): Prf, iterations: &str, salt: Vec<u8>, output: &str) -> Result<Form, ForeignHashError> {
    let iterations = NonZeroU32::new(number(iterations)?).ok_or(ForeignHashError::Malformed)?;
    let output = decode_output(output)?;
    // Each block of output costs them all.
    let blocks = u64::try_from(output.len().div_ceil(block)).unwrap_or(u64::MAX);
    if u64::from(iterations.get()).saturating_mul(blocks) > PBKDF2_ITERATIONS {
        return Err(ForeignHashError::TooCostly);
    }
    Ok(Form::Pbkdf2 { algorithm, iterations, salt, output })
}

/// `rounds=…$salt$output`, the rounds perhaps left out.
fn sha_crypt(text: &str, rest: &str) -> Result<Form, ForeignHashError> {
    let (rounds, rest) = match rest.strip_prefix("rounds=").map(|rest| rest.split_once('$')) {
        Some(Some((rounds, rest))) => (number(rounds)?, rest),
        Some(None) => return Err(ForeignHashError::Malformed),
        None => (5_000, rest),
    };
    let [salt, output] = parts(rest)?;
    let is_of_alphabet = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte));
    // The last digit holds what is left of the octets: four bits, or two.
    let (length, last) = if text.starts_with("$5$") { (43, "./0123456789ABCD") } else { (86, "./01") };
    let is_whole = output.len() == length && output.ends_with(|digit| last.contains(digit)) && is_of_alphabet(output);
    let is_whole = is_whole && salt.len() <= 16 && is_of_alphabet(salt);
    if !is_whole || rounds < 1_000 || PasswordHashRef::new(text).is_err() {
        return Err(ForeignHashError::Malformed);
    }
    if rounds > SHA_CRYPT_ROUNDS { Err(ForeignHashError::TooCostly) } else { Ok(Form::ShaCrypt(text.to_owned())) }
}

fn scrypt_params(log_n: u32, r: u32, p: u32) -> Result<scrypt::Params, ForeignHashError> {
    let blocks = 1_u64.checked_shl(log_n).and_then(|n| n.checked_mul(u64::from(r))?.checked_mul(u64::from(p)));
    if log_n >= 64 || blocks.is_none_or(|blocks| blocks > SCRYPT_BLOCKS) {
        return Err(ForeignHashError::TooCostly);
    }
    let log_n = u8::try_from(log_n).map_err(|_| ForeignHashError::Malformed)?;
    scrypt::Params::new(log_n, r, p).map_err(|_| ForeignHashError::Malformed)
}

fn parts<const COUNT: usize>(text: &str) -> Result<[&str; COUNT], ForeignHashError> {
    text.split('$').collect::<Vec<_>>().try_into().map_err(|_| ForeignHashError::Malformed)
}

/// The value of `name=…` in a list with commas.
fn param<'a>(params: &'a str, name: &str) -> Result<&'a str, ForeignHashError> {
    let mut all = params.split(',').filter_map(|param| param.split_once('='));
    all.find(|(own, _)| *own == name).map(|(_, value)| value).ok_or(ForeignHashError::Malformed)
}

fn number(text: &str) -> Result<u32, ForeignHashError> {
    text.parse().map_err(|_| ForeignHashError::Malformed)
}

/// Base64 in any of its alphabets: passlib has a dot for the plus.
fn decode(text: &str) -> Result<Vec<u8>, ForeignHashError> {
    let standard = text.replace(['.', '-'], "+").replace('_', "/");
    BASE64.decode(standard).map_err(|_| ForeignHashError::Malformed)
}

fn decode_output(text: &str) -> Result<Vec<u8>, ForeignHashError> {
    output(decode(text)?)
}

/// Any password would have an output without octets.
fn output(octets: Vec<u8>) -> Result<Vec<u8>, ForeignHashError> {
    if (16..=128).contains(&octets.len()) { Ok(octets) } else { Err(ForeignHashError::Malformed) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OUTPUT: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn error(text: &str) -> ForeignHashError {
        ForeignHash::parse(text).unwrap_err()
    }

    #[test]
    fn a_hash_that_costs_a_second_is_refused() {
        for (affordable, costly) in [
            ("$argon2id$v=19$m=262144,t=4,p=1$c29tZXNhbHQ$", "$argon2id$v=19$m=262144,t=5,p=1$c29tZXNhbHQ$"),
            ("$argon2d$v=19$m=1024,t=1024,p=1$c29tZXNhbHQ$", "$argon2i$v=19$m=262145,t=1,p=1$c29tZXNhbHQ$"),
            ("$scrypt$ln=18,r=8,p=1$c29tZXNhbHQ$", "$scrypt$ln=19,r=8,p=1$c29tZXNhbHQ$"),
            ("scrypt$16384$salt$8$16$", "scrypt$16384$salt$8$17$"),
            ("$pbkdf2-sha256$i=2000000$c29tZXNhbHQ$", "$pbkdf2-sha256$i=2000001$c29tZXNhbHQ$"),
            ("pbkdf2_sha256$2000000$salt$", "pbkdf2_sha1$1000001$salt$"),
            ("$5$rounds=1000000$salt$", "$5$rounds=1000001$salt$"),
        ] {
            ForeignHash::parse(&format!("{affordable}{OUTPUT}")).unwrap_or_else(|error| panic!("{affordable} {error}"));
            assert_eq!(error(&format!("{costly}{OUTPUT}")), ForeignHashError::TooCostly, "{costly}");
        }
        let bcrypt = |cost| format!("$2b${cost}$mRUOl9klI1i.JGfredL7W.Th.z09Ha5mzFgC7G0YgkpqAruwqQdcW");
        assert!(ForeignHash::parse(&bcrypt("14")).is_ok());
        assert_eq!(error(&bcrypt("15")), ForeignHashError::TooCostly);
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for text in ["", "secret", "5f4dcc3b5aa765d61d8327deb882cf99", "$1$salt$hash", "$2x$05$x", "md5$salt$hash", "$"]
        {
            assert_eq!(error(text), ForeignHashError::Unknown, "{text}");
        }
        for text in [
            "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ",
            "$2b$05$short",
            "$scrypt$ln=10,r=8,p=1$c29tZXNhbHQ$",
            "$scrypt$ln=10,r=8$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$pbkdf2-sha256$i=0$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "pbkdf2_sha256$2000$salt$",
            "$5$rounds=999$salt$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$5$salt$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAz",
            "$6$salt$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert_eq!(error(text), ForeignHashError::Malformed, "{text}");
        }
    }

    const SCHEME: &str =
        "(argon2|bcrypt|bcrypt_sha256|scrypt|pbkdf2_sha256|\\$(argon2id|2b|5|6|scrypt|fbscrypt|pbkdf2))?";

    proptest! {
        #[test]
        fn any_text_is_answered(scheme in SCHEME, text in "[$a-z0-9=,.é/+]{0,80}", number: u32) {
            let _ = ForeignHash::parse(&format!("{scheme}${text}"));
            let _ = ForeignHash::parse(&format!("{scheme}${number}${text}"));
            let _ = ForeignHash::parse(&format!("{scheme}$ln={number},r={number},p={number}$salt${OUTPUT}"));
        }
    }
}
