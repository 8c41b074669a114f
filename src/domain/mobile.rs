//! A mobile number.

use std::fmt;

use rlibphonenumber::{PhoneNumber, PhoneNumberType};
use unicode_normalization::UnicodeNormalization as _;

pub use rlibphonenumber::Region;

use super::{FieldCode, FieldError};

/// A mobile number in E.164 (`+919876543210`).
///
/// ```
/// use enroll::domain::{Mobile, PhoneRules, Region};
///
/// let rules = PhoneRules { default_region: Region::IN, allowed_regions: vec![] };
/// let mobile = Mobile::parse("098765 43210", &rules).expect("a mobile number");
/// assert_eq!(mobile.as_str(), "+919876543210");
/// assert_eq!(mobile.masked(), "+91******3210");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Mobile(String);

/// How numbers are read, and the countries that are served.
#[derive(Debug, Clone)]
pub struct PhoneRules {
    /// The country of a number without an international prefix.
    pub default_region: Region,
    /// The countries that are served; all if empty.
    pub allowed_regions: Vec<Region>,
}

/// Codes that belong to no country: satellites, freephone, premium rate, universal numbers (ITU-T E.164, annex).
const NO_COUNTRY: [i32; 9] = [800, 808, 870, 878, 881, 882, 883, 888, 979];

impl Mobile {
    /// Reads a number as people type it: national or international, with blanks, brackets and dashes.
    ///
    /// Only numbers that can receive an SMS pass: mobiles, and those that their country does not distinguish
    /// from mobiles.
    pub fn parse(text: &str, rules: &PhoneRules) -> Result<Self, FieldError> {
        let error = |code, message| Err(FieldError::new("mobile", code, message));
        if (3..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return error(FieldCode::UnsupportedNumber, "is too short for a mobile number");
        }
        let Some(number) = read(text, rules.default_region) else {
            return error(FieldCode::Invalid, "is not a phone number");
        };
        if NO_COUNTRY.contains(&number.country_code) {
            return error(FieldCode::UnsupportedNumber, "is not a mobile number");
        }
        if !number.is_valid() {
            return error(FieldCode::Invalid, "is not a valid number in its country");
        }
        if !matches!(number.get_type(), PhoneNumberType::Mobile | PhoneNumberType::FixedLineOrMobile) {
            return error(FieldCode::UnsupportedNumber, "is not a mobile number");
        }
        let region = number.get_region_code();
        let allowed = &rules.allowed_regions;
        if !allowed.is_empty() && !region.is_some_and(|region| allowed.contains(&region)) {
            return error(FieldCode::UnsupportedRegion, "is in a country that is not served");
        }
        Ok(Self(number.to_string()))
    }

    /// Restores a number that [`Mobile::parse`] made.
    pub fn from_stored(e164: String) -> Self {
        Self(e164)
    }

    /// The number in E.164.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The national form if the number is of the default region, otherwise E.164.
    pub fn as_typed_in(&self, rules: &PhoneRules) -> &str {
        let national = self.national();
        let read_back = read(national, rules.default_region).map(|number| number.to_string());
        if read_back.as_deref() == Some(&self.0) { national } else { &self.0 }
    }

    /// Its country in two letters.
    pub fn country(&self) -> Option<String> {
        PhoneNumber::parse(&self.0, None).ok()?.get_region_code().map(|region| format!("{region:?}"))
    }

    /// Without the country code.
    pub fn national(&self) -> &str {
        let country = PhoneNumber::parse(&self.0, None).map_or(0, |number| number.country_code);
        self.0.trim_start_matches('+').strip_prefix(&country.to_string()).unwrap_or(&self.0)
    }

    /// A form that can be shown to anyone, with the country code and the last four digits: `+91******3210`.
    pub fn masked(&self) -> String {
        let country = PhoneNumber::parse(&self.0, None).map_or(0, |number| number.country_code);
        let shown = format!("+{country}");
        let hidden = self.0.len().saturating_sub(shown.len() + 4);
        let last = &self.0[self.0.len().saturating_sub(4)..];
        format!("{shown}{}{last}", "*".repeat(hidden))
    }
}

/// The international prefix of the region comes first; `00` stands for it where that makes no valid number.
fn read(text: &str, region: Region) -> Option<PhoneNumber> {
    let text = plain(text)?;
    let number = PhoneNumber::parse(&text, Some(region)).ok();
    match text.strip_prefix("00") {
        Some(rest) if !number.as_ref().is_some_and(PhoneNumber::is_valid) => {
            PhoneNumber::parse(format!("+{rest}"), None).ok()
        }
        _ => number,
    }
}

/// The digits and signs of a number, without what copying adds: directions, full-width forms, `tel:`, odd dashes.
fn plain(text: &str) -> Option<String> {
    let text: String = text.nfkc().filter(|c| !is_invisible(*c)).collect();
    let text = text.trim();
    let text = text.get(..4).filter(|scheme| scheme.eq_ignore_ascii_case("tel:")).map_or(text, |_| text[4..].trim());
    // A spreadsheet made a number of it, and may have rounded it: `628123456789.0`.
    let is_rounded = text.rsplit_once('.').is_some_and(|(digits, end)| {
        let is_number = digits.len() > 6 && digits.trim_start_matches('+').bytes().all(|byte| byte.is_ascii_digit());
        is_number && end.bytes().all(|byte| byte == b'0')
    });
    let plain: String = text.chars().map(|c| if is_dash(c) { '-' } else { c }).collect();
    let is_plausible = plain.chars().all(|c| c.is_numeric() || c.is_whitespace() || "+-()./".contains(c));
    (plain.chars().count() <= 64 && is_plausible && !is_rounded).then_some(plain)
}

/// Marks of direction, joiners and the byte order mark.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{ad}')
}

fn is_dash(c: char) -> bool {
    matches!(c, '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}')
}

impl fmt::Debug for Mobile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn india() -> PhoneRules {
        PhoneRules { default_region: Region::IN, allowed_regions: vec![] }
    }

    #[test]
    fn a_number_is_read_as_people_type_it() {
        for typed in
            ["9876543210", "+91 98765-43210", "00919876543210", "0091 98765 43210", "09876543210", "(+91) 98765 43210"]
        {
            assert_eq!(Mobile::parse(typed, &india()).unwrap().as_str(), "+919876543210", "{typed}");
        }
        assert_eq!(Mobile::parse("+1 415 555 2671", &india()).unwrap().as_str(), "+14155552671");
    }

    #[test]
    fn a_number_is_read_as_people_paste_it() {
        for pasted in [
            "\u{202a}+91 98765 43210\u{202c}",
            "\u{2066}+919876543210\u{2069}",
            "\u{200e}+91\u{2011}98765\u{2013}43210\u{200f}",
            "\u{feff}9876543210",
            "tel:+91-98765-43210",
            "TEL:+919876543210",
            "＋９１９８７６５４３２１０",
            "९८७६५४३२१०",
            "٩٨٧٦٥٤٣٢١٠",
        ] {
            let read = Mobile::parse(pasted, &india());
            assert_eq!(read.map(|mobile| mobile.0), Ok("+919876543210".to_owned()), "{pasted:?}");
        }
    }

    #[test]
    fn the_international_prefix_is_the_regions_own() {
        let read = |region, typed: &str| {
            let rules = PhoneRules { default_region: region, allowed_regions: vec![] };
            Mobile::parse(typed, &rules).map(|mobile| mobile.0).unwrap()
        };
        assert_eq!(read(Region::AU, "0011 65 8234 5678"), "+6582345678");
        assert_eq!(read(Region::US, "011 44 7400 123456"), "+447400123456");
        assert_eq!(read(Region::US, "00 44 7400 123456"), "+447400123456");
        assert_eq!(read(Region::DE, "0044 7400 123456"), "+447400123456");
    }

    #[test]
    fn numbers_of_no_country_are_refused() {
        for typed in
            ["+881612345678", "+8816 1234 5678", "+870773111632", "+882161234567", "+979123456789", "+80012345678"]
        {
            let refused = Mobile::parse(typed, &india()).unwrap_err();
            assert_eq!(refused.code, FieldCode::UnsupportedNumber, "{typed}");
        }
    }

    #[test]
    fn what_gets_no_sms_is_refused() {
        let code = |typed: &str, rules: &PhoneRules| Mobile::parse(typed, rules).unwrap_err().code;
        assert_eq!(code("1800 11 1234", &india()), FieldCode::UnsupportedNumber);
        assert_eq!(code("022 2345 6789", &india()), FieldCode::UnsupportedNumber);
        for short in ["112", "57575", "198"] {
            assert_eq!(code(short, &india()), FieldCode::UnsupportedNumber, "{short}");
        }
        for junk in [
            "",
            "1",
            "98765432",
            "mailto:+919876543210",
            "919876543210.0",
            "9876543210;ext=5",
            "98765\u{0}43210",
            "+++",
        ] {
            assert_eq!(code(junk, &india()), FieldCode::Invalid, "{junk:?}");
        }
        let only_india = PhoneRules { allowed_regions: vec![Region::IN], ..india() };
        assert_eq!(code("+1 415 555 2671", &only_india), FieldCode::UnsupportedRegion);
    }

    #[test]
    fn a_mask_shows_country_and_last_four() {
        assert_eq!(Mobile::parse("9876543210", &india()).unwrap().masked(), "+91******3210");
    }

    proptest! {
        #[test]
        fn any_text_is_answered_and_e164_reads_as_itself(text in "\\PC{0,40}|[+0-9 ()-]{1,20}|0?[6-9][0-9]{9}") {
            if let Ok(mobile) = Mobile::parse(&text, &india()) {
                prop_assert_eq!(Mobile::parse(mobile.as_str(), &india()).unwrap(), mobile.clone());
                prop_assert!(mobile.as_str().len() <= 16);
            }
        }
    }
}
