//! JSON, read strictly, and the objects that are kept with an account.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::{Map, Number, Value, value::RawValue};

use super::{FieldCode, FieldError};

/// A JSON object that is kept with an account: the person's `data`, or the operator's `claims`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct JsonObject(Map<String, Value>);

/// An update of the person's `data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataUpdate {
    /// It stays.
    Keep,
    /// Nothing is set any more.
    Clear,
    /// A merge patch (RFC 7396).
    Merge(JsonObject),
}

/// Octets of compact JSON.
const LARGEST_DATA: usize = 4_096;
const LARGEST_CLAIMS: usize = 1_024;
/// Objects and arrays within one another, the outermost included.
const DEEPEST: usize = 8;

impl JsonObject {
    /// The object, if this is one and databases and programs can keep it: no NUL, no number beyond a double.
    pub fn parse(field: &'static str, value: Value) -> Result<Self, FieldError> {
        let invalid = |message| Err(FieldError::new(field, FieldCode::Invalid, message));
        match value {
            value if has_nul(&value) => invalid("must not contain NUL, nor a number beyond a double"),
            Value::Object(object) => Ok(Self(object)),
            _ => invalid("must be a JSON object"),
        }
    }

    /// Refuses `data` that is too large or too deep to be kept.
    pub fn checked_as_data(self) -> Result<Self, FieldError> {
        self.checked("data", LARGEST_DATA)
    }

    /// The same of `claims`, which go into each access token.
    pub fn checked_as_claims(self) -> Result<Self, FieldError> {
        self.checked("claims", LARGEST_CLAIMS)
    }

    fn checked(self, field: &'static str, largest: usize) -> Result<Self, FieldError> {
        let error = |code, message: String| Err(FieldError::new(field, code, message));
        if self.to_string().len() > largest {
            return error(FieldCode::TooLong, format!("must have at most {largest} octets as compact JSON"));
        }
        if self.0.values().any(|value| depth(value) >= DEEPEST) {
            return error(FieldCode::Invalid, format!("must have at most {DEEPEST} levels"));
        }
        Ok(self)
    }

    /// The object that the patch makes of this one.
    #[must_use]
    pub fn merged(&self, patch: &Self) -> Self {
        let mut object = self.0.clone();
        merge(&mut object, &patch.0);
        Self(object)
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text to be stored; none for an empty object.
    pub fn to_stored(&self) -> Option<String> {
        (!self.is_empty()).then(|| self.to_string())
    }

    /// An object as it was stored.
    pub fn from_stored(text: Option<&str>) -> Self {
        match text.and_then(parse_json) {
            Some(Value::Object(object)) => Self(object),
            _ => Self::default(),
        }
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(Self)
    }
}

/// Compact JSON.
impl fmt::Display for JsonObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.0).map_err(|_| fmt::Error)?)
    }
}

/// RFC 7396, 2: null removes, an object is merged, anything else replaces.
fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, value) in patch {
        match value {
            Value::Null => drop(target.remove(key)),
            Value::Object(patch) => {
                let old = target.remove(key);
                let mut inner = if let Some(Value::Object(inner)) = old { inner } else { Map::new() };
                merge(&mut inner, patch);
                target.insert(key.clone(), Value::Object(inner));
            }
            value => drop(target.insert(key.clone(), value.clone())),
        }
    }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(object) => object.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn depth(value: &Value) -> usize {
    let inside = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(object) => object.values().map(depth).max(),
        _ => return 0,
    };
    1 + inside.unwrap_or(0)
}

/// Stands for a number that no double holds, which may be in a field that nobody reads; no text of ours has a NUL.
pub const BEYOND_DOUBLE: &str = "\0 a number beyond a double";

/// Objects and arrays within one another.
const MOST_NESTED: u8 = 128;

/// The value, unless parsers could read it differently (RFC 8259, 4): a key twice, a lone surrogate, too much nesting.
/// A number that no double holds is read as [`BEYOND_DOUBLE`].
pub fn parse_json(text: &str) -> Option<Value> {
    interoperable(serde_json::from_str(text).ok()?, MOST_NESTED)
}

fn interoperable(raw: &RawValue, nested: u8) -> Option<Value> {
    let text = raw.get();
    match text.as_bytes().first()? {
        b'{' => {
            let Entries(entries) = serde_json::from_str(text).ok()?;
            let mut object = Map::new();
            for (key, raw) in entries {
                let value = interoperable(raw, nested.checked_sub(1)?)?;
                if object.insert(key, value).is_some() {
                    return None;
                }
            }
            Some(Value::Object(object))
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            let items = items.into_iter().map(|raw| interoperable(raw, nested.checked_sub(1)?));
            items.collect::<Option<_>>().map(Value::Array)
        }
        b'-' | b'0'..=b'9' => Some(number(text).map_or_else(|| Value::from(BEYOND_DOUBLE), Value::Number)),
        _ => serde_json::from_str(text).ok(),
    }
}

/// As near as a double is: `serde_json`'s own may be one off, and move on each time that it is stored.
fn number(text: &str) -> Option<Number> {
    let integer = text.parse::<u64>().map(Number::from).or_else(|_| text.parse::<i64>().map(Number::from));
    integer.ok().filter(|_| text != "-0").or_else(|| Number::from_f64(text.parse().ok()?))
}

/// The entries of an object as they stand there.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn object(text: &str) -> JsonObject {
        JsonObject::parse("data", parse_json(text).unwrap()).unwrap()
    }

    #[test]
    fn a_patch_is_merged() {
        // RFC 7396, appendix A, as far as both are objects.
        for (target, patch, merged) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"a":1,"e":null}"#),
            (r"{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            assert_eq!(object(target).merged(&object(patch)).to_string(), merged, "{target} {patch}");
        }
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let parsed = |text: &str| JsonObject::parse("data", parse_json(text).unwrap());
        for text in ["[]", "1", r#"{"a":"\u0000"}"#, r#"{"a":[{"\u0000":1}]}"#, r#"{"a":1e999}"#, r#"{"a":[-1e999]}"#] {
            assert_eq!(parsed(text).unwrap_err().code, FieldCode::Invalid, "{text}");
        }
        let deep = |levels: usize| object(&format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1)));
        assert!(deep(8).checked_as_data().is_ok());
        assert_eq!(deep(9).checked_as_data().unwrap_err().code, FieldCode::Invalid);
        let long = |octets: usize| object(&format!("{{\"a\": \"{}\"}}", "x".repeat(octets - 8)));
        assert!(long(4_096).checked_as_data().is_ok() && long(1_024).checked_as_claims().is_ok());
        assert_eq!(long(4_097).checked_as_data().unwrap_err().code, FieldCode::TooLong);
        assert_eq!(long(1_025).checked_as_claims().unwrap_err().code, FieldCode::TooLong);
    }

    proptest! {
        #[test]
        fn a_number_is_stored_as_it_is(number: f64) {
            prop_assume!(number.is_finite());
            let text = serde_json::json!({"a": number}).to_string();
            prop_assert_eq!(object(&text).to_string(), text.clone());
            prop_assert_eq!(JsonObject::from_stored(Some(&text)).to_stored(), Some(text));
        }
    }
}
