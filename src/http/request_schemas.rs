//! Request bodies as they are accepted: the form of each field, and the fields that go together. The types of the
//! handlers say neither, because a handler reports everything that is wrong at once.

use utoipa::openapi::{
    OpenApi as Document, RefOr, Schema,
    path::Operation,
    schema::{AllOfBuilder, AnyOfBuilder, Object, ObjectBuilder, OneOf, OneOfBuilder, SchemaFormat, SchemaType, Type},
};

use Form::{Format, Text, Values};

/// The form of a field; an empty text and null are an absent field, except where the text is required.
enum Form {
    /// A text in a format.
    Format(&'static str),
    /// A text that a pattern matches, with at most so many characters.
    Text(&'static str, Option<usize>),
    /// One of these values.
    Values(&'static [&'static str]),
}

/// By the field, or by its schema and the field.
const FORMS: &[(&str, Form)] = &[
    ("email", Format("email")),
    ("mobile", Format("phone")),
    ("login_id", Text("^$|^[A-Za-z0-9._-]{3,64}$", None)),
    ("name", Text(NAME, Some(200))),
    ("locale", Text(LOCALE, Some(64))),
    ("app_hash", Text("^$|^[A-Za-z0-9+/]{11}$", None)),
    ("password", Text(PASSWORD, None)),
    ("RegisterRequest.password", Text(PASSWORD_OR_NONE, None)),
    ("new_password", Text(PASSWORD, None)),
    ("LoginRequest.password", Text(r"^[^\x00]+$", None)),
    ("current_password", Text(r"^[^\x00]*$", None)),
    ("refresh_token", Text(r"^[^\x00]+$", None)),
    ("LogoutRequest.refresh_token", Text(r"^[^\x00]*$", None)),
    ("challenge", Text(r"^[^\x00]*$", None)),
    ("purpose", Values(&["registration", "login", ""])),
];

const PASSWORD: &str = r"^[^\x00-\x1f\x7f-\x9f]{8,128}$";
const PASSWORD_OR_NONE: &str = r"^$|^[^\x00-\x1f\x7f-\x9f]{8,128}$";
/// Not of blanks alone.
const NAME: &str = r"^$|^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$";
/// RFC 5646, 2.1, without the tags that it only keeps for the past: language, script, region, variants, extensions.
const LOCALE: &str = "^$|^([A-Za-z]{2,3}([-_][A-Za-z]{3}){0,3}|[A-Za-z]{4,8})([-_][A-Za-z]{4})?\
    ([-_]([A-Za-z]{2}|[0-9]{3}))?([-_]([A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*\
    ([-_][0-9A-WYZa-wyz]([-_][A-Za-z0-9]{2,8})+)*([-_][Xx]([-_][A-Za-z0-9]{1,8})+)?$";

/// Fields that are given together, and those that must be absent beside them.
struct Branch {
    given: &'static [&'static str],
    absent: &'static [&'static str],
    /// Whether it means a login, so that no other purpose may stand there.
    is_login: bool,
    /// A flag that must not be set.
    unset: Option<&'static str>,
}

const fn given(given: &'static [&'static str]) -> Branch {
    Branch { given, absent: &[], is_login: false, unset: None }
}

impl Branch {
    const fn without(self, absent: &'static [&'static str]) -> Self {
        Self { absent, ..self }
    }

    const fn for_login(self) -> Self {
        Self { is_login: true, ..self }
    }

    const fn with_unset(self, flag: &'static str) -> Self {
        Self { unset: Some(flag), ..self }
    }
}

const EITHER: [Branch; 2] = [given(&["mobile"]).without(&["email"]), given(&["email"]).without(&["mobile"])];

/// The branches of which a body takes one.
const BRANCHES: &[(&str, &[Branch])] = &[
    ("RegisterRequest", &[given(&["mobile"]), given(&["email"]).without(&["mobile"])]),
    (
        "ResendRequest",
        &[
            given(&["mobile"]).without(&["email"]),
            given(&["email"]).without(&["mobile"]),
            given(&["verification_id"]).without(&["mobile", "email"]),
        ],
    ),
    (
        "VerifyRequest",
        &[
            given(&["mobile"]).without(&["email", "login_id"]),
            given(&["email"]).without(&["mobile", "login_id"]),
            given(&["verification_id"]).without(&["mobile", "email", "login_id"]),
            given(&["mobile", "login_id"]).without(&["email"]).for_login(),
        ],
    ),
    (
        "LoginRequest",
        &[
            given(&["mobile"]).without(&["email", "login_id"]),
            given(&["email"]).without(&["mobile", "login_id"]),
            given(&["login_id"]).without(&["mobile", "email"]),
        ],
    ),
    (
        "SendRequest",
        &[
            given(&["mobile"]).without(&["email", "login_id"]),
            given(&["email"]).without(&["mobile", "login_id"]),
            given(&["mobile", "login_id"]).without(&["email"]).with_unset("register"),
        ],
    ),
    ("ChallengeRequest", &EITHER),
    ("ForgotRequest", &EITHER),
    ("ResetRequest", &EITHER),
    ("ContactRequest", &EITHER),
];

/// Adds the forms and the branches to the schemas of the requests.
pub(super) fn complete(mut document: Document) -> Document {
    let schemas = &mut document.components.get_or_insert_default().schemas;
    let is_request = |name: &str| name.ends_with("Request") || name.ends_with("Fields") || name == "CurrentPassword";
    for (name, schema) in schemas.iter_mut().filter(|(name, _)| is_request(name)) {
        each_object(schema, &|object| add_forms(name, object));
    }
    for (name, branches) in BRANCHES {
        if let Some(schema) = schemas.get_mut(*name) {
            add_branches(schema, branches);
        }
    }
    document
}

/// A body that may be left out is still no null.
pub(super) fn forbid_null(operation: &mut Operation) {
    let Some(RefOr::T(body)) = &mut operation.request_body else { return };
    for content in body.content.values_mut() {
        let RefOr::T(content) = content else { continue };
        if let Some(RefOr::T(Schema::OneOf(OneOf { items, .. }))) = &content.schema {
            content.schema = items.iter().find(|item| matches!(item, RefOr::Ref(_))).cloned();
        }
    }
}

/// The schema's own properties, not those of the schemas that it refers to.
fn each_object(schema: &mut RefOr<Schema>, change: &impl Fn(&mut Object)) {
    match schema {
        RefOr::T(Schema::Object(object)) => change(object),
        RefOr::T(Schema::AllOf(all)) => all.items.iter_mut().for_each(|item| each_object(item, change)),
        _ => {}
    }
}

fn add_forms(schema: &str, object: &mut Object) {
    for (field, property) in &mut object.properties {
        let own = format!("{schema}.{field}");
        let form = FORMS.iter().find(|(name, _)| *name == own).or_else(|| FORMS.iter().find(|(name, _)| name == field));
        if let (Some((_, form)), RefOr::T(Schema::Object(text))) = (form, &mut *property)
            && let Some(other) = add_form(form, text)
        {
            *property = other;
        }
    }
}

/// A schema of another kind, if the form needs one.
fn add_form(form: &Form, text: &mut Object) -> Option<RefOr<Schema>> {
    match form {
        Format(format) => {
            let format = string().format(Some(SchemaFormat::Custom((*format).to_owned())));
            let schema = AnyOfBuilder::new().item(format).item(absent());
            let schema = schema.description(text.description.take()).examples(text.example.take());
            return Some(schema.into());
        }
        Text(pattern, longest) => {
            text.pattern = Some((*pattern).to_owned());
            text.max_length = longest.or(text.max_length);
        }
        Values(values) => {
            let values = values.iter().map(|value| (*value).into());
            text.enum_values = Some(values.chain([serde_json::Value::Null]).collect());
        }
    }
    None
}

fn add_branches(schema: &mut RefOr<Schema>, branches: &[Branch]) {
    let one_of = branches.iter().fold(OneOfBuilder::new(), |one_of, branch| one_of.item(branch_schema(branch)));
    if let RefOr::T(Schema::AllOf(all)) = schema {
        all.items.push(one_of.into());
        return;
    }
    if let RefOr::T(Schema::Object(fields)) = schema {
        let mut fields = std::mem::take(fields);
        let description = fields.description.take();
        *schema = AllOfBuilder::new().description(description).item(fields).item(one_of).into();
    }
}

fn branch_schema(branch: &Branch) -> ObjectBuilder {
    let mut object = ObjectBuilder::new().title(Some(branch.given.join(" and ")));
    for field in branch.given {
        object = object.property(*field, string().min_length(Some(1))).required(*field);
    }
    for field in branch.absent {
        object = object.property(*field, absent());
    }
    if let Some(flag) = branch.unset {
        let kinds: SchemaType = [Type::Boolean, Type::Null].into_iter().collect();
        object = object.property(flag, ObjectBuilder::new().schema_type(kinds).enum_values(Some([Some(false), None])));
    }
    if branch.is_login {
        let login = [Some("login"), Some(""), None];
        object =
            object.property("purpose", ObjectBuilder::new().schema_type(nullable_string()).enum_values(Some(login)));
    }
    object
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::Type(Type::String))
}

fn nullable_string() -> SchemaType {
    [Type::String, Type::Null].into_iter().collect()
}

/// A field that may stand there, but empty.
fn absent() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(nullable_string()).max_length(Some(0))
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, string::string_regex};

    use super::*;
    use crate::{
        domain::{AppHash, FieldCode, Locale, LoginId, Password, PersonName},
        http::routes::api,
    };

    /// Texts that match the last alternative of a field's pattern; the first is the empty text.
    fn texts(field: &str) -> impl Strategy<Value = String> + use<> {
        let form = FORMS.iter().find_map(|(name, form)| (*name == field).then_some(form));
        let Some(Text(pattern, longest)) = form else { panic!("{field} has no pattern") };
        let inner = pattern.trim_start_matches("^$|").trim_start_matches('^').trim_end_matches('$');
        let inner = inner.replace('*', "{0,2}").replace(")+", "){1,2}"); // seldom too long
        let longest = longest.unwrap_or(usize::MAX);
        string_regex(&inner).unwrap().prop_filter("too long", move |text| text.chars().count() <= longest)
    }

    proptest! {
        #[test]
        fn what_the_document_allows_is_accepted(
            login_id in texts("login_id"), name in texts("name"), locale in texts("locale"), password in texts("password"),
            app_hash in texts("app_hash"),
        ) {
            prop_assert!(AppHash::parse(&app_hash).is_some(), "{app_hash:?}");
            prop_assert!(LoginId::parse(&login_id).is_ok(), "{login_id:?}");
            prop_assert!(PersonName::parse(&name).is_ok(), "{name:?}");
            prop_assert!(Locale::parse(&locale).is_ok(), "{locale:?}");
            // Its length is that after the normalisation, which no pattern can tell.
            let refused = Password::parse(&password, 8).err().map(|error| error.code);
            prop_assert!(refused.is_none_or(|code| code != FieldCode::Invalid), "{password:?}");
        }
    }

    #[test]
    fn the_branches_are_those_of_requests_that_there_are() {
        let document = serde_json::to_value(complete(api().into_openapi())).unwrap();
        for (name, branches) in BRANCHES {
            let parts = document["components"]["schemas"][name]["allOf"].as_array().expect(name);
            assert_eq!(parts.last().unwrap()["oneOf"].as_array().map(Vec::len), Some(branches.len()), "{name}");
        }
        let bodies =
            document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
        for schema in bodies.filter_map(|call| call.pointer("/requestBody/content/application~1json/schema")) {
            assert!(schema["$ref"].is_string(), "a plain reference: {schema}");
        }
    }
}
