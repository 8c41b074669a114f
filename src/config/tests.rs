//! Settings: problems, and which source wins.

use super::{Settings, Sources};
use crate::redis::RedisUrl;

fn load(variables: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let sources = Sources { environment, ..Sources::default() };
    Settings::load(&sources).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn the_default_is_embedded() {
    let settings = load(&[]).unwrap();
    assert_eq!(settings.store.url, "sqlite://./data/enroll.db");
    assert!(settings.redis.is_none() && settings.notify.inbox);
    assert_eq!(settings.server.prefixes, ["/api/v1"]);
}

#[test]
fn every_problem_names_the_variable() {
    let problems = load(&[
        ("ENROLL__SERVER__ADDRES", "127.0.0.1:1"),
        ("ENROLL__SERVER__ADDRESS", "nowhere"),
        ("ENROLL__CODES__REGISTRATION_SMS__DIGITS", "3"),
        ("ENROLL__LIMITS__SENDS_PER_CLIENT", "5"),
        ("ENROLL__ABUSE__GUARD", "sometimes"),
        ("ENROLL__SECRETS__KEY", "short"),
        ("ENROLL__PHONE__DEFAULT_REGION", "India"),
        ("ENROLL__NOTIFY__SMS", "pigeon"),
    ])
    .unwrap_err();
    for name in [
        "ENROLL__SERVER__ADDRES: unknown setting",
        "ENROLL__SERVER__ADDRESS: ",
        "ENROLL__CODES__REGISTRATION_SMS__DIGITS: ",
        "ENROLL__LIMITS__SENDS_PER_CLIENT: ",
        "ENROLL__ABUSE__GUARD: must be enforce, watch or off",
        "ENROLL__SECRETS__KEY: ",
        "ENROLL__PHONE__DEFAULT_REGION: ",
        "ENROLL__NOTIFY__SMS: pigeon",
    ] {
        assert_eq!(problems.iter().filter(|problem| problem.starts_with(name)).count(), 1, "{name} {problems:?}");
    }
    assert_eq!(problems.len(), 8, "{problems:?}");
}

#[test]
fn postgresql_requires_redis_a_key_and_providers() {
    let problems = load(&[("DATABASE_URL", "postgres://db/enroll")]).unwrap_err();
    for name in ["REDIS_URL", "ENROLL__SECRETS__KEY", "ENROLL__NOTIFY__SMS", "ENROLL__NOTIFY__EMAIL"] {
        assert!(problems.iter().any(|problem| problem.starts_with(name)), "{name}: {problems:?}");
    }
}

#[test]
fn a_webhook_of_events_needs_a_url_and_a_secret() {
    let (url, secret) = ("ENROLL__EVENTS__WEBHOOK__URL", "ENROLL__EVENTS__WEBHOOK__SECRET");
    let (types, right) = ("ENROLL__EVENTS__WEBHOOK__TYPES", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let hook = "https://example.com/hook?key=1";
    for (variables, wrong) in [
        (vec![(url, hook)], Some(secret)),
        (vec![(url, hook), (secret, "whsec_short")], Some(secret)),
        (vec![(url, "example.com/hook"), (secret, right)], Some(url)),
        (vec![(url, "ftp://example.com"), (secret, right)], Some(url)),
        (vec![(url, hook), (secret, right), (types, "user.*,user.gone")], Some(types)),
        (vec![(url, hook), (secret, right), (types, "user.*,login.failed")], None),
    ] {
        let problems = load(&variables).err().unwrap_or_default();
        assert_eq!(problems.len(), usize::from(wrong.is_some()), "{variables:?} {problems:?}");
        assert!(problems.iter().all(|problem| problem.starts_with(wrong.unwrap_or_default())), "{problems:?}");
    }
    assert_eq!(load(&[(url, hook), (secret, right)]).unwrap().events.sinks().len(), 2);
}

#[test]
fn the_hashes_of_android_apps_are_a_list() {
    let name = "ENROLL__NOTIFY__ANDROID_APPS";
    for (list, expected) in [("", 0), ("FA+9qCX9VSu", 1), (" FA+9qCX9VSu, 0123456789/ ,", 2)] {
        assert_eq!(load(&[(name, list)]).unwrap().notify.android_apps.len(), expected, "{list:?}");
    }
    assert!(load(&[]).unwrap().notify.android_apps.is_empty());
    for list in ["FA+9qCX9VS", "FA+9qCX9VS=", "FA+9qCX9VSuu", "FA+9qCX9VSu 0123456789/", "FA+9qCX9VSu,short,x"] {
        let problems = load(&[(name, list)]).unwrap_err();
        assert_eq!(problems.len(), 1, "one line, however many are wrong: {problems:?}");
        assert!(problems[0].starts_with(&format!("{name}: ")) && !problems[0].contains('\n'), "{problems:?}");
    }
}

#[test]
fn the_environment_wins_over_dot_env() {
    let sources = Sources {
        dot_env: [
            ("ENROLL__NOTIFY__BRAND".to_owned(), "Dot".to_owned()),
            ("REDIS_URL".to_owned(), "redis://dot".to_owned()),
        ]
        .into(),
        environment: [("ENROLL__NOTIFY__BRAND".to_owned(), "Env".to_owned())].into(),
        file: None,
    };
    let settings = Settings::load(&sources).unwrap();
    assert_eq!(settings.notify.templates.brand(), "Env");
    assert_eq!(settings.redis, Some(RedisUrl::Single("redis://dot".into())));
}

#[test]
fn a_prefix_for_gotrues_clients_collides_with_nothing() {
    const NAME: &str = "ENROLL__SERVER__GOTRUE_PREFIX";
    let (prefixes, camel) = ("ENROLL__SERVER__PREFIXES", "ENROLL__SERVER__CAMEL_PREFIXES");
    for (variables, is_good) in [
        (vec![(NAME, "/auth/v1")], true),
        (vec![(NAME, "/auth/v1"), (prefixes, "/")], true),
        (vec![(NAME, "/api/v1/gotrue")], true),
        (vec![(NAME, "/auth"), (prefixes, "/")], false),
        (vec![(NAME, "/auth/login"), (prefixes, "/")], false),
        (vec![(NAME, "/api/v1")], false),
        (vec![(NAME, "/api")], false),
        (vec![(NAME, "/api/v1/users/me/sessions/x")], false),
        (vec![(NAME, "/auth/v1"), (camel, "/auth/v1")], false),
        (vec![(NAME, "/auth/v1"), (camel, "/auth/v1/older")], false),
        (vec![(NAME, "/")], false),
        (vec![(NAME, "/auth/v1/")], false),
        (vec![(NAME, "auth")], false),
        (vec![(NAME, "/auth/{v}")], false),
        (vec![(NAME, "/docs")], false),
        (vec![(NAME, "/.well-known")], false),
        (vec![(NAME, "/livez")], false),
        (vec![(NAME, "/dev")], false),
        (vec![(NAME, "/page/x")], false),
    ] {
        let problems = load(&variables).err().unwrap_or_default();
        assert_eq!(problems.len(), usize::from(!is_good), "{variables:?} {problems:?}");
        assert!(problems.iter().all(|problem| problem.starts_with(NAME) && !problem.contains('\n')), "{problems:?}");
    }
}

#[test]
fn what_gotrues_clients_cannot_do_is_remarked_on() {
    let of_gotrue = |variables: &[(&str, &str)]| {
        let warnings = load(variables).unwrap().warnings();
        warnings.into_iter().filter(|warning| warning.starts_with("GoTrue")).collect::<Vec<_>>()
    };
    assert!(of_gotrue(&[]).is_empty(), "nobody asked for them");
    let prefix = ("ENROLL__SERVER__GOTRUE_PREFIX", "/auth/v1");
    let warnings = of_gotrue(&[prefix]);
    assert_eq!(warnings.len(), 3, "{warnings:#?}");
    let fitting = [
        prefix,
        ("ENROLL__REGISTRATIONS__PASSWORD", "optional"),
        ("ENROLL__CODES__REGISTRATION_EMAIL__DIGITS", "6"),
        ("ENROLL__ABUSE__GUARD", "watch"),
    ];
    assert_eq!(of_gotrue(&fitting), Vec::<String>::new());
    assert_eq!(of_gotrue(&[&fitting[..], &[("ENROLL__ABUSE__CHALLENGE", "always")]].concat()).len(), 1);
}
