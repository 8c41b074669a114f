//! A mail server's refusals, by the phase in which it refuses and with or without enhanced codes.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{
    Backend, Options, TestApp,
    app::fresh_ip,
    fake_mail_server::MailServer,
    fake_provider::{Answers, Gateway},
};

stories!(
    without a pooler:
    only_a_refusal_of_the_mailbox_is_final,
    greylisting_slows_nobody_else,
    the_name_said_is_the_settings,
);

fn options(mail: &MailServer) -> Options {
    Options::unlimited()
        .with("ENROLL__NOTIFY__INBOX", "false")
        .with("ENROLL__NOTIFY__EMAIL", "smtp")
        .with("ENROLL__NOTIFY__SMTP__URL", format!("smtp://localhost:{}", mail.port))
        .with("ENROLL__NOTIFY__SMTP__FROM", "Enroll <no-reply@bücher.example>")
}

async fn register(app: &TestApp, n: usize) -> String {
    let body = json!({"email": format!("ann{n}@example.com"), "password": "correct horse"});
    let answer = app.post_from(&fresh_ip(), "/auth/register", body).await.is(202);
    answer["verification"]["verification_id"].as_str().unwrap().to_owned()
}

async fn only_a_refusal_of_the_mailbox_is_final(backend: Backend) {
    let (mail, second) = (MailServer::start().await, Gateway::start(Answers::With(200, "")).await);
    let both = options(&mail)
        .with("ENROLL__NOTIFY__EMAIL", "smtp,webhook")
        .with("ENROLL__NOTIFY__WEBHOOK__URL", format!("{}/hook", second.url))
        .with("ENROLL__NOTIFY__WEBHOOK__SECRET", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let app = TestApp::with(backend, both).await;
    let refusals = [
        ("RCPT", "550 no such user", "failed"),
        ("RCPT", "550 5.1.1 no such user", "failed"),
        ("RCPT", "553 5.1.3 bad address", "failed"),
        ("content", "550 5.1.1 no such user", "failed"),
        ("RCPT", "550 5.7.1 relaying denied", "sent"),
        ("RCPT", "451 4.7.1 greylisted", "sent"),
        ("RCPT", "552 5.2.2 full", "sent"),
        ("greeting", "550 go away", "sent"),
        ("greeting", "554 5.3.2 no service", "sent"),
        ("EHLO", "550 go away", "sent"),
        ("MAIL", "550 no", "sent"),
        ("MAIL", "553 5.1.8 sender's domain", "sent"),
        ("DATA", "554 no", "sent"),
        ("content", "550 spam", "sent"),
        ("content", "550 5.7.26 unauthenticated", "sent"),
        ("content", "554 5.4.6 loop", "sent"),
    ];
    for (n, (phase, answer, expected)) in refusals.into_iter().enumerate() {
        mail.answer(phase, answer);
        let by_second = second.received().len();
        assert_eq!(app.delivery_outcome(&register(&app, n).await).await, expected, "{phase}: {answer}");
        assert_eq!(second.received().len() > by_second, expected == "sent", "{phase}: {answer}: who sent it");
    }
}

async fn greylisting_slows_nobody_else(backend: Backend) {
    let mail = MailServer::start().await;
    let app = TestApp::with(backend, options(&mail)).await;
    mail.answer("RCPT", "451 4.7.1 try again later");
    let mut grey = Vec::new();
    for n in 0..8 {
        grey.push(register(&app, n).await);
    }
    let started = Instant::now();
    while mail.lines().iter().filter(|line| line.starts_with("RCPT")).count() < 8 {
        assert!(started.elapsed() < Duration::from_secs(10), "{:#?}", mail.lines());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    mail.answer("RCPT", "");
    let started = Instant::now();
    assert_eq!(app.delivery_outcome(&register(&app, 100).await).await, "sent");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

async fn the_name_said_is_the_settings(backend: Backend) {
    let mail = MailServer::start().await;
    let app = TestApp::with(backend, options(&mail).with("ENROLL__NOTIFY__SMTP__HELLO", "mx.example.com")).await;
    assert_eq!(app.delivery_outcome(&register(&app, 1).await).await, "sent");
    let lines = mail.lines();
    assert!(lines.contains(&"EHLO mx.example.com".to_owned()), "{lines:#?}");
    let sender = lines.iter().find(|line| line.starts_with("MAIL")).unwrap();
    assert!(sender.contains("no-reply@xn--bcher-kva.example"), "{sender}");
}
