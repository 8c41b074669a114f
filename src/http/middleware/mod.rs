//! Layers around every request.

pub(super) mod camel_case;
pub(super) mod detach;
pub(super) mod headers;
pub(super) mod request_log;
