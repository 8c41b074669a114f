//! Settings of parts that are still to come stop the start, so that nobody relies on them.

use super::reader::Reader;

/// Only what they would be anyway is taken.
pub(super) fn stop_at(from: &mut Reader) {
    from.not_built(&["privacy.conceal_accounts"], "false");
    from.not_built(&["events.personal_data"], "false");
    from.not_built(&["admin.address"], "off");
    let without_default = [];
    from.not_built(&without_default, "");
}
