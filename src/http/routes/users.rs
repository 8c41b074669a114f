//! The person's own account.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    domain::{FieldCode, Locale, Password, PersonName},
    http::{
        Api,
        extract::{
            auth::Bearer,
            compat::Compat,
            fields::{CurrentPassword, Fields},
            json::{Body, JsonField, JsonValueField, OptionalBody},
        },
        problem::Problem,
        views::{AuditLineView, ExportView, SentMessageView, SessionView, UserView},
    },
    services::AccountExport,
};

/// An absent field is unchanged, null clears it.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct UpdateRequest {
    /// The person's name.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Ann B.")]
    name: JsonField,
    /// The person's language, a BCP 47 tag.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "en-IN")]
    locale: JsonField,
    /// A merge patch (RFC 7396) of the person's own object, which has at most 4 KiB and 8 levels after it.
    #[serde(default)]
    #[schema(value_type = Option<std::collections::HashMap<String, serde_json::Value>>, example = json!({"nickname": "Annie", "avatar": null}))]
    data: JsonValueField,
    /// Other calls change these.
    #[serde(flatten)]
    #[schema(ignore)]
    elsewhere: ElsewhereFields,
}

/// Fields of the account that other calls change.
#[derive(Deserialize)]
struct ElsewhereFields {
    #[serde(default)]
    email: JsonField,
    #[serde(default, alias = "mobileNumber")]
    mobile: JsonField,
    #[serde(default, alias = "loginId")]
    login_id: JsonField,
    #[serde(default)]
    password: JsonField,
}

impl ElsewhereFields {
    fn refuse(self, fields: &mut Fields) {
        for (name, field, message) in [
            ("email", self.email, "is changed by `POST /users/me/contacts`"),
            ("mobile", self.mobile, "is changed by `POST /users/me/contacts`"),
            ("login_id", self.login_id, "is changed by the operator: `enroll users import --update`"),
            ("password", self.password, "is changed by `POST /users/me/password`"),
        ] {
            if !matches!(field, JsonField::Absent) {
                fields.error(name, FieldCode::Invalid, message);
            }
        }
    }
}

/// The new password, and the current one.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct PasswordRequest {
    #[serde(flatten)]
    current: CurrentPassword,
    /// 8 to 128 characters of any kind.
    #[serde(default)]
    #[schema(value_type = String, required, min_length = 8, max_length = 128, example = "a better horse")]
    new_password: JsonField,
}

/// Get my account
///
/// The account that the access token belongs to.
#[utoipa::path(get, path = "", operation_id = "getMe", tag = "account", security(("bearer" = [])),
    responses((status = 200, description = "The account", body = UserView)))]
pub(in crate::http) async fn me(compat: Compat, Bearer(actor): Bearer) -> Json<UserView> {
    Json(UserView::new(&actor.user, &compat))
}

/// Export my data
///
/// All that is kept of the account, as a file.
#[utoipa::path(get, path = "", operation_id = "exportMe", tag = "account", security(("bearer" = [])),
    responses((status = 200, description = "The data, as an attachment", body = ExportView)))]
pub(in crate::http) async fn export(
    State(api): State<Api>,
    compat: Compat,
    Bearer(actor): Bearer,
) -> Result<Response, Problem> {
    let AccountExport { sessions, codes, audit } = api.profile.export(&actor).await?;
    let export = ExportView {
        user: UserView::new(&actor.user, &compat),
        sessions: SessionView::list(sessions, Some(actor.session)),
        messages: codes.iter().map(SentMessageView::from).collect(),
        audit: audit.iter().map(AuditLineView::from).collect(),
    };
    let file = (header::CONTENT_DISPOSITION, r#"attachment; filename="account.json""#);
    Ok(([file], Json(export)).into_response())
}

/// Update my name, locale or data
///
/// An absent field is unchanged, null clears it; `data` is merged.
#[utoipa::path(patch, path = "", operation_id = "updateMe", tag = "account", security(("bearer" = [])),
    request_body(content = UpdateRequest, example = json!({"name": "Ann Brown", "locale": "en-IN"})), responses((status = 200, description = "The account", body = UserView)))]
pub(in crate::http) async fn update(
    State(api): State<Api>,
    compat: Compat,
    Bearer(actor): Bearer,
    Body(request): Body<UpdateRequest>,
) -> Result<Json<UserView>, Problem> {
    let mut fields = Fields::default();
    let name = fields.update("name", request.name, PersonName::parse, |name| name.as_str().to_owned());
    let locale = fields.update("locale", request.locale, Locale::parse, |locale| locale.as_str().to_owned());
    request.elsewhere.refuse(&mut fields);
    let data = fields.data_update(request.data);
    let (name, locale, data) = fields.finish(Some((name, locale, data)))?;
    let user = api.profile.update(&actor, &name, &locale, &data).await?;
    Ok(Json(UserView::new(&user, &compat)))
}

/// Change my password
///
/// Revokes every other session.
#[utoipa::path(post, path = "", operation_id = "changePassword", tag = "account", security(("bearer" = [])),
    request_body(content = PasswordRequest, example = json!({"current_password": "a better horse battery", "new_password": "the best horse battery"})), responses((status = 204, description = "The password is changed")))]
pub(in crate::http) async fn change_password(
    State(api): State<Api>,
    Bearer(actor): Bearer,
    Body(request): Body<PasswordRequest>,
) -> Result<StatusCode, Problem> {
    let mut fields = Fields::default();
    let current = request.current.parse(&mut fields);
    let new = fields.required("new_password", request.new_password, |text| {
        Password::parse(text, api.password_min_length).map_err(|error| error.at("new_password"))
    });
    let new = fields.finish(new)?;
    api.profile.change_password(&actor, &current, &new).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete my account
///
/// Deletes the account and all personal data.
#[utoipa::path(delete, path = "", operation_id = "deleteMe", tag = "account", security(("bearer" = [])),
    request_body(content = Option<CurrentPassword>, example = json!({"current_password": "the best horse battery"})), responses((status = 204, description = "The account is deleted")))]
pub(in crate::http) async fn delete(
    State(api): State<Api>,
    Bearer(actor): Bearer,
    OptionalBody(request): OptionalBody<CurrentPassword>,
) -> Result<StatusCode, Problem> {
    let mut fields = Fields::default();
    let current = request.parse(&mut fields);
    fields.finish(Some(()))?;
    api.profile.delete(&actor, &current).await?;
    Ok(StatusCode::NO_CONTENT)
}
