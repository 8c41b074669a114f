//! `check-config` tries everything that is set, and sends nothing to a person.

use serde_json::Value;

use crate::{
    run::{embedded, run},
    support::{
        fake_mail_server::MailServer,
        fake_provider::{Answers, Gateway},
        process::Node,
        rabbit::{OwnRabbit, amqp_url},
        servers::free_port,
    },
};

async fn check(node: Node) -> (i32, String) {
    let (code, out, errors) = tokio::task::spawn_blocking(move || run(&node, &["check-config"])).await.unwrap();
    (code, out + &errors)
}

fn twilio(node: Node, url: &str) -> Node {
    node.set("ENROLL__NOTIFY__SMS", "twilio")
        .set("ENROLL__NOTIFY__TWILIO__ACCOUNT_SID", "AC1")
        .set("ENROLL__NOTIFY__TWILIO__AUTH_TOKEN", "a token")
        .set("ENROLL__NOTIFY__TWILIO__FROM", "+15005550006")
        .set("ENROLL__NOTIFY__TWILIO__BASE_URL", url)
}

fn webhook(node: Node, url: &str) -> Node {
    node.set("ENROLL__NOTIFY__EMAIL", "webhook")
        .set("ENROLL__NOTIFY__WEBHOOK__URL", url)
        .set("ENROLL__NOTIFY__WEBHOOK__SECRET", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
}

fn smtp(node: Node, url: &str) -> Node {
    node.set("ENROLL__NOTIFY__EMAIL", "smtp")
        .set("ENROLL__NOTIFY__SMTP__URL", url)
        .set("ENROLL__NOTIFY__SMTP__FROM", "Enroll <no-reply@example.com>")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_closed_port_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let node = || embedded(&dir).set("AWS_ACCESS_KEY_ID", "x").set("AWS_SECRET_ACCESS_KEY", "y");
    let sns = node()
        .set("ENROLL__NOTIFY__SMS", "sns")
        .set("ENROLL__NOTIFY__SNS__REGION", "eu-west-1")
        .set("ENROLL__NOTIFY__SNS__ENDPOINT_URL", &nobody);
    for (node, named) in [
        (twilio(node(), &nobody), "TWILIO"),
        (webhook(node(), &nobody), "WEBHOOK"),
        (smtp(node(), &nobody.replace("http", "smtp")), "SMTP"),
        (sns, "SNS"),
        (node().set("AMQP_URL", &format!("amqp://guest:guest@127.0.0.1:{}/%2f", free_port())), "AMQP_URL"),
        (node().set("REDIS_URL", &nobody.replace("http", "redis")), "REDIS_URL"),
    ] {
        let (code, said) = check(node).await;
        assert!(code == 1 && said.contains("problem: ") && said.contains(named), "{named}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_answers_is_good_and_nobody_gets_a_message_fleet() {
    let (dir, gateway) = (tempfile::tempdir().unwrap(), Gateway::start(Answers::With(200, "{}")).await);
    let node = webhook(twilio(embedded(&dir), &gateway.url), &format!("{}/hook", gateway.url));
    let (code, said) = check(node.set("AMQP_URL", &amqp_url()).set("ENROLL__EVENTS__EXCHANGE", "enroll_check")).await;
    assert_eq!(code, 0, "{said}");
    let received = gateway.received();
    let paths: Vec<&str> = received.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(paths, ["/2010-04-01/Accounts/AC1.json", "/hook"]);
    let ping: Value = serde_json::from_str(&received[1].body).unwrap();
    assert_eq!(ping["type"], "ping");
    assert!(received[1].headers["webhook-signature"].to_str().unwrap().starts_with("v1,"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_a_problem() {
    let (dir, gateway) = (tempfile::tempdir().unwrap(), Gateway::start(Answers::With(401, "{}")).await);
    let (code, said) = check(twilio(embedded(&dir), &gateway.url)).await;
    assert!(code == 1 && said.contains("twilio") && said.contains("401"), "{said}");
    let mail = MailServer::start().await;
    mail.answer("greeting", "554 5.3.2 no service");
    let (code, said) = check(smtp(embedded(&dir), &format!("smtp://127.0.0.1:{}", mail.port))).await;
    assert!(code == 1 && said.contains("smtp") && said.contains("554"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_systems_authorities_are_trusted_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let authority = dir.path().join("company.pem");
    let mail = MailServer::with_tls(&authority).await;
    // The password has every letter that means something in a URL.
    let node = || smtp(embedded(&dir), &format!("smtps://us%40er:p&a%25s@localhost:{}", mail.port));
    let (code, said) = check(node()).await;
    assert!(code == 1 && said.contains("certificate is not trusted"), "{said}");
    let (code, said) = check(node().set("SSL_CERT_FILE", &authority.display().to_string())).await;
    assert_eq!(code, 0, "{said}");
    let lines = mail.lines();
    let login = lines.iter().find_map(|line| line.strip_prefix("AUTH PLAIN ")).expect("it logs in");
    let login = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, login).unwrap();
    assert_eq!(String::from_utf8(login).unwrap(), "\0us@er\0p&a%s");
    assert!(!lines.iter().any(|line| line.starts_with("MAIL")), "nothing is sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_may_not_write_is_a_problem_rabbitmq() {
    let (dir, rabbit) = (tempfile::tempdir().unwrap(), OwnRabbit::launch());
    rabbit.add_user("reader", "", "", ".*");
    rabbit.add_user("writer", "", ".*", "");
    let node = |user: &str| embedded(&dir).set("AMQP_URL", &rabbit.url_of(user));
    let (code, said) = check(node("writer")).await;
    assert!(code == 1 && said.contains("AMQP_URL") && said.contains("ACCESS_REFUSED"), "no exchange is there: {said}");
    let (code, said) = check(embedded(&dir).set("AMQP_URL", &rabbit.url())).await;
    assert_eq!(code, 0, "{said}");
    let (code, said) = check(node("writer")).await;
    assert_eq!(code, 0, "the exchange is there now: {said}");
    let (code, said) = check(node("reader")).await;
    assert!(code == 1 && said.contains("ACCESS_REFUSED"), "{said}");
}

#[test]
fn a_data_directory_may_have_any_name() {
    let parent = tempfile::tempdir().unwrap();
    for name in ["per%41cent", "what?", "a#b", "a b"] {
        let dir = parent.path().join(name);
        let node = Node::new("").set("ENROLL__DATA_DIR", &dir.display().to_string());
        let (code, _, errors) = run(&node, &["migrate"]);
        assert_eq!(code, 0, "{name}: {errors}");
        assert!(dir.join("enroll.db").exists(), "{name}");
    }
}
