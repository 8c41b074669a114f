//! Test identities: `ADDRESS=CODE@DATE`, in a list or in the lines of a file.

use super::reader::Reader;
use crate::{
    domain::{
        Address, Clock as _, DAY, OneTimeCode, PhoneRules, Purpose, SystemClock, TestIdentities, TestIdentity,
        Timestamp,
    },
    engine::CodeSettings,
};

/// Nobody forgets one for longer.
const LONGEST_DAYS: u32 = 90;

pub(super) fn test_identities(settings: &mut Reader, codes: &CodeSettings, phone: &PhoneRules) -> TestIdentities {
    let listed = settings.text("test_identities").unwrap_or_default();
    let in_file = settings.text("test_identities_file").map(|path| {
        std::fs::read_to_string(&path).unwrap_or_else(|error| {
            settings.problem("test_identities_file", format_args!("{path} cannot be read: {error}"));
            String::new()
        })
    });
    let in_file = in_file.unwrap_or_default();
    let lines = in_file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let items = listed.split(',').map(str::trim).filter(|item| !item.is_empty());
    let all = items.map(|item| ("test_identities", item)).chain(lines.map(|line| ("test_identities_file", line)));
    let mut identities = Vec::new();
    for (nth, (setting, text)) in all.enumerate() {
        match parse(text, codes, phone) {
            Ok(identity) => identities.push(identity),
            // Not the text: the code is a secret.
            Err(problem) => settings.problem(setting, format_args!("number {}: {problem}", nth + 1)),
        }
    }
    identities.into_iter().collect()
}

fn parse(text: &str, codes: &CodeSettings, phone: &PhoneRules) -> Result<TestIdentity, String> {
    let form = || "must be ADDRESS=CODE@DATE, such as +919876543210=314159@2027-01-31".to_owned();
    let (address, rest) = text.rsplit_once('=').ok_or_else(form)?;
    let (code, day) = rest.split_once('@').ok_or("needs a last day, such as @2027-01-31")?;
    let address = Address::parse(address.trim(), phone).map_err(|error| format!("the address {}", error.message))?;
    let code = OneTimeCode::parse(code.trim()).map_err(|error| format!("the code {}", error.message))?;
    let ends_at = Timestamp::of_day(day.trim()).ok_or_else(form)?.plus(DAY);
    if ends_at > SystemClock.now().plus(DAY * (LONGEST_DAYS + 1)) {
        return Err(format!("its last day must be at most {LONGEST_DAYS} days off"));
    }
    let has_policy = |purpose| code.has_digits(codes.policy(purpose, address.channel()).digits);
    if !Purpose::ALL.into_iter().any(has_policy) {
        return Err("no code of this address has so many digits".to_owned());
    }
    Ok(TestIdentity { address, code, ends_at })
}
