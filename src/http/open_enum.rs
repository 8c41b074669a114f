//! Open enums: the document lists the values that exist now, and clients must accept others.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, RefOr, Schema,
        schema::{AnyOfBuilder, SchemaType, Type},
    },
};

use super::error_code::ErrorCode;
use crate::domain::{Channel, DeliveryState, FieldCode, Purpose};

macro_rules! open_enums {
    ($($name:ident $description:literal $values:expr;)+) => {$(
        #[doc = $description]
        #[derive(Serialize)]
        #[serde(transparent)]
        pub(in crate::http) struct $name(pub(in crate::http) &'static str);

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                schema($description, $values)
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )+};
}

open_enums! {
    ErrorCodeName "For programs; stable. Treat an unknown one by the status." ErrorCode::names();
    FieldErrorCode "For programs; stable. Treat an unknown one as `invalid`." FieldCode::ALL.map(FieldCode::as_str);
    PurposeName "What a code is for." Purpose::ALL.map(Purpose::as_str);
    ChannelName "How a code is delivered." Channel::ALL.map(Channel::as_str);
    VerificationState "How far a verification has come. Treat an unknown state as `sent`."
        DeliveryState::ALL.map(DeliveryState::as_str);
}

fn schema(description: &str, values: impl IntoIterator<Item = &'static str>) -> RefOr<Schema> {
    let string = || ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
    AnyOfBuilder::new().description(Some(description)).item(string().enum_values(Some(values))).item(string()).into()
}
