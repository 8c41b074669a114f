//! The person's own account.

use axum::{Json, extract::State};
use serde::Deserialize;

use super::{
    auth::Person,
    errors::{GotrueCode, Refusal},
    fields::{AddressFields, SecurityFields},
    registration::check_channel,
    views::UserView,
};
use crate::{
    domain::{Address, DataUpdate, FieldUpdate, Password},
    engine::CurrentPassword,
    error::Error,
    http::{
        Api,
        extract::{
            fields::Fields,
            json::{Body, JsonField, JsonValueField},
        },
        middleware::request_log::log_destination,
    },
};

/// Changes of the account; an absent, empty or null field stays as it is.
#[derive(Deserialize)]
pub(super) struct UpdateRequest {
    #[serde(flatten)]
    address: AddressFields,
    #[serde(default)]
    password: JsonField,
    #[serde(default)]
    current_password: JsonField,
    #[serde(default)]
    data: JsonValueField,
    #[serde(default)]
    channel: JsonField,
    #[serde(flatten)]
    security: SecurityFields,
}

/// `GET /user`
pub(super) async fn me(State(api): State<Api>, person: Person) -> Result<Json<UserView>, Refusal> {
    answer(&api, &person).await
}

async fn answer(api: &Api, person: &Person) -> Result<Json<UserView>, Refusal> {
    let user = &person.actor.user;
    let waiting = api.gotrue.codes.waiting_changes(user).await?;
    Ok(Json(UserView::new(user, &waiting)))
}

/// `PUT /user`: the password first, since what is asked for before it changes ends with it.
pub(super) async fn update(
    State(api): State<Api>,
    mut person: Person,
    Body(request): Body<UpdateRequest>,
) -> Result<Json<UserView>, Refusal> {
    let mut fields = Fields::default();
    check_channel(&mut fields, request.channel);
    let password = fields.optional("password", request.password, |text| Password::parse(text, api.password_min_length));
    let current = fields.text("current_password", request.current_password);
    let (email, phone) = request.address.both(&mut fields, &api.phone);
    let data = match request.data {
        JsonValueField::Null => DataUpdate::Keep,
        data => fields.data_update(data),
    };
    fields.finish(Some(()))?;
    let current = current.map_or(CurrentPassword::Missing, |text| {
        Password::for_comparison(&text).map_or(CurrentPassword::Invalid, CurrentPassword::Present)
    });
    let solution = request.security.solution();
    if let Some(password) = password {
        change_password(&api, &mut person, &current, &password).await?;
    }
    for address in [email, phone].into_iter().flatten() {
        change_contact(&api, &mut person, &current, &address, solution.as_deref()).await?;
    }
    let (name, locale) = (FieldUpdate::Keep, FieldUpdate::Keep);
    person.actor.user = api.profile.update(&person.actor, &name, &locale, &data).await?;
    answer(&api, &person).await
}

async fn change_password(
    api: &Api,
    person: &mut Person,
    current: &CurrentPassword,
    new: &Password,
) -> Result<(), Refusal> {
    if let CurrentPassword::Present(current) = current
        && current.expose() == new.expose()
    {
        return Err(Refusal::named(GotrueCode::SamePassword, Error::WrongPassword));
    }
    api.profile.change_password(&person.actor, current, new).await?;
    person.reread(api).await
}

/// One's own proven address changes nothing.
async fn change_contact(
    api: &Api,
    person: &mut Person,
    current: &CurrentPassword,
    new: &Address,
    solution: Option<&str>,
) -> Result<(), Refusal> {
    if person.actor.user.proven_address(new).is_some() {
        return Ok(());
    }
    log_destination(&new.masked());
    let asked = api.contacts.request(&person.actor, new, current, solution).await;
    asked.map_err(Refusal::sending(new.channel()))?;
    Ok(())
}
