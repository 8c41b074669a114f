use super::Settings;

impl Settings {
    /// What is legal and unwise.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if !self.limits_enabled {
            remarks.push("ENROLL__LIMITS__ENABLED is false: nothing keeps anybody from guessing codes".to_owned());
        }
        if self.notify.prints_codes() {
            remarks.push("`console` carries messages: it prints every code to standard output".to_owned());
        } else if [self.codes.registration_sms, self.codes.registration_email].iter().any(|it| it.ttl.as_secs() < 300) {
            remarks.push("codes for a registration live under 300 s, and real messages may take that long".to_owned());
        }
        if self.notify.inbox_named {
            remarks.push("ENROLL__NOTIFY__INBOX is on: anyone who reaches this server reads every code".to_owned());
        }
        if !self.server.address.ip().is_loopback() && self.server.trusted_proxies.is_empty() {
            remarks.push("no trusted proxies: behind one, all clients share its address and its limits".to_owned());
        }
        remarks
    }
}
