use super::Message;
use crate::domain::{CodeMessage, Purpose};

/// The words of the messages.
#[derive(Debug, Clone)]
pub struct Templates {
    /// The name in every message.
    pub brand: String,
}

impl Templates {
    pub fn render(&self, code: &CodeMessage) -> Message {
        let (brand, otp, life) = (&self.brand, &code.code, life(code.ttl_s));
        let (subject, use_of_it) = match code.purpose {
            Purpose::Registration => (format!("Your {brand} code"), "finish your registration"),
        };
        Message {
            to: code.to.clone(),
            channel: code.channel,
            purpose: code.purpose,
            subject,
            body: format!("{brand}: {otp} is your code to {use_of_it}. It lives for {life}. Give it to nobody."),
            otp: otp.clone(),
            verification_id: code.verification,
        }
    }
}

fn life(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (1, 0) => "1 minute".to_owned(),
        (minutes, 0) => format!("{minutes} minutes"),
        _ => format!("{seconds} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::Channel;

    #[test]
    fn a_text_has_brand_code_and_life_in_one_segment() {
        let code = CodeMessage {
            to: "+919876543210".into(),
            channel: Channel::Sms,
            purpose: Purpose::Registration,
            code: "012345".into(),
            verification: Uuid::nil(),
            issue: 1,
            tries: 5,
            destination_hash: String::new(),
            destination: String::new(),
            ttl_s: 300,
            expires_at: 0,
        };
        let text = Templates { brand: "Acme".into() }.render(&code).body;
        assert!(text.contains("Acme") && text.contains("012345") && text.contains("5 minutes"), "{text}");
        assert!(text.len() <= 160, "GSM-7 has 160 characters: {}", text.len());
        assert_eq!(life(90), "90 seconds");
    }
}
