use super::{Envelope, Message};
use crate::domain::{CodeMessage, Notice, NoticeKind, Outgoing, Purpose};

/// The words of the messages.
#[derive(Debug, Clone)]
pub struct Templates {
    /// The name in every message.
    pub brand: String,
}

impl Templates {
    pub fn render(&self, outgoing: &Outgoing, envelope: Envelope) -> Message {
        match outgoing {
            Outgoing::Code(code) => self.code(code, envelope),
            Outgoing::Notice(notice) => self.notice(notice, envelope),
        }
    }

    fn code(&self, code: &CodeMessage, envelope: Envelope) -> Message {
        let (brand, otp, life) = (&self.brand, &code.code, life(code.ttl_s));
        let use_of_it = match code.purpose {
            Purpose::Registration => "finish your registration",
            Purpose::Login => "log in",
            Purpose::PasswordReset => "set a new password",
            Purpose::ContactChange => "confirm this address for your account",
        };
        Message {
            envelope,
            to: code.to.clone(),
            channel: code.channel,
            purpose: code.purpose.as_str(),
            subject: format!("Your {brand} code"),
            body: format!("{brand}: {otp} is your code to {use_of_it}. It lives for {life}. Give it to nobody."),
            otp: Some(otp.clone()),
            verification_id: Some(code.verification),
        }
    }

    fn notice(&self, notice: &Notice, envelope: Envelope) -> Message {
        let (brand, new) = (&self.brand, notice.new_address.as_deref().unwrap_or("another address"));
        let (subject, told) = match notice.notice {
            NoticeKind::PasswordReset => ("password was reset", "Your password was reset".to_owned()),
            NoticeKind::ContactRequested => ("account", format!("Somebody asked to use {new} for your account")),
            NoticeKind::ContactChanged => ("account", format!("Your account uses {new} from now on")),
        };
        Message {
            envelope,
            to: notice.to.clone(),
            channel: notice.channel,
            purpose: notice.notice.as_str(),
            subject: format!("Your {brand} {subject}"),
            body: format!("{brand}: {told}. If that was not you, reset your password now."),
            otp: None,
            verification_id: None,
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
    use crate::domain::{Channel, Timestamp};

    fn envelope() -> Envelope {
        Envelope { id: String::new(), number: 1, expires_at: Timestamp::default() }
    }

    #[test]
    fn a_text_has_brand_code_and_life_in_one_segment() {
        let templates = Templates { brand: "Acme".into() };
        for purpose in Purpose::ALL {
            let code = CodeMessage {
                to: "+919876543210".into(),
                channel: Channel::Sms,
                purpose,
                code: "012345".into(),
                verification: Uuid::nil(),
                issue: 1,
                tries: 5,
                destination_hash: String::new(),
                destination: String::new(),
                ttl_s: 300,
                expires_at: 0,
            };
            let text = templates.render(&Outgoing::Code(code), envelope()).body;
            assert!(text.contains("Acme") && text.contains("012345") && text.contains("5 minutes"), "{text}");
            assert!(text.len() <= 160, "GSM-7 has 160 characters: {}", text.len());
        }
        assert_eq!(life(90), "90 seconds");
    }

    #[test]
    fn a_notice_fits_one_segment_and_has_no_code() {
        let templates = Templates { brand: "Acme".into() };
        for notice in [NoticeKind::PasswordReset, NoticeKind::ContactRequested, NoticeKind::ContactChanged] {
            let new_address = Some("n***@a-rather-long-domain.example.com".to_owned());
            let notice = Notice { to: "+919876543210".into(), channel: Channel::Sms, notice, new_address };
            let message = templates.render(&Outgoing::Notice(notice), envelope());
            assert!(message.otp.is_none() && message.body.len() <= 160, "{}", message.body);
        }
    }
}
